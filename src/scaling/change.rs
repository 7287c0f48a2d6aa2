//! From an object and a wanted count to the smallest patch.
//!
//! Input: the object as read, the manner of the route, the terms of the installation. Output: a
//! [`Change`], or the [`Fault`] that stands against it. Invariants: replicas and minimum are written
//! together, because the autoscaler would undo either alone; no count above the ceiling is ever written,
//! nor a maximum that was not there before the first scale; every value that was decided from is tested by the patch, absence too, so that a
//! cluster that was made anew or passed to somebody else in between is never touched. The count itself
//! is not tested: the new one does not depend on it, and the autoscaler moves it all the time.

use serde_json::Value;

use super::kept::{self, Bounds, Kept};
use super::principal::OWNER;
use super::tier::Tier;
use super::{Code, Fault};
use crate::dialect::Dialect;
use crate::model::{Cluster, Count, Draft, Edit, Group, Pointer, guard};

/// How a route understands a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As `/raycluster/scale` is documented: exactly N, minimum N, maximum N + 1.
    Pinned,
    /// As `/ddl_cluster_scaler` does: at most the maximum, which stays, or comes back where an earlier
    /// scale had replaced it.
    Capped,
}

/// How the installation works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The most workers, and the highest maximum that a scale raises to.
    pub ceiling: Option<i32>,
}

/// A count with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Workers wanted.
    pub replicas: Option<i64>,
    /// The bounds.
    pub bounds: Bounds,
}

/// A planned change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// JSON Patch, tests first; empty where the object stands as wanted.
    pub operations: Vec<Value>,
    /// What stands now.
    pub from: Counts,
    /// What will.
    pub to: Counts,
    /// Whether less is given than was asked for.
    pub capped: bool,
}

/// The cluster, its only group, and what stands there.
struct Now<'a> {
    object: &'a Value,
    group: Group<'a>,
    counts: Counts,
    kept: Option<Kept>,
}

/// Scales to `replicas` workers, on another tier where one is given.
pub fn scale(
    object: &Value,
    manner: Manner,
    replicas: i32,
    tier: Option<&Tier>,
    terms: Terms,
) -> Result<Change, Fault> {
    scale_noting(object, manner, replicas, tier, terms, None)
}

/// The same, with a note that is written in the same patch and tested by it.
pub(super) fn scale_noting(
    object: &Value,
    manner: Manner,
    replicas: i32,
    tier: Option<&Tier>,
    terms: Terms,
    note: Option<Edit>,
) -> Result<Change, Fault> {
    let now = Now::of(object)?;
    let wanted = i64::from(replicas);
    let ceiling = i64::from(terms.ceiling.unwrap_or(i32::MAX));
    let present = now.counts.bounds;
    // A scale by the documented route is no new maximum for the later ones.
    let original = now.kept.map_or(present, |kept| kept.original_of(present));
    let (effective, max) = match (manner, original.max) {
        (Manner::Pinned, _) if wanted > ceiling => return Err(above(wanted, ceiling)),
        (Manner::Pinned, _) => (wanted, wanted.saturating_add(1).min(ceiling)),
        (Manner::Capped, Some(max)) if max >= 1 => (wanted.min(max).min(ceiling), max),
        (Manner::Capped, _) => {
            return Err(Fault::new(
                Code::InvalidAutoscaling,
                "spec.autoscaling.maxReplicas of this cluster is no number of 1 or more, so there is \
                 no bound to scale within",
            ));
        }
    };
    let bounds = Bounds { min: Some(effective), max: Some(max) };
    let to = Counts { replicas: Some(effective), bounds };
    let kept = Kept::after(now.kept, present, bounds);
    let more = tier.map(|tier| tier.edits(&now.group.at, now.group.raw)).unwrap_or_default();
    Ok(now.change(to, kept, more, note, effective < wanted))
}

