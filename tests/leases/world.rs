//! What all tests of leases share.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::WORLD;
use super::space::{DOMINO, SOON, Space};
use super::support::account::{HOME, account};
use super::support::controller::Controller;
use super::support::request::Answer;
use super::support::wait::{wait_for, wait_until};
use super::support::webhook::Webhook;

/// The highest maximum that a person may write, and the highest count of Domino's.
const CAP: [&str; 4] = ["--max-replicas-cap", "20", "--scale-ceiling", "20"];

/// Users who may make leases everywhere; of these only `kim` may patch clusters, where a test says so.
const LESSEES: [&str; 2] = ["jo", "kim"];

pub(crate) struct World {
    _webhook: Webhook,
    controller: Controller,
}

pub(crate) static LEASES: LazyLock<World> = LazyLock::new(|| {
    let plane = &WORLD.plane;
    let file = |path: &str| format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    for path in [
        "deploy/crd/scalelease.yaml",
        "deploy/crd/scalelease-policy.yaml",
        "tests/data/domino/crd.yaml",
    ] {
        plane.kubectl(&["apply", "-f", &file(path)]).ok();
    }
    let subjects = LESSEES.map(|name| json!({"kind": "User", "name": name, "apiGroup": RBAC}));
    let rules =
        json!([{"apiGroups": ["raywarden.io"], "resources": ["scaleleases"], "verbs": ["*"]}]);
    let may_patch = json!([{"apiGroups": ["ray.io", "distributed-compute.dominodatalab.com"],
        "resources": ["rayclusters"], "verbs": ["get", "patch"]}]);
    for object in [
        json!({"apiVersion": RBAC_V1, "kind": "ClusterRole", "metadata": {"name": "lessee"}, "rules": rules}),
        json!({"apiVersion": RBAC_V1, "kind": "ClusterRole", "metadata": {"name": "patcher"}, "rules": may_patch}),
        json!({"apiVersion": RBAC_V1, "kind": "ClusterRoleBinding", "metadata": {"name": "lessee"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "lessee"}, "subjects": subjects}),
    ] {
        plane.apply_yaml(&object.to_string());
    }
    let flags = [&["--node-manager", "kuberay"][..], &CAP].concat();
    let webhook = Webhook::start(plane, &flags);
    webhook.register(plane);
    let kubeconfig = account(plane);
    let mut controller = Controller::begin(&kubeconfig, HOME, &flags);
    controller.wait_leads();
    wait_until(SOON, "the policy is in force", || {
        let space = "default";
        let path = format!("/apis/raywarden.io/v1alpha1/namespaces/{space}/scaleleases?dryRun=All");
        let answer = post_as("jo", &path, &lease("probe", "lab", 1, hour()));
        (answer.status == 403).then_some(())
    });
    World { _webhook: webhook, controller }
});

const RBAC: &str = "rbac.authorization.k8s.io";
const RBAC_V1: &str = "rbac.authorization.k8s.io/v1";
const JSON: &str = "application/json";

impl World {
    /// Everything the controller said.
    pub(crate) fn report(&self) -> String {
        self.controller.report()
    }
}

/// A namespace in which the controller looks after leases.
#[track_caller]
pub(crate) fn space(name: &str) -> Space {
    LazyLock::force(&LEASES);
    Space::new(name)
}

pub(crate) fn post_as(user: &str, path: &str, object: &Value) -> Answer {
    let request = WORLD.plane.request("POST", path).impersonating(user, &[]);
    request.body(JSON, object).send()
}

/// Lets `kim` patch clusters in a namespace; the binding's name.
#[track_caller]
pub(crate) fn let_kim_patch(space: &Space) {
    space.create(
        "rolebindings",
        &json!({
            "apiVersion": RBAC_V1, "kind": "RoleBinding", "metadata": {"name": "patcher"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "patcher"},
            "subjects": [{"kind": "User", "name": "kim", "apiGroup": RBAC}],
        }),
    );
    wait_until(SOON, "kim may patch", || {
        let asked =
            ["auth", "can-i", "patch", "rayclusters.ray.io", "--as", "kim", "-n", &space.name];
        WORLD.plane.kubectl(&asked).status.success().then_some(())
    });
}

pub(crate) const fn hour() -> Duration {
    Duration::from_hours(1)
}

/// A moment that is so far away.
pub(crate) fn after(time: Duration) -> String {
    (raywarden::clock::now() + time).to_string()
}

/// A lease of a cluster's only group.
pub(crate) fn lease(name: &str, cluster: &str, replicas: i64, lasts: Duration) -> Value {
    json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "ScaleLease", "metadata": {"name": name},
        "spec": {"cluster": {"name": cluster}, "replicas": replicas, "until": after(lasts)},
    })
}

/// The same for a cluster of Domino's.
pub(crate) fn domino_lease(name: &str, cluster: &str, replicas: i64, lasts: Duration) -> Value {
    let mut lease = lease(name, cluster, replicas, lasts);
    lease["spec"]["cluster"]["apiGroup"] = json!("distributed-compute.dominodatalab.com");
    lease
}

/// Waits for a lease to be in a phase for a reason; its message.
#[track_caller]
pub(crate) fn reaches(space: &Space, name: &str, phase: &str, reason: &str) -> String {
    let status = || space.find("scaleleases", name).map(|it| it["status"].clone());
    let is_it =
        |status: &Value| status["phase"] == phase && status["conditions"][0]["reason"] == reason;
    let there = wait_for(SOON, || status().filter(&is_it));
    let report = || format!("{phase} {reason}, not {:?}\n{}", status(), LEASES.report());
    let there = there.unwrap_or_else(|| panic!("{}", report()));
    there["message"].as_str().unwrap_or("").to_owned()
}

/// Replicas, minimum and maximum of a cluster's first group; -1 where absent.
#[track_caller]
pub(crate) fn counts(space: &Space, cluster: &str) -> (i64, i64, i64) {
    let group = &space.cluster(cluster)["spec"]["workerGroupSpecs"][0];
    let count = |key: &str| group[key].as_i64().unwrap_or(-1);
    (count("replicas"), count("minReplicas"), count("maxReplicas"))
}

/// Waits for the counts of a cluster.
#[track_caller]
pub(crate) fn counts_are(space: &Space, cluster: &str, wanted: (i64, i64, i64)) {
    let there = wait_for(SOON, || (counts(space, cluster) == wanted).then_some(()));
    assert!(there.is_some(), "{:?}, not {wanted:?}\n{}", counts(space, cluster), LEASES.report());
}

/// Sets a count of a cluster's first group, as anybody might.
#[track_caller]
pub(crate) fn set(space: &Space, cluster: &str, field: &str, count: i64) {
    let path = format!("/spec/workerGroupSpecs/0/{field}");
    space.json_patch(cluster, &json!([{"op": "add", "path": path, "value": count}]));
}

/// Replicas, minimum and maximum of a cluster of Domino's.
#[track_caller]
pub(crate) fn domino_counts(space: &Space, cluster: &str) -> (i64, i64, i64) {
    let object = space.find(DOMINO, cluster).expect("the cluster is there");
    let at = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(-1);
    (
        at("/spec/worker/replicas"),
        at("/spec/autoscaling/minReplicas"),
        at("/spec/autoscaling/maxReplicas"),
    )
}

/// A cluster of Domino's.
pub(crate) fn domino(name: &str, replicas: i64, scaling: &Value) -> Value {
    json!({
        "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
        "metadata": {"name": name},
        "spec": {
            "image": {"repository": "ray", "tag": "2.60.0"},
            "autoscaling": scaling, "worker": {"replicas": replicas},
        },
    })
}
