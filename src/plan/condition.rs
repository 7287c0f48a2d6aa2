//! Conditions of a RayCluster: KubeRay's, and ours beside them.
//!
//! KubeRay's are always there once they were set; ours are there while they hold.

use serde_json::{Value, json};

use crate::model::template::{list, text};

/// KubeRay's: all Pods were ready at one time since the last suspension.
pub const PROVISIONED: &str = "RayClusterProvisioned";
/// KubeRay's: the head Pod is ready.
pub const HEAD_POD_READY: &str = "HeadPodReady";
/// KubeRay's `RayClusterReplicaFailure`, as it is spelled in the status.
pub const REPLICA_FAILURE: &str = "ReplicaFailure";
/// KubeRay's: Pods are being taken away for a suspension.
pub const SUSPENDING: &str = "RayClusterSuspending";
/// KubeRay's: suspended.
pub const SUSPENDED: &str = "RayClusterSuspended";
/// Another node manager runs this cluster, so nothing is written.
pub const FOREIGN_NODE_MANAGER: &str = "ForeignNodeManager";
/// An object of a name that we need is somebody else's.
pub const CONFLICT: &str = "RBACConflict";
/// The same for an object other than an identity.
pub const OBJECT_CONFLICT: &str = "ObjectConflict";
/// A field that closes a door or promises durability is not supported, so there are no Pods.
pub const UNSUPPORTED_FIELD: &str = "UnsupportedField";
/// The spec holds what admission denies, so there are no Pods.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// The account that the head names does not exist.
pub const SERVICE_ACCOUNT_MISSING: &str = "ServiceAccountMissing";
/// More replicas are asked for, or run, than the maximum allows; the autoscaler chooses who goes.
pub const REPLICAS_ABOVE_MAX: &str = "ReplicasAboveMax";
/// Worker Pods wait for a node.
pub const WORKERS_UNSCHEDULABLE: &str = "WorkersUnschedulable";
/// Pods are terminating for longer than their grace period.
pub const STUCK_TERMINATING: &str = "PodsStuckTerminating";

const OURS: [&str; 9] = [
    FOREIGN_NODE_MANAGER,
    CONFLICT,
    OBJECT_CONFLICT,
    UNSUPPORTED_FIELD,
    INVALID_SPEC,
    SERVICE_ACCOUNT_MISSING,
    REPLICAS_ABOVE_MAX,
    WORKERS_UNSCHEDULABLE,
    STUCK_TERMINATING,
];

/// The longest message; the API server takes 32768.
const MOST_MESSAGE: usize = 1024;

/// A condition that shall stand in the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// A word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Condition {
    /// A condition that holds.
    pub fn holds(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason: reason.to_owned(), message: message.into() }
    }

    /// A condition that does not hold.
    pub fn fails(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { holds: false, ..Self::holds(kind, reason, message) }
    }

    fn to_json(&self, since: &str) -> Value {
        let message: String = self.message.chars().take(MOST_MESSAGE).collect();
        json!({
            "type": self.kind,
            "status": if self.holds { "True" } else { "False" },
            "reason": self.reason,
            "message": message,
            "lastTransitionTime": since,
        })
    }
}

/// The stored condition of a type.
pub fn stored<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    list(status, "conditions").iter().find(|condition| text(condition, "type") == Some(kind))
}

/// Whether the stored condition of a type holds.
pub fn is_true(status: &Value, kind: &str) -> bool {
    stored(status, kind).is_some_and(|condition| text(condition, "status") == Some("True"))
}

/// Since when the stored condition has the status that it shall have; `None` where that changes.
pub fn since<'a>(stored: Option<&'a Value>, status: &str) -> Option<&'a str> {
    text(stored.filter(|it| text(it, "status") == Some(status))?, "lastTransitionTime")
}

/// The list as it shall be stored: `wanted` set, ours that no longer hold and `gone` taken out, all
/// others as they are, in the stored order. A time moves only with the status that it belongs to.
pub fn merged(status: &Value, wanted: &[Condition], gone: &[&str], now: &str) -> Vec<Value> {
    let wanted_of = |kind: &str| wanted.iter().find(|condition| condition.kind == kind);
    let mut conditions: Vec<Value> = list(status, "conditions")
        .iter()
        .filter_map(|condition| {
            let kind = text(condition, "type").unwrap_or("");
            match wanted_of(kind) {
                Some(wanted) => Some(kept_or_changed(condition, wanted, now)),
                None if OURS.contains(&kind) || gone.contains(&kind) => None,
                None => Some(condition.clone()),
            }
        })
        .collect();
    let new = wanted.iter().filter(|condition| stored(status, condition.kind).is_none());
    conditions.extend(new.map(|condition| condition.to_json(now)));
    conditions
}

fn kept_or_changed(stored: &Value, wanted: &Condition, now: &str) -> Value {
    let status = if wanted.holds { "True" } else { "False" };
    let changed = wanted.to_json(since(Some(stored), status).unwrap_or(now));
    let same =
        ["status", "reason", "message"].iter().all(|key| stored.get(key) == changed.get(key));
    if same { stored.clone() } else { changed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_moves_only_with_its_status() {
        let first = merged(&Value::Null, &[Condition::fails(HEAD_POD_READY, "A", "a")], &[], "t1");
        let status = json!({"conditions": first});
        let reworded = merged(&status, &[Condition::fails(HEAD_POD_READY, "B", "b")], &[], "t2");
        assert_eq!(reworded[0]["lastTransitionTime"], "t1");
        assert_eq!(reworded[0]["reason"], "B");
        let turned = merged(&status, &[Condition::holds(HEAD_POD_READY, "B", "b")], &[], "t3");
        assert_eq!(turned[0]["lastTransitionTime"], "t3");
    }

    #[test]
    fn ours_go_when_they_are_over_and_those_of_others_stay() {
        let status = json!({"conditions": [
            {"type": "Theirs", "status": "True"},
            {"type": UNSUPPORTED_FIELD, "status": "True"},
            {"type": PROVISIONED, "status": "True"},
            {"type": REPLICA_FAILURE, "status": "True"},
        ]});
        let kinds = |list: &[Value]| -> Vec<String> {
            list.iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect()
        };
        let after = merged(&status, &[], &[REPLICA_FAILURE], "t");
        assert_eq!(kinds(&after), ["Theirs", PROVISIONED]);
    }
}
