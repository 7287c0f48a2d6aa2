//! Rules beside the invariant, and the catalogue that explains all rules.
//!
//! Input: a [`Change`]. Output: findings. Rules are functions of one state of one cluster; an update
//! asks them about the stored state too, so that a fault that was there before only warns.

mod checks;
pub mod rules;

use std::collections::HashMap;

use crate::model::{Change, Cluster, Finding, Pointer, RuleId, Severity, Token};
use checks::Subject;

/// The administrators' policies, compiled; swapped as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    /// Warnings that foretell a certain failure refuse.
    pub strict: bool,
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

/// What the rules beside the invariant say of the cluster as it stands.
pub fn evaluate(policies: &PolicySet, change: &Change<'_>) -> Vec<Finding> {
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
        .map(|finding| (key(&finding, old), finding.found))
        .collect();
    let judged = findings.into_iter().map(|finding| {
        // Same rule, same place, same words: no field of the rule has changed.
        let same = before.get(&key(&finding, change.new)) == Some(&finding.found);
        change.ratchet(finding, same, !same)
    });
    judged.collect()
}

/// A finding's rule and place, groups by name, so that a reordered list keeps its history.
type Key = (RuleId, Option<String>, Vec<Token>);

fn key(finding: &Finding, cluster: &Cluster<'_>) -> Key {
    let groups: Pointer = cluster.at.at("workerGroupSpecs");
    match finding.at.below(&groups) {
        Some([Token::Index(index), rest @ ..]) => {
            let name = cluster.groups.get(*index).map(|group| group.label().to_owned());
            (finding.rule, name, rest.to_vec())
        }
        _ => (finding.rule, None, finding.at.tokens().to_vec()),
    }
}
