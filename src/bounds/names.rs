//! Names of clusters and groups, which end up in Pods, Services and labels.

use std::collections::HashMap;

use crate::model::change::Pair;
use crate::model::names::{HEAD_GROUP, MAX_CLUSTER_NAME, group_name_fault, is_dns_1035};
use crate::model::{Change, Finding, Pointer, RuleId, Severity};

/// What the cluster's name and the groups' names give to say.
pub(super) fn judge(change: &Change<'_>) -> Vec<Finding> {
    if !change.new.traits.ray {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = cluster(change).into_iter().collect();
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    for pair in change.pairs() {
        let twin = pair.new.name.and_then(|name| {
            let first = *first_of.entry(name).or_insert(pair.index);
            (first != pair.index).then_some(first)
        });
        // A stored group keeps its name and rank: whatever is wrong with them was wrong before.
        let stored = pair.old.is_some();
        let found = group(&pair, twin);
        findings.extend(found.map(|finding| change.ratchet(finding, stored, !stored)));
    }
    findings
}

/// The name cannot be changed, so only a new cluster is refused for it.
fn cluster(change: &Change<'_>) -> Option<Finding> {
    let name = change.new.name;
    if !change.new.traits.names_pods || name.is_empty() {
        return None;
    }
    let length = name.chars().count();
    let found = if length > MAX_CLUSTER_NAME {
        format!("\"{name}\" has {length} characters")
    } else if is_dns_1035(name) {
        return None;
    } else {
        format!("\"{name}\" is no DNS-1035 label")
    };
    let finding = Finding::deny(
        RuleId::CLUSTER_NAME,
        Pointer::of(["metadata", "name"]),
        found,
        format!("at most {MAX_CLUSTER_NAME} of a-z, 0-9 and -, a letter first, no - last"),
        "choose another name: Pods and Services are called after it",
    );
    Some(if change.creates() { finding } else { finding.with(Severity::Warn) })
}

fn group(pair: &Pair<'_>, twin: Option<usize>) -> Option<Finding> {
    let at = pair.new.at.at("groupName");
    // A name that is no string is the schema's to refuse; a missing one is as good as an empty one.
    if pair.new.raw.get("groupName").is_some_and(|name| !name.is_string() && !name.is_null()) {
        return None;
    }
    let name = pair.new.label();
    if let Some(first) = twin {
        return Some(Finding::deny(
            RuleId::GROUP_TWICE,
            at,
            format!("\"{name}\" is already the name of workerGroupSpecs[{first}]"),
            "a name of its own for each group",
            "rename one of the two: they would delete each other's Pods",
        ));
    }
    if name == HEAD_GROUP {
        return Some(Finding::deny(
            RuleId::GROUP_RESERVED,
            at,
            format!("\"{name}\" is the group of the head Pod"),
            "any other name",
            "rename the group: it would take the head for one of its workers",
        ));
    }
    let fault = group_name_fault(name)?;
    Some(Finding::deny(
        RuleId::GROUP_NAME,
        at,
        format!("\"{}\": {fault}", name.chars().take(80).collect::<String>()),
        "at most 63 letters, digits, - and ., a letter or digit at both ends",
        "rename the group: it becomes a label and a part of Pod names",
    ))
}
