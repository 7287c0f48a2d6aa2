//! What the API server's structural schema would say about a RayCluster, offline.
//!
//! [`check()`] judges a document as the pinned KubeRay CRD does: unknown fields warn with the name that
//! was probably meant, wrong types, values, missing fields and doubled list entries are refused at
//! the path where the server refuses them. [`crd()`] is the same schema as a
//! `CustomResourceDefinition` for clusters that have none.
//!
//! Inputs and outputs are values; the schema is part of the program and is read on first use.
//! `check` is total: it reads any JSON, goes no deeper than the schema, and never denies what the
//! schema leaves open.

mod check;
mod crd;
mod definition;
mod fault;
mod lexical;
mod nearest;
mod own;
mod place;

use serde_json::Value;

pub use crd::{crd, crd_yaml, structural, yaml};
pub use own::{Own, column, members};

use crate::model::Finding;
use check::Check;
use definition::Definitions;

/// Judges a whole object of a `ray.io` kind: a RayCluster, or a RayJob, RayService or RayCronJob with
/// the RayCluster spec that it embeds. Findings carry paths in that object, in document order.
///
/// A document with very many faults gets the first 200. CEL rules other than lists of values are left
/// to the server.
///
/// `None` for a kind or version that there is no schema for, and for what is no object.
///
/// ```
/// use raywarden::schema;
/// use serde_json::json;
///
/// let findings = schema::check(&json!({
///     "apiVersion": "ray.io/v1",
///     "kind": "RayCluster",
///     "spec": {"headGroupSpec": {
///         "template": {"spec": {"containers": []}},
///         "rayStartParams": {"num-cpus": 0},
///     }},
/// }))
/// .unwrap_or_default();
/// assert_eq!(findings.len(), 1);
/// assert_eq!(findings[0].at.to_string(), "spec.headGroupSpec.rayStartParams[num-cpus]");
/// assert_eq!(findings[0].fix, "write \"0\"");
/// ```
pub fn check(object: &Value) -> Option<Vec<Finding>> {
    let version = object.get("apiVersion")?.as_str()?.strip_prefix("ray.io/")?;
    let kind = object.get("kind")?.as_str()?;
    let definitions = Definitions::embedded();
    let schema = definitions.get(&format!("{version}.{kind}"))?;
    Some(Check::of(definitions, schema, object))
}

#[cfg(test)]
mod tests;
