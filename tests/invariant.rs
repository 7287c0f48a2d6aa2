//! The ordered table about counts: every actor, operation, state of autoscaling and position of
//! `replicas`, with its outcome, as one golden file that people can read.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

#[path = "support/golden.rs"]
mod golden;

use std::fmt::Write as _;

use raywarden::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use raywarden::model::{NodeManager, Op, Severity};
use serde_json::{Value, json};

/// Who writes, by user name, and whether the cluster is a child.
const WRITERS: [(&str, &str, bool); 7] = [
    ("person", "alice", false),
    ("person, child", "alice", true),
    ("autoscaler", "system:serviceaccount:team-a:lab", false),
    ("kuberay", "system:serviceaccount:kuberay-system:kuberay-operator", false),
    ("kuberay, child", "system:serviceaccount:kuberay-system:kuberay-operator", true),
    ("kueue", "system:serviceaccount:kueue-system:kueue-controller-manager", false),
    ("raywarden", "system:serviceaccount:raywarden-system:raywarden", false),
];

/// Bounds are 2 to 6, the live count is 4, unless the position says otherwise.
struct Position {
    name: &'static str,
    replicas: Value,
    live: i64,
    old_max: i64,
    new_max: i64,
    new_min: i64,
}

fn positions() -> Vec<Position> {
    let at = |name, replicas: Value| Position {
        name,
        replicas,
        live: 4,
        old_max: 6,
        new_max: 6,
        new_min: 2,
    };
    vec![
        at("negative", json!(-1)),
        at("absent", Value::Null),
        at("zero", json!(0)),
        at("below min", json!(1)),
        at("at min", json!(2)),
        at("lowered inside", json!(3)),
        at("raised inside", json!(5)),
        at("at max", json!(6)),
        at("above max", json!(9)),
        Position { new_max: 3, ..at("max lowered below live", json!(4)) },
        Position { new_max: 3, ..at("max lowered, count lowered too", json!(3)) },
        Position { new_max: 3, ..at("max lowered, count raised", json!(8)) },
        Position { live: 9, ..at("stored above max, still", json!(9)) },
        Position { live: 9, ..at("stored above max, falling", json!(8)) },
        Position { live: 9, ..at("stored above max, growing", json!(12)) },
        Position { new_min: 5, ..at("min raised above live", json!(4)) },
        Position { new_min: 7, ..at("min raised above max", json!(4)) },
    ]
}

fn cluster(replicas: &Value, min: i64, max: i64, autoscaling: bool, child: bool) -> Value {
    let mut group = json!({
        "groupName": "pool", "minReplicas": min, "maxReplicas": max,
        "template": {"spec": {"containers": [
            {"name": "w", "resources": {"limits": {"cpu": "1"}}}]}},
    });
    if !replicas.is_null() {
        group["replicas"] = replicas.clone();
    }
    let owners = json!([{"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "nightly", "uid": "1",
                         "controller": true}]);
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {
            "name": "lab", "namespace": "team-a",
            "ownerReferences": if child { owners } else { Value::Null },
        },
        "spec": {
            "enableInTreeAutoscaling": autoscaling,
            "headGroupSpec": {"template": {"spec": {"containers": [
                {"name": "h", "resources": {"limits": {"cpu": "1"}}}]}}},
            "workerGroupSpecs": [group],
        },
    })
}

fn ask(user: &str, old: &Value, new: &Value) -> Answer {
    let request = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "namespace": "team-a", "name": "lab",
            "kind": {"group": "ray.io", "version": "v1", "kind": "RayCluster"},
            "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
            "userInfo": {"username": user}, "object": new, "oldObject": old,
        },
    });
    let settings = Settings { node_manager: Some(NodeManager::KubeRay), ..Settings::default() };
    let parsed = Review::from_value(request).expect("a well-formed review");
    review(&settings, &PolicySet::default(), Phase::Offline, &parsed)
}

/// `deny rule`, or the count that is stored, and what is said about it.
fn outcome(answer: &Answer, written: &Value) -> String {
    let rules = |severity: Severity| -> Vec<&str> {
        let spoken = answer.findings.iter().filter(|finding| finding.severity == severity);
        spoken
            .map(|finding| finding.rule.as_str())
            .filter(|rule| rule.starts_with("bounds/"))
            .collect()
    };
    if !answer.allowed {
        return format!("DENY {}", rules(Severity::Deny).join(", "));
    }
    let stored = answer.patch.iter().find_map(|op| match op {
        Op::Add { at, value, .. } | Op::Replace { at, value } => {
            at.to_string().ends_with(".replicas").then(|| value.to_string())
        }
        Op::Remove { .. } => None,
    });
    let written = if written.is_null() { "-".to_owned() } else { written.to_string() };
    let mut text =
        stored.map_or_else(|| written.clone(), |stored| format!("{written} -> {stored}"));
    let (warned, noted) = (rules(Severity::Warn), rules(Severity::Note));
    if !warned.is_empty() {
        let _ = write!(text, "  WARN {}", warned.join(", "));
    }
    if !noted.is_empty() {
        let _ = write!(text, "  note {}", noted.join(", "));
    }
    text
}

#[test]
fn every_writer_and_position_has_its_outcome() {
    let mut table = String::new();
    for operation in ["CREATE", "UPDATE"] {
        for autoscaling in [false, true] {
            let state = if autoscaling { "on" } else { "off" };
            for (writer, user, child) in WRITERS {
                let _ = writeln!(table, "\n{operation} by {writer}, autoscaling {state}");
                for position in positions() {
                    let created = operation == "CREATE";
                    if created && (position.new_max != 6 || position.live != 4) {
                        continue;
                    }
                    let old = if created {
                        Value::Null
                    } else {
                        let live = json!(position.live);
                        cluster(&live, 2, position.old_max, autoscaling, child)
                    };
                    let Position { replicas, new_min, new_max, .. } = &position;
                    let new = cluster(replicas, *new_min, *new_max, autoscaling, child);
                    let answer = ask(user, &old, &new);
                    let _ =
                        writeln!(table, "  {:<34}{}", position.name, outcome(&answer, replicas));
                }
            }
        }
    }
    golden::compare("tests/golden/invariant.txt", table.trim_start());
}
