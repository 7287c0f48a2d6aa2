//! A quotation from a file with a mark under the very place, as compilers draw it.
//!
//! Input: the text, the number of its first line, a span of bytes. Output: lines of text. Control
//! characters of the file never reach the terminal.

use std::fmt::Write as _;
use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

use super::paint::Paint;

/// Columns of a tab; a mark cannot line up with an unknown width.
const TAB: usize = 4;

/// Longest stretch of a line that is quoted, in columns.
const WIDTH: usize = 120;

/// Stands for what is left out.
const CUT: &str = "...";

/// A position for people: both count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A text that can be quoted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    /// The text, whole lines.
    pub(super) text: &'a str,
    /// Number of its first line.
    pub(super) first_line: usize,
}

impl<'a> Quoted<'a> {
    /// Where a byte offset is.
    pub(super) fn position(&self, offset: usize) -> Position {
        let before = self.before(offset);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
        Position {
            line: self.first_line + newlines,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }

    /// The line of a byte offset, without its end, and where in it the offset is.
    pub(super) fn line_at(&self, offset: usize) -> (&'a str, usize) {
        let before = self.before(offset);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let line = line.trim_end_matches('\r');
        (line, (before.len() - start).min(line.len()))
    }

    fn before(&self, offset: usize) -> &'a str {
        let end =
            (0..=offset.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        self.text.get(..end.unwrap_or_default()).unwrap_or_default()
    }
}

/// What is drawn.
pub(super) struct Excerpt<'a> {
    /// Where it is from.
    pub(super) from: Quoted<'a>,
    /// The file's name.
    pub(super) file: &'a str,
    /// What is marked.
    pub(super) mark: Range<usize>,
    /// A place above that says which list element this is.
    pub(super) context: Option<usize>,
    /// Words beside the mark.
    pub(super) label: &'a str,
}

impl Excerpt<'_> {
    /// Draws it.
    pub(super) fn draw(&self, out: &mut String, paint: &Paint) {
        let glyphs = &paint.glyphs;
        let (frame, off) = (paint.frame, paint.off);
        let position = self.from.position(self.mark.start);
        let gutter = position.line.to_string().len();
        let _ = writeln!(
            out,
            "{frame}{:gutter$} {}[{off}{}:{}:{}{frame}]{off}",
            "",
            glyphs.top,
            printable(self.file),
            position.line,
            position.column
        );
        self.draw_context(out, paint, position.line, gutter);
        let (line, start) = self.from.line_at(self.mark.start);
        let drawn = Drawn::of(line, start, start + self.mark.len());
        let _ =
            writeln!(out, "{frame}{:>gutter$} {}{off} {}", position.line, glyphs.side, drawn.text);
        let beside =
            format!("{frame}{:gutter$} {}{off} {:pad$}", "", glyphs.beside, "", pad = drawn.pad);
        let stem = (drawn.width - 1) / 2;
        let under = |count: usize| glyphs.under.repeat(count);
        let _ = writeln!(
            out,
            "{beside}{}{}{}{}{off}",
            paint.bold,
            under(stem),
            glyphs.stem,
            under(drawn.width - 1 - stem)
        );
        let _ = writeln!(
            out,
            "{beside}{:stem$}{}{} {}{off}",
            "",
            paint.bold,
            glyphs.elbow,
            printable(self.label)
        );
        let _ = writeln!(out, "{frame}{:gutter$} {}{off}", "", glyphs.bottom);
    }

    /// The first line of the list element around the mark, when it is another line.
    fn draw_context(&self, out: &mut String, paint: &Paint, below: usize, gutter: usize) {
        let Some(offset) = self.context else { return };
        let line = self.from.position(offset).line;
        if line >= below {
            return;
        }
        let (frame, off) = (paint.frame, paint.off);
        let text = Drawn::of(self.from.line_at(offset).0, 0, 0).text;
        let _ = writeln!(out, "{frame}{line:>gutter$} {}{off} {text}", paint.glyphs.side);
        if line + 1 < below {
            let _ = writeln!(out, "{frame}{:gutter$} {}{off}", "", paint.glyphs.skip);
        }
    }
}

/// A line as the terminal shows it.
struct Drawn {
    text: String,
    /// Columns before the mark.
    pad: usize,
    /// Columns of the mark, at least one.
    width: usize,
}

impl Drawn {
    /// Shows the part of `line` around the bytes from `start` to `end`, and measures that mark.
    fn of(line: &str, start: usize, end: usize) -> Self {
        let crop = Self::crop(line, start);
        let mut drawn = Self {
            text: if crop > 0 { CUT.to_owned() } else { String::new() },
            pad: if crop > 0 { CUT.len() } else { 0 },
            width: 0,
        };
        let mut column = drawn.pad;
        for (at, character) in line.char_indices().skip_while(|(at, _)| *at < crop) {
            let width = match character {
                '\t' => TAB - column % TAB,
                other => shown(other).width().unwrap_or(1),
            };
            if column + width > WIDTH {
                drawn.text.push_str(CUT);
                break;
            }
            if at < start {
                drawn.pad += width;
            } else if at < end {
                drawn.width += width;
            }
            column += width;
            match character {
                '\t' => drawn.text.extend(std::iter::repeat_n(' ', width)),
                other => drawn.text.push(shown(other)),
            }
        }
        drawn.width = drawn.width.max(1);
        drawn
    }

    /// Where the quotation begins: JSON often is one endless line.
    fn crop(line: &str, start: usize) -> usize {
        if start <= WIDTH / 2 {
            return 0;
        }
        let near = start - WIDTH / 4;
        (near..=start).find(|at| line.is_char_boundary(*at)).unwrap_or(start)
    }
}

/// A character that cannot move the cursor, change its colour or hide text.
fn shown(character: char) -> char {
    match character {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('?'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        other => other,
    }
}

/// A text in which every character is harmless to a terminal; line ends stay.
pub(super) fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    let harmless = |character| character == '\n' || shown(character) == character;
    if text.chars().all(harmless) {
        return text.into();
    }
    let show = |character| {
        if character == '\n' { '\n' } else { shown(character) }
    };
    text.chars().map(show).collect::<String>().into()
}

#[cfg(test)]
mod tests;
