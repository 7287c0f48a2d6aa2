//! Variables of the container that runs Ray.
//!
//! Order and names are KubeRay's. Variables that Ray's autoscaler and the start command stand on
//! replace the user's; the others are set only where the user set none.

use serde_json::{Value, json};

use super::Node;
use crate::plan::object::{fill_env, put_env};

/// Puts the variables in; `line` is the plain `ray start` line.
pub(super) fn complete(node: &Node<'_>, line: &str, ray: &mut Value) {
    if !node.is_head {
        name_head(node, ray);
    }
    for (name, path) in [
        ("RAY_CLUSTER_NAME", "metadata.labels['ray.io/cluster']"),
        ("RAY_CLUSTER_NAMESPACE", "metadata.namespace"),
        ("RAY_CLOUD_INSTANCE_ID", "metadata.name"),
        ("RAY_NODE_TYPE_NAME", "metadata.labels['ray.io/group']"),
    ] {
        put_env(ray, json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    }
    put_env(ray, variable("KUBERAY_GEN_RAY_START_CMD", line));
    fill_env(ray, variable("RAY_PORT", node.plot.gcs_port()));
    if node.plot.is_of_service() {
        // A call to a node that is gone shall fail soon.
        fill_env(ray, variable("RAY_timeout_ms_task_wait_for_death_info", "0"));
        fill_env(ray, variable("RAY_gcs_server_request_timeout_seconds", "5"));
        fill_env(ray, variable("RAY_SERVE_KV_TIMEOUT_S", "5"));
    }
    fill_env(ray, variable("RAY_ADDRESS", &address(node)));
    fill_env(ray, variable("RAY_USAGE_STATS_KUBERAY_IN_USE", "1"));
    if node.is_head {
        put_env(ray, variable("RAY_USAGE_STATS_EXTRA_TAGS", "kuberay_crd=RayCluster"));
    }
    fill_env(ray, variable("RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE", "1"));
}

/// Tells a container where the head is.
pub(super) fn name_head(node: &Node<'_>, container: &mut Value) {
    let host = node.plot.head_host();
    let service = host.split('.').next().unwrap_or("");
    put_env(container, variable("FQ_RAY_IP", &host));
    put_env(container, variable("RAY_IP", service));
}

/// A variable with a plain value.
pub(super) fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// Where a driver in this container finds Ray.
fn address(node: &Node<'_>) -> String {
    let plot = node.plot;
    if node.is_head { format!("127.0.0.1:{}", plot.gcs_port()) } else { plot.gcs_address() }
}
