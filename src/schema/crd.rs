//! The schema as a `CustomResourceDefinition`, for clusters that have none.
//!
//! Input: `crd.json`, the definition with a reference where a version's schema stands. Output:
//! `rayclusters.ray.io` with references expanded and no descriptions, as the API server wants a
//! structural schema. Same input, same bytes: members stand in alphabetical order, as
//! `kubectl get -o yaml` shows them.
//!
//! What a schema means without being said is left out: a list is atomic, and what is int-or-string is
//! an integer or a string. So the whole object fits into the annotation that a client-side
//! `kubectl apply` writes, where that of KubeRay does not; a test holds the size.

use serde_json::{Map, Value, json};

use super::definition::{Definitions, ListType, Schema};

const FRAME: &str = include_str!("crd.json");

/// The `CustomResourceDefinition` of RayCluster: v1 is stored, v1alpha1 is served and deprecated.
pub fn crd() -> Value {
    // The file is part of the program, and a test reads it.
    let mut crd = serde_json::from_str(FRAME).unwrap_or_default();
    fill(Definitions::embedded(), &mut crd);
    crd
}

/// [`crd()`] as the manifest that `kubectl apply -f` takes.
pub fn crd_yaml() -> String {
    yaml(&crd())
}

/// A definition as a manifest.
pub fn yaml(definition: &Value) -> String {
    // One line a scalar, so that a pattern can be found by searching for it.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    // Strings, numbers, lists and maps with string keys: nothing that YAML could not hold.
    serde_saphyr::to_string_with_options(definition, options).unwrap_or_default()
}

/// The schema of a kind of `ray.io` as a CRD carries it: `v1`, `RayJob`. Of the kinds that embed a
/// cluster the status is left open.
pub fn structural(version: &str, kind: &str) -> Option<Value> {
    let definitions = Definitions::embedded();
    let schema = definitions.get(&format!("{version}.{kind}"))?;
    Some(expanded(definitions, schema))
}

/// Puts the schema of a whole object where the frame refers to it.
fn fill(definitions: &Definitions, node: &mut Value) {
    let named = node.get("$ref").and_then(Value::as_str).and_then(|name| definitions.get(name));
    if let Some(schema) = named {
        *node = expanded(definitions, schema);
        // Metadata is the API server's own business, and a CRD may not say anything about it.
        if let Some(metadata) = node.pointer_mut("/properties/metadata") {
            *metadata = json!({"type": "object"});
        }
        return;
    }
    match node {
        Value::Object(members) => members.values_mut().for_each(|each| fill(definitions, each)),
        Value::Array(entries) => entries.iter_mut().for_each(|each| fill(definitions, each)),
        _ => {}
    }
}

/// A schema with its references followed.
fn expanded(definitions: &Definitions, schema: &Schema) -> Value {
    let schema = definitions.resolve(schema);
    let below = |each: &Schema| expanded(definitions, each);
    let fields = schema.properties.as_ref().map(|fields| {
        let fields = fields.iter().map(|(name, field)| ((*name).to_owned(), below(field)));
        Value::Object(fields.collect())
    });
    let rules = schema.validations.iter();
    let rules = rules.map(|each| json!({"message": each.message, "rule": each.rule})).collect();
    let list_type = schema.list_type.filter(|kind| *kind != ListType::Atomic);
    let members = [
        ("additionalProperties", schema.additional_properties.as_deref().map(below)),
        ("default", schema.default.clone()),
        ("enum", unless_empty(&schema.choices)),
        ("format", schema.format.map(Value::from)),
        ("items", schema.items.as_deref().map(below)),
        ("maxLength", schema.max_length.map(Value::from)),
        ("minItems", schema.min_items.map(Value::from)),
        ("minLength", schema.min_length.map(Value::from)),
        ("minimum", schema.minimum.map(Value::from)),
        ("nullable", if_true(schema.nullable)),
        ("pattern", schema.pattern.as_deref().map(Value::from)),
        ("properties", fields),
        ("required", unless_empty(&schema.required)),
        ("type", schema.kind.map(|kind| Value::from(kind.as_str()))),
        ("x-kubernetes-int-or-string", if_true(schema.int_or_string)),
        ("x-kubernetes-list-map-keys", unless_empty(&schema.list_keys)),
        ("x-kubernetes-list-type", list_type.map(|kind| Value::from(kind.as_str()))),
        ("x-kubernetes-map-type", schema.map_type.map(Value::from)),
        ("x-kubernetes-preserve-unknown-fields", if_true(schema.preserve_unknown)),
        ("x-kubernetes-validations", Some(Value::Array(rules)).filter(|all| *all != json!([]))),
    ];
    let said = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}

fn unless_empty(list: &[&str]) -> Option<Value> {
    (!list.is_empty()).then(|| json!(list))
}

fn if_true(flag: bool) -> Option<Value> {
    flag.then_some(Value::Bool(true))
}
