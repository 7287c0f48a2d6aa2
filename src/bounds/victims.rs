//! `scaleStrategy.workersToDelete`: Pods that somebody names to be deleted.
//!
//! KubeRay deletes by bare name, so beside it a name that cannot be a worker of this group is
//! refused to everybody: whoever may write a RayCluster could otherwise delete any Pod of the
//! namespace. Our controller checks the owner of each Pod instead.

use serde_json::Value;

use crate::dialect::kuberay::worker_prefix;
use crate::model::finding::quoted;
use crate::model::template::list;
use crate::model::{Change, Finding, Group, NodeManager, RuleId};

/// What newly named victims give to say.
pub(super) fn judge(change: &Change<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in change.pairs() {
        let before = pair.old.map(named).unwrap_or_default();
        let fresh: Vec<(usize, &Value)> =
            named(pair.new).iter().enumerate().filter(|(_, name)| !before.contains(name)).collect();
        if fresh.is_empty() {
            continue;
        }
        let at = pair.new.at.join(&["scaleStrategy", "workersToDelete"]);
        if change.manager == NodeManager::KubeRay && !change.new.name.is_empty() {
            let prefix = worker_prefix(change.new.name, pair.new.label());
            let foreign = fresh.iter().filter(|(_, name)| {
                change.new.traits.names_pods
                    && !name.as_str().is_some_and(|name| name.starts_with(&prefix))
            });
            findings.extend(foreign.map(|(index, name)| {
                Finding::deny(
                    RuleId::FOREIGN_VICTIM,
                    at.at(*index),
                    format!("{} is no worker Pod of group \"{}\"", quoted(name), pair.new.label()),
                    format!("names that begin with \"{prefix}\""),
                    "take it out: KubeRay would delete that Pod, whoever owns it",
                )
            }));
        }
        findings.push(Finding::warn(
            RuleId::VICTIMS,
            at,
            format!("{} Pods named by hand for deletion", fresh.len()),
            "",
            "lower replicas instead and let the node manager choose, or scale through raywarden",
        ));
    }
    findings
}

fn named<'a>(group: &Group<'a>) -> &'a [Value] {
    group.raw.get("scaleStrategy").map_or(&[], |strategy| list(strategy, "workersToDelete"))
}
