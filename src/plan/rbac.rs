//! Account, Role and binding of a cluster's autoscaler, in standalone mode.
//!
//! All three are called `raywarden-<cluster>`, so that they never meet KubeRay's or a user's. The
//! Role is narrowed to the one cluster where RBAC can: a list of Pods cannot be. An account that the
//! user named is bound, never made or owned. What is ours and drifted is mended; what is not ours
//! is never touched, whatever its name.
//!
//! Source of the rules: the requests of Ray's autoscaler, which needs no more.

use serde_json::{Value, json};

use super::Action;
use super::object::owners;
use super::pod::{CREATED_BY, OURSELVES};
use super::step::step;
use crate::dialect::Dialect;
use crate::dialect::kuberay::managed_elsewhere;
use crate::model::Cluster;
use crate::model::names::{MAX_LABEL, own_account};

/// API versions and kinds of the three objects, in the order in which they are made.
pub const KINDS: [(&str, &str); 3] = [
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

/// The name of the three objects of a cluster; `None` where it needs none: no autoscaling, no UID
/// yet, on its way out, or run elsewhere.
pub fn name(cluster: &Value) -> Option<String> {
    let view = Dialect::RayCluster.view(cluster)?;
    wanted(&view).map(|_| own_account(view.name))
}

/// What is to be done about the three objects.
pub fn plan(cluster: &Value, existing: &[Value]) -> Vec<Action> {
    let Some(view) = Dialect::RayCluster.view(cluster) else { return Vec::new() };
    let Some(uid) = wanted(&view) else { return Vec::new() };
    let desired = desired(&view, uid);
    desired.into_iter().filter_map(|object| step(object, existing, uid)).collect()
}

/// The UID of a cluster whose autoscaler needs rights here.
fn wanted<'a>(cluster: &Cluster<'a>) -> Option<&'a str> {
    let text = |key: &str| cluster.metadata.get(key).and_then(Value::as_str);
    let leaving = text("deletionTimestamp").is_some();
    let runs_here = cluster.autoscaling && !leaving && !managed_elsewhere(cluster);
    text("uid").filter(|uid| runs_here && !uid.is_empty() && !cluster.name.is_empty())
}

fn desired(cluster: &Cluster<'_>, uid: &str) -> Vec<Value> {
    let own = own_account(cluster.name);
    let account = cluster.head_account().unwrap_or(&own);
    let namespace = cluster.metadata.get("namespace").and_then(Value::as_str).unwrap_or("");
    let mut labels = json!({"app.kubernetes.io/name": "kuberay", CREATED_BY: OURSELVES});
    if cluster.name.len() <= MAX_LABEL
        && let Some(labels) = labels.as_object_mut()
    {
        labels.insert("ray.io/cluster".to_owned(), json!(cluster.name));
    }
    let [service_account, role, binding] = KINDS;
    let object = |(api_version, kind): (&str, &str)| {
        json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": own,
                "namespace": namespace,
                "labels": labels,
                "ownerReferences": owners(cluster.name, uid),
            },
        })
    };
    let mut objects = Vec::new();
    if account == own {
        objects.push(object(service_account));
    }
    objects.push(with(object(role), &[("rules", rules(cluster.name))]));
    let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}]);
    objects.push(with(object(binding), &[("roleRef", role_ref(&own)), ("subjects", subjects)]));
    objects
}

fn with(mut object: Value, members: &[(&str, Value)]) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.extend(members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    }
    object
}

fn role_ref(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name})
}

/// What Ray's autoscaler asks for, and nothing else. Our own `ClusterRole` holds every one of these,
/// or the API server would not let us grant it.
pub fn rules(cluster: &str) -> Value {
    json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["pods/resize"], "verbs": ["patch"]},
        {
            "apiGroups": ["ray.io"],
            "resources": ["rayclusters"],
            "resourceNames": [cluster],
            "verbs": ["get", "patch"],
        },
    ])
}

#[cfg(test)]
mod tests;
