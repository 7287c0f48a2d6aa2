//! Webhook and controller in one process, and the way out of it: `raywarden serve --with-controller`
//! and `raywarden handover` against a real API server.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::control_plane::{ControlPlane, Options};
use support::run::{Ran, run};
use support::wait::wait_until;
use support::webhook::{Webhook, raywarden};

const SOON: Duration = Duration::from_secs(30);

const CLUSTER: &str = r#"
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: lab, namespace: team-a}
spec:
  rayVersion: "2.60.0"
  enableInTreeAutoscaling: true
  headGroupSpec:
    rayStartParams: {num-cpus: "0"}
    template: {spec: {containers: [{name: ray-head, image: "ray:2.60.0", resources: {limits: {cpu: 1, memory: 2Gi}}}]}}
  workerGroupSpecs:
  - groupName: pool
    replicas: 1
    minReplicas: 1
    maxReplicas: 3
    rayStartParams: {}
    template: {spec: {containers: [{name: ray-worker, image: "ray:2.60.0", resources: {limits: {cpu: 1, memory: 1Gi}}}]}}
"#;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect()
}

fn stored_containers(plane: &ControlPlane) -> Vec<String> {
    let cluster = plane.get_json(&["rayclusters.ray.io", "lab", "-n", "team-a"]);
    let spec = &cluster["spec"]["headGroupSpec"]["template"]["spec"];
    names(&spec["containers"]).into_iter().map(str::to_owned).collect()
}

fn handover(plane: &ControlPlane, arguments: &[&str]) -> Ran {
    let mut command = raywarden();
    command.arg("handover").args(arguments).arg("--kubeconfig").arg(plane.kubeconfig("admin"));
    run(command, "", SOON)
}

fn pods(plane: &ControlPlane) -> Vec<Value> {
    let list = plane.get_json(&["pods", "-n", "team-a", "-l", "ray.io/cluster=lab"]);
    list["items"].as_array().expect("a list").clone()
}

