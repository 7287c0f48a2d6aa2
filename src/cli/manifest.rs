//! Documents into objects.
//!
//! Input: one share of a file. Output: [`Piece`]s in document order: objects to judge, admission
//! requests, objects of other kinds, problems. Lists are taken apart, and every object knows its
//! own line. JSON is read as JSON, everything else as kubectl's YAML.

mod kinds;
mod page;

use std::path::PathBuf;

use serde_json::Value;

use super::input::{DOCUMENT_LIMIT, Inputs, Share, Source};
use super::problem::Problem;
use super::yaml::{self, Notice, Parsed};
use crate::model::Pointer;
use kinds::Class;
pub(super) use page::{Page, Target};

/// Levels of lists within lists.
const LIST_DEPTH: usize = 8;

/// An object and where it stands.
pub(super) struct Object<'a> {
    /// The object.
    pub(super) value: Value,
    /// Its document.
    pub(super) page: &'a Page<'a>,
    /// Where it is in the document; the root unless it came in a list or an admission request.
    pub(super) base: Pointer,
    /// Number of its first line.
    pub(super) line: usize,
}

/// What a document consists of.
pub(super) enum Piece<'a> {
    /// An object of a Ray kind.
    Ray(Object<'a>),
    /// An AdmissionReview.
    Review(Object<'a>),
    /// A policy of an administrator.
    Policy(Object<'a>),
    /// An object that is not ours.
    Other,
    /// Nothing that can be judged, or something to know.
    Problem(Problem),
}

/// Whether there is nothing in a text but blank lines, comments and separators.
pub(super) fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
    })
}

