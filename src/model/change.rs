//! One write of one cluster, as the rules are asked about it.

use serde_json::Value;

use super::settings::OnReplicasAboveMax;
use super::{Actor, Cluster, Finding, Group, NodeManager, Operation, Settings, Severity};

/// What is asked of the API server, as far as policies read it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The kind of the object.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// User name of the requester.
    pub user: &'a str,
    /// Groups of the requester.
    pub groups: &'a [String],
    /// The object as it comes, our changes not included.
    pub object: &'a Value,
    /// The stored object, on UPDATE.
    pub old_object: Option<&'a Value>,
}

/// Who does what to which cluster, under which settings.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The installation's settings.
    pub settings: &'a Settings,
    /// Who makes the Pods of this namespace.
    pub manager: NodeManager,
    /// CREATE or UPDATE.
    pub operation: Operation,
    /// Who writes.
    pub actor: Actor,
    /// `options.fieldManager`.
    pub field_manager: Option<&'a str>,
    /// The controller of a RayJob or RayService owns the cluster.
    pub child: bool,
    /// Warnings that foretell a certain failure refuse.
    pub strict: bool,
    /// What was asked for.
    pub request: Request<'a>,
    /// The cluster as the requester wrote it.
    pub requested: &'a Cluster<'a>,
    /// The cluster as it stands now, our changes included.
    pub new: &'a Cluster<'a>,
    /// The stored cluster, on UPDATE.
    pub old: Option<&'a Cluster<'a>>,
}

/// A group of the new cluster beside its counterpart in the old one.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The group as it stands now.
    pub new: &'a Group<'a>,
    /// The group of that name in the stored cluster.
    pub old: Option<&'a Group<'a>>,
    /// Position in the list.
    pub index: usize,
}

impl<'a> Change<'a> {
    /// The same write with another state of the new cluster.
    #[must_use]
    pub fn with_new<'b>(self, new: &'b Cluster<'b>) -> Change<'b>
    where
        'a: 'b,
    {
        Change { new, ..self }
    }

    /// Whether the cluster is new.
    pub fn creates(&self) -> bool {
        self.old.is_none()
    }

    /// Each group with its counterpart.
    pub fn pairs(&self) -> Vec<Pair<'a>> {
        let matched = self.new.matched(self.old);
        let pairs = self.new.groups.iter().zip(matched).enumerate();
        pairs.map(|(index, (new, old))| Pair { new, old, index }).collect()
    }

    /// Whether a new count above the maximum is refused rather than clamped: the author is present
    /// and can mend it. Generated children have no author, machines none that listens.
    pub fn refuses_above_max(&self) -> bool {
        self.creates()
            && self.actor.is_person()
            && !self.child
            && self.settings.on_replicas_above_max == OnReplicasAboveMax::Deny
    }

    /// A finding that refuses under a strict policy and warns otherwise.
    pub fn strictly(&self, finding: Finding) -> Finding {
        if self.strict { finding.with(Severity::Deny) } else { finding.with(Severity::Warn) }
    }

    /// A finding whose rule the stored object broke before warns, unless this request changed a
    /// field of the rule without mending it.
    pub fn ratchet(&self, finding: Finding, broken_before: bool, field_changed: bool) -> Finding {
        if broken_before && !field_changed { finding.with(Severity::Warn) } else { finding }
    }
}

impl Pair<'_> {
    /// Whether this request changed the count, a bound or the hosts.
    pub fn touched(&self) -> bool {
        self.old.is_none_or(|old| {
            let fields = [
                (&self.new.replicas, &old.replicas),
                (&self.new.min, &old.min),
                (&self.new.max, &old.max),
                (&self.new.hosts, &old.hosts),
            ];
            self.new.bounded != old.bounded
                || fields.iter().any(|(new, old)| new.count != old.count)
        })
    }
}
