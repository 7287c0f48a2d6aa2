//! A real API server and the stock kubectl with the webhook in front: what people and machines write,
//! what is stored, and what they are told.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    clippy::format_collect,
    clippy::similar_names,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "apiserver/machines.rs"]
mod machines;
#[path = "apiserver/outage.rs"]
mod outage;
#[path = "apiserver/people.rs"]
mod people;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use support::control_plane::{ControlPlane, Options};
use support::wait::wait_until;
use support::webhook::Webhook;

/// The namespace in which raywarden makes the Pods; in every other one KubeRay does.
const STANDALONE: &str = "standalone";

/// One control plane with the webhook registered, for all tests of this file.
struct World {
    plane: ControlPlane,
    webhook: Webhook,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    let definitions = plane.kuberay().join("config/crd/bases");
    for kind in ["rayjobs", "rayservices", "raycronjobs"] {
        let file = definitions.join(format!("ray.io_{kind}.yaml")).display().to_string();
        plane.kubectl(&["create", "-f", &file]).ok();
        wait_until(Duration::from_secs(30), "the kind is served", || {
            plane.kubectl(&["get", kind]).status.success().then_some(())
        });
    }
    for namespace in [STANDALONE, "beside"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    let flags = ["--node-manager", "kuberay", "--node-manager-for", "standalone=raywarden"];
    let webhook = Webhook::start(&plane, &flags);
    webhook.register(&plane);
    World { plane, webhook }
});

impl World {
    /// A stored RayCluster.
    #[track_caller]
    fn cluster(&self, namespace: &str, name: &str) -> Value {
        self.plane.get_json(&["raycluster", name, "-n", namespace])
    }
}

/// A RayCluster of one group; `lines` are more lines of that group.
fn manifest(name: &str, namespace: &str, autoscaling: bool, group: &[&str]) -> String {
    let lines: String = group.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        r#"apiVersion: ray.io/v1
kind: RayCluster
metadata:
  name: {name}
  namespace: {namespace}
spec:
  rayVersion: "2.52.0"
  enableInTreeAutoscaling: {autoscaling}
  headGroupSpec:
    rayStartParams: {{}}
    template:
      spec:
        containers:
        - name: ray-head
          image: registry.example/ray:2.52.0
          resources: {{limits: {{cpu: "1", memory: 2Gi}}, requests: {{cpu: "1", memory: 2Gi}}}}
  workerGroupSpecs:
  - groupName: small
    rayStartParams: {{}}
{lines}    template:
      spec:
        containers:
        - name: ray-worker
          image: registry.example/ray:2.52.0
          resources: {{limits: {{cpu: "1", memory: 1Gi}}, requests: {{cpu: "1", memory: 1Gi}}}}
"#
    )
}

/// Generation and resource version: what moves when something was stored.
fn versions(cluster: &Value) -> (String, String) {
    let metadata = &cluster["metadata"];
    (metadata["generation"].to_string(), metadata["resourceVersion"].to_string())
}

/// Names of the head's containers.
fn containers(cluster: &Value) -> Vec<&str> {
    let list = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"].as_array();
    list.into_iter().flatten().filter_map(|container| container["name"].as_str()).collect()
}
