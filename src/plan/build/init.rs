//! Init containers: the wait for the head, and what all of them are told.

use serde_json::{Value, json};

use super::command::SHELL;
use super::{Node, env};
use crate::model::template::{list, member, position};
use crate::plan::object::{append, set};

/// The init container of a worker that waits until Ray's GCS answers.
pub(super) const WAIT: &str = "wait-gcs-ready";

/// Puts the wait behind the user's own init containers. A worker that starts before its head is
/// restarted with growing delays otherwise.
pub(super) fn wait_for_gcs(node: &Node<'_>, spec: &mut Value) {
    // A second container of that name would have the whole Pod refused.
    if node.ray.is_null() || position(list(spec, "initContainers"), "name", WAIT).is_some() {
        return;
    }
    let size = json!({"cpu": "200m", "memory": "256Mi"});
    let mut container = json!({
        "name": WAIT,
        "command": SHELL,
        "args": [script(&node.plot.gcs_address())],
        "resources": {"limits": size, "requests": size},
    });
    // TLS is a matter of variables and the files that they name.
    for key in ["image", "imagePullPolicy", "env", "volumeMounts", "securityContext"] {
        if let Some(value) = member(node.ray, key) {
            set(&mut container, key, value.clone());
        }
    }
    append(spec, "initContainers", container);
}

/// Tells every init container where the head is: users make certificates there.
pub(super) fn name_head(node: &Node<'_>, spec: &mut Value) {
    let containers = spec.get_mut("initContainers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        env::name_head(node, container);
    }
}

/// Asks every five seconds; what Ray says is shown only once a head is overdue. The shell heeds
/// SIGTERM, which process 1 ignores by default.
fn script(address: &str) -> String {
    format!(
        "trap 'exit 143' TERM\n\
         ask() {{ ray health-check --address {address}; }}\n\
         while :; do\n  \
           if (( SECONDS < 120 )); then ask > /dev/null 2>&1 && break; else ask && break; fi\n  \
           echo \"no answer from {address} after $SECONDS s, next try in 5 s\"\n  \
           sleep 5\n\
         done\n\
         echo \"{address} answers after $SECONDS s\"\n"
    )
}
