//! `raywarden audit` against a real API server: read-only, with no more rights than get and list.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::control_plane::{ControlPlane, Options};
use support::run::{Ran, run};
use support::webhook::raywarden;

const SOON: Duration = Duration::from_mins(1);

static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    for namespace in ["team-a", "team-b"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    let items: Vec<Value> = (0..600).map(cluster).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    plane.kubectl_with("admin", &["create", "-f", "-"], &list.to_string()).ok();
    let mut leaving = cluster(500);
    leaving["metadata"] =
        json!({"name": "leaving", "namespace": "team-a", "finalizers": ["example.com/wait"]});
    plane.kubectl_with("admin", &["create", "-f", "-"], &leaving.to_string()).ok();
    plane.kubectl(&["delete", "raycluster", "leaving", "-n", "team-a", "--wait=false"]).ok();
    plane
});

/// Every hundredth cluster of team-a has bounds that contradict each other.
fn cluster(index: usize) -> Value {
    let container = json!({"name": "ray", "image": "x", "resources": {"limits": {"cpu": "1"}}});
    let max = if index.is_multiple_of(100) { 1 } else { 5 };
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": format!("c{index}"), "namespace": if index < 500 { "team-a" } else { "team-b" }},
        "spec": {
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}},
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": 2, "minReplicas": 2, "maxReplicas": max,
                "rayStartParams": {}, "template": {"spec": {"containers": [container]}},
            }],
        },
    })
}

fn audit(kubeconfig: &Path, arguments: &[&str]) -> Ran {
    let mut command = raywarden();
    command.arg("audit").arg("--kubeconfig").arg(kubeconfig).args(arguments);
    run(command, "", SOON)
}

fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap_or(-1)
}

/// A kubeconfig whose only right is what `rules` say, everywhere.
fn with_rights(name: &str, rules: &str) -> std::path::PathBuf {
    let plane = &*PLANE;
    plane.apply_yaml(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: default}}}}\n\
         ---\n{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {name}}}, \
         rules: {rules}}}\n---\n{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, \
         metadata: {{name: {name}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, \
         name: {name}}}, subjects: [{{kind: ServiceAccount, name: {name}, namespace: default}}]}}\n"
    ));
    let token = plane.kubectl(&["create", "token", name]).ok();
    plane.write_kubeconfig(name, token.trim())
}

