//! The account of the controller, with the rights that it names and no others.

use std::path::PathBuf;

use raywarden::control::rights::NEEDED;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;

/// Where the Lease is kept, and the account that may.
pub(crate) const HOME: &str = "raywarden-system";
const ACCOUNT: &str = "raywarden-controller";

/// The user name of the account that [`account`] makes.
pub(crate) fn user() -> String {
    format!("system:serviceaccount:{HOME}:{ACCOUNT}")
}

/// Makes the account of a controller with the rights that it says it needs, the Lease's, and no
/// others; its kubeconfig. A right that is missing shows as a refusal that an admin never meets.
#[track_caller]
pub(crate) fn account(plane: &ControlPlane) -> PathBuf {
    let rules: Vec<Value> = NEEDED
        .iter()
        .map(|(group, resource, verbs)| {
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        })
        .collect();
    let api = "rbac.authorization.k8s.io";
    let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}]);
    let meta = json!({"name": ACCOUNT, "namespace": HOME});
    let role = |kind: &str, rules: Value| json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": meta, "rules": rules});
    let binding = |kind: &str, role: &str| {
        json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": meta, "subjects": subjects,
               "roleRef": {"apiGroup": api, "kind": role, "name": ACCOUNT}})
    };
    let lease = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                        "verbs": ["get", "create", "update", "patch"]}]);
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        role("ClusterRole", Value::Array(rules)),
        binding("ClusterRoleBinding", "ClusterRole"),
        role("Role", lease),
        binding("RoleBinding", "Role"),
    ];
    for object in objects {
        plane.apply_yaml(&object.to_string());
    }
    let token = plane.kubectl(&["create", "token", ACCOUNT, "-n", HOME]).ok();
    plane.write_kubeconfig(ACCOUNT, token.trim())
}

/// A kubeconfig whose only right is what `rules` say, in YAML, everywhere.
#[track_caller]
pub(crate) fn with_rights(plane: &ControlPlane, name: &str, rules: &str) -> PathBuf {
    plane.apply_yaml(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: default}}}}\n\
         ---\n{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {name}}}, \
         rules: {rules}}}\n---\n{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, \
         metadata: {{name: {name}}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, \
         name: {name}}}, subjects: [{{kind: ServiceAccount, name: {name}, namespace: default}}]}}\n"
    ));
    let token = plane.kubectl(&["create", "token", name]).ok();
    plane.write_kubeconfig(name, token.trim())
}