/// Gives back the bounds that were there before the first scale, and brings the count within them.
pub fn restore(object: &Value) -> Result<Change, Fault> {
    let now = Now::of(object)?;
    let Some(kept) = now.kept else {
        return Ok(now.change(now.counts, None, Vec::new(), None, false));
    };
    let mut bounds = kept.original_of(now.counts.bounds);
    if let (Some(min), Some(max)) = (bounds.min, bounds.max) {
        bounds.min = Some(min.min(max));
    }
    let within = |count: i64| {
        let least = bounds.min.unwrap_or(now.group.min_default).min(count.max(1));
        count.min(bounds.max.unwrap_or(count)).max(least)
    };
    let to = Counts { replicas: now.counts.replicas.map(within), bounds };
    Ok(now.change(to, None, Vec::new(), None, false))
}

/// The count is above the ceiling.
pub(super) fn above(wanted: i64, ceiling: i64) -> Fault {
    Fault::new(
        Code::AboveCeiling,
        format!(
            "replicas is {wanted}; at most {ceiling} is allowed here. Scale to {ceiling} or less, or \
             ask your administrator to raise the ceiling"
        ),
    )
}

impl<'a> Now<'a> {
    fn of(object: &'a Value) -> Result<Self, Fault> {
        not_deleted(object)?;
        let cluster: Option<Cluster<'a>> = Dialect::Domino.view(object);
        let kept = cluster.as_ref().and_then(|it| it.annotation(kept::ANNOTATION));
        let kept = kept.and_then(Kept::parse);
        let group = cluster.and_then(|cluster| cluster.groups.into_iter().next());
        let Some(group) = group.filter(|group| group.bounded) else {
            return Err(Fault::new(
                Code::NotScalable,
                "autoscaling is off for this cluster, so it has no bounds that would hold a new \
                 count: start it with autoscaling (a maximum above the minimum) in Domino",
            ));
        };
        let counts = Counts {
            replicas: number(group.replicas.count),
            bounds: Bounds { min: number(group.min.count), max: number(group.max.count) },
        };
        Ok(Self { object, group, counts, kept })
    }

    fn change(
        &self,
        to: Counts,
        kept: Option<Kept>,
        more: Vec<Edit>,
        also: Option<Edit>,
        capped: bool,
    ) -> Change {
        let mut draft = Draft::new(self.object);
        let note = note(kept::ANNOTATION);
        let mut put = |at: &Pointer, value: Option<Value>| match value {
            Some(value) => draft.set(at, value),
            None => draft.remove(at),
        };
        put(&self.group.replicas.at, to.replicas.map(Value::from));
        put(&self.group.min.at, to.bounds.min.map(Value::from));
        put(&self.group.max.at, to.bounds.max.map(Value::from));
        put(&note, kept.map(|kept| Value::from(kept.to_text())));
        draft.apply(more);
        let mut read = vec![self.group.min.at.clone(), self.group.max.at.clone(), note];
        read.extend(also.as_ref().map(|edit| edit.at.clone()));
        draft.apply(also);
        let operations = guarded(self.object, &read, &draft);
        Change { operations, from: self.counts, to, capped }
    }
}

/// The place of an annotation.
pub(super) fn note(key: &'static str) -> Pointer {
    Pointer::of(["metadata", "annotations", key])
}

/// Nothing is begun on what is about to go.
pub(super) fn not_deleted(object: &Value) -> Result<(), Fault> {
    let going = object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
    if going { Err(Fault::new(Code::Conflict, "this cluster is being deleted")) } else { Ok(()) }
}

/// The operations of `draft` behind a test of the UID, of the owner, and of every place in `read`;
/// none where nothing changes.
pub(super) fn guarded(object: &Value, read: &[Pointer], draft: &Draft<'_>) -> Vec<Value> {
    let owner = Pointer::of(["metadata", "labels", OWNER]);
    guard::guarded(object, std::iter::once(&owner).chain(read), draft.ops())
}

const fn number(count: Count) -> Option<i64> {
    if let Count::Number(number) = count { Some(number) } else { None }
}

#[cfg(test)]
mod tests;
