//! Scale leases: "this group at N until T".
//!
//! | file | role |
//! | --- | --- |
//! | [`read`] | a stored `ScaleLease`, and the patch of its status |
//! | [`hold`] | counts of one group: taken, held, given back |
//! | [`kept`] | the annotation that remembers originals and written values |
//! | [`site`] | the cluster that leases are for, and one group's next step |
//! | [`definition`] | the CRD, and the admission policy beside it |
//!
//! Input: [`Observed`], a cluster with every lease that names it, and what was found of their
//! requesters. Output: [`Plan`], one guarded patch of the cluster, and what each lease's status says. A
//! plan that was carried out is empty when it is made again.
//!
//! Rules:
//!
//! - One lease holds a group at a time: the one that holds it goes on, else the earliest by creation,
//!   then by name. The others are `Pending` and take over, in that order, when it ends.
//! - Without an autoscaler the group stands at exactly N. Ray's autoscaler and a horizontal one may go
//!   above N on demand, never below: the minimum is N. The maximum is raised to N where it is lower and
//!   is never lowered by a lease.
//! - A lease ends at its time, when its object is deleted, and with its cluster: one of the same name
//!   and another UID is another cluster. Then the fields that still stand as they were written go back;
//!   what anybody else wrote meanwhile stays. Under Ray's autoscaler the count itself stays, because a
//!   lower one names no victims, and the maximum comes down with what runs.
//! - A field that somebody else changes is written once more, and their value is the original from
//!   then on. Changed again, the lease is `Contested` and nothing more is written for it.
//! - Nothing is written before the requester's right and the policies were asked ([`Ask`]); a refusal
//!   holds till the lease's spec changes.

pub mod definition;
pub mod hold;
pub mod kept;
pub mod read;
mod site;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use self::kept::Entries;
pub use self::read::{Lease, Phase, Requester};
use self::site::{Site, Step};
use super::pod::Pod;
use crate::dialect::Dialect;

/// The group is held as it was written first.
pub const HELD: &str = "Held";
/// The group is held, and had to be written once more.
pub const HELD_AGAIN: &str = "HeldAgain";
/// Somebody else goes on writing the same fields.
pub const CONTESTED: &str = "Contested";
/// The cluster was just found; nothing is written before that is remembered.
pub const BEGINS: &str = "Begins";
/// Another lease holds the group.
pub const HELD_BY_ANOTHER: &str = "HeldByAnother";
/// There is no such cluster yet.
pub const NO_CLUSTER: &str = "NoCluster";
/// The cluster has no such group yet, or its counts cannot be read.
pub const NO_GROUP: &str = "NoGroup";
/// The API server refuses the change.
pub const WRITE_REFUSED: &str = "WriteRefused";
/// The group is not clear, and the spec never changes.
pub const GROUP_UNCLEAR: &str = "GroupUnclear";
/// Nobody is recorded who asked for it.
pub const NO_REQUESTER: &str = "NoRequester";
/// The requester may not patch the cluster.
pub const NOT_ALLOWED: &str = "NotAllowed";
/// A policy refuses the change.
pub const DENIED: &str = "Denied";
/// Domino's clusters are not scaled to nothing.
pub const ZERO_WORKERS: &str = "ZeroWorkers";
/// The parent of the cluster writes its counts.
pub const PARENT_DECIDES: &str = "ParentDecides";
/// Its end cannot be read.
pub const UNTIL_UNREADABLE: &str = "UntilUnreadable";
/// Its time is over.
pub const EXPIRED: &str = "Expired";
/// Its cluster is gone or on its way out.
pub const CLUSTER_GONE: &str = "ClusterGone";
/// Another cluster has that name now.
pub const CLUSTER_REPLACED: &str = "ClusterReplaced";

/// Between looks while a maximum comes down.
const SHRINKS: Duration = Duration::from_secs(10);

/// What was found of a lease's requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The requester may, and no policy minds.
    Allowed,
    /// The requester may not.
    Refused {
        /// [`NOT_ALLOWED`] or [`DENIED`].
        reason: &'static str,
        /// Why.
        message: String,
    },
}

/// A cluster, and what is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The cluster; `None` where there is none of that name.
    pub cluster: Option<&'a Value>,
    /// Its kind.
    pub dialect: Dialect,
    /// Its Pods, as far as they are known.
    pub pods: &'a [Pod],
    /// Every lease that names it.
    pub leases: &'a [Lease],
    /// By UID of a lease: what was found of its requester in this round.
    pub verdicts: &'a BTreeMap<String, Verdict>,
    /// The moment of the plan.
    pub now: Timestamp,
}

