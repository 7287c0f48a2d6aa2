//! Every RayCluster sample of the pinned KubeRay, in both node managers: what is stored is what was
//! sent and our patch, nothing else, and a second apply changes nothing. And install day: what was
//! stored before the webhook came is changed by nobody but the requester.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use raywarden::admission::{Phase, PolicySet, Review, Settings, review, wire};
use raywarden::model::{NodeManager, Op, Operation};
use serde_json::{Value, json};
use support::control_plane::{ControlPlane, Options};
use support::samples::{Sample, samples};
use support::webhook::Webhook;

const SIDES: [(&str, NodeManager); 2] =
    [("standalone", NodeManager::Raywarden), ("beside", NodeManager::KubeRay)];

/// The sample with autoscaling on, an account of its own and a second container in the head: what no
/// sample of KubeRay combines.
fn autoscaled(sample: &Sample) -> Option<Sample> {
    let mut object = sample.object.clone();
    let spec = &mut object["spec"];
    let sound = spec["workerGroupSpecs"].as_array().is_some_and(|groups| {
        !groups.is_empty() && groups.iter().all(|group| group.get("suspend").is_none())
    });
    if !sound || spec.get("autoscalerOptions").is_some() {
        return None;
    }
    spec["enableInTreeAutoscaling"] = json!(true);
    let head = &mut spec["headGroupSpec"]["template"]["spec"];
    head["serviceAccountName"] = json!("own-account");
    let containers = head["containers"].as_array_mut()?;
    containers.push(json!({"name": "second", "image": "registry.example/second:1"}));
    Some(Sample { name: format!("{}-autoscaled", sample.name), object })
}

/// The object as it lies in a namespace; names are made distinct.
fn placed(sample: &Sample, namespace: &str, index: usize) -> Value {
    let mut object = sample.object.clone();
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["name"] = json!(format!("sample-{index}"));
    object
}

/// What the API server makes of it without storing it.
fn dry_run(plane: &ControlPlane, object: &Value) -> Value {
    let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    let told = plane.kubectl_with("alice", &create, &object.to_string()).ok();
    serde_json::from_str(&told).expect("JSON was asked for")
}

/// The object after our own patch, by a library that is not ours.
fn patched(object: &Value, manager: NodeManager) -> Value {
    let settings = Settings { node_manager: Some(manager), ..Settings::default() };
    let request = Review::of_manifest(Operation::Create, "alice", "", object.clone(), None);
    let request = Review { manifest: false, ..request };
    let answer = review(&settings, &PolicySet::default(), Phase::Mutate, &request);
    assert!(answer.allowed, "{}", wire::response("1", &answer));
    let ops: Vec<Value> = answer.patch.iter().map(Op::to_json).collect();
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(ops)).expect("RFC 6902");
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).expect("the patch applies");
    object
}

