//! The Kueue queue: that a cluster has one, which one, and that it stays there.

use super::super::compile::{Reader, at};
use super::super::matching::Globs;
use super::super::spec::{Enforcement, QueueSpec};
use super::{Breach, Check, Scene};
use crate::dialect::kuberay::QUEUE;
use crate::model::{Cluster, Pointer, RuleId};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    required: bool,
    allowed: Globs,
    /// The queues as they were written.
    written: String,
    immutable: bool,
}

/// One rule for the section.
pub(in super::super) fn compile(
    spec: &QueueSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().at("queue");
    if !spec.required && spec.allowed.is_empty() && !spec.immutable {
        let message = "asks for nothing; set required or immutable to true, or list queues in \
                       allowed";
        reader.flaw(place.clone(), message);
    }
    reader.twice(&place.at("allowed"), spec.allowed.iter().enumerate());
    rule(
        spec.enforcement,
        Check::Queue(Rule {
            required: spec.required,
            allowed: Globs::of(&spec.allowed),
            written: spec.allowed.join(", "),
            immutable: spec.immutable,
        }),
    );
}

/// The queue that the label names.
fn queue<'a>(cluster: &Cluster<'a>) -> Option<&'a str> {
    cluster.label(QUEUE).filter(|queue| !queue.is_empty())
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        let cluster = scene.cluster();
        if !cluster.traits.ray {
            return out;
        }
        let place = || Pointer::of(["metadata", "labels", QUEUE]);
        let now = queue(cluster);
        let lacking = self.required && now.is_none();
        let foreign = now.filter(|queue| !self.allowed.allows(queue));
        if lacking || foreign.is_some() {
            let found = match foreign {
                Some(queue) => format!("queue {queue:?}"),
                None => format!("no label {QUEUE}: nothing holds the cluster to a quota"),
            };
            let allowed = if self.allowed.is_empty() {
                "the name of a LocalQueue of this namespace"
            } else {
                &self.written
            };
            let fix = format!("set the label {QUEUE}");
            out.push(Breach::new(RuleId::POLICY_QUEUE, place(), found, allowed, fix));
        }
        let before = scene.old.and_then(queue).filter(|_| self.immutable);
        if let Some(before) = before.filter(|before| now != Some(*before)) {
            let found = match now {
                Some(now) => format!("moved from queue {before:?} to {now:?}"),
                None => format!("taken out of queue {before:?}"),
            };
            let fix = format!("label it {QUEUE}: {before} again, or delete and create it anew");
            let allowed = format!("{before:?}");
            out.push(Breach::new(RuleId::POLICY_QUEUE_IMMUTABLE, place(), found, allowed, fix));
        }
        out
    }
}
