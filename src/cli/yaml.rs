//! YAML as kubectl reads it.
//!
//! Input: the text of one document, without separator lines. Output: a [`Value`], or a tree of
//! [`Spot`]s that says where each part of it stands in the text.
//!
//! kubectl reads YAML 1.1 with go-yaml and sends JSON, so `on`, `y` and `0123` are a boolean, another
//! boolean and 83, the later of two equal keys wins, and a merge key overrides what stands above it.
//! A reader with other opinions would judge another object than the one that is applied: hence a
//! builder of our own over the events of a YAML 1.2 parser. `yaml/tests.rs` holds it to go-yaml's
//! own answers.
//!
//! Invariants: never a panic, bounded depth, bounded expansion of aliases; value and spots come from
//! one builder, so a place in one is a place in the other.

mod build;
mod float;
mod scalar;
mod spot;
mod value;

use std::ops::Range;

use serde_json::Value;

pub(super) use spot::Spot;

/// Why a text is no document that kubectl would send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset into the text.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) message: String,
}

/// What kubectl passes over in silence and a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A key stands twice in one mapping; the later one wins.
    Repeated {
        /// The key.
        key: String,
        /// Where the later one stands.
        at: usize,
    },
    /// `...` ends the document, and something follows.
    Ended {
        /// Where the unread rest begins.
        at: usize,
    },
}

/// A document that could be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parsed {
    /// The document; `None` where there is nothing but blank lines and comments.
    pub(super) value: Option<Value>,
    /// What kubectl passes over in silence.
    pub(super) notices: Vec<Notice>,
}

/// The value of the first document in `text`.
pub(super) fn parse(text: &str) -> Result<Parsed, Fault> {
    let mut values = value::Values::default();
    let (value, ended) = build::build(text, &mut values)?;
    let mut notices = values.into_notices();
    notices.extend(ended.map(|at| Notice::Ended { at }));
    Ok(Parsed { value, notices })
}

/// Where everything of the first document in `text` stands. `None` when it cannot be read.
pub(super) fn spots(text: &str) -> Option<Spot> {
    build::build(text, &mut spot::Spots).ok()?.0
}

/// A stretch of the text, in bytes.
type Span = Range<usize>;

#[cfg(test)]
mod tests;
