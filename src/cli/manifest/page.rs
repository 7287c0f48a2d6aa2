//! The text of one document, and where its parts stand in it.
//!
//! Spans cost a second reading, so they are built at the first question and kept for the rest: a
//! document with nothing to point at never pays.

use std::cell::OnceCell;
use std::ops::Range;

use super::super::excerpt::{Position, Quoted};
use super::super::yaml::{self, Spot};
use crate::model::{Pointer, Token};

/// One document of a file.
#[derive(Debug)]
pub(in crate::cli) struct Page<'a> {
    /// The file's name.
    pub(in crate::cli) file: &'a str,
    /// Its text.
    pub(in crate::cli) quoted: Quoted<'a>,
    root: OnceCell<Option<Spot>>,
    lines: OnceCell<Vec<usize>>,
}

/// What a finding points at.
pub(in crate::cli) struct Target<'a> {
    /// The text around it.
    pub(in crate::cli) from: Quoted<'a>,
    /// The mark, in bytes of that text.
    pub(in crate::cli) mark: Range<usize>,
    /// The list element that it is in, in bytes of that text.
    pub(in crate::cli) context: Option<usize>,
    /// Where the mark begins and ends in the file.
    pub(in crate::cli) start: Position,
    pub(in crate::cli) end: Position,
    /// Everything that was asked for is there.
    pub(in crate::cli) exact: bool,
}

impl<'a> Page<'a> {
    /// The document `text` of `file`, whose first line has the number `first_line`.
    pub(in crate::cli) const fn new(file: &'a str, text: &'a str, first_line: usize) -> Self {
        Self {
            file,
            quoted: Quoted { text, first_line },
            root: OnceCell::new(),
            lines: OnceCell::new(),
        }
    }

    /// The template of a chart that Helm rendered the document from.
    pub(in crate::cli) fn chart_source(&self) -> Option<&'a str> {
        self.quoted
            .text
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with('#'))
            .find_map(|line| line.strip_prefix("# Source: "))
            .map(str::trim)
    }

    /// Number of the first line with content.
    pub(in crate::cli) fn content_line(&self) -> usize {
        let blank = |line: &&str| {
            let line = line.trim_start();
            line.is_empty() || line.starts_with('#')
        };
        self.quoted.first_line + self.quoted.text.lines().take_while(blank).count()
    }

    /// Where a list element begins.
    pub(super) fn element_line(&self, at: &Pointer) -> Option<usize> {
        let nearest = self.root()?.nearest(at.tokens().iter());
        Some(self.position(nearest.spot.value.start).line)
    }

    /// What to mark for the place `at` of the object at `base`; `by_name` where the name is wrong
    /// and not the value.
    pub(in crate::cli) fn target(
        &self,
        base: &Pointer,
        at: &Pointer,
        by_name: bool,
    ) -> Option<Target<'_>> {
        let steps = || base.tokens().iter().chain(at.tokens());
        let nearest = self.root()?.nearest(steps());
        let spot = nearest.spot;
        let exact = nearest.depth == steps().count();
        let mark = match &spot.key {
            Some(key) if by_name || !exact || !spot.is_leaf() || spot.value.is_empty() => {
                key.clone()
            }
            _ => self.first_line_of(&spot.value),
        };
        let context = nearest
            .element
            .filter(|_| nearest.depth > base.tokens().len())
            .map(|element| element.value.start)
            .filter(|start| *start < mark.start);
        Some(self.around(mark, context, exact))
    }

    /// The span's part on its first line: a block collection or text would mark half the file.
    fn first_line_of(&self, span: &Range<usize>) -> Range<usize> {
        let text = self.quoted.text.get(span.clone()).unwrap_or_default();
        let line = text.split(['\r', '\n']).next().unwrap_or_default();
        let line = line.trim_end();
        span.start..span.start + line.len()
    }

    /// The text from the first line that will be quoted, so that drawing does not count lines.
    fn around(&self, mark: Range<usize>, context: Option<usize>, exact: bool) -> Target<'_> {
        let first = context.map_or(mark.start, |start| start.min(mark.start));
        let index = self.line_index(first);
        let cut = self.starts().get(index).copied().unwrap_or_default();
        Target {
            from: Quoted {
                text: self.quoted.text.get(cut..).unwrap_or_default(),
                first_line: self.quoted.first_line + index,
            },
            context: context.map(|start| start - cut),
            start: self.position(mark.start),
            end: self.position(mark.end),
            mark: mark.start - cut..mark.end - cut,
            exact,
        }
    }

    /// Where a byte offset is in the file.
    fn position(&self, offset: usize) -> Position {
        let index = self.line_index(offset);
        let start = self.starts().get(index).copied().unwrap_or_default();
        let before = self.quoted.text.get(start..offset).unwrap_or_default();
        Position { line: self.quoted.first_line + index, column: before.chars().count() + 1 }
    }

    fn line_index(&self, offset: usize) -> usize {
        self.starts().partition_point(|start| *start <= offset).saturating_sub(1)
    }

    fn starts(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.quoted.text.match_indices('\n');
            std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
        })
    }

    fn root(&self) -> Option<&Spot> {
        self.root.get_or_init(|| yaml::spots(self.quoted.text)).as_ref()
    }
}

/// The place of an element of a list's items.
pub(super) fn item(list: &Pointer, index: usize) -> Pointer {
    list.at(Token::from("items")).at(index)
}
