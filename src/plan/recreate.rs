//! The hash by which a controller knows that a cluster must be built anew.
//!
//! Input: a RayCluster, before or after injection. Output: a hash of its spec, the same for both.
//! What scaling, suspending, queues and we write leaves it as it is; so do the order of members and
//! what is empty, which an API server drops or keeps as it likes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::dialect::Dialect;
use crate::dialect::kuberay::{V2_VARIABLE, version_value};
use crate::inject::sidecar::{is_marked, log_mount, log_volume};
use crate::model::names::{SIDECAR, own_account};
use crate::model::template::text;
use crate::model::{Cluster, Container, Pointer};

/// Members of the spec that never change what runs.
const OF_SPEC: [&str; 3] = ["idleSuspend", "suspend", "upgradeStrategy"];

/// Members of a group that change how many run.
const OF_GROUP: [&str; 5] = ["maxReplicas", "minReplicas", "replicas", "scaleStrategy", "suspend"];

/// Members of a Pod's spec that Kueue writes.
const OF_POD: [&str; 2] = ["schedulingGates", "tolerations"];

/// The hash of a RayCluster's spec.
pub fn hash(object: &Value) -> String {
    Dialect::RayCluster.view(object).map(|cluster| of(&cluster)).unwrap_or_default()
}

/// The hash of a cluster's spec.
pub(super) fn of(cluster: &Cluster<'_>) -> String {
    let mut spec = cluster.spec.clone();
    remove(Some(&mut spec), &OF_SPEC);
    let groups = spec.get_mut("workerGroupSpecs").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten() {
        remove(Some(group), &OF_GROUP);
        remove(group.pointer_mut("/template/spec"), &OF_POD);
    }
    if let Some(head) = spec.get_mut("headGroupSpec") {
        remove(head.pointer_mut("/template/spec"), &OF_POD);
        strip(cluster, head);
    }
    let canonical = canonical(&spec).unwrap_or_default();
    format!("{:x}", Sha256::digest(canonical.to_string()))
}

fn remove(object: Option<&mut Value>, keys: &[&str]) {
    if let Some(map) = object.and_then(Value::as_object_mut) {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// Takes out what injection puts into a head.
fn strip(cluster: &Cluster<'_>, head: &mut Value) {
    if cluster.autoscaling && text(cluster.head_params().0, "no-monitor") == Some("true") {
        remove(head.get_mut("rayStartParams"), &["no-monitor"]);
    }
    let Some(pod) = head.pointer_mut("/template/spec") else { return };
    let version = text(cluster.options(), "version");
    if text(pod, "serviceAccountName") == Some(own_account(cluster.name).as_str()) {
        remove(Some(pod), &["serviceAccountName"]);
    }
    if version == Some("v2") && text(pod, "restartPolicy") == Some("Never") {
        remove(Some(pod), &["restartPolicy"]);
    }
    keep(pod.get_mut("containers"), |container| !is_ours(container));
    keep(pod.get_mut("volumes"), |volume| *volume != log_volume());
    if let Some(ray) = pod.pointer_mut("/containers/0") {
        keep(ray.get_mut("volumeMounts"), |mount| *mount != log_mount());
        let belongs = version_value(version);
        let variable = belongs.map(|value| json!({"name": V2_VARIABLE, "value": value}));
        keep(ray.get_mut("env"), |entry| Some(entry) != variable.as_ref());
    }
}

fn keep(entries: Option<&mut Value>, wanted: impl Fn(&Value) -> bool) {
    if let Some(entries) = entries.and_then(Value::as_array_mut) {
        entries.retain(wanted);
    }
}

fn is_ours(container: &Value) -> bool {
    text(container, "name") == Some(SIDECAR)
        && is_marked(&Container { at: Pointer::root(), raw: container })
}

/// The value with its members sorted and without what is empty; `None` where nothing is left.
fn canonical(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> =
                map.iter().filter_map(|(key, value)| Some((key, canonical(value)?))).collect();
            (!sorted.is_empty()).then(|| json!(sorted))
        }
        Value::Array(entries) if entries.is_empty() => None,
        Value::Array(entries) => {
            Some(entries.iter().map(|entry| canonical(entry).unwrap_or_default()).collect())
        }
        plain => Some(plain.clone()),
    }
}

#[cfg(test)]
mod tests;