/// A question that has to be answered first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The UID of the lease.
    pub lease: String,
    /// The cluster as the lease would make it.
    pub object: Value,
}

/// What the status of a lease shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The UID of the lease.
    pub lease: String,
    /// Its phase.
    pub phase: Phase,
    /// A word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The UID of the cluster that it is bound to from now on.
    pub cluster: Option<String>,
}

impl Said {
    /// A lease that may not hold what it asks for.
    pub fn refused(lease: &Lease, reason: &str, message: &str) -> Self {
        Self {
            lease: lease.uid.clone(),
            phase: Phase::Refused,
            reason: reason.to_owned(),
            message: message.to_owned(),
            cluster: None,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where there is a question nothing else is planned.
    pub ask: Option<Ask>,
    /// A status has to be written, and the plan made again, before the cluster is changed.
    pub binds: bool,
    /// RFC 6902, tests first; empty where the cluster stands as it should.
    pub operations: Vec<Value>,
    /// What the patch does, in words.
    pub what: Vec<String>,
    /// What each lease's status says once the patch is made.
    pub said: Vec<Said>,
    /// When to plan again, where nothing else happens before.
    pub again: Option<Duration>,
}

/// Name and UID of each lease that a cluster's annotation says holds a group.
pub fn holders(cluster: &Value, dialect: Dialect) -> Vec<(String, String)> {
    let view = dialect.view(cluster);
    let note = view.as_ref().and_then(|view| view.annotation(kept::ANNOTATION));
    let entries = note.map(kept::parse).unwrap_or_default();
    entries.into_values().map(|entry| (entry.lease, entry.uid)).collect()
}

/// What is to be done about the leases of a cluster.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let site = Site::of(observed);
    let mut leases: Vec<&Lease> = observed.leases.iter().filter(|lease| !lease.leaving).collect();
    leases.sort_by_key(|lease| lease.rank());
    let mut plan = Plan::default();
    let mut turns: BTreeMap<String, Vec<&Lease>> = BTreeMap::new();
    for lease in leases {
        match site::standing(lease, site.as_ref(), observed) {
            Ok(group) => turns.entry(group).or_default().push(lease),
            Err(said) => plan.said.push(said),
        }
    }
    if let Some(site) = &site {
        let before = site.entries();
        for group in before.keys() {
            turns.entry(group.clone()).or_default();
        }
        let mut steps: Vec<Step<'_>> = Vec::new();
        for (group, turn) in &turns {
            let step = site.step(group, before.get(group), turn, observed);
            if let Some(lease) = step.needs {
                let object = site.changed(std::slice::from_ref(&step), &before).into_value();
                return Plan { ask: Some(Ask { lease: lease.to_owned(), object }), ..plan };
            }
            plan.binds |= step.binds;
            plan.said.extend(step.said.iter().cloned());
            steps.push(step);
        }
        let after: Entries = steps.iter().filter_map(Step::kept).collect();
        for said in &mut plan.said {
            mention_what_shrinks(said, &after);
        }
        if steps.iter().any(|step| step.shrinks) {
            plan.again = Some(SHRINKS);
        }
        plan.what = steps.iter().flat_map(|step| step.what.iter().cloned()).collect();
        plan.operations = site.guarded(&steps, &before);
    }
    let over = |lease: &Lease| {
        let said = plan.said.iter().find(|said| said.lease == lease.uid)?;
        let waits = !matches!(said.phase, Phase::Ended | Phase::Refused);
        let left = lease.until?.duration_since(observed.now).unsigned_abs();
        waits.then_some(left)
    };
    plan.again = observed.leases.iter().filter_map(over).chain(plan.again).min();
    plan
}

/// A lease that is over, while the maximum that it raised is not back yet.
fn mention_what_shrinks(said: &mut Said, after: &Entries) {
    let entry = after.iter().find(|(_, entry)| entry.uid == said.lease);
    if let (Phase::Ended, Some((group, _))) = (said.phase, entry) {
        said.message = format!(
            "{}; maxReplicas of group {group} comes down as the autoscaler takes workers away",
            said.message
        );
    }
}

#[cfg(test)]
mod tests;
