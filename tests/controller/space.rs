//! One namespace, and what a test does and sees in it.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{WORLD, Write};
use super::support::controller::Controller;
use super::support::wait::{wait_for, wait_until};

/// How long anything may take that the controller does at once.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// How long it is watched that nothing more happens.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);

/// The kind that stands for Domino's `rayclusters`.
pub(crate) const DOMINO: &str = "domino";

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json";

/// A namespace.
pub(crate) struct Space {
    pub(crate) name: String,
}

impl Space {
    /// Makes one, ready for Pods.
    #[track_caller]
    pub(crate) fn new(name: &str) -> Self {
        let space = Self { name: name.to_owned() };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let (code, answer) = WORLD.call("POST", "/api/v1/namespaces", JSON, &object);
        assert_eq!(code, 201, "{answer}");
        wait_until(SOON, "the default account", || space.find("serviceaccounts", "default"));
        space
    }

    /// A controller that makes nodes here and nowhere else.
    #[track_caller]
    pub(crate) fn controller(&self, flags: &[&str]) -> Controller {
        Controller::start(WORLD.plane.kubeconfig("admin"), &self.name, flags)
    }

    /// Where the objects of a kind are.
    pub(crate) fn path(&self, kind: &str) -> String {
        let group = match kind {
            "rayclusters" => "apis/ray.io/v1",
            "roles" | "rolebindings" => "apis/rbac.authorization.k8s.io/v1",
            "jobs" => "apis/batch/v1",
            "leases" => "apis/coordination.k8s.io/v1",
            "events" => "apis/events.k8s.io/v1",
            "scaleleases" => "apis/raywarden.io/v1alpha1",
            DOMINO => {
                let group = "distributed-compute.dominodatalab.com/v1alpha1";
                return format!("/apis/{group}/namespaces/{}/rayclusters", self.name);
            }
            _ => "api/v1",
        };
        format!("/{group}/namespaces/{}/{kind}", self.name)
    }

    /// An object; `None` where there is none.
    #[track_caller]
    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<Value> {
        let path = format!("{}/{name}", self.path(kind));
        let (code, object) = WORLD.call("GET", &path, JSON, &Value::Null);
        assert!([200, 404].contains(&code), "{object}");
        (code == 200).then_some(object)
    }

