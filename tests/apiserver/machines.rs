//! What machines send: Ray's autoscaler, controllers, status and finalizer writers.

use serde_json::{Value, json};

use super::{STANDALONE, WORLD, containers, manifest, versions};
use crate::support::request::Answer;

/// A JSON patch as Ray's autoscaler sends it: by index, without a test, from `python-requests`.
fn autoscaler_patch(namespace: &str, name: &str, account: &str, patch: &Value) -> Answer {
    let path = format!("/apis/ray.io/v1/namespaces/{namespace}/rayclusters/{name}");
    let user = format!("system:serviceaccount:{namespace}:{account}");
    WORLD
        .plane
        .request("PATCH", &path)
        .agent("python-requests/2.32.3")
        .impersonating(&user, &["system:masters"])
        .body("application/json-patch+json", patch)
        .send()
}

fn replicas(count: i64) -> Value {
    json!({"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": count})
}

fn victims(names: &[&str]) -> Value {
    json!({"op": "replace", "path": "/spec/workerGroupSpecs/0/scaleStrategy",
           "value": {"workersToDelete": names}})
}

/// The namespaces of both node managers, and the account of the autoscaler in each.
fn sides(name: &str) -> [(&'static str, String); 2] {
    [("beside", name.to_owned()), (STANDALONE, format!("raywarden-{name}"))]
}

#[test]
fn the_autoscaler_scales_up_and_down_and_nothing_else_changes() {
    let name = "scaled";
    for (namespace, account) in sides(name) {
        let file = manifest(name, namespace, true, &["minReplicas: 0", "maxReplicas: 5"]);
        WORLD.plane.apply_yaml(&file);
        let before = WORLD.cluster(namespace, name);
        let up = autoscaler_patch(namespace, name, &account, &json!([replicas(3)])).ok();
        assert_eq!(up["spec"]["workerGroupSpecs"][0]["replicas"], 3);
        // The stored object has no scaleStrategy: the API server's lenient patch sets it.
        let down = json!([replicas(2), victims(&["scaled-small-worker-abcde"])]);
        let down = autoscaler_patch(namespace, name, &account, &down).ok();
        let group = &down["spec"]["workerGroupSpecs"][0];
        assert_eq!(group["scaleStrategy"]["workersToDelete"], json!(["scaled-small-worker-abcde"]));
        let cleared = autoscaler_patch(namespace, name, &account, &json!([victims(&[])])).ok();
        assert_eq!(cleared["spec"]["headGroupSpec"], before["spec"]["headGroupSpec"]);
        assert_eq!(cleared["spec"]["autoscalerOptions"], before["spec"]["autoscalerOptions"]);
    }
}

#[test]
fn an_autoscaler_patch_above_max_is_clamped_not_denied() {
    let name = "clamped";
    for (namespace, account) in sides(name) {
        let file = manifest(name, namespace, true, &["minReplicas: 1", "maxReplicas: 5"]);
        WORLD.plane.apply_yaml(&file);
        for (asked, stored) in [(9, 5), (0, 1), (-2, 1)] {
            let answer = autoscaler_patch(namespace, name, &account, &json!([replicas(asked)]));
            let group = &answer.ok()["spec"]["workerGroupSpecs"][0];
            assert_eq!(group["replicas"], stored, "{asked} in {namespace}");
            assert_eq!(answer.header("warning"), None);
        }
    }
}

#[test]
fn the_autoscalers_account_may_write_nothing_but_counts() {
    let name = "narrow";
    for (namespace, account) in sides(name) {
        let file = manifest(name, namespace, true, &["minReplicas: 0", "maxReplicas: 5"]);
        WORLD.plane.apply_yaml(&file);
        let image = "/spec/headGroupSpec/template/spec/containers/0/image";
        let patch = json!([replicas(2), {"op": "replace", "path": image, "value": "evil"}]);
        let answer = autoscaler_patch(namespace, name, &account, &patch);
        assert_eq!(answer.status, 422, "{answer:?}");
        let status = answer.json();
        assert_eq!(status["reason"], "Invalid");
        assert_eq!(
            status["details"]["causes"][0]["field"],
            "spec.headGroupSpec.template.spec.containers[0].image"
        );
        assert_eq!(WORLD.cluster(namespace, name)["spec"]["workerGroupSpecs"][0]["replicas"], 0);
    }
}

#[test]
fn an_apply_without_replicas_keeps_what_the_autoscaler_chose() {
    let name = "kept";
    for (namespace, account) in sides(name) {
        let file = manifest(name, namespace, true, &["minReplicas: 0", "maxReplicas: 5"]);
        WORLD.plane.apply_yaml(&file);
        autoscaler_patch(namespace, name, &account, &json!([replicas(3)])).ok();
        let before = WORLD.cluster(namespace, name);
        WORLD.plane.apply_yaml(&file);
        let after = WORLD.cluster(namespace, name);
        assert_eq!(after["spec"]["workerGroupSpecs"][0]["replicas"], 3);
        // The applier becomes a manager of the list; nothing else moves.
        assert_eq!(versions(&before).0, versions(&after).0);
    }
}

#[test]
fn a_status_write_never_reaches_a_rule() {
    let file = manifest("status", STANDALONE, true, &["minReplicas: 0", "maxReplicas: 5"]);
    WORLD.plane.apply_yaml(&file);
    let before = WORLD.cluster(STANDALONE, "status");
    let path = format!("/apis/ray.io/v1/namespaces/{STANDALONE}/rayclusters/status/status");
    let body = json!({"status": {"state": "ready", "desiredWorkerReplicas": 3}});
    let answer = WORLD
        .plane
        .request("PATCH", &path)
        .impersonating("system:serviceaccount:ray-system:kuberay-operator", &["system:masters"])
        .body("application/merge-patch+json", &body)
        .send();
    assert_eq!(answer.ok()["status"]["state"], "ready");
    assert_eq!(WORLD.cluster(STANDALONE, "status")["spec"], before["spec"]);
}

#[test]
fn a_finalizer_leaves_an_object_on_its_way_out() {
    let plane = &WORLD.plane;
    let file = manifest("leaving", STANDALONE, true, &["minReplicas: 0", "maxReplicas: 5"])
        .replace("  name: leaving", "  finalizers: [example.io/wait]\n  name: leaving");
    plane.apply_yaml(&file);
    plane.kubectl(&["delete", "raycluster", "leaving", "-n", STANDALONE, "--wait=false"]).ok();
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let command = ["patch", "raycluster", "leaving", "-n", STANDALONE, "--type=merge", "-p", patch];
    plane.kubectl(&command).ok();
    plane.kubectl(&["get", "raycluster", "leaving", "-n", STANDALONE]).refused();
}

#[test]
fn a_child_above_its_maximum_is_clamped_for_the_operator() {
    let owner = "  ownerReferences: [{apiVersion: ray.io/v1, kind: RayJob, name: nightly, controller: \
                 true, uid: 1f0b6a52-1111-4222-8333-444455556666}]\n";
    let file = manifest("child", "beside", false, &["replicas: 9", "maxReplicas: 3"])
        .replace("  name: child", &format!("{owner}  name: child"));
    let operator = "--as=system:serviceaccount:kuberay-system:kuberay-operator";
    let group = "--as-group=system:masters";
    let said = WORLD.plane.kubectl_with("admin", &[operator, group, "create", "-f", "-"], &file);
    assert!(!said.stderr.contains("Warning"), "{}", said.report());
    said.ok();
    let stored = WORLD.cluster("beside", "child");
    assert_eq!(stored["spec"]["workerGroupSpecs"][0]["replicas"], 3);
    assert_eq!(containers(&stored), ["ray-head"]);
}
