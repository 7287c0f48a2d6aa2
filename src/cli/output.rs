//! What a command prints, and how wide.
//!
//! A reader that goes away, as `head` does, is no error: what follows is dropped, and the command
//! may stop early. Every other failure to write is one.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use comfy_table::{ContentArrangement, Table, presets};

/// Columns of what people read where nobody says how wide the terminal is.
pub const WIDTH: u16 = 100;

/// Below this a table breaks within words; the terminal may as well break its lines.
const NARROWEST: u16 = 40;

/// Columns of what goes to stdout: by `COLUMNS`, which shells rarely export, or by the terminal.
pub fn width() -> u16 {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    said.or_else(seen).filter(|columns| *columns >= NARROWEST).unwrap_or(WIDTH)
}

/// Writes a line to stderr.
pub fn note(line: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "raywarden: {line}");
}

/// Writes `text` to stdout.
pub fn print(text: &str) -> io::Result<()> {
    write(io::stdout().lock(), text)
}

/// Writes `text` to stderr.
pub(super) fn print_aside(text: &str) -> io::Result<()> {
    write(io::stderr().lock(), text)
}

fn write(to: impl Write, text: &str) -> io::Result<()> {
    let mut out = Out::new(to);
    out.put(text)?;
    out.flush()
}

/// Writes an error and its causes to stderr, one per line, without a backtrace.
pub fn complain(error: &anyhow::Error) {
    // Where stderr is closed there is nobody to tell.
    let _ = io::stderr().lock().write_all(lines(error).as_bytes());
}

/// Many errors repeat their cause in their own words; each is said once.
fn lines(error: &anyhow::Error) -> String {
    let mut last = error.to_string();
    let mut lines = format!("raywarden: {last}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if last.contains(&cause) {
            continue;
        }
        lines.push_str("  because: ");
        lines.push_str(&cause);
        lines.push('\n');
        last = cause;
    }
    lines
}

/// A buffered writer that outlives its reader.
pub(super) struct Out<W: Write> {
    to: BufWriter<W>,
    gone: bool,
}

impl Out<StdoutLock<'static>> {
    /// Standard output, locked for the life of the command.
    pub(super) fn stdout() -> Self {
        Self::new(io::stdout().lock())
    }
}

impl<W: Write> Out<W> {
    /// A buffer in front of `to`.
    pub(super) fn new(to: W) -> Self {
        Self { to: BufWriter::with_capacity(64 * 1024, to), gone: false }
    }

    /// Writes; nothing happens once the reader is gone.
    pub(super) fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let written = self.to.write_all(bytes.as_ref());
        self.tolerate(written)
    }

    /// Hands everything over.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.tolerate(flushed)
    }

    /// Whether nobody reads any more.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    fn tolerate(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other,
        }
    }
}

/// A table without lines, `width` columns wide.
pub(super) fn table(width: u16) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    table
}

/// A table's lines without the blanks at their ends.
pub(super) fn drawn(table: &Table) -> String {
    table.to_string().lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        let error = anyhow::anyhow!("no such file").context("failed to open x: no such file");
        let error = error.context("failed to read x");
        let wanted = "raywarden: failed to read x\n  because: failed to open x: no such file\n";
        assert_eq!(lines(&error), wanted);
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let mut out = Out::new(Closed);
        out.put("text").unwrap();
        assert!(!out.is_gone());
        out.flush().unwrap();
        assert!(out.is_gone());
        out.put("more").unwrap();
        out.flush().unwrap();
    }
}
