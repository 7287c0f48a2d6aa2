//! KubeRay's own samples, read from the module cache, and a small cluster of ours.

use serde_json::{Value, json};

use super::control_plane::ControlPlane;

/// A sample: the file it comes from, and the object as kubectl would send it.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) object: Value,
}

/// Every RayCluster among the samples of the pinned KubeRay.
pub(crate) fn samples(plane: &ControlPlane) -> Vec<Sample> {
    let folder = plane.kuberay().join("config/samples");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the module holds samples")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a sample can be read");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("a sample is YAML");
        let clusters = documents.into_iter().filter(|document| document["kind"] == "RayCluster");
        for object in clusters {
            let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.push(Sample { name: file, object });
        }
    }
    assert!(found.len() >= 35, "only {} samples", found.len());
    found
}

/// A cluster of one group of two to `max` workers, `replicas` of them wanted: its bounds contradict each
/// other where `max` is below 2.
pub(crate) fn bounded(namespace: &str, name: &str, replicas: i64, max: i64) -> Value {
    let container = json!({"name": "ray", "image": "x", "resources": {"limits": {"cpu": "1"}}});
    let template = json!({"spec": {"containers": [container]}});
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "headGroupSpec": {"rayStartParams": {}, "template": template},
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": replicas, "minReplicas": 2, "maxReplicas": max,
                "rayStartParams": {}, "template": template,
            }],
        },
    })
}