/// The autoscaler's own account asks for more than the maximum; nobody reads what it is told.
#[track_caller]
fn a_clamp_is_noted_in_the_report(plane: &ControlPlane) {
    let report = || {
        let got = plane.kubectl(&["get", "rcr", "lab", "-n", "team-a", "-o", "json"]);
        serde_json::from_str::<Value>(&got.stdout).unwrap_or_default()
    };
    wait_until(SOON, "there is a report", || report()["report"].is_object().then_some(()));
    let account = "system:serviceaccount:team-a:raywarden-lab";
    let asks = |replicas: u32, flags: &[&str]| {
        let count = "/spec/workerGroupSpecs/0/replicas";
        let change = format!(r#"[{{"op": "replace", "path": "{count}", "value": {replicas}}}]"#);
        let patch =
            ["patch", "rayclusters.ray.io", "lab", "-n", "team-a", "--type=json", "-p", &change];
        plane.kubectl(&[&patch[..], &[&format!("--as={account}")], flags].concat()).ok();
    };
    asks(8, &["--dry-run=server"]);
    asks(9, &[]);
    let noted = wait_until(SOON, "the clamp is noted", || {
        Some(report()["clamps"]["pool"].clone()).filter(Value::is_object)
    });
    assert_eq!((&noted["asked"], &noted["allowed"]), (&9.into(), &3.into()), "{noted}");
    assert_eq!(noted["by"], account);
    asks(2, &[]);
    let stored = plane.get_json(&["rayclusters.ray.io", "lab", "-n", "team-a"]);
    assert_eq!(stored["spec"]["workerGroupSpecs"][0]["replicas"], 2);
    assert_eq!(report()["clamps"]["pool"], noted, "what is within bounds is no clamp");
}

/// Events of a reason, once there is one: what each is about, and its note.
#[track_caller]
fn events(plane: &ControlPlane, reason: &str) -> Vec<(Value, Value)> {
    let reason = format!("reason={reason}");
    wait_until(SOON, &reason, || {
        let asked = ["events.events.k8s.io", "-n", "team-a", "--field-selector", &reason];
        let list = plane.get_json(&asked);
        let events = list["items"].as_array()?.iter();
        let told = events.map(|it| (it["regarding"]["name"].clone(), it["note"].clone()));
        Some(told.collect::<Vec<_>>()).filter(|told| !told.is_empty())
    })
}

#[track_caller]
fn a_parent_is_told_of_a_child_that_was_denied(plane: &ControlPlane) {
    let owner = "[{apiVersion: ray.io/v1, kind: RayJob, name: nightly, controller: true, \
                 uid: 00000000-0000-0000-0000-000000000002}]";
    let child = CLUSTER
        .replace("{name: lab,", &format!("{{name: child, ownerReferences: {owner},"))
        .replace("minReplicas: 1", "minReplicas: 9");
    for flags in [&["--dry-run=server"][..], &[]] {
        let create = [&["create", "-f", "-"][..], flags].concat();
        assert!(!plane.kubectl_with("admin", &create, &child).status.success());
    }
    let told = events(plane, "RayClusterRefused");
    let (about, note) = &told[0];
    assert_eq!((told.len(), about), (1, &"nightly".into()), "{told:?}");
    assert!(note.as_str().is_some_and(|note| note.contains("maxReplicas is 3")), "{note}");
}

#[track_caller]
fn what_passes_admission_by_the_scale_subresource_is_taken_back(plane: &ControlPlane) {
    let group = "distributed-compute.dominodatalab.com";
    let kind = format!("rayclusters.{group}");
    plane.apply_yaml(&format!(
        "{{apiVersion: {group}/v1alpha1, kind: RayCluster, metadata: {{name: ray-1, namespace: team-a}}, \
         spec: {{worker: {{replicas: 2}}, autoscaling: {{minReplicas: 1, maxReplicas: 5}}}}}}"
    ));
    let scale = |to: &str| {
        let asked = ["scale", &kind, "ray-1", "-n", "team-a", &format!("--replicas={to}")];
        plane.kubectl(&asked).ok();
    };
    let replicas =
        || plane.get_json(&[&kind, "ray-1", "-n", "team-a"])["spec"]["worker"]["replicas"].clone();
    scale("50");
    wait_until(SOON, "the count is taken back", || (replicas() == 5).then_some(()));
    let told = events(plane, "ReplicasAboveMax");
    assert!(told[0].1.as_str().is_some_and(|note| note.contains("was 50")), "{told:?}");
    scale("0");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(replicas(), 0, "zero suspends the cluster");
}

#[test]
fn one_process_injects_and_makes_the_pods_and_hands_the_cluster_over_without_losing_one() {
    let plane = ControlPlane::start(Options {
        crd: Some("kuberay".to_owned()),
        controller_manager: true,
        ..Options::default()
    });
    for namespace in ["team-a", "raywarden-system"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd/rayclusterreport.yaml");
    plane.kubectl(&["create", "-f", definition]).ok();
    let domino = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/domino/crd.yaml");
    plane.kubectl(&["create", "-f", domino]).ok();
    let kubeconfig = plane.kubeconfig("admin").display().to_string();
    let controller = ["--with-controller", "--kubeconfig", &kubeconfig];
    let flags =
        [&controller[..], &["--node-manager", "raywarden", "--lease-duration", "4s"]].concat();
    let mut webhook = Webhook::start(&plane, &flags);
    webhook.register(&plane);
    let ready = webhook.request("GET", "/readyz?verbose").send();
    for check in ["certificate", "rights", "watches", "leader"] {
        assert!(ready.body.contains(check), "{}", ready.body);
    }

    plane.apply_yaml(CLUSTER);
    assert_eq!(stored_containers(&plane), ["ray-head", "autoscaler"]);
    wait_until(SOON, "head and worker are made", || (pods(&plane).len() == 2).then_some(()));
    a_clamp_is_noted_in_the_report(&plane);
    a_parent_is_told_of_a_child_that_was_denied(&plane);
    what_passes_admission_by_the_scale_subresource_is_taken_back(&plane);
    wait_until(SOON, "three workers are made", || (pods(&plane).len() == 4).then_some(()));
    let before: Vec<Value> =
        pods(&plane).iter().map(|pod| pod["metadata"]["uid"].clone()).collect();
    let head = pods(&plane)
        .into_iter()
        .find(|pod| pod["metadata"]["labels"]["ray.io/node-type"] == "head");
    let head = head.expect("a head");
    assert_eq!(names(&head["spec"]["containers"]), ["ray-head", "autoscaler"]);
    assert_eq!(head["spec"]["serviceAccountName"], "raywarden-lab");

    let kept = handover(&plane, &["--to", "kuberay", "-n", "team-a", "lab"]);
    assert_eq!(kept.status.code(), Some(1), "{}", kept.stdout);
    assert!(kept.stdout.contains("--node-manager kuberay"), "{}", kept.stdout);
    assert_eq!(stored_containers(&plane), ["ray-head", "autoscaler"]);

    webhook.stop();
    Webhook::unregister(&plane);
    let beside = Webhook::start(&plane, &["--node-manager", "kuberay"]);
    beside.register(&plane);
    let dry = handover(&plane, &["--to", "kuberay", "--all", "--dry-run"]).ok();
    assert!(dry.contains("team-a/lab: would be handed over"), "{dry}");
    let done = handover(&plane, &["--to", "kuberay", "--all"]).ok();
    assert!(done.contains("team-a/lab: handed over to kuberay"), "{done}");
    assert_eq!(stored_containers(&plane), ["ray-head"]);
    let after: Vec<Value> = pods(&plane).iter().map(|pod| pod["metadata"]["uid"].clone()).collect();
    assert_eq!(before, after, "no Pod is touched");
    let again = handover(&plane, &["--to", "kuberay", "--all"]).ok();
    assert!(again.contains("nothing to do"), "{again}");
}
