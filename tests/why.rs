//! `raywarden why`: against an API server made of a few answers, with a dashboard behind it, for whole
//! screens; and against a real one, for rights, field selectors and what it stores.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "why/fake.rs"]
mod fake;
#[path = "why/real.rs"]
mod real;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::run::{Ran, run};
use support::webhook::raywarden;

const SOON: Duration = Duration::from_mins(1);

fn why(kubeconfig: &Path, arguments: &[&str]) -> Ran {
    let mut command = raywarden();
    command.arg("why").arg("--kubeconfig").arg(kubeconfig).args(arguments).env("COLUMNS", "100");
    run(command, "", SOON)
}

fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap_or(-1)
}

/// An autoscaled RayCluster of one group.
fn cluster(name: &str, namespace: &str, replicas: i64, max: i64) -> Value {
    let container = |name: &str| json!({"name": name, "image": "ray:2.60.0", "resources": {"limits": {"cpu": "1", "memory": "2Gi"}}});
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "rayVersion": "2.60.0",
            "enableInTreeAutoscaling": true,
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0"},
                "template": {"spec": {"containers": [container("ray-head")]}},
            },
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": replicas, "minReplicas": 1, "maxReplicas": max,
                "rayStartParams": {},
                "template": {"spec": {"containers": [container("ray-worker")]}},
            }],
        },
    })
}

/// A Pod of the cluster with this UID; its status comes apart, as a kubelet writes it.
fn pod(name: &str, group: &str, cluster: &Value) -> Value {
    let node_type = if group == "headgroup" { "head" } else { "worker" };
    let container = |name: &str| json!({"name": name, "image": "ray:2.60.0"});
    let containers = match node_type {
        "head" => json!([container("ray-head"), container("autoscaler")]),
        _ => json!([container("ray-worker")]),
    };
    let metadata = &cluster["metadata"];
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": metadata["namespace"],
            "labels": {"ray.io/cluster": metadata["name"], "ray.io/node-type": node_type, "ray.io/group": group},
            "ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayCluster",
                "name": metadata["name"], "uid": metadata["uid"], "controller": true}],
        },
        "spec": {"containers": containers},
    })
}

/// The status of a Pod whose containers run, ready since then.
fn running(pod: &Value, ip: &str, since: &str) -> Value {
    let containers = pod["spec"]["containers"].as_array().expect("a Pod has containers");
    let state = |container: &Value| {
        json!({"name": container["name"], "image": "x", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": since}}})
    };
    json!({
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
        "containerStatuses": containers.iter().map(state).collect::<Vec<_>>(),
    })
}

/// The status of a Pod that no node takes.
fn unschedulable(since: &str) -> Value {
    json!({
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient cpu.", "lastTransitionTime": since}],
    })
}
