//! Pods as a node manager leaves them.

use serde_json::{Value, json};

use super::world::{Space, WORLD};

impl Space {
    /// A Pod of a cluster that runs and is ready at this address.
    #[track_caller]
    pub(crate) fn pod(&self, cluster: &Value, name: &str, group: &str, ip: &str) {
        let node_type = if group == "headgroup" { "head" } else { "worker" };
        let owner = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "controller": true,
            "name": cluster["metadata"]["name"], "uid": cluster["metadata"]["uid"]});
        let labels = json!({"ray.io/cluster": cluster["metadata"]["name"],
            "ray.io/node-type": node_type, "ray.io/group": group});
        self.placed(name, &labels, &owner, ip);
    }

    #[track_caller]
    pub(crate) fn placed(&self, name: &str, labels: &Value, owner: &Value, ip: &str) {
        self.create(
            "pods",
            &json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
                "spec": {"automountServiceAccountToken": false,
                         "containers": [{"name": "ray", "image": "rayproject/ray:2.60.0"}]}}),
        );
        let status = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True",
                            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }});
        let path = format!("/api/v1/namespaces/{}/pods/{name}/status", self.name);
        let kind = "application/strategic-merge-patch+json";
        WORLD.plane.request("PATCH", &path).body(kind, &status).send().ok();
    }
}
