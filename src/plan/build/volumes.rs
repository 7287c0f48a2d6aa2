//! The volume of Ray's object store: shared memory as large as the container's own.

use serde_json::{Value, json};

use super::Node;
use crate::model::template::{list, member, mount_at, position};
use crate::plan::object::append;

const VOLUME: &str = "shared-mem";
const PATH: &str = "/dev/shm";

/// Mounts memory where Ray keeps its objects, unless the user did or keeps them elsewhere: a
/// container's own share is 64 MiB, and Ray falls back to disk.
pub(super) fn share_memory(node: &Node<'_>, ray: &mut Value, spec: &mut Value) {
    let elsewhere = node.params.contains_key("plasma-directory");
    if elsewhere || mount_at(list(ray, "volumeMounts"), PATH).is_some() {
        return;
    }
    if position(list(spec, "volumes"), "name", VOLUME).is_none() {
        let mut source = json!({"medium": "Memory"});
        if let Some(source) = source.as_object_mut() {
            source.extend(memory(ray).map(|amount| ("sizeLimit".to_owned(), amount.clone())));
        }
        append(spec, "volumes", json!({"name": VOLUME, "emptyDir": source}));
    }
    append(ray, "volumeMounts", json!({"name": VOLUME, "mountPath": PATH}));
}

/// The container's memory: its limit, or else its request.
fn memory(ray: &Value) -> Option<&Value> {
    let resources = member(ray, "resources")?;
    let of = |half: &str| member(resources, half).and_then(|half| member(half, "memory"));
    of("limits").or_else(|| of("requests"))
}
