//! The typed rules of policies, by section. Each looks at one state of one cluster.
//!
//! Input: a [`Scene`], made once per review and shared by all policies. Output: [`Breach`]es, without
//! weight and policy: [`super::judge`] adds them. A rule that is kept allocates nothing.

pub(super) mod labels;
pub(super) mod service_accounts;

use std::cell::OnceCell;
use std::sync::Arc;

use super::cel;
use super::checks::{Section, Subject};
use crate::model::{Cluster, Pointer, Quantity, RuleId};

/// A compiled rule.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// Labels that a cluster has to carry.
    Labels(labels::Rule),
    /// Service accounts that Pods may run as.
    ServiceAccounts(service_accounts::Rule),
    /// A condition in CEL.
    Cel(cel::Rule),
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
    /// Nobody knows whether it is one: it is reported and interrupts nobody.
    pub(super) unjudged: bool,
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
            unjudged: false,
        }
    }
}

/// One state of one cluster, and what rules work out of it more than once.
pub(super) struct Scene<'a> {
    /// The cluster and who makes its Pods.
    pub(super) subject: Subject<'a>,
    /// The head and the worker groups of a `ray.io` cluster; none for Domino's.
    pub(super) sections: Vec<Section<'a>>,
    asked: cel::Asked<'a>,
    variables: OnceCell<cel::Variables<'a>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(subject: Subject<'a>, asked: cel::Asked<'a>) -> Self {
        let sections = if subject.cluster.traits.ray { subject.sections() } else { Vec::new() };
        Self { subject, sections, asked, variables: OnceCell::new() }
    }

    /// What rules in CEL read.
    pub(super) fn variables(&self) -> &cel::Variables<'a> {
        self.variables.get_or_init(|| cel::Variables::new(self.asked, self.subject.cluster))
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
            Self::Cel(rule) => rule.breaches(scene),
        }
    }

    /// Whether a change of labels and annotations alone can break it.
    pub(super) const fn reads_metadata(&self) -> bool {
        match self {
            Self::Labels(_) => true,
            Self::Cel(rule) => rule.reads_metadata,
            Self::ServiceAccounts(_) => false,
        }
    }

    /// Whether it is about what a write changes, so that no stored object can break it.
    pub(super) const fn compares(&self) -> bool {
        matches!(self, Self::Cel(rule) if rule.compares)
    }

    /// The name that its author gave it.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Cel(rule) => Some(&rule.name),
            _ => None,
        }
    }

    /// What its findings name instead of the policy.
    pub(super) fn source(&self) -> Option<&Arc<str>> {
        match self {
            Self::Cel(rule) => Some(&rule.source),
            _ => None,
        }
    }
}
