//! From an object and a wanted count to the smallest guarded patch.
//!
//! Input: the object as read, its Pods, what is wanted, the terms of the installation. Output: a
//! [`Planned`], or what stands against it. Invariants: a count outside the group's bounds is refused
//! and never bent; under Ray's autoscaler a count is only ever raised, and no worker is named; every
//! value that was decided from is tested by the patch.

use std::collections::BTreeSet;

use serde_json::Value;

use super::replay::Key;
use super::request::Wanted;
use crate::dialect::kuberay::{managed_elsewhere, parent};
use crate::dialect::{Dialect, Parent};
use crate::model::guard::guarded;
use crate::model::{Bounds, Cluster, Draft, Edit, Group};
use crate::plan::pod::{NodeType, Pod};
use crate::scaling::change::{self, Manner, Terms, not_deleted};
use crate::scaling::workers::is_suspended;
use crate::scaling::{Code, Fault};

/// A planned change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The worker group.
    pub group: String,
    /// JSON Patch, tests first; empty where nothing is to be written.
    pub operations: Vec<Value>,
    /// Replicas as they stand.
    pub from: Option<i64>,
    /// Replicas as they will.
    pub to: i64,
    /// It was done before, under the same key.
    pub replayed: bool,
}

/// What a change is planned from.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The cluster as read.
    pub object: &'a Value,
    /// Its kind.
    pub dialect: Dialect,
    /// Its Pods; asked for where workers are named.
    pub pods: &'a [Pod],
    /// The terms of the installation.
    pub terms: Terms,
}

/// Plans the change.
pub fn plan(given: Given<'_>, wanted: &Wanted, key: Option<&Key>) -> Result<Planned, Fault> {
    let Given { object, dialect, .. } = given;
    not_deleted(object)?;
    let Some(cluster) = dialect.view(object) else {
        return Err(Fault::new(Code::NotScalable, "this object holds no Ray cluster"));
    };
    let group = group(&cluster, wanted.group.as_deref())?;
    let from = group.replicas.count.number();
    let to = i64::from(wanted.replicas);
    let mut planned = Planned {
        group: group.label().to_owned(),
        operations: Vec::new(),
        from,
        to,
        replayed: false,
    };
    if key.map_or(Ok(false), |key| key.was_done(object))? {
        planned.replayed = true;
        planned.to = from.unwrap_or(to);
        return Ok(planned);
    }
    let note = key.map(|key| key.note(object));
    planned.operations = if dialect == Dialect::Domino {
        of_domino(given, group, wanted, note)?
    } else {
        is_ours_to_scale(&cluster, group)?;
        of_ray(given, &cluster, group, wanted, note)?
    };
    Ok(planned)
}

/// The group of that name, or the only one.
fn group<'c, 'a>(cluster: &'c Cluster<'a>, name: Option<&str>) -> Result<&'c Group<'a>, Fault> {
    let names = || {
        let names: Vec<&str> = cluster.groups.iter().map(Group::label).collect();
        names.join(", ")
    };
    match (name, cluster.groups.as_slice()) {
        (None, [only]) => Ok(only),
        (_, []) => Err(Fault::new(Code::NotScalable, "this cluster has no worker group")),
        (None, _) => Err(Fault::bad(format!("group is missing; this cluster has {}", names()))),
        (Some(name), groups) => {
            let found = groups.iter().find(|group| group.name == Some(name));
            found.ok_or_else(|| {
                Fault::new(
                    Code::NotFound,
                    format!("this cluster has no group {name:?}; it has {}", names()),
                )
            })
        }
    }
}

/// Whether a count that is written here has an effect.
fn is_ours_to_scale(cluster: &Cluster<'_>, group: &Group<'_>) -> Result<(), Fault> {
    if managed_elsewhere(cluster) {
        return Err(Fault::new(
            Code::ManagedElsewhere,
            "spec.managedBy names another controller, which runs this cluster in another Kubernetes \
             cluster: scale it there",
        ));
    }
    if let Some((Parent::RayService, name)) = parent(cluster) {
        return Err(Fault::new(
            Code::ParentOwns,
            format!(
                "this cluster belongs to RayService {name}, which writes its own count back: set \
                 spec.rayClusterConfig.workerGroupSpecs of RayService {name}, or the replicas of its \
                 deployments"
            ),
        ));
    }
    if is_suspended(cluster.spec) || is_suspended(group.raw) {
        let at = if is_suspended(cluster.spec) { &cluster.at } else { &group.at };
        return Err(Fault::new(
            Code::Suspended,
            format!(
                "{at}.suspend is true, so there are no workers to scale: set it to false first"
            ),
        ));
    }
    Ok(())
}

