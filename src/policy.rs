//! Rules beside the invariant: those that are built in, those of the administrators' policies, and
//! the catalogue that explains all rules.
//!
//! Input: a [`Change`]. Output: findings. Rules are functions of one state of one cluster; an update
//! asks them about the stored state too, so that a fault that was there before only warns.

mod amount;
mod cel;
mod checks;
mod compile;
pub mod defaults;
pub mod definition;
mod judge;
mod matching;
pub mod rules;
mod sections;
pub mod spec;
pub mod usage;
pub mod vap;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::change::Request;
use crate::model::{Change, Cluster, Finding, Pointer, RuleId, Severity, Token};
use checks::Subject;

pub use compile::{Flaw, KIND, Policy};
pub use matching::Labels;
pub use usage::{Sums, Usage, measure};

/// The administrators' policies, compiled, and what they read beside the object; swapped as a whole.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// Warnings that foretell a certain failure refuse.
    pub strict: bool,
    /// The policies, in the order in which they are asked.
    pub policies: Vec<Arc<Policy>>,
    /// Labels of namespaces, by name; those that are not here are not known.
    pub namespaces: Arc<BTreeMap<String, Labels>>,
    /// What the stored clusters may reach, for ceilings of namespaces; of a namespace that is not
    /// here, only the object itself counts.
    pub usage: Arc<Usage>,
    /// The moment of the snapshot, in Unix seconds: what expired before it is over.
    pub now: i64,
}

impl PolicySet {
    /// The names of the policies that are about an object, whether or not it breaks them.
    pub fn about(&self, request: &Request<'_>, cluster: &Cluster<'_>) -> Vec<Arc<str>> {
        let labels = self.namespace_labels(request.namespace);
        let about = self.policies.iter().filter(|it| it.matcher.fits(request, cluster, labels));
        about.map(|policy| Arc::clone(&policy.name)).collect()
    }

    /// Whether a policy selects namespaces by labels, which the snapshot then has to hold.
    pub fn reads_namespaces(&self) -> bool {
        self.policies.iter().any(|policy| policy.reads_namespaces())
    }

    /// Whether a policy has a ceiling for namespaces, so that [`Self::usage`] has to be kept.
    pub fn needs_usage(&self) -> bool {
        self.policies.iter().any(|policy| policy.needs_usage())
    }

    /// Whether both snapshots ask the same of every object but for what namespaces may reach.
    pub fn asks_the_same_as(&self, before: &Self) -> bool {
        let same_policies = self.policies.len() == before.policies.len()
            && self.policies.iter().zip(&before.policies).all(|(a, b)| Arc::ptr_eq(a, b));
        let has_ended =
            |policy: &Arc<Policy>| policy.next_end(before.now).is_some_and(|end| end <= self.now);
        same_policies
            && self.strict == before.strict
            && self.namespaces == before.namespaces
            && !self.policies.iter().any(has_ended)
    }

    fn namespace_labels(&self, namespace: &str) -> Option<&Labels> {
        self.namespaces.get(namespace)
    }
}

/// Warnings that a strict policy turns into refusals: with these the autoscaler does not work at all.
const FORETELL_FAILURE: [RuleId; 6] = [
    RuleId::NO_CPU,
    RuleId::NO_GROUPS,
    RuleId::QUOTING,
    RuleId::TOKEN,
    RuleId::WHOLE_NUMBER,
    RuleId::HOST_NETWORK,
];

/// What the administrators' policies say of the cluster as it stands.
pub fn evaluate(policies: &PolicySet, change: &Change<'_>) -> Vec<Finding> {
    judge::judge(policies, change, false)
}

/// What the policies about labels and annotations say of a write that changed nothing else.
pub fn evaluate_metadata(policies: &PolicySet, change: &Change<'_>) -> Vec<Finding> {
    judge::judge(policies, change, true)
}

/// What the rules that are built in, beside the invariant, say of the cluster as it stands.
pub fn built_in(policies: &PolicySet, change: &Change<'_>) -> Vec<Finding> {
    let subject = |cluster| Subject { cluster, manager: change.manager, child: change.child };
    let mut findings = checks::all(&subject(change.new));
    if policies.strict {
        for finding in &mut findings {
            if FORETELL_FAILURE.contains(&finding.rule) {
                finding.severity = Severity::Deny;
            }
        }
    }
    let Some(old) = change.old else {
        return findings;
    };
    if findings.iter().all(|finding| finding.severity != Severity::Deny) {
        return findings;
    }
    let before: HashMap<Key, String> = checks::all(&subject(old))
        .into_iter()
        .map(|finding| (key(finding.rule, &finding.at, old), finding.found))
        .collect();
    let judged = findings.into_iter().map(|finding| {
        // Same rule, same place, same words: no field of the rule has changed.
        let same = before.get(&key(finding.rule, &finding.at, change.new)) == Some(&finding.found);
        change.ratchet(finding, same, !same)
    });
    judged.collect()
}

/// A finding's rule and place, groups by name, so that a reordered list keeps its history.
type Key = (RuleId, Option<String>, Vec<Token>);

fn key(rule: RuleId, at: &Pointer, cluster: &Cluster<'_>) -> Key {
    let groups: Pointer = cluster.at.at("workerGroupSpecs");
    match at.below(&groups) {
        Some([Token::Index(index), rest @ ..]) => {
            let name = cluster.groups.get(*index).map(|group| group.label().to_owned());
            (rule, name, rest.to_vec())
        }
        _ => (rule, None, at.tokens().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_namespaces_may_reach_and_time_alone_ask_nothing_new() {
        let policy = || {
            let spec = json!({
                "labels": {"required": [{"key": "team"}]},
                "exceptions": [{"owner": "o", "reason": "r", "expires": "1970-01-01T00:01:40Z"}],
            });
            let object = json!({"metadata": {"name": "p"}, "spec": spec});
            Arc::new(Policy::compile(&object).unwrap())
        };
        let before = PolicySet { policies: vec![policy()], now: 50, ..PolicySet::default() };
        let mut usage = Usage::default();
        let cluster = json!({"metadata": {"name": "lab"}, "spec": {"headGroupSpec": {}}});
        let settings = crate::model::Settings::default();
        assert!(usage.insert(&settings, crate::dialect::Dialect::RayCluster, "team-a", &cluster));
        let usage = Arc::new(usage);
        let later = PolicySet { usage, now: 99, ..before.clone() };
        assert!(later.asks_the_same_as(&before));
        let labels = BTreeMap::from([("team-a".to_owned(), Labels::new())]);
        for other in [
            PolicySet { now: 100, ..later.clone() },
            PolicySet { strict: true, ..later.clone() },
            PolicySet { policies: Vec::new(), ..later.clone() },
            PolicySet { policies: vec![policy()], ..later.clone() },
            PolicySet { namespaces: Arc::new(labels), ..later.clone() },
        ] {
            assert!(!other.asks_the_same_as(&before), "{other:?}");
        }
    }
}