#[test]
fn samples_are_stored_as_sent_but_for_our_patch_and_a_second_apply_changes_nothing() {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    for (namespace, _) in SIDES {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    let mut all = samples(&plane);
    let more: Vec<Sample> = all.iter().filter_map(autoscaled).collect();
    assert!(more.len() >= 10, "only {} autoscaled samples", more.len());
    all.extend(more);
    let mut wanted = Vec::new();
    for (index, sample) in all.iter().enumerate() {
        for (namespace, manager) in SIDES {
            let object = placed(sample, namespace, index);
            wanted.push((sample, manager, object.clone(), dry_run(&plane, &object)));
        }
    }
    let flags = ["--node-manager", "kuberay", "--node-manager-for", "standalone=raywarden"];
    let webhook = Webhook::start(&plane, &flags);
    webhook.register(&plane);
    for (sample, manager, object, without) in wanted {
        let name = &sample.name;
        let apply = ["apply", "-o", "json", "-f", "-"];
        let told = plane.kubectl_with("alice", &apply, &object.to_string()).ok();
        let stored: Value = serde_json::from_str(&told).expect("JSON was asked for");
        assert_eq!(stored["spec"], patched(&without, manager)["spec"], "{name} {manager:?}");
        let again = plane.kubectl_with("alice", &apply, &object.to_string()).ok();
        let again: Value = serde_json::from_str(&again).expect("JSON was asked for");
        for key in ["generation", "resourceVersion"] {
            assert_eq!(stored["metadata"][key], again["metadata"][key], "{name} {manager:?} {key}");
        }
    }
}

/// A cluster from before the webhook: some with faults that are refused today.
fn old_cluster(index: usize) -> Value {
    let (replicas, min, max) = match index % 5 {
        0 => (1, 0, 3),
        1 => (9, 0, 3),
        2 => (1, 4, 8),
        3 => (2, 5, 3),
        _ => (0, 0, i32::MAX),
    };
    let container = |name: &str| json!({"name": name, "image": "registry.example/ray:2.52.0"});
    let mut head = vec![container("ray-head")];
    if index.is_multiple_of(7) {
        head.push(container("autoscaler"));
    }
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": format!("old-{index}"), "namespace": SIDES[index % 2].0},
        "spec": {
            "enableInTreeAutoscaling": !index.is_multiple_of(3),
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": head}}},
            "workerGroupSpecs": [{
                "groupName": if index.is_multiple_of(11) { "headgroup" } else { "small" },
                "replicas": replicas, "minReplicas": min, "maxReplicas": max,
                "rayStartParams": {},
                "template": {"spec": {"containers": [container("ray-worker")]}},
            }],
        },
    })
}

#[test]
fn on_install_day_nothing_changes_but_what_was_asked() {
    const CLUSTERS: usize = 200;
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    for (namespace, _) in SIDES {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    let list: Vec<Value> = (0..CLUSTERS).map(old_cluster).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": list});
    plane.kubectl_with("alice", &["create", "-f", "-"], &list.to_string()).ok();
    let all = || -> Vec<Value> {
        let list = plane.get_json(&["rayclusters", "--all-namespaces"]);
        list["items"].as_array().expect("a list has items").clone()
    };
    let before = all();
    assert_eq!(before.len(), CLUSTERS);
    let flags = ["--node-manager", "kuberay", "--node-manager-for", "standalone=raywarden"];
    let webhook = Webhook::start(&plane, &flags);
    webhook.register(&plane);
    assert_eq!(all(), before, "registering alone changes nothing");

    for cluster in &before {
        let name = cluster["metadata"]["name"].as_str().expect("a stored object has a name");
        let namespace = cluster["metadata"]["namespace"].as_str().expect("and a namespace");
        let path = format!("/apis/ray.io/v1/namespaces/{namespace}/rayclusters/{name}");
        let account =
            if namespace == "standalone" { format!("raywarden-{name}") } else { name.into() };
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let merge = "application/merge-patch+json";
        plane
            .request("PATCH", &path)
            .body(merge, &json!({"metadata": {"labels": {"touched": "yes"}}}))
            .send()
            .ok();
        plane
            .request("PATCH", &format!("{path}/status"))
            .body(merge, &json!({"status": {"state": "ready"}}))
            .send()
            .ok();
        let scale =
            json!([{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 3}]);
        let answer = plane
            .request("PATCH", &path)
            .agent("python-requests/2.32.3")
            .impersonating(&user, &["system:masters"])
            .body("application/json-patch+json", &scale)
            .send();
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    for (old, new) in before.iter().zip(all()) {
        let mut wanted = old.clone();
        let group = &mut wanted["spec"]["workerGroupSpecs"][0];
        let (min, max) = (group["minReplicas"].as_i64(), group["maxReplicas"].as_i64());
        // The asked 3 within the bounds; contradicting ones are left as they were.
        let count = if min <= max { 3.max(min.unwrap_or(0)) } else { 3 };
        group["replicas"] = json!(count);
        assert_eq!(new["spec"], wanted["spec"], "{}", old["metadata"]["name"]);
        assert_eq!(new["status"], json!({"state": "ready"}));
        assert_eq!(new["metadata"]["labels"], json!({"touched": "yes"}));
    }
}