fn of_ray(
    given: Given<'_>,
    cluster: &Cluster<'_>,
    group: &Group<'_>,
    wanted: &Wanted,
    note: Option<Edit>,
) -> Result<Vec<Value>, Fault> {
    let from = group.replicas.count.number();
    let to = i64::from(wanted.replicas);
    within(group, to, given.terms)?;
    if cluster.autoscaling {
        raised_only(from, to, wanted)?;
    }
    let mut draft = Draft::new(given.object);
    draft.set(&group.replicas.at, to.into());
    if !wanted.victims.is_empty() {
        are_workers(given, group, wanted, from.unwrap_or(0) - to)?;
        draft.set(
            &group.at.join(&["scaleStrategy", "workersToDelete"]),
            wanted.victims.clone().into(),
        );
    }
    let mut read = vec![
        group.at.at("groupName"),
        group.min.at.clone(),
        group.max.at.clone(),
        group.at.at("suspend"),
        cluster.at.at("suspend"),
        cluster.at.at("enableInTreeAutoscaling"),
    ];
    // Elsewhere the new count does not depend on the old one.
    if cluster.autoscaling || !wanted.victims.is_empty() {
        read.push(group.replicas.at.clone());
    }
    read.extend(note.as_ref().map(|edit| edit.at.clone()));
    draft.apply(note);
    Ok(guarded(given.object, &read, draft.ops()))
}

fn within(group: &Group<'_>, to: i64, terms: Terms) -> Result<(), Fault> {
    let Some(Bounds { min, max }) = group.bounds() else {
        return Err(Fault::new(
            Code::InvalidAutoscaling,
            format!(
                "the bounds of {} are no whole numbers, so nothing can be held within them",
                group.at
            ),
        ));
    };
    if let Some(ceiling) = terms.ceiling.map(i64::from).filter(|ceiling| to > *ceiling) {
        return Err(change::above(to, ceiling));
    }
    let outside = |code, bound: &crate::model::Pointer, value: i64, what: &str| {
        Err(Fault::new(
            code,
            format!(
                "replicas is {to}; {bound} is {value}: scale to {value} or {what}, or change the bound"
            ),
        ))
    };
    if to > max {
        return outside(Code::AboveMax, &group.max.at, max, "less");
    }
    if to < min {
        return outside(Code::BelowMin, &group.min.at, min, "more");
    }
    Ok(())
}

/// Ray's autoscaler takes workers away itself, and chooses which.
fn raised_only(from: Option<i64>, to: i64, wanted: &Wanted) -> Result<(), Fault> {
    let now = from.unwrap_or(0);
    let what = if to < now {
        format!(
            "replicas is {now} and Ray's autoscaler decides when it falls, so {to} would not stay"
        )
    } else if !wanted.victims.is_empty() {
        "Ray's autoscaler is on and chooses the workers that go, so none can be named".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::new(
        Code::AutoscalerOwns,
        format!(
            "{what}. Ways out: release the load and let idle workers go (spec.autoscalerOptions.\
             idleTimeoutSeconds); lower maxReplicas of the group, and the autoscaler chooses the victims; \
             or set spec.enableInTreeAutoscaling to false and scale by hand"
        ),
    ))
}

/// Whether the named Pods are workers of the group, and of no more replicas than go.
fn are_workers(
    given: Given<'_>,
    group: &Group<'_>,
    wanted: &Wanted,
    fewer: i64,
) -> Result<(), Fault> {
    let uid = given.object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
    let is_one = |pod: &&Pod| {
        pod.belongs_to(uid) && pod.node_type == NodeType::Worker && pod.group == group.label()
    };
    let own: Vec<&Pod> = given.pods.iter().filter(is_one).collect();
    let mut replicas: BTreeSet<&str> = BTreeSet::new();
    for name in &wanted.victims {
        let Some(pod) = own.iter().find(|pod| pod.name == *name) else {
            return Err(Fault::new(
                Code::NoSuchWorker,
                format!(
                    "workersToDelete names {name}, which is no worker of group {:?} of this cluster",
                    group.label()
                ),
            ));
        };
        replicas.insert(pod.replica.as_deref().unwrap_or(name));
    }
    if i64::try_from(replicas.len()).unwrap_or(i64::MAX) <= fewer {
        return Ok(());
    }
    Err(Fault::new(
        Code::NoSuchWorker,
        format!(
            "workersToDelete names {} replicas, and {} go: name as many as replicas falls by, or fewer",
            replicas.len(),
            fewer.max(0)
        ),
    ))
}

fn of_domino(
    given: Given<'_>,
    group: &Group<'_>,
    wanted: &Wanted,
    note: Option<Edit>,
) -> Result<Vec<Value>, Fault> {
    if !wanted.victims.is_empty() {
        return Err(Fault::bad(
            "workersToDelete is nothing that a Domino cluster knows: its StatefulSet removes the last ones",
        ));
    }
    if wanted.replicas == 0 {
        return Err(Fault::new(
            Code::ZeroWorkers,
            "replicas is 0; a Domino cluster has 1 worker or more: stop it in Domino to suspend it",
        ));
    }
    let Given { object, terms, .. } = given;
    let planned = change::scale_noting(object, Manner::Capped, wanted.replicas, None, terms, note)?;
    if planned.capped {
        let ceiling = i64::from(terms.ceiling.unwrap_or(i32::MAX));
        let to = i64::from(wanted.replicas);
        return Err(match planned.to.bounds.max {
            Some(max) if max < to => Fault::new(
                Code::AboveMax,
                format!(
                    "replicas is {to}; {} is {max}: scale to {max} or less, or raise it",
                    group.max.at
                ),
            ),
            _ => change::above(to, ceiling),
        });
    }
    Ok(planned.operations)
}

#[cfg(test)]
mod tests;
