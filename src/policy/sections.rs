//! The typed rules of policies, by section. Each looks at one state of one cluster.
//!
//! Input: a [`Scene`], made once per review and shared by all policies. Output: [`Breach`]es, without
//! weight and policy: [`super::judge`] adds them. A rule that is kept allocates nothing.

pub(super) mod auth;
pub(super) mod autoscaling;
pub(super) mod exposure;
pub(super) mod labels;
pub(super) mod pod_security;
pub(super) mod queue;
pub(super) mod service_accounts;
pub(super) mod sidecar;

use super::checks::{Section, Subject};
use crate::model::{Cluster, Pointer, Quantity, RuleId};

/// A compiled rule.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// Labels that a cluster has to carry.
    Labels(labels::Rule),
    /// Service accounts that Pods may run as.
    ServiceAccounts(service_accounts::Rule),
    /// A Pod Security Standard.
    PodSecurity(pod_security::Rule),
    /// The autoscaler's own container.
    Sidecar(sidecar::Rule),
    /// Ray's own authentication.
    Auth(auth::Rule),
    /// Ways in from outside.
    Exposure(exposure::Rule),
    /// The Kueue queue.
    Queue(queue::Rule),
    /// Whether and how clusters scale.
    Autoscaling(autoscaling::Rule),
}

/// A place that breaks a rule.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    /// Which rule.
    pub(super) rule: RuleId,
    /// Where.
    pub(super) at: Pointer,
    /// What was found there, values included.
    pub(super) found: String,
    /// What may be there; may be empty where `found` says it already.
    pub(super) allowed: String,
    /// How to mend it.
    pub(super) fix: String,
    /// By how much it is broken, where more is worse: a write that lowers it is let through.
    pub(super) measure: Option<Quantity>,
}

impl Breach {
    /// A breach that has no measure.
    pub(super) fn new(
        rule: RuleId,
        at: Pointer,
        found: impl Into<String>,
        allowed: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            at,
            found: found.into(),
            allowed: allowed.into(),
            fix: fix.into(),
            measure: None,
        }
    }
}

/// One state of one cluster, and what rules work out of it more than once.
pub(super) struct Scene<'a> {
    /// The cluster and who makes its Pods.
    pub(super) subject: Subject<'a>,
    /// The head and the worker groups of a `ray.io` cluster; none for Domino's.
    pub(super) sections: Vec<Section<'a>>,
    /// The stored cluster, for rules about what may change; none for the stored state itself.
    pub(super) old: Option<&'a Cluster<'a>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(subject: Subject<'a>) -> Self {
        let sections = if subject.cluster.traits.ray { subject.sections() } else { Vec::new() };
        Self { subject, sections, old: None }
    }

    /// The same scene, seen as a change of `old`.
    pub(super) fn after(self, old: Option<&'a Cluster<'a>>) -> Self {
        Self { old, ..self }
    }

    /// The cluster.
    pub(super) fn cluster(&self) -> &'a Cluster<'a> {
        self.subject.cluster
    }
}

impl Check {
    /// Every place that breaks the rule.
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        match self {
            Self::Labels(rule) => rule.breaches(scene),
            Self::ServiceAccounts(rule) => rule.breaches(scene),
            Self::PodSecurity(rule) => rule.breaches(scene),
            Self::Sidecar(rule) => rule.breaches(scene),
            Self::Auth(rule) => rule.breaches(scene),
            Self::Exposure(rule) => rule.breaches(scene),
            Self::Queue(rule) => rule.breaches(scene),
            Self::Autoscaling(rule) => rule.breaches(scene),
        }
    }

    /// Whether a change of labels and annotations alone can break it.
    pub(super) const fn reads_metadata(&self) -> bool {
        matches!(self, Self::Labels(_) | Self::Queue(_))
    }
}
