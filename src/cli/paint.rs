//! Colours and line-drawing characters.
//!
//! Colour only on a terminal, unless asked for; never with `NO_COLOR`. Box characters only on a
//! terminal whose locale is UTF-8: a log gets plain ASCII.

use std::env;
use std::io::IsTerminal;

use clap::ValueEnum;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Escape sequences, all empty where there is no colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint {
    pub(super) error: &'static str,
    pub(super) warning: &'static str,
    pub(super) good: &'static str,
    pub(super) frame: &'static str,
    pub(super) bold: &'static str,
    pub(super) off: &'static str,
    pub(super) glyphs: Glyphs,
}

/// The characters that frame a quotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyphs {
    pub(super) top: &'static str,
    pub(super) side: &'static str,
    pub(super) skip: &'static str,
    pub(super) beside: &'static str,
    pub(super) bottom: &'static str,
    pub(super) under: &'static str,
    pub(super) stem: &'static str,
    pub(super) elbow: &'static str,
}

const BOX: Glyphs = Glyphs {
    top: "╭─",
    side: "│",
    skip: "⋮",
    beside: "·",
    bottom: "╰────",
    under: "─",
    stem: "┬",
    elbow: "╰──",
};

const ASCII: Glyphs = Glyphs {
    top: ",-",
    side: "|",
    skip: ":",
    beside: ":",
    bottom: "`----",
    under: "^",
    stem: "^",
    elbow: "`--",
};

impl Paint {
    /// No colour, ASCII.
    pub(super) const PLAIN: Self =
        Self { error: "", warning: "", good: "", frame: "", bold: "", off: "", glyphs: ASCII };

    const COLOURED: Self = Self {
        error: "\u{1b}[1;31m",
        warning: "\u{1b}[1;33m",
        good: "\u{1b}[32m",
        frame: "\u{1b}[36m",
        bold: "\u{1b}[1m",
        off: "\u{1b}[0m",
        glyphs: ASCII,
    };

    /// What fits `stream`.
    pub(super) fn of(color: Color, stream: &impl IsTerminal) -> Self {
        let terminal = stream.is_terminal();
        let coloured = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !is_set("NO_COLOR") && !is_dumb(),
        };
        let base = if coloured { Self::COLOURED } else { Self::PLAIN };
        if terminal && is_utf8() {
            return base.boxed();
        }
        base
    }

    /// The same with box characters.
    pub(super) const fn boxed(mut self) -> Self {
        self.glyphs = BOX;
        self
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|value| value == "dumb")
}

fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find(|name| is_set(name))
        .and_then(|name| env::var(name).ok())
        .unwrap_or_default()
        .to_ascii_uppercase();
    locale.contains("UTF-8") || locale.contains("UTF8")
}