/// Reads every document of the files that `paths` stand for; a file that cannot be read is a piece
/// too.
pub(super) fn read_all(paths: &[PathBuf], each: &mut dyn FnMut(Piece<'_>)) {
    Inputs::new(paths).for_each(|source| read_file(source, each));
}

/// Reads every document of a file, or says why there are none.
pub(super) fn read_file(source: Result<Source, Problem>, each: &mut dyn FnMut(Piece<'_>)) {
    match source {
        Ok(source) => read_source(&source, each),
        Err(problem) => each(Piece::Problem(problem)),
    }
}

/// Reads every document of a file.
pub(super) fn read_source(source: &Source, each: &mut dyn FnMut(Piece<'_>)) {
    source.shares().for_each(|share| read(source, &share, each));
}

/// Reads one share of `source`.
pub(super) fn read(source: &Source, share: &Share, each: &mut dyn FnMut(Piece<'_>)) {
    let text = source.text.get(share.span.clone()).unwrap_or_default();
    if share.stray {
        let problem = Problem::error(&source.name, "text behind `---`, which kubectl refuses")
            .at_line(share.line - 1)
            .help("give `---` a line of its own");
        each(Piece::Problem(problem));
    }
    if is_blank(text) {
        return;
    }
    if text.len() > DOCUMENT_LIMIT {
        let size = text.len().div_ceil(1024 * 1024);
        let problem =
            Problem::error(&source.name, format!("a document of {size} MiB; the limit is 4 MiB"))
                .at_line(share.line)
                .help("part the objects by `---`, or list fewer of them: kubectl get -n NAMESPACE");
        each(Piece::Problem(problem));
        return;
    }
    let reader = Reader { source, each };
    if text.trim_start().starts_with('{') {
        reader.json(text, share.line);
    } else {
        reader.yaml(text, share.line);
    }
}

struct Reader<'r> {
    source: &'r Source,
    each: &'r mut dyn FnMut(Piece<'_>),
}

impl Reader<'_> {
    /// One JSON value after the other. What is no JSON may still be YAML in flow style.
    fn json(mut self, text: &str, first_line: usize) {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let mut start = 0;
        while let Some(value) = stream.next() {
            let (slice, line) = slice(text, start..stream.byte_offset(), first_line);
            match value {
                Ok(value) => {
                    let page = Page::new(&self.source.name, slice, line);
                    self.document(value, &page);
                    start = stream.byte_offset();
                }
                Err(error) => {
                    let (rest, line) = self::slice(text, start..text.len(), first_line);
                    self.not_json(rest, line, &error);
                    return;
                }
            }
        }
    }

    fn not_json(mut self, rest: &str, first_line: usize, error: &serde_json::Error) {
        let page = Page::new(&self.source.name, rest, first_line);
        if let Ok(parsed) = yaml::parse(rest)
            && parsed.value.as_ref().is_some_and(Value::is_object)
        {
            self.parsed(parsed, &page);
            return;
        }
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let problem = self.unreadable(&page, offset_of(rest, error), format!("not JSON: {reason}"));
        (self.each)(Piece::Problem(problem));
    }

    fn yaml(mut self, text: &str, first_line: usize) {
        let page = Page::new(&self.source.name, text, first_line);
        match yaml::parse(text) {
            Ok(parsed) => self.parsed(parsed, &page),
            Err(fault) => {
                let message = format!("not YAML: {}", fault.message);
                let problem = self.unreadable(&page, fault.at, message);
                (self.each)(Piece::Problem(problem));
            }
        }
    }

    fn parsed(&mut self, parsed: Parsed, page: &Page<'_>) {
        for notice in parsed.notices {
            let problem = notice_problem(page, notice);
            (self.each)(Piece::Problem(problem));
        }
        if let Some(value) = parsed.value {
            self.document(value, page);
        }
    }

    fn unreadable(&self, page: &Page<'_>, at: usize, message: String) -> Problem {
        let problem = Problem::error(&self.source.name, message).at_offset(page.quoted, at);
        if page.quoted.text.contains("{{") {
            return problem.help(
                "a Helm template? Render it first: helm template CHART | raywarden review -f -",
            );
        }
        problem
    }

    fn document(&mut self, value: Value, page: &Page<'_>) {
        let object = Object { value, page, base: Pointer::root(), line: page.content_line() };
        self.object(object, 0);
    }

    fn object(&mut self, object: Object<'_>, depth: usize) {
        match kinds::classify(&object.value) {
            Class::Ray => (self.each)(Piece::Ray(object)),
            Class::Review => (self.each)(Piece::Review(object)),
            Class::Policy => (self.each)(Piece::Policy(object)),
            Class::List => self.list(object, depth),
            Class::NoObject(message) if self.source.named || depth > 0 => {
                let problem = Problem::error(&self.source.name, message).at_line(object.line);
                (self.each)(Piece::Problem(problem));
            }
            Class::Other | Class::NoObject(_) => (self.each)(Piece::Other),
            Class::Miss(message, help) => {
                let problem =
                    Problem::error(&self.source.name, message).at_line(object.line).help(help);
                (self.each)(Piece::Problem(problem));
            }
        }
    }

    fn list(&mut self, mut list: Object<'_>, depth: usize) {
        if depth >= LIST_DEPTH {
            let message = format!("lists within lists, more than {LIST_DEPTH} deep");
            let problem = Problem::error(&self.source.name, message).at_line(list.line);
            (self.each)(Piece::Problem(problem));
            return;
        }
        let Some(Value::Array(items)) = list.value.get_mut("items").map(Value::take) else {
            return;
        };
        let (api_version, kind) = item_type(&list.value);
        for (index, mut value) in items.into_iter().enumerate() {
            // A list of one kind, read from the API without kubectl, does not repeat it.
            if let (Value::Object(map), Some(kind)) = (&mut value, &kind)
                && !map.contains_key("kind")
            {
                map.insert("apiVersion".to_owned(), api_version.clone());
                map.insert("kind".to_owned(), Value::from(kind.as_str()));
            }
            let base = page::item(&list.base, index);
            let line = list.page.element_line(&base).unwrap_or(list.line);
            let page = list.page;
            self.object(Object { value, page, base, line }, depth + 1);
        }
    }
}

/// What the items of a typed list are; `None` for `v1/List`, whose items name their own kind.
fn item_type(list: &Value) -> (Value, Option<String>) {
    let api_version = list.get("apiVersion").cloned().unwrap_or_default();
    let kind = list
        .get("kind")
        .and_then(Value::as_str)
        .and_then(|kind| kind.strip_suffix("List"))
        .filter(|kind| !kind.is_empty());
    (api_version, kind.map(str::to_owned))
}

/// A part of a text without the blanks around it, and the number of its first line.
fn slice(text: &str, range: std::ops::Range<usize>, first_line: usize) -> (&str, usize) {
    let part = text.get(range.clone()).unwrap_or_default();
    let trimmed = part.trim_start();
    let start = range.start + part.len() - trimmed.len();
    let before = text.get(..start).unwrap_or_default();
    let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
    (trimmed, first_line + newlines)
}

fn offset_of(text: &str, error: &serde_json::Error) -> usize {
    let line: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (line + error.column().saturating_sub(1)).min(text.len())
}

fn notice_problem(page: &Page<'_>, notice: Notice) -> Problem {
    let (message, at, help) = match notice {
        Notice::Repeated { key, at } => (
            format!("the key `{key}` stands twice; kubectl takes this one and drops the other"),
            at,
            "take one of them out",
        ),
        Notice::Ended { at } => {
            ("kubectl reads nothing behind `...`".to_owned(), at, "part documents by `---`")
        }
    };
    Problem::error(page.file, message).at_offset(page.quoted, at).help(help).into_notice()
}

#[cfg(test)]
mod tests;
