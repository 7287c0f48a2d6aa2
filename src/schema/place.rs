//! A place on the way through a document, with the schema that holds there.
//!
//! Lives on the stack of the walk and costs nothing; a [`Pointer`] is made of it only when there is
//! something to say.

use super::definition::Schema;
use crate::model::{Pointer, Token};

/// A step of the walk.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// Where the walk stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
    /// What may stand here, references followed.
    pub(super) schema: &'static Schema,
}

impl<'a> Place<'a> {
    /// The document itself.
    pub(super) const fn root(schema: &'static Schema) -> Self {
        Self { parent: None, step: Step::Root, schema }
    }

    /// A member of the object here.
    pub(super) const fn member(&'a self, key: &'a str, schema: &'static Schema) -> Self {
        Self { parent: Some(self), step: Step::Key(key), schema }
    }

    /// An entry of the list here.
    pub(super) const fn entry(&'a self, index: usize, schema: &'static Schema) -> Self {
        Self { parent: Some(self), step: Step::Index(index), schema }
    }

    /// The places that hold this one, nearest first.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &Place<'a>> {
        std::iter::successors(self.parent, |place| place.parent)
    }

    /// The place as rules name it.
    pub(super) fn pointer(&self) -> Pointer {
        let mut tokens: Vec<Token> = std::iter::once(self)
            .chain(self.ancestors())
            .filter_map(|place| match place.step {
                Step::Root => None,
                Step::Key(key) => Some(Token::from(key.to_owned())),
                Step::Index(index) => Some(Token::from(index)),
            })
            .collect();
        tokens.reverse();
        Pointer::of(tokens)
    }
}
