//! A stub of Domino's operator, of its autoscaler and of the kubelet: one cluster, step by step or by
//! itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{NAMESPACE, WORLD};

/// Looks after a cluster by itself, with a delay, until dropped.
pub(crate) struct Operator {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Operator {
    pub(crate) fn start(cluster: &str, delay: Duration) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (ends, name) = (Arc::clone(&stop), cluster.to_owned());
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(delay);
                reconcile(&name);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic in there has been printed already.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Brings `StatefulSet`s, Pods and status to what the cluster wants.
pub(crate) fn reconcile(cluster: &str) {
    let Some(object) = WORLD.find("rayclusters", cluster) else { return };
    nodes(&object, "head", 1);
    nodes(&object, "worker", object["spec"]["worker"]["replicas"].as_i64().unwrap_or(1));
    let selector = format!("app.kubernetes.io/instance={cluster}");
    let mut names: Vec<String> = WORLD
        .list("pods", &selector)
        .iter()
        .map(|pod| pod["metadata"]["name"].as_str().unwrap_or("").to_owned())
        .collect();
    names.sort();
    let status = json!({"status": {
        "clusterStatus": "Running", "nodes": names,
        "workerReplicas": object["spec"]["worker"]["replicas"],
        "workerSelector": format!("{selector},app.kubernetes.io/component=worker"),
    }});
    WORLD.merge("rayclusters", cluster, "/status", &status);
}

fn labels(cluster: &str, node: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "ray", "app.kubernetes.io/instance": cluster,
        "app.kubernetes.io/component": node,
        "app.kubernetes.io/managed-by": "distributed-compute-operator",
    })
}

/// One `StatefulSet` and its Pods.
pub(crate) fn nodes(object: &Value, node: &str, wanted: i64) {
    let cluster = object["metadata"]["name"].as_str().expect("a name");
    let set = set(object, node, wanted);
    let uid = set["metadata"]["uid"].as_str().expect("a UID").to_owned();
    let name = format!("{cluster}-ray-{node}");
    let selector =
        format!("app.kubernetes.io/instance={cluster},app.kubernetes.io/component={node}");
    for pod in WORLD.list("pods", &selector) {
        let pod_name = pod["metadata"]["name"].as_str().expect("a name");
        let ordinal = pod_name.rsplit('-').next().and_then(|it| it.parse::<i64>().ok());
        let leaves = pod["metadata"]["deletionTimestamp"].is_string();
        if leaves || ordinal.is_none_or(|ordinal| ordinal >= wanted) {
            WORLD.delete("pods", pod_name);
        }
    }
    for ordinal in 0..wanted {
        let pod = format!("{name}-{ordinal}");
        if WORLD.find("pods", &pod).is_none() {
            make_pod(cluster, node, &pod, &uid);
        }
        ready(&pod, true);
    }
    let status = json!({"status": {
        "observedGeneration": set["metadata"]["generation"],
        "replicas": wanted, "readyReplicas": wanted, "updatedReplicas": wanted,
    }});
    WORLD.merge("statefulsets", &name, "/status", &status);
}

fn set(object: &Value, node: &str, wanted: i64) -> Value {
    let cluster = object["metadata"]["name"].as_str().expect("a name");
    let name = format!("{cluster}-ray-{node}");
    let mut template = labels(cluster, node);
    for (key, value) in object["spec"][node]["labels"].as_object().into_iter().flatten() {
        template[key] = value.clone();
    }
    let spec = json!({
        "replicas": wanted, "serviceName": name, "selector": {"matchLabels": labels(cluster, node)},
        "template": {"metadata": {"labels": template},
                     "spec": {"containers": [{"name": "ray", "image": "ray"}]}},
    });
    if WORLD.find("statefulsets", &name).is_none() {
        let owner = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "name": cluster,
                           "uid": object["metadata"]["uid"], "controller": true});
        let metadata = json!({"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec});
        return WORLD.create("statefulsets", &set);
    }
    let change = json!({"spec": {"replicas": wanted, "template": spec["template"]}});
    WORLD.merge("statefulsets", &name, "", &change)
}

fn make_pod(cluster: &str, node: &str, name: &str, owner: &str) {
    let set = format!("{cluster}-ray-{node}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels(cluster, node),
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet",
                                          "name": set, "uid": owner, "controller": true}]},
        // On a node, so that a deletion takes its grace period.
        "spec": {"nodeName": "n1", "automountServiceAccountToken": false,
                 "containers": [{"name": "ray", "image": "ray"}]},
    });
    WORLD.create("pods", &pod);
}

/// Writes what the kubelet would.
pub(crate) fn ready(pod: &str, ready: bool) {
    let ready = if ready { "True" } else { "False" };
    let status = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
    }});
    WORLD.merge("pods", pod, "/status", &status);
}
