//! `raywarden controller` while its API server ends and starts again, and `--node-manager auto`: each
//! on a control plane of its own, because what happens to it would meet other tests.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "restart/auto.rs"]
mod auto;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use support::control_plane::{ControlPlane, Options};
use support::controller::Controller;
use support::wait::{wait_for, wait_until};

pub(crate) const SOON: Duration = Duration::from_secs(40);

/// A RayCluster `lab` of one group with room for a hundred.
pub(crate) fn cluster(namespace: &str, replicas: u32) -> String {
    format!(
        r#"
apiVersion: ray.io/v1
kind: RayCluster
metadata: {{name: lab, namespace: {namespace}}}
spec:
  rayVersion: "2.60.0"
  enableInTreeAutoscaling: true
  headGroupSpec:
    rayStartParams: {{}}
    template: {{spec: {{containers: [{{name: ray-head, image: "ray:2.60.0", resources: {{limits: {{cpu: 1, memory: 2Gi}}}}}}]}}}}
  workerGroupSpecs:
  - groupName: pool
    replicas: {replicas}
    minReplicas: 0
    maxReplicas: 100
    rayStartParams: {{}}
    template: {{spec: {{containers: [{{name: ray-worker, image: "ray:2.60.0", resources: {{limits: {{cpu: 1, memory: 1Gi}}}}}}]}}}}
"#
    )
}

pub(crate) fn scale(plane: &ControlPlane, namespace: &str, replicas: u32) {
    let count = "/spec/workerGroupSpecs/0/replicas";
    let change = format!(r#"[{{"op": "replace", "path": "{count}", "value": {replicas}}}]"#);
    plane
        .kubectl(&["patch", "raycluster", "lab", "-n", namespace, "--type=json", "-p", &change])
        .ok();
}

/// UIDs of all Ray Pods of a namespace; `None` while the API server does not say.
pub(crate) fn pods(plane: &ControlPlane, namespace: &str) -> Option<BTreeSet<String>> {
    let got =
        plane.kubectl(&["get", "pods", "-n", namespace, "-l", "ray.io/cluster", "-o", "json"]);
    let list: Value = serde_json::from_str(&got.stdout).ok()?;
    let pods = list["items"].as_array()?.iter();
    Some(pods.map(|pod| pod["metadata"]["uid"].to_string()).collect())
}

#[track_caller]
pub(crate) fn wait_pods(plane: &ControlPlane, namespace: &str, count: usize) -> BTreeSet<String> {
    let found = wait_for(SOON, || pods(plane, namespace).filter(|pods| pods.len() == count));
    found.unwrap_or_else(|| panic!("never {count}: {:?}", pods(plane, namespace)))
}

pub(crate) fn namespaces(plane: &ControlPlane, names: &[&str]) {
    for name in names {
        plane.kubectl(&["create", "namespace", name]).ok();
        let account = ["get", "serviceaccount", "default", "-n", name];
        wait_until(SOON, "the default account", || {
            plane.kubectl(&account).status.success().then_some(())
        });
    }
}

#[test]
fn an_api_server_that_restarts_loses_no_pod_and_doubles_none() {
    let plane = ControlPlane::start(Options {
        crd: Some("kuberay".to_owned()),
        controller_manager: true,
        ..Options::default()
    });
    namespaces(&plane, &["team-a"]);
    let controller = Controller::start(plane.kubeconfig("admin"), "team-a", &[]);
    plane.apply_yaml(&cluster("team-a", 3));
    let four = wait_pods(&plane, "team-a", 4);

    plane.restart_api_server();
    assert_eq!(wait_pods(&plane, "team-a", 4), four);
    scale(&plane, "team-a", 5);
    let six = wait_pods(&plane, "team-a", 6);
    assert!(six.is_superset(&four), "{}", controller.report());

    // In the middle of filling.
    scale(&plane, "team-a", 30);
    wait_until(SOON, "some more", || {
        pods(&plane, "team-a").filter(|pods| pods.len() > 6).map(drop)
    });
    plane.restart_api_server();
    let all = wait_pods(&plane, "team-a", 31);
    assert!(all.is_superset(&six), "{}", controller.report());
    let more =
        wait_for(Duration::from_secs(3), || pods(&plane, "team-a").filter(|pods| *pods != all));
    assert_eq!(more, None, "{}", controller.report());
}
