//! What is never touched, decided before anything of `spec` is read.
//!
//! Most requests end here: status writes, finalizers, objects on their way out, other kinds.

use std::fmt;

use serde_json::{Map, Value};

use super::Review;
use crate::dialect;
use crate::model::Operation;

/// Why a request passed without a rule being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A kind that is not ours.
    ForeignKind,
    /// A subresource that no rule is about.
    Subresource,
    /// Neither CREATE nor UPDATE.
    Verb,
    /// No object came with the request.
    NoObject,
    /// The object is being deleted.
    Deleting,
    /// Only finalizers, owner references or the API server's own bookkeeping differ.
    Bookkeeping,
    /// Only labels and annotations differ.
    MetadataOnly,
    /// Nothing differs but the status.
    Unchanged,
}

impl Why {
    /// The word used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForeignKind => "foreign-kind",
            Self::Subresource => "subresource",
            Self::Verb => "verb",
            Self::NoObject => "no-object",
            Self::Deleting => "deleting",
            Self::Bookkeeping => "bookkeeping",
            Self::MetadataOnly => "metadata-only",
            Self::Unchanged => "unchanged",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why no rule is asked about this request; `None` when the rules are.
pub fn passes(review: &Review) -> Option<Why> {
    if !matches!(review.operation, Operation::Create | Operation::Update) {
        return Some(Why::Verb);
    }
    if let Some(subresource) = review.sub_resource.as_deref() {
        let scales = subresource == "scale"
            && dialect::is_scalable(&review.resource_group, &review.resource);
        return (!scales).then_some(Why::Subresource);
    }
    if dialect::of(&review.kind.group, &review.kind.kind).is_none() {
        return Some(Why::ForeignKind);
    }
    let Some(object) = &review.object else {
        return Some(Why::NoObject);
    };
    let old = review.old_object.as_ref().filter(|_| review.operation == Operation::Update);
    if is_deleting(object) || old.is_some_and(is_deleting) {
        return Some(Why::Deleting);
    }
    old.and_then(|old| difference(old, object))
}

fn is_deleting(object: &Value) -> bool {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get("deletionTimestamp"))
        .is_some_and(|at| !at.is_null())
}

/// What the API server or a controller keeps in `metadata`, and no rule reads.
const BOOKKEEPING: [&str; 8] = [
    "creationTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Why a difference that leaves the spec alone passes.
fn difference(old: &Value, new: &Value) -> Option<Why> {
    let spared = ["metadata", "status", "apiVersion"];
    if !same_but(old.as_object()?, new.as_object()?, &spared) {
        return None;
    }
    let empty = Map::new();
    let metadata = |object| -> &Map<String, Value> {
        let object: &Value = object;
        object.get("metadata").and_then(Value::as_object).unwrap_or(&empty)
    };
    let (before, after) = (metadata(old), metadata(new));
    Some(if before == after {
        Why::Unchanged
    } else if same_but(before, after, &BOOKKEEPING) {
        Why::Bookkeeping
    } else {
        Why::MetadataOnly
    })
}

/// Whether two objects agree in every member but `spared`.
fn same_but(old: &Map<String, Value>, new: &Map<String, Value>, spared: &[&str]) -> bool {
    let keys = old.keys().chain(new.keys());
    keys.filter(|key| !spared.contains(&key.as_str())).all(|key| old.get(key) == new.get(key))
}
