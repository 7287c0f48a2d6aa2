//! From parser events to a tree: nesting, anchors, aliases, merge keys.
//!
//! One builder for every kind of tree, so that places and values cannot drift apart. It keeps its
//! own stack: the depth of a document is bounded by [`DEPTH`], never by the thread's stack.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{
    self, Event, Parser, ScalarStyle, ScanError, StructureStyle, YamlVersion,
};

use super::float;
use super::scalar::{Meaning, Scalar, Tag};
use super::{Fault, Span};

/// Levels of nesting; the deepest path of a RayCluster has about twenty.
const DEPTH: usize = 100;

/// Values that the anchors and aliases of one document may add. A bomb of nine lines makes a billion.
const EXPANSION: usize = 100_000;

/// A member of a mapping.
pub(super) struct Entry<N> {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) span: Span,
    pub(super) node: N,
    /// It comes from a merge key, so it is not written here.
    pub(super) merged: bool,
}

impl<N> Entry<N> {
    /// A member that a merge key brought.
    pub(super) const fn merged(key: String, node: N) -> Self {
        Self { key, span: 0..0, node, merged: true }
    }
}

/// What is built.
pub(super) trait Tree {
    /// One part of it.
    type Node: Clone;

    /// A scalar, or why there can be none.
    fn scalar(&mut self, scalar: &Scalar<'_>, span: Span) -> Result<Self::Node, String>;
    /// A sequence.
    fn list(&mut self, items: Vec<Self::Node>, span: Span) -> Self::Node;
    /// A mapping; of equal keys the last one counts.
    fn map(&mut self, entries: Vec<Entry<Self::Node>>, span: Span) -> Self::Node;
    /// What an alias stands for, seen from the alias.
    fn aliased(&self, node: &Self::Node, span: Span) -> Self::Node;
    /// The members of a mapping, to be merged into another.
    fn members(&self, node: &Self::Node) -> Option<Vec<Entry<Self::Node>>>;
    /// The elements of a sequence.
    fn items<'n>(&self, node: &'n Self::Node) -> Option<&'n [Self::Node]>;
    /// How many parts there are.
    fn size(&self, node: &Self::Node) -> usize;
}

/// A key whose value has not come yet.
enum Key {
    Name(String, Span),
    /// `<<`, and where it stands.
    Merge(usize),
}

enum Inside<N> {
    List(Vec<N>),
    Map {
        entries: Vec<Entry<N>>,
        key: Option<Key>,
        /// Block style: indentation counts.
        block: bool,
    },
}

struct Frame<N> {
    start: usize,
    anchor: usize,
    inside: Inside<N>,
}

/// An anchored part, and the key that it would be.
struct Anchored<N> {
    node: N,
    key: Option<String>,
}

struct Builder<'t, T: Tree> {
    text: &'t str,
    tree: &'t mut T,
    stack: Vec<Frame<T::Node>>,
    anchors: HashMap<usize, Anchored<T::Node>>,
    expanded: usize,
    root: Option<T::Node>,
}

/// The first document of `text`, and where the unread rest begins when there is one.
pub(super) fn build<T: Tree>(
    text: &str,
    tree: &mut T,
) -> Result<(Option<T::Node>, Option<usize>), Fault> {
    let mut options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder =
        Builder { text, tree, stack: Vec::new(), anchors: HashMap::new(), expanded: 0, root: None };
    let mut ended = false;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok((event, span)) => (event, range(&span)),
            Err(_) if ended => return Ok((builder.root, None)),
            Err(error) => return Err(fault(text, &error)),
        };
        match event {
            Event::DocumentStart(..) if ended => return Ok((builder.root, Some(span.start))),
            Event::DocumentStart(_, Some(version)) => refuse_version(version, span.start)?,
            Event::DocumentEnd => ended = true,
            event => builder.take(event, span)?,
        }
    }
    Ok((builder.root, None))
}

fn refuse_version(version: YamlVersion, at: usize) -> Result<(), Fault> {
    if (version.major, version.minor) == (1, 1) {
        return Ok(());
    }
    Err(Fault { at, message: "kubectl reads YAML 1.1 only; take the %YAML line out".to_owned() })
}

fn range(span: &granit_parser::Span) -> Span {
    let start = span.start.byte_offset().unwrap_or_default();
    start..span.end.byte_offset().unwrap_or(start).max(start)
}

fn fault(text: &str, error: &ScanError) -> Fault {
    let at = error.marker().byte_offset().unwrap_or(text.len());
    Fault { at: at.min(text.len()), message: error.info() }
}

