//! The container that runs Ray's autoscaler, derived from a cluster and the settings.
//!
//! The shape is KubeRay's (`BuildAutoscalerContainer`, `mergeAutoscalerOverrides`), so that a cluster
//! can pass from one node manager to the other. Lists that the stored template keeps as maps are
//! deduplicated by key, the last entry wins.

use serde_json::{Map, Value, json};

use super::carried;
use crate::dialect::kuberay::TokenAuth;
use crate::model::names::SIDECAR;
use crate::model::settings::SidecarSize;
use crate::model::template::{list, member, mount_at, text};
use crate::model::{Cluster, Container, Draft, Pointer, Settings};

/// The variable that marks the container as ours; the last of its list.
pub const MARK: &str = "RAYWARDEN_MANAGED";

/// The variable that holds the generated command; users may refer to it, not set it.
pub const START_COMMAND: &str = "KUBERAY_GEN_AUTOSCALER_START_CMD";

/// Where head and sidecar share Ray's session folder.
pub const LOG_PATH: &str = "/tmp/ray";

/// The volume at [`LOG_PATH`].
pub const LOG_VOLUME: &str = "ray-logs";

/// The line that runs Ray's autoscaler.
pub const COMMAND: &str = "ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) \
                           --cluster-namespace $(RAY_CLUSTER_NAMESPACE)";

/// Whether a container carries our mark.
pub fn is_marked(container: &Container<'_>) -> bool {
    container.env_value(MARK) == Some("true")
}

/// The mount of the log volume that we add.
pub fn log_mount() -> Value {
    json!({"name": LOG_VOLUME, "mountPath": LOG_PATH})
}

/// The log volume that we add.
pub fn log_volume() -> Value {
    json!({"name": LOG_VOLUME, "emptyDir": {}})
}

/// The sidecar of this cluster; `None` where no container runs Ray.
pub fn derive(settings: &Settings, cluster: &Cluster<'_>) -> Option<Value> {
    let ray = cluster.ray_container()?;
    let options = cluster.options();
    let carried = carried::of(cluster, &ray);
    let mut container = Map::new();
    container.insert("name".to_owned(), json!(SIDECAR));
    if let Some(image) = member(options, "image").or_else(|| member(ray.raw, "image")) {
        container.insert("image".to_owned(), image.clone());
    }
    let policy =
        member(options, "imagePullPolicy").cloned().unwrap_or_else(|| json!("IfNotPresent"));
    container.insert("imagePullPolicy".to_owned(), policy);
    let given =
        |key: &str| member(options, key).filter(|it| !it.as_array().is_some_and(Vec::is_empty));
    let command = given("command").cloned().unwrap_or_else(|| json!(["/bin/bash", "-c", "--"]));
    container.insert("command".to_owned(), command);
    let args = given("args").cloned().unwrap_or_else(|| json!([COMMAND]));
    container.insert("args".to_owned(), args);
    container.insert("env".to_owned(), Value::Array(env(cluster, &carried.env)));
    if let Some(sources) = given("envFrom") {
        container.insert("envFrom".to_owned(), sources.clone());
    }
    let size = completed(member(options, "resources"), &settings.sidecar);
    container.insert("resources".to_owned(), size);
    let mounts = mounts(options, &ray, &carried.mounts);
    container.insert("volumeMounts".to_owned(), Value::Array(mounts));
    let context = member(options, "securityContext").or_else(|| member(ray.raw, "securityContext"));
    if let Some(context) = context {
        container.insert("securityContext".to_owned(), context.clone());
    }
    Some(Value::Object(container))
}

/// The variables, in KubeRay's order: the start command refers to the first two, and Kubernetes
/// expands earlier ones only.
fn env(cluster: &Cluster<'_>, carried: &[Value]) -> Vec<Value> {
    let from_field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut env = vec![
        from_field("RAY_CLUSTER_NAME", "metadata.labels['ray.io/cluster']"),
        from_field("RAY_CLUSTER_NAMESPACE", "metadata.namespace"),
        from_field("RAY_HEAD_POD_NAME", "metadata.name"),
        json!({"name": "KUBERAY_CRD_VER", "value": "v1"}),
        json!({"name": START_COMMAND, "value": COMMAND}),
    ];
    env.extend(token_auth(cluster));
    env.extend(carried.iter().cloned());
    env.extend(list(cluster.options(), "env").iter().cloned());
    env.push(json!({"name": MARK, "value": "true"}));
    last_wins(env, "name")
}

/// Authentication that the spec switches on. A token of Kubernetes' own needs a volume, which the
/// Pod builder adds; under `generateName` the Secret has no name yet, and the builder adds both.
fn token_auth(cluster: &Cluster<'_>) -> Vec<Value> {
    match TokenAuth::of(cluster) {
        Some(auth @ TokenAuth::Secret { .. }) => auth.env(),
        Some(TokenAuth::Kubernetes) | None => Vec::new(),
    }
}

fn mounts(options: &Value, ray: &Container<'_>, carried: &[Value]) -> Vec<Value> {
    let mut mounts: Vec<Value> = list(options, "volumeMounts").to_vec();
    let has = |mounts: &[Value], mount: &Value| {
        text(mount, "mountPath").is_some_and(|path| mount_at(mounts, path).is_some())
    };
    for mount in carried {
        if !has(&mounts, mount) {
            mounts.push(mount.clone());
        }
    }
    if mount_at(&mounts, LOG_PATH).is_none() {
        mounts.push(ray.mount_at(LOG_PATH).map_or_else(log_mount, |(_, mount)| mount.clone()));
    }
    last_wins(mounts, "mountPath")
}

/// Keeps the last entry of each key, at the place of the first.
fn last_wins(entries: Vec<Value>, key: &str) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::with_capacity(entries.len());
    for entry in entries {
        let twin = text(&entry, key)
            .and_then(|name| kept.iter().position(|other| text(other, key) == Some(name)));
        match twin.and_then(|index| kept.get_mut(index)) {
            Some(slot) => *slot = entry,
            None => kept.push(entry),
        }
    }
    kept
}

/// A block of resources with CPU and memory in both halves: a missing request is the limit, a
/// missing limit the request, and the default where both are missing. Nothing given is respelled.
pub fn completed(given: Option<&Value>, size: &SidecarSize) -> Value {
    let empty = json!({});
    let mut draft = Draft::new(given.filter(|block| block.is_object()).unwrap_or(&empty));
    for (half, key, value) in missing(given, size) {
        draft.set(&Pointer::of([half, key]), value);
    }
    draft.into_value()
}

/// What a block of resources lacks: half, key, value.
pub(super) fn missing(
    given: Option<&Value>,
    size: &SidecarSize,
) -> Vec<(&'static str, &'static str, Value)> {
    let stands = |half: &str, key: &str| {
        given.and_then(|block| block.get(half)).and_then(|half| member(half, key)).cloned()
    };
    let mut lacking = Vec::new();
    for (half, other) in [("limits", "requests"), ("requests", "limits")] {
        for (key, default) in [("cpu", &size.cpu), ("memory", &size.memory)] {
            if stands(half, key).is_none() {
                let value = stands(other, key).unwrap_or_else(|| json!(default));
                lacking.push((half, key, value));
            }
        }
    }
    lacking
}
