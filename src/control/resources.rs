//! The kinds that the controller reads and writes.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use crate::dialect::Dialect;
use crate::http::objects::resource;

/// RayClusters, in the version that is stored.
pub fn raycluster() -> ApiResource {
    resource(Dialect::RayCluster)
}

/// The resource of a kind that the controller makes.
pub(super) fn of(kind: &str) -> ApiResource {
    let (group, plural) = match kind {
        "ServiceAccount" => ("", "serviceaccounts"),
        "Role" => ("rbac.authorization.k8s.io", "roles"),
        "RoleBinding" => ("rbac.authorization.k8s.io", "rolebindings"),
        "Service" => ("", "services"),
        "Job" => ("batch", "jobs"),
        "Secret" => ("", "secrets"),
        _ => ("", "pods"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

/// Kinds other than Pods that the controller makes.
pub(super) const OWNED: [&str; 6] =
    ["ServiceAccount", "Role", "RoleBinding", "Service", "Secret", "Job"];

/// The objects of a kind in a namespace.
pub(super) fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &of(kind))
}

/// The object as JSON but for the bookkeeping of managers, which nobody here reads. Nothing is copied.
pub(super) fn into_json(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    let metadata = serde_json::to_value(object.metadata).unwrap_or(Value::Null);
    let mut json = match object.data {
        Value::Object(data) => data,
        _ => serde_json::Map::new(),
    };
    json.insert("metadata".to_owned(), metadata);
    if let Some(types) = object.types {
        json.insert("apiVersion".to_owned(), Value::String(types.api_version));
        json.insert("kind".to_owned(), Value::String(types.kind));
    }
    Value::Object(json)
}

/// The whole object as JSON.
pub(super) fn json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}