#[test]
fn every_stored_cluster_is_judged_and_none_is_written() {
    let plane = &*PLANE;
    let versions = || {
        plane
            .kubectl(&[
                "get",
                "rayclusters",
                "-A",
                "-o",
                "jsonpath={.items[*].metadata.resourceVersion}",
            ])
            .ok()
    };
    let before = versions();
    let ran = audit(plane.kubeconfig("admin"), &[]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    let last = ran.stdout.lines().last().unwrap_or_default();
    let wanted = "601 objects: 6 with refusals, 0 with warnings, 594 clean, 1 skipped";
    assert_eq!(last, wanted, "{}", ran.report());
    let absent = "Not served here: rayjobs.ray.io, rayservices.ray.io, raycronjobs.ray.io, \
                  distributed-compute.dominodatalab.com\nSkipped: 1 being deleted\n";
    assert!(ran.stdout.contains(absent), "{}", ran.report());
    assert!(ran.stderr.is_empty(), "no progress but on a terminal: {}", ran.report());
    assert!(ran.stdout.contains("RayCluster team-a/c100"), "{}", ran.report());
    assert!(ran.stdout.contains("6 to refuse    0 to warn  bounds/min-max"), "{}", ran.report());
    assert_eq!(versions(), before);
}

#[test]
fn a_namespace_can_be_audited_alone_and_as_json() {
    let ran = audit(PLANE.kubeconfig("admin"), &["-n", "team-b", "--output", "json"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON was asked for");
    let entries = report.as_array().expect("an array");
    assert_eq!(entries.len(), 100);
    let bad: Vec<&Value> = entries.iter().filter(|entry| entry["findings"] != json!([])).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0]["object"]["name"], "c500");
    assert_eq!(bad[0]["findings"][0]["rule"], "bounds/min-max");
    assert_eq!(bad[0]["findings"][0]["severity"], "deny");
}

#[test]
fn get_and_list_of_what_is_served_are_enough() {
    let rules = "[{apiGroups: [ray.io], resources: [rayclusters], verbs: [get, list]}]";
    let ran = audit(&with_rights("reader", rules), &[]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(ran.stdout.contains("601 objects"), "{}", ran.report());
}

#[test]
fn a_missing_right_is_named_and_how_to_get_it() {
    let ran = audit(&with_rights("nobody", "[]"), &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    for word in ["may not list rayclusters.ray.io in all namespaces", "ClusterRole", "get and list"]
    {
        assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.report());
    }
    assert!(ran.stdout.is_empty(), "half a report looks like a whole one: {}", ran.report());
}

#[test]
fn the_right_in_one_namespace_is_enough_for_it() {
    let kubeconfig = with_rights("local", "[]");
    let plane = &*PLANE;
    let verbs = "--verb=get,list";
    let role = ["create", "role", "local", "-n", "team-b", verbs, "--resource=rayclusters.ray.io"];
    plane.kubectl(&role).ok();
    let subject = "--serviceaccount=default:local";
    plane
        .kubectl(&["create", "rolebinding", "local", "-n", "team-b", "--role=local", subject])
        .ok();
    let ran = audit(&kubeconfig, &["-n", "team-b"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(ran.stdout.contains("100 objects"), "{}", ran.report());
    let ran = audit(&kubeconfig, &["-n", "team-a"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("in namespace team-a"), "{}", ran.report());
}

#[test]
fn what_cannot_be_reached_is_said_plainly() {
    let admin = PLANE.kubeconfig("admin");
    let ran = audit(admin, &["--context", "elsewhere"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(
        ran.stderr.contains("there is no context \"elsewhere\"; known ones:"),
        "{}",
        ran.report()
    );

    let missing = PLANE.dir().join("no-such-file");
    let ran = audit(&missing, &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("no-such-file"), "{}", ran.report());

    let empty = PLANE.dir().join("empty");
    std::fs::write(&empty, "").expect("can be written");
    let ran = audit(&empty, &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("there is no context in the kubeconfig"), "{}", ran.report());

    let ran = audit(admin, &["-n", "no-such-namespace"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("there is no namespace"), "{}", ran.report());

    let text = std::fs::read_to_string(admin).expect("the kubeconfig can be read");
    let port = support::wait::free_port();
    let nowhere = format!("https://127.0.0.1:{port}");
    let path = PLANE.dir().join("nowhere.kubeconfig");
    std::fs::write(&path, text.replace(PLANE.server(), &nowhere)).expect("can be written");
    let ran = audit(&path, &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains(&nowhere), "{}", ran.report());
}

#[test]
fn files_can_be_audited_and_fail_on_decides() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/review");
    let audit = |arguments: &[&str]| {
        let mut command = raywarden();
        command.arg("audit").args(arguments).current_dir(&files);
        run(command, "", SOON)
    };
    assert_eq!(code(&audit(&["-f", "good.json"])), 0);
    assert_eq!(code(&audit(&["-f", "mixed.yaml"])), 1);
    let warned = |arguments: &[&str]| {
        let mut command = raywarden();
        command.args(["audit", "-f", "-"]).args(arguments);
        let object = "{apiVersion: distributed-compute.dominodatalab.com/v1alpha1, kind: RayCluster, \
                      metadata: {name: r}, spec: {autoscaling: {minReplicas: 2, maxReplicas: 5}, \
                      worker: {replicas: 1}}}";
        run(command, object, SOON)
    };
    let report = warned(&[]);
    let counts = "1 object: 0 with refusals, 1 with warnings, 0 clean, 0 skipped";
    assert_eq!(report.stdout.lines().last(), Some(counts), "{}", report.report());
    assert_eq!((code(&report), code(&warned(&["--fail-on", "warn"]))), (0, 1));
    assert_eq!(code(&audit(&["-f", "good.json", "--fail-on", "warn"])), 0);
    assert_eq!(code(&audit(&["-f", "no-such.yaml"])), 2);
}