    /// All objects of a kind.
    #[track_caller]
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let (code, mut list) = WORLD.call("GET", &self.path(kind), JSON, &Value::Null);
        assert_eq!(code, 200, "{list}");
        serde_json::from_value(list["items"].take()).expect("a list")
    }

    /// Makes an object.
    #[track_caller]
    pub(crate) fn create(&self, kind: &str, object: &Value) -> Value {
        let (code, answer) = WORLD.call("POST", &self.path(kind), JSON, object);
        assert_eq!(code, 201, "{answer}");
        answer
    }

    /// Changes an object by a merge patch.
    #[track_caller]
    pub(crate) fn merge(&self, kind: &str, name: &str, patch: &Value) -> Value {
        let (code, answer) =
            WORLD.call("PATCH", &format!("{}/{name}", self.path(kind)), MERGE, patch);
        assert_eq!(code, 200, "{answer}");
        answer
    }

    /// Changes a cluster by a JSON patch.
    #[track_caller]
    pub(crate) fn json_patch(&self, cluster: &str, change: &Value) {
        let path = format!("{}/{cluster}", self.path("rayclusters"));
        let (code, answer) = WORLD.call("PATCH", &path, "application/json-patch+json", change);
        assert_eq!(code, 200, "{answer}");
    }

    /// Sets the replicas of a cluster's first group.
    #[track_caller]
    pub(crate) fn scale(&self, cluster: &str, replicas: u32) {
        let path = "/spec/workerGroupSpecs/0/replicas";
        self.json_patch(cluster, &json!([{"op": "add", "path": path, "value": replicas}]));
    }

    /// Sets the victims of a cluster's first group.
    #[track_caller]
    pub(crate) fn name_victims(&self, cluster: &str, victims: &[&str]) {
        let path = "/spec/workerGroupSpecs/0/scaleStrategy";
        let value = json!({"workersToDelete": victims});
        self.json_patch(cluster, &json!([{"op": "add", "path": path, "value": value}]));
    }

    /// Deletes an object in the background.
    #[track_caller]
    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let path = format!("{}/{name}", self.path(kind));
        let how = json!({"propagationPolicy": "Background"});
        let (code, answer) = WORLD.call("DELETE", &path, JSON, &how);
        assert!(code < 300, "{answer}");
    }

    /// A cluster as it is stored.
    #[track_caller]
    pub(crate) fn cluster(&self, name: &str) -> Value {
        self.find("rayclusters", name).expect("the cluster is there")
    }

    /// A condition of a cluster; null where there is none.
    pub(crate) fn condition(&self, cluster: &str, kind: &str) -> Value {
        let cluster = self.cluster(cluster);
        let all = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|it| it["type"] == kind).unwrap_or(Value::Null)
    }

    /// Waits for a condition to have this status, and gives it.
    #[track_caller]
    pub(crate) fn wait_condition(&self, cluster: &str, kind: &str, status: &str) -> Value {
        let what = format!("{kind} is {status}");
        wait_until(SOON, &what, || {
            let found = self.condition(cluster, kind);
            (found["status"] == status).then_some(found)
        })
    }

    /// Pods of a cluster that are not on their way out, of one type, by name.
    #[track_caller]
    pub(crate) fn pods(&self, cluster: &str, node_type: &str) -> Vec<Value> {
        let pods = self.list("pods").into_iter().filter(|pod| {
            let labels = &pod["metadata"]["labels"];
            labels["ray.io/cluster"] == cluster
                && labels["ray.io/node-type"] == node_type
                && pod["metadata"]["deletionTimestamp"].is_null()
        });
        pods.collect()
    }

    /// Names of [`Self::pods`], sorted.
    #[track_caller]
    pub(crate) fn names(&self, cluster: &str, node_type: &str) -> Vec<String> {
        let mut names: Vec<String> = self.pods(cluster, node_type).iter().map(name).collect();
        names.sort();
        names
    }

    /// Waits until a cluster has one head and so many workers, which stay so for a moment; the names of
    /// the workers.
    #[track_caller]
    pub(crate) fn settle(&self, cluster: &str, workers: usize) -> Vec<String> {
        let seen = || (self.names(cluster, "head").len(), self.names(cluster, "worker").len());
        let wanted = (1, workers);
        let there = wait_for(SOON, || (seen() == wanted).then_some(()));
        assert!(there.is_some(), "{cluster}: head and workers {:?}, wanted {wanted:?}", seen());
        self.stays(Duration::from_millis(400), "the number of Pods", || seen() == wanted);
        self.names(cluster, "worker")
    }

    /// Watches that something stays true.
    #[track_caller]
    pub(crate) fn stays(&self, time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
        let broken = wait_for(time, || (!holds()).then_some(()));
        assert!(broken.is_none(), "{what} did not stay in {}", self.name);
    }

    /// Marks a Pod as running, and ready or not.
    #[track_caller]
    pub(crate) fn run(&self, pod: &str, ready: bool) {
        let ready = if ready { "True" } else { "False" };
        self.pod_status(
            pod,
            &json!({
                "phase": "Running",
                "podIP": "10.0.0.7",
                "podIPs": [{"ip": "10.0.0.7"}],
                "conditions": [
                    {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"},
                ],
            }),
        );
    }

    /// Writes a Pod's status.
    #[track_caller]
    pub(crate) fn pod_status(&self, pod: &str, status: &Value) {
        let path = format!("{}/{pod}/status", self.path("pods"));
        let (code, answer) = WORLD.call("PATCH", &path, STRATEGIC, &json!({"status": status}));
        assert_eq!(code, 200, "{answer}");
    }

    /// Marks every Pod of a cluster as running and ready.
    #[track_caller]
    pub(crate) fn run_all(&self, cluster: &str) {
        for node_type in ["head", "worker"] {
            for pod in self.names(cluster, node_type) {
                self.run(&pod, true);
            }
        }
    }

    /// Notes of the Events of a reason.
    #[track_caller]
    pub(crate) fn notes(&self, reason: &str) -> Vec<String> {
        let events = self.list("events").into_iter().filter(|event| event["reason"] == reason);
        events.map(|event| event["note"].as_str().unwrap_or("").to_owned()).collect()
    }

    /// Waits for an Event of a reason whose note has these words.
    #[track_caller]
    pub(crate) fn told(&self, reason: &str, words: &str) {
        let found =
            wait_for(SOON, || self.notes(reason).iter().any(|it| it.contains(words)).then_some(()));
        assert!(found.is_some(), "{words:?} not in {:?}", self.notes(reason));
    }

    /// What the controller wrote here so far, but for Leases.
    pub(crate) fn writes(&self) -> Vec<Write> {
        WORLD.writes(&self.name)
    }
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or("").to_owned()
}

/// A RayCluster of one group, `small`, with room for ten replicas.
pub(crate) fn cluster(name: &str, replicas: u32) -> Value {
    let container = |name: &str| {
        let amounts = json!({"cpu": "1", "memory": "1Gi"});
        json!({
            "name": name, "image": "registry.example/ray:2.52.0",
            "resources": {"limits": amounts, "requests": amounts},
        })
    };
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": name},
        "spec": {
            "rayVersion": "2.52.0",
            "headGroupSpec": {
                "rayStartParams": {},
                "template": {"spec": {"containers": [container("ray-head")]}},
            },
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": replicas, "minReplicas": 0, "maxReplicas": 10,
                "rayStartParams": {},
                "template": {"spec": {"containers": [container("ray-worker")]}},
            }],
        },
    })
}

/// The same with autoscaling.
pub(crate) fn autoscaled(name: &str, replicas: u32) -> Value {
    let mut cluster = cluster(name, replicas);
    cluster["spec"]["enableInTreeAutoscaling"] = json!(true);
    cluster
}
