//! Totals of a fleet, and its findings by rule, policy and namespace.
//!
//! Invariants: the spec of clusters that others make counts as an object and brings no workers; a sum
//! of workers says of how many clusters it does not know.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, Fleet, Workers};
use crate::model::Severity;

/// Findings by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    pub(super) deny: usize,
    pub(super) warn: usize,
    pub(super) audit: usize,
}

impl Weights {
    const fn add(&mut self, weight: Severity) {
        match weight {
            Severity::Deny => self.deny += 1,
            Severity::Warn => self.warn += 1,
            Severity::Audit | Severity::Note => self.audit += 1,
        }
    }

    /// In the order in which people read it: the heaviest first.
    pub(super) const fn each(self) -> [(Severity, usize); 3] {
        [(Severity::Deny, self.deny), (Severity::Warn, self.warn), (Severity::Audit, self.audit)]
    }
}

/// A sum of counts of which some may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Of what is known.
    pub(super) count: i64,
    /// Clusters that bring no count.
    pub(super) unknown: usize,
}

impl Sum {
    fn add(&mut self, count: Option<i64>) {
        match count {
            Some(count) => self.count = self.count.saturating_add(count),
            None => self.unknown += 1,
        }
    }
}

/// What objects come to together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Clusters.
    pub(super) clusters: usize,
    /// Specs of clusters that others make.
    pub(super) templates: usize,
    /// Worker groups of clusters.
    pub(super) groups: usize,
    /// Workers that specs ask for.
    pub(super) desired: i64,
    /// Workers that run.
    pub(super) live: Sum,
    /// Workers that have joined.
    pub(super) joined: Sum,
    /// Findings.
    pub(super) findings: Weights,
    /// Objects by their heaviest finding.
    pub(super) objects: Weights,
    /// Objects without one.
    pub(super) clean: usize,
}

impl Totals {
    fn add(&mut self, cluster: &Cluster) {
        if cluster.template {
            self.templates += 1;
        } else {
            let Workers { desired, live, joined } = cluster.workers;
            self.clusters += 1;
            self.groups += cluster.groups.len();
            self.desired = self.desired.saturating_add(desired);
            self.live.add(live);
            self.joined.add(joined);
        }
        cluster.findings.iter().for_each(|finding| self.findings.add(finding.weight));
        match cluster.weight() {
            Some(weight) => self.objects.add(weight),
            None => self.clean += 1,
        }
    }
}

/// What findings of one rule, or of one policy, come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) findings: Weights,
    /// Objects that have one.
    pub(super) objects: usize,
}

/// All sums of a fleet.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums<'a> {
    pub(super) all: Totals,
    /// By namespace.
    pub(super) namespaces: BTreeMap<&'a str, Totals>,
    /// By rule.
    pub(super) rules: BTreeMap<&'a str, Broken>,
    /// By policy; the empty name stands for what holds without one.
    pub(super) policies: BTreeMap<&'a str, Broken>,
}

impl<'a> Sums<'a> {
    pub(super) fn of(fleet: &'a Fleet) -> Self {
        let mut sums = Self::default();
        for cluster in &fleet.clusters {
            sums.all.add(cluster);
            sums.namespaces.entry(&cluster.namespace).or_default().add(cluster);
            let (mut rules, mut policies) = (BTreeSet::new(), BTreeSet::new());
            for finding in &cluster.findings {
                let rule = sums.rules.entry(finding.rule).or_default();
                rule.findings.add(finding.weight);
                rule.objects += usize::from(rules.insert(finding.rule));
                let policy = sums.policies.entry(&finding.policy).or_default();
                policy.findings.add(finding.weight);
                policy.objects += usize::from(policies.insert(&finding.policy));
            }
        }
        sums
    }
}
