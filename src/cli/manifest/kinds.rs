//! What a document is, by its `apiVersion` and `kind`.
//!
//! A slip in either must not turn a RayCluster into an object that nobody judges: near misses are
//! problems, not skipped objects.

use serde_json::Value;

use super::super::nearest::nearest;
use crate::admission::wire::group_version;
use crate::dialect;
use crate::policy;

/// What to do with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Judged.
    Ray,
    /// An admission request, judged as it is.
    Review,
    /// A policy of an administrator.
    Policy,
    /// Its items are objects.
    List,
    /// Counted.
    Other,
    /// No Kubernetes object at all: an error where the caller named the file.
    NoObject(String),
    /// Meant for us and out of reach, and what to do.
    Miss(String, String),
}

/// The kinds of `ray.io`.
fn ray_kinds() -> impl Iterator<Item = &'static str> {
    dialect::kinds().filter(|(group, ..)| *group == dialect::RAY).map(|(_, kind, ..)| kind)
}

/// Looks at an object.
pub(super) fn classify(value: &Value) -> Class {
    let Value::Object(object) = value else {
        return Class::NoObject(format!("{} is no Kubernetes object", noun(value)));
    };
    let field = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    if api_version.is_empty() || kind.is_empty() {
        return untyped(value, if kind.is_empty() { "kind" } else { "apiVersion" });
    }
    let (group, version) = group_version(api_version);
    if group == "admission.k8s.io" && kind == "AdmissionReview" {
        return Class::Review;
    }
    if kind.ends_with("List") && object.get("items").is_some_and(Value::is_array) {
        return Class::List;
    }
    if group == dialect::OURS && kind == policy::KIND {
        return Class::Policy;
    }
    if dialect::of(group, kind).is_some() {
        return known_version(group, version, kind);
    }
    near_miss(api_version, group, kind)
}

fn known_version(group: &str, version: &str, kind: &str) -> Class {
    let versions = dialect::versions(group);
    if versions.contains(&version) {
        return Class::Ray;
    }
    Class::Miss(
        format!("{group} has no version {version:?}, so no server takes this {kind}"),
        format!("apiVersion: {group}/{}", versions.first().unwrap_or(&"v1")),
    )
}

fn near_miss(api_version: &str, group: &str, kind: &str) -> Class {
    if group == dialect::RAY {
        let meant = nearest(kind, ray_kinds());
        return Class::Miss(
            format!("{api_version} has no kind {kind:?}"),
            format!("kind: {}", meant.first().copied().unwrap_or("RayCluster")),
        );
    }
    if ray_kinds().any(|known| known == kind) {
        return Class::Miss(
            format!("a {kind} of {api_version:?} is not one that raywarden knows"),
            format!("apiVersion: {}/v1", dialect::RAY),
        );
    }
    Class::Other
}

/// An object without type: a values file, a compose file, or a manifest that lost its head.
fn untyped(value: &Value, missing: &str) -> Class {
    let message = format!("no `{missing}`, so this is no Kubernetes object");
    let meant = |part: &str| value.pointer(part).is_some();
    if meant("/spec/headGroupSpec") || meant("/spec/workerGroupSpecs") {
        return Class::Miss(
            format!("{message}, though it has the spec of a RayCluster"),
            "begin it with `apiVersion: ray.io/v1` and `kind: RayCluster`".to_owned(),
        );
    }
    Class::NoObject(message)
}

fn noun(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a boolean",
        Value::Null => "null",
        Value::Object(_) => "an object",
    }
}