impl<T: Tree> Builder<'_, T> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = Scalar {
                    text: &text,
                    plain: style == ScalarStyle::Plain,
                    tag: tag.as_deref().map(tag_of),
                };
                self.scalar(&scalar, anchor, span)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(span.start, anchor, Inside::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => {
                let inside = Inside::Map {
                    entries: Vec::new(),
                    key: None,
                    block: style == StructureStyle::Block,
                };
                self.open(span.start, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Alias(id) => self.alias(id, span),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, scalar: &Scalar<'_>, anchor: usize, span: Span) -> Result<(), Fault> {
        let at = span.start;
        let refuse = |message| Fault { at, message };
        if self.awaits_key() {
            if scalar.is_merge() {
                self.set_key(Key::Merge(at));
                return Ok(());
            }
            self.refuse_tab(at)?;
            let key = key_of(scalar).map_err(refuse)?;
            if anchor != 0 {
                let node = self.tree.scalar(scalar, span.clone()).map_err(refuse)?;
                self.keep(anchor, &node, Some(key.clone()), at)?;
            }
            self.set_key(Key::Name(key, span));
            return Ok(());
        }
        let node = self.tree.scalar(scalar, span.clone()).map_err(refuse)?;
        if anchor != 0 {
            self.keep(anchor, &node, key_of(scalar).ok(), at)?;
        }
        self.put(node)
    }

    fn open(&mut self, start: usize, anchor: usize, inside: Inside<T::Node>) -> Result<(), Fault> {
        if self.awaits_key() {
            return Err(Fault {
                at: start,
                message: "a list or a mapping cannot be a key".to_owned(),
            });
        }
        if self.stack.len() >= DEPTH {
            return Err(Fault { at: start, message: format!("nested deeper than {DEPTH} levels") });
        }
        self.stack.push(Frame { start, anchor, inside });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Fault> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let span = frame.start..end.max(frame.start);
        let node = match frame.inside {
            Inside::List(items) => self.tree.list(items, span),
            Inside::Map { entries, .. } => self.tree.map(entries, span),
        };
        if frame.anchor != 0 {
            self.keep(frame.anchor, &node, None, frame.start)?;
        }
        self.put(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Fault> {
        let refuse = |message: &str| Fault { at: span.start, message: message.to_owned() };
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(refuse("the anchor of this alias contains the alias itself"));
        };
        if self.awaits_key() {
            let key = anchored.key.clone();
            let key =
                key.ok_or_else(|| refuse("this alias stands for something that is no key"))?;
            self.set_key(Key::Name(key, span));
            return Ok(());
        }
        if self.awaits_merge() && self.tree.members(&anchored.node).is_none() {
            return Err(refuse("`<<` wants a mapping or a list of mappings"));
        }
        let node = self.tree.aliased(&anchored.node, span.clone());
        self.expand(&node, span.start)?;
        self.put(node)
    }

    /// Puts a finished part where it belongs.
    fn put(&mut self, node: T::Node) -> Result<(), Fault> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.inside {
            Inside::List(items) => items.push(node),
            Inside::Map { entries, key, .. } => match key.take() {
                Some(Key::Name(key, span)) => {
                    entries.push(Entry { key, span, node, merged: false });
                }
                Some(Key::Merge(at)) => entries.extend(merge(self.tree, &node, at)?),
                None => {}
            },
        }
        Ok(())
    }

    fn keep(
        &mut self,
        anchor: usize,
        node: &T::Node,
        key: Option<String>,
        at: usize,
    ) -> Result<(), Fault> {
        self.expand(node, at)?;
        let node = node.clone();
        self.anchors.insert(anchor, Anchored { node, key });
        Ok(())
    }

    /// Counts a copy: anchors within anchors cost as much as aliases of aliases.
    fn expand(&mut self, node: &T::Node, at: usize) -> Result<(), Fault> {
        self.expanded += self.tree.size(node);
        if self.expanded <= EXPANSION {
            return Ok(());
        }
        Err(Fault {
            at,
            message: format!("anchors and aliases expand to more than {EXPANSION} values"),
        })
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { inside: Inside::Map { key: None, .. }, .. }))
    }

    fn awaits_merge(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame { inside: Inside::Map { key: Some(Key::Merge(_)), .. }, .. })
        )
    }

    fn set_key(&mut self, name: Key) {
        if let Some(Frame { inside: Inside::Map { key, .. }, .. }) = self.stack.last_mut() {
            *key = Some(name);
        }
    }

    /// The parser lets tabs indent a block mapping; kubectl does not.
    fn refuse_tab(&self, at: usize) -> Result<(), Fault> {
        let block = matches!(
            self.stack.last(),
            Some(Frame { inside: Inside::Map { block: true, .. }, .. })
        );
        let before = self.text.get(..at).unwrap_or_default();
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        let indent = before.get(before.len() - blanks..).unwrap_or_default();
        let begins_line = blanks == before.len()
            || before.as_bytes().get(before.len() - blanks - 1) == Some(&b'\n');
        if block && begins_line && indent.contains('\t') {
            return Err(Fault {
                at: at - blanks,
                message: "a tab indents this line; YAML wants spaces".to_owned(),
            });
        }
        Ok(())
    }
}

/// What a merge key brings. Of several mappings the first wins, so it comes last.
fn merge<T: Tree>(tree: &T, node: &T::Node, at: usize) -> Result<Vec<Entry<T::Node>>, Fault> {
    let refuse = || Fault { at, message: "`<<` wants a mapping or a list of mappings".to_owned() };
    match tree.items(node) {
        Some(items) => {
            let mut entries = Vec::new();
            for item in items.iter().rev() {
                entries.extend(tree.members(item).ok_or_else(refuse)?);
            }
            Ok(entries)
        }
        None => tree.members(node).ok_or_else(refuse),
    }
}

/// A scalar as a member's name: kubectl resolves it first and writes the result.
fn key_of(scalar: &Scalar<'_>) -> Result<String, String> {
    Ok(match scalar.meaning()? {
        Meaning::Null => return Err("a null cannot be a key; put it in quotes".to_owned()),
        Meaning::Bool(value) => value.to_string(),
        Meaning::Int(value) => value.to_string(),
        Meaning::Big(value) => value.to_string(),
        Meaning::Float(value) => float::key(value),
        Meaning::Text => scalar.text.to_owned(),
        Meaning::Bytes(text) => text,
    })
}

fn tag_of(tag: &granit_parser::Tag) -> Tag {
    const CORE: [&str; 8] = ["str", "int", "bool", "float", "null", "timestamp", "binary", "merge"];
    let core = tag.suffix_in_namespace("tag:yaml.org,2002:");
    let known = CORE.into_iter().find(|name| core.as_deref() == Some(*name));
    known.map_or(Tag::Foreign, Tag::Core)
}
