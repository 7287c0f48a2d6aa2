//! The `CustomResourceDefinition` of a kind of our own.
//!
//! Input: names, printer columns and the schema of the whole object. Output: the definition, of the
//! one version that is served and stored.

use serde_json::{Value, json};

use crate::dialect::OURS;

/// A kind of the group `raywarden.io`.
pub struct Own<'a> {
    /// The kind.
    pub kind: &'a str,
    /// Its plural name.
    pub plural: &'a str,
    /// Its singular name.
    pub singular: &'a str,
    /// What kubectl takes for it.
    pub short: &'a str,
    /// `Namespaced` or `Cluster`.
    pub scope: &'a str,
    /// The version.
    pub version: &'a str,
    /// Whether its status is a subresource.
    pub status: bool,
    /// What `kubectl get` prints; see [`column()`].
    pub columns: Vec<Value>,
    /// The structural schema of the object.
    pub schema: Value,
}

/// A printer column.
pub fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}

/// The members of an object that has a spec and a status.
pub fn members(spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "metadata": {"type": "object"}, "spec": spec, "status": status,
    })
}

impl Own<'_> {
    /// The definition.
    pub fn crd(self) -> Value {
        let Self { kind, plural, singular, short, scope, version, status, columns, schema } = self;
        let mut served = json!({"name": version, "served": true, "storage": true});
        if let Value::Object(served) = &mut served {
            if status {
                served.insert("subresources".to_owned(), json!({"status": {}}));
            }
            served.insert("additionalPrinterColumns".to_owned(), Value::Array(columns));
            served.insert("schema".to_owned(), json!({"openAPIV3Schema": schema}));
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{OURS}")},
            "spec": {
                "group": OURS,
                "names": {
                    "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                    "singular": singular, "shortNames": [short],
                },
                "scope": scope,
                "versions": [served],
            },
        })
    }
}
