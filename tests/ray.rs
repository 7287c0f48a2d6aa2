//! Real Ray on a real API server. The Pods of this file are made by hand, the way a controller makes
//! them; those of its modules by `raywarden controller`.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "ray/followed.rs"]
mod followed;
#[path = "ray/leading.rs"]
mod leading;
#[path = "ray/report.rs"]
mod report;
#[path = "ray/rights.rs"]
mod rights;
#[path = "ray/scaling.rs"]
mod scaling;
#[path = "ray/world.rs"]
mod world;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use support::control_plane::{ControlPlane, Options};
use support::process::signal;
use support::ray::RayLab;
use support::wait::wait_for;

const NAMESPACE: &str = "ray";
const SOON: Duration = Duration::from_mins(1);

/// Ray runs for one test at a time: a head takes more than a gigabyte, a worker half of one.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn pods_become_ray_nodes_and_the_real_autoscaler_asks_for_more() {
    let _turn = turn();
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    plane.kubectl(&["create", "namespace", NAMESPACE]).ok();
    let lab = RayLab::start(&plane, NAMESPACE);
    for (cluster, version, proof) in
        [("second", "1", "instance_manager.py"), ("first", "0", "StandardAutoscaler")]
    {
        scales_up(&plane, &lab, cluster, version, proof);
    }
}

/// `proof` is what only that version of the autoscaler writes to its log.
fn scales_up(plane: &ControlPlane, lab: &RayLab, cluster: &str, version: &str, proof: &str) {
    let (head, worker) = (format!("{cluster}-head"), format!("{cluster}-worker"));
    plane.apply_yaml(&raycluster(cluster));
    plane.apply_yaml(&account(cluster));
    let ports = "--dashboard-host=0.0.0.0 --metrics-export-port=8080";
    let start = format!("ray start --head --block --no-monitor --num-cpus=0 {ports}");
    let sidecar = autoscaler_container();
    plane.apply_yaml(&pod(&head, cluster, "head", "headgroup", &start, version, &sidecar));
    let start = format!("ray start --address={cluster}-svc:6379 --block --num-cpus=1");
    plane.apply_yaml(&pod(&worker, cluster, "worker", "small", &start, version, ""));

    lab.wait_alive(&head, &worker, SOON);
    for name in [&head, &worker] {
        let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "-n", NAMESPACE, "pod", name];
        plane.kubectl(&wait).ok();
        let stored = plane.get_json(&["pod", name, "-n", NAMESPACE]);
        assert_eq!(stored["status"]["phase"], "Running", "{stored}");
        assert_eq!(stored["status"]["podIP"], lab.file(name, "ip").as_str(), "{stored}");
    }

    lab.request_cpus(&head, 3);
    let asked = wait_for(SOON, || {
        let stored = plane.get_json(&["raycluster", cluster, "-n", NAMESPACE]);
        (stored["spec"]["workerGroupSpecs"][0]["replicas"] == 3).then_some(())
    });
    assert!(asked.is_some(), "no PATCH: {}", lab.report(&head));
    let log = lab.autoscaler_log(&head);
    assert!(log.contains(proof), "{proof} is not in {log}");
    lab.clear_demand(&head);

    // A raylet that dies ends its container; the Pod's policy decides what follows.
    let raylet = lab.pid(&worker, "raylet").expect("the worker is up");
    signal(raylet, "KILL");
    let failed = ["wait", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s"];
    plane.kubectl(&[&failed[..], &["-n", NAMESPACE, "pod", &worker]].concat()).ok();

    let first = lab.pid(&head, "start").expect("the head runs");
    let scaler = lab.pid(&head, "autoscaler").expect("the autoscaler runs");
    if version == "1" {
        plane.kubectl(&["delete", "pod", "-n", NAMESPACE, &head, &worker, "--wait=false"]).ok();
    } else {
        // The last one: whatever ends the runner takes everything with it.
        signal(lab.id(), "KILL");
    }
    for pid in [first, scaler] {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let ended = wait_for(SOON, || (!process.exists()).then_some(()));
        assert!(ended.is_some(), "{pid} of {head} runs on: {}", lab.report(&head));
    }
}

fn raycluster(name: &str) -> String {
    let template = |container: &str| {
        format!(
            "{{spec: {{containers: [{{name: {container}, image: ray, \
             resources: {{limits: {{cpu: '1', memory: 1G}}}}}}]}}}}"
        )
    };
    format!(
        "
apiVersion: ray.io/v1
kind: RayCluster
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  enableInTreeAutoscaling: true
  headGroupSpec:
    rayStartParams: {{num-cpus: '0'}}
    template: {}
  workerGroupSpecs:
  - groupName: small
    replicas: 1
    minReplicas: 0
    maxReplicas: 4
    rayStartParams: {{num-cpus: '1'}}
    template: {}
",
        template("ray-head"),
        template("ray-worker")
    )
}

/// The rights that the autoscaler gets, no more.
fn account(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {NAMESPACE}}}
rules:
- {{apiGroups: [''], resources: [pods], verbs: [get, list, watch]}}
- {{apiGroups: [ray.io], resources: [rayclusters], verbs: [get, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: {NAMESPACE}}}]
"
    )
}

fn pod(
    name: &str,
    cluster: &str,
    kind: &str,
    group: &str,
    start: &str,
    version: &str,
    sidecar: &str,
) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {NAMESPACE}
  labels: {{ray.io/cluster: {cluster}, ray.io/node-type: {kind}, ray.io/group: {group}}}
spec:
  serviceAccountName: {cluster}
  restartPolicy: Never
  containers:
  - name: ray-{kind}
    image: ray
    command: [/bin/bash, -c, --]
    args: ['ulimit -n 4096; exec {start}']
    env:
    - name: RAY_CLOUD_INSTANCE_ID
      valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}
    - name: RAY_NODE_TYPE_NAME
      valueFrom: {{fieldRef: {{fieldPath: \"metadata.labels['ray.io/group']\"}}}}
    - {{name: RAY_enable_autoscaler_v2, value: '{version}'}}
{sidecar}"
    )
}

/// As KubeRay writes it.
fn autoscaler_container() -> String {
    "  - name: autoscaler
    image: ray
    command: [/bin/bash, -c, --]
    args: [ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) --cluster-namespace $(RAY_CLUSTER_NAMESPACE)]
    env:
    - name: RAY_CLUSTER_NAME
      valueFrom: {fieldRef: {fieldPath: \"metadata.labels['ray.io/cluster']\"}}
    - name: RAY_CLUSTER_NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    - name: RAY_HEAD_POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    - {name: KUBERAY_CRD_VER, value: v1}
"
    .to_owned()
}
