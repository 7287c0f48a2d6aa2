//! The tree of places: where each part of a document stands in its text.

use super::Span;
use super::build::{Entry, Tree};
use super::scalar::Scalar;
use crate::model::Token;

/// Where one part of a document stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Spot {
    /// Its key, where it is a member; the dash is not counted as one.
    pub(in crate::cli) key: Option<Span>,
    /// Its value. Of a block collection: from the first key or dash to the end of the last entry.
    pub(in crate::cli) value: Span,
    inside: Inside,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inside {
    Leaf,
    List(Vec<Spot>),
    Map(Vec<(String, Spot)>),
}

/// The nearest place that exists.
pub(in crate::cli) struct Nearest<'a> {
    /// The spot itself.
    pub(in crate::cli) spot: &'a Spot,
    /// How many of the steps led to it.
    pub(in crate::cli) depth: usize,
    /// The innermost list element on the way, itself included.
    pub(in crate::cli) element: Option<&'a Spot>,
}

impl Spot {
    /// Follows `steps` as far as there is something.
    pub(in crate::cli) fn nearest<'a>(
        &'a self,
        steps: impl Iterator<Item = &'a Token>,
    ) -> Nearest<'a> {
        let mut found = Nearest { spot: self, depth: 0, element: None };
        for step in steps {
            let Some(next) = found.spot.child(step) else {
                break;
            };
            found.spot = next;
            found.depth += 1;
            if matches!(step, Token::Index(_)) {
                found.element = Some(next);
            }
        }
        found
    }

    fn child(&self, step: &Token) -> Option<&Self> {
        match (&self.inside, step) {
            (Inside::List(items), Token::Index(index)) => items.get(*index),
            // The last of equal keys is the one that counts.
            (Inside::Map(entries), Token::Key(key)) => {
                entries.iter().rev().find_map(|(name, spot)| (name == key.as_ref()).then_some(spot))
            }
            _ => None,
        }
    }

    /// Whether it holds no other parts.
    pub(in crate::cli) fn is_leaf(&self) -> bool {
        matches!(self.inside, Inside::Leaf)
    }

    fn count(&self) -> usize {
        match &self.inside {
            Inside::Leaf => 1,
            Inside::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Inside::Map(entries) => 1 + entries.iter().map(|(_, spot)| spot.count()).sum::<usize>(),
        }
    }
}

/// Builds [`Spot`]s.
pub(super) struct Spots;

impl Tree for Spots {
    type Node = Spot;

    fn scalar(&mut self, _: &Scalar<'_>, span: Span) -> Result<Spot, String> {
        Ok(Spot { key: None, value: span, inside: Inside::Leaf })
    }

    fn list(&mut self, items: Vec<Spot>, span: Span) -> Spot {
        Spot { key: None, value: span, inside: Inside::List(items) }
    }

    fn map(&mut self, entries: Vec<Entry<Spot>>, span: Span) -> Spot {
        let member = |entry: Entry<Spot>| {
            let mut spot = entry.node;
            if !entry.merged {
                spot.key = Some(entry.span);
            }
            (entry.key, spot)
        };
        Spot {
            key: None,
            value: span,
            inside: Inside::Map(entries.into_iter().map(member).collect()),
        }
    }

    /// The alias stands for the whole; what is below it stands where the anchor is.
    fn aliased(&self, node: &Spot, span: Span) -> Spot {
        Spot { key: None, value: span, inside: node.inside.clone() }
    }

    fn members(&self, node: &Spot) -> Option<Vec<Entry<Spot>>> {
        let Inside::Map(entries) = &node.inside else {
            return None;
        };
        let entry = |(key, spot): &(String, Spot)| Entry::merged(key.clone(), spot.clone());
        Some(entries.iter().map(entry).collect())
    }

    fn items<'n>(&self, node: &'n Spot) -> Option<&'n [Spot]> {
        match &node.inside {
            Inside::List(items) => Some(items),
            _ => None,
        }
    }

    fn size(&self, node: &Spot) -> usize {
        node.count()
    }
}
