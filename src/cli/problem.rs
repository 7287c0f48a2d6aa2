//! What stands between a person and an answer: files that cannot be read, documents that are none.
//!
//! Problems go to standard error, whatever the output format. An error means exit status 2; a notice
//! is about something that kubectl passes over in silence.

use std::fmt::Write as _;

use super::excerpt::{Excerpt, Position, Quoted, printable};
use super::paint::Paint;

/// Whether an answer is missing, or one was given all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gravity {
    /// There is no answer for this input.
    Error,
    /// There is one; this should be known.
    Notice,
}

/// One thing that could not be read, or not as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// How bad it is.
    pub(super) gravity: Gravity,
    /// The file; empty where no file is concerned.
    pub(super) file: String,
    /// Where in it.
    pub(super) at: Option<Position>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// The line of the file, drawn with a mark.
    quote: Option<Box<Quote>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Quote {
    line: String,
    column: usize,
}

impl Problem {
    /// An error about a whole file.
    pub(super) fn error(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            gravity: Gravity::Error,
            file: file.into(),
            at: None,
            message: message.into(),
            help: None,
            quote: None,
        }
    }

    /// The same as a notice.
    #[must_use]
    pub(super) fn into_notice(mut self) -> Self {
        self.gravity = Gravity::Notice;
        self
    }

    /// With what to do about it.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a line of the file.
    #[must_use]
    pub(super) fn at_line(mut self, line: usize) -> Self {
        self.at = Some(Position { line, column: 1 });
        self
    }

    /// With a place in the file, quoted.
    #[must_use]
    pub(super) fn at_offset(mut self, text: Quoted<'_>, offset: usize) -> Self {
        self.at = Some(text.position(offset));
        let (line, column) = text.line_at(offset);
        self.quote = Some(Box::new(Quote { line: line.to_owned(), column }));
        self
    }

    /// Whether an answer is missing.
    pub(super) fn is_error(&self) -> bool {
        self.gravity == Gravity::Error
    }

    /// File, line, column and message on one line, for reports.
    pub(super) fn line(&self) -> String {
        let mut out = self.file.clone();
        if let Some(at) = self.at {
            let _ = write!(out, ":{}:{}", at.line, at.column);
        }
        if !out.is_empty() {
            out.push_str(": ");
        }
        out.push_str(&self.message);
        if let Some(help) = &self.help {
            let _ = write!(out, " ({help})");
        }
        out
    }

    /// Draws it for a terminal.
    pub(super) fn draw(&self, out: &mut String, paint: &Paint) {
        let (colour, word) = match self.gravity {
            Gravity::Error => (paint.error, "error"),
            Gravity::Notice => (paint.warning, "warning"),
        };
        let _ = write!(out, "{colour}{word}{}: ", paint.off);
        if let (None, false) = (&self.quote, self.file.is_empty()) {
            let _ = write!(out, "{}", printable(&self.file));
            if let Some(at) = self.at {
                let _ = write!(out, ":{}", at.line);
            }
            out.push_str(": ");
        }
        let _ = writeln!(out, "{}", printable(&self.message));
        if let (Some(quote), Some(at)) = (&self.quote, self.at) {
            let rest = quote.line.get(quote.column..).unwrap_or_default();
            let end = rest.chars().next().map_or(0, char::len_utf8);
            Excerpt {
                from: Quoted { text: &quote.line, first_line: at.line },
                file: &self.file,
                mark: quote.column..quote.column + end,
                context: None,
                label: "here",
            }
            .draw(out, paint);
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  help: {}", printable(help));
        }
    }
}
