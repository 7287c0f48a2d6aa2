//! A file's text into documents, as kubectl splits it: at every line that begins with `---`.
//!
//! The split comes before any parsing, so documents are independent: one that cannot be read does
//! not take the others with it, and they can be read by several threads.

use std::ops::Range;

/// One document's share of a text; separator lines belong to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Share {
    /// Its bytes, whole lines.
    pub(in crate::cli) span: Range<usize>,
    /// Number of its first line.
    pub(in crate::cli) line: usize,
    /// The separator above it carries text, which kubectl refuses.
    pub(in crate::cli) stray: bool,
}

/// The shares of a text, in order. Shares of blank lines are among them.
pub(super) struct Shares<'a> {
    text: &'a str,
    next: usize,
    line: usize,
    stray: bool,
    done: bool,
}

/// Splits `text`.
pub(super) const fn split(text: &str) -> Shares<'_> {
    Shares { text, next: 0, line: 1, stray: false, done: false }
}

impl Iterator for Shares<'_> {
    type Item = Share;

    fn next(&mut self) -> Option<Share> {
        if self.done {
            return None;
        }
        let start = self.next;
        let separator = self.separator(start);
        let end = separator.unwrap_or(self.text.len());
        let share = Share { span: start..end, line: self.line, stray: self.stray };
        self.line += newlines(self.text.get(start..end).unwrap_or_default()) + 1;
        match separator {
            None => self.done = true,
            Some(at) => self.step_over(at),
        }
        Some(share)
    }
}

impl Shares<'_> {
    /// Where the next separator line begins.
    fn separator(&self, from: usize) -> Option<usize> {
        let rest = self.text.get(from..)?;
        if rest.starts_with("---") {
            return Some(from);
        }
        rest.find("\n---").map(|at| from + at + 1)
    }

    fn step_over(&mut self, separator: usize) {
        let rest = self.text.get(separator..).unwrap_or_default();
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let behind = rest.get(3..length).unwrap_or_default().trim();
        self.stray = !(behind.is_empty() || behind.starts_with('#'));
        self.next = separator + length;
        self.done = self.next >= self.text.len() && !self.stray;
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(text: &str) -> Vec<(&str, usize, bool)> {
        split(text).map(|share| (&text[share.span], share.line, share.stray)).collect()
    }

    #[test]
    fn documents_are_parted_by_lines_of_three_dashes() {
        assert_eq!(
            shares("a: 1\n---\nb: 2\n--- # c\nc: 3\n"),
            [("a: 1\n", 1, false), ("b: 2\n", 3, false), ("c: 3\n", 5, false)]
        );
    }

    #[test]
    fn separators_around_nothing_give_empty_shares_and_right_lines() {
        assert_eq!(
            shares("---\n---\r\n# x\r\n---\r\na: 1"),
            [("", 1, false), ("", 2, false), ("# x\r\n", 3, false), ("a: 1", 5, false)]
        );
        assert_eq!(shares("---\n"), [("", 1, false)]);
        assert_eq!(shares(""), [("", 1, false)]);
    }

    #[test]
    fn dashes_within_a_line_part_nothing() {
        let text = "a: |\n  ---\nb: x---\n";
        assert_eq!(shares(text), [(text, 1, false)]);
    }

    #[test]
    fn text_behind_a_separator_is_marked() {
        assert_eq!(shares("a: 1\n--- b: 2\nc: 3\n"), [("a: 1\n", 1, false), ("c: 3\n", 3, true)]);
        assert_eq!(shares("a: 1\n----"), [("a: 1\n", 1, false), ("", 3, true)]);
    }
}
