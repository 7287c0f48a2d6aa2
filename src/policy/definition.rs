//! The `CustomResourceDefinition` of `RayClusterPolicy`.
//!
//! Input: the types of [`super::spec`], whose doc comments become descriptions. Output: a structural
//! schema, as the API server wants one: no references, no `null` among types, choices as plain lists of
//! values. What fits the schema can still be wrong; that is [`super::compile`]'s to say.

use serde_json::{Map, Value, json};

use super::KIND;
use super::spec::PolicySpec;
use crate::schema::{self, Own};

/// The version.
pub const VERSION: &str = "v1alpha1";

/// The plural name.
pub const PLURAL: &str = "rayclusterpolicies";

/// The condition of the status that says whether a policy is in force.
pub const ACCEPTED: &str = "Accepted";

/// No reference leads deeper than this; the types refer to no type that holds them.
const DEEPEST: usize = 16;

/// The definition.
pub fn crd() -> Value {
    let column = |name: &str, kind: &str, path: &str, description: &str| {
        let mut column = schema::column(name, kind, path);
        if let Value::Object(members) = &mut column {
            members.insert("description".to_owned(), json!(description));
        }
        column
    };
    let accepted = format!(".status.conditions[?(@.type==\"{ACCEPTED}\")].status");
    Own {
        kind: KIND,
        plural: PLURAL,
        singular: "rayclusterpolicy",
        short: "rcp",
        scope: "Cluster",
        version: VERSION,
        status: true,
        columns: vec![
            column("enforcement", "string", ".spec.enforcement", "What its rules do"),
            column("accepted", "string", &accepted, "Whether it is in force"),
            column("matching", "integer", ".status.matching", "Clusters that it is about"),
            column("breaking", "integer", ".status.breaking", "Of these, clusters that break it"),
            column("age", "date", ".metadata.creationTimestamp", "Since when it is there"),
        ],
        schema: json!({
            "type": "object",
            "description": "What administrators ask of the Ray clusters of this Kubernetes cluster.",
            "required": ["spec"],
            "properties": schema::members(&spec(), &status()),
        }),
    }
    .crd()
}

fn spec() -> Value {
    let mut spec = structural(schemars::schema_for!(PolicySpec).as_value());
    if let Some(Value::Object(enforcement)) = spec.pointer_mut("/properties/enforcement") {
        enforcement.insert("default".to_owned(), json!("audit"));
    }
    spec
}

fn status() -> Value {
    let text = |most: usize| json!({"type": "string", "maxLength": most});
    let count = |description: &str| json!({"type": "integer", "format": "int64", "minimum": 0, "description": description});
    let condition = json!({
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": text(316),
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": text(1024),
            "message": text(32768),
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
        },
    });
    let flaw = json!({
        "type": "object",
        "required": ["field", "message"],
        "properties": {"field": text(1024), "message": text(4096)},
    });
    json!({
        "type": "object",
        "description": "Written by the controller.",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation that the rest is about."},
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            "flaws": {
                "type": "array",
                "description": "What is wrong with it. A policy with flaws is not in force.",
                "items": flaw,
                "maxItems": MOST_FLAWS,
            },
            "matching": count("Clusters that the policy is about."),
            "breaking": count("Of these, clusters that break it or are excepted from it."),
        },
    })
}

/// The most flaws that a status lists.
pub const MOST_FLAWS: usize = 50;

/// A schema of `schemars` as a structural schema.
pub fn structural(schema: &Value) -> Value {
    let none = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
    rewritten(schema, definitions, DEEPEST)
}

fn rewritten(schema: &Value, definitions: &Map<String, Value>, deeper: usize) -> Value {
    let (Some(members), Some(deeper)) = (schema.as_object(), deeper.checked_sub(1)) else {
        return json!({});
    };
    if let Some(inner) = followed(members, definitions) {
        let mut out = rewritten(inner, definitions, deeper);
        // What is said where a type is used is nearer to the reader than what the type says.
        if let (Some(own), Some(out)) = (members.get("description"), out.as_object_mut()) {
            let choices = out.get("enum").map(|_| choices(inner)).unwrap_or_default();
            out.insert("description".to_owned(), described(own.as_str(), &choices));
        }
        return out;
    }
    let mut out = Map::new();
    for (key, value) in members {
        let value = match key.as_str() {
            "description" => described(value.as_str(), &[]),
            "type" => match value.as_array() {
                Some(kinds) => {
                    kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default()
                }
                None => value.clone(),
            },
            "properties" => value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, each)| (name.clone(), rewritten(each, definitions, deeper)))
                .collect::<Map<_, _>>()
                .into(),
            "items" => rewritten(value, definitions, deeper),
            "additionalProperties" if value.is_object() => rewritten(value, definitions, deeper),
            "enum"
            | "format"
            | "minimum"
            | "maximum"
            | "required"
            | "x-kubernetes-int-or-string" => value.clone(),
            _ => continue,
        };
        out.insert(key.clone(), value);
    }
    if let Some(variants) = variants(members) {
        let values: Vec<&Value> = variants.iter().filter_map(|it| it.get("const")).collect();
        out.insert("type".to_owned(), json!("string"));
        out.insert("enum".to_owned(), json!(values));
        let own = members.get("description").and_then(Value::as_str);
        out.insert("description".to_owned(), described(own, &choices(schema)));
    }
    Value::Object(out)
}

/// What a reference, or a member that may be left out, stands for.
fn followed<'a>(
    members: &'a Map<String, Value>,
    definitions: &'a Map<String, Value>,
) -> Option<&'a Value> {
    if let Some(name) = members.get("$ref").and_then(Value::as_str) {
        return definitions.get(name.rsplit('/').next()?);
    }
    let kinds = members.get("anyOf")?.as_array()?;
    let named = kinds.iter().find(|each| each.get("type").is_none_or(|kind| kind != "null"))?;
    Some(named.as_object().and_then(|each| followed(each, definitions)).unwrap_or(named))
}

/// The values of a choice, each with a description of its own.
fn variants(members: &Map<String, Value>) -> Option<&Vec<Value>> {
    members.get("oneOf").and_then(Value::as_array)
}

/// A line for each value of a choice.
fn choices(schema: &Value) -> Vec<String> {
    let line = |each: &Value| {
        let text = each.get("description").and_then(Value::as_str)?;
        Some(format!("{}: {}", each.get("const")?.as_str()?, text.replace('\n', " ")))
    };
    let variants = schema.as_object().and_then(variants);
    variants.into_iter().flatten().filter_map(line).collect()
}

/// Text as `kubectl explain` prints it: it wraps lines itself, and knows no Markdown.
fn described(own: Option<&str>, choices: &[String]) -> Value {
    let own = own.unwrap_or("").replace("\n\n", "\u{0}").replace('\n', " ").replace('`', "");
    let own = own.replace('\u{0}', "\n\n");
    let lines: Vec<&str> =
        std::iter::once(own.as_str()).chain(choices.iter().map(String::as_str)).collect();
    Value::String(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes<'a>(schema: &'a Value, out: &mut Vec<&'a Map<String, Value>>) {
        let Some(members) = schema.as_object() else { return };
        out.push(members);
        for each in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
            nodes(each.1, out);
        }
        for key in ["items", "additionalProperties"] {
            nodes(members.get(key).unwrap_or(&Value::Null), out);
        }
    }

    #[test]
    fn every_part_of_the_spec_is_structural_and_described() {
        let spec = spec();
        let mut all = Vec::new();
        nodes(&spec, &mut all);
        assert!(all.len() > 100, "only {} parts", all.len());
        for node in &all {
            for odd in ["$ref", "$defs", "anyOf", "oneOf", "const", "nullable", "title", "$schema"]
            {
                assert!(!node.contains_key(odd), "{odd} in {node:?}");
            }
            let kind = node.get("type").is_some_and(Value::is_string);
            assert!(kind != node.contains_key("x-kubernetes-int-or-string"), "{node:?}");
            assert!(
                !(node.contains_key("properties") && node.contains_key("additionalProperties"))
            );
        }
        for (name, section) in spec["properties"].as_object().unwrap() {
            let text = section["description"].as_str().unwrap();
            assert!(text.len() > 10 && !text.contains('`'), "{name}: {text}");
        }
    }

    #[test]
    fn a_choice_is_a_list_of_values_and_says_what_each_means() {
        let spec = spec();
        let enforcement = &spec["properties"]["labels"]["properties"]["enforcement"];
        assert_eq!(enforcement["enum"], json!(["audit", "warn", "deny"]));
        assert_eq!(enforcement["type"], "string");
        let text = enforcement["description"].as_str().unwrap();
        assert!(text.starts_with("What this section does") && text.contains("\nwarn: Let through"));
    }

    #[test]
    fn a_member_that_may_be_left_out_is_as_its_type_and_never_null() {
        let schema = json!({
            "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "description": "own"},
                           "n": {"type": ["integer", "null"], "format": "int64", "default": null}},
            "additionalProperties": false,
            "$defs": {"A": {"type": "object", "description": "the type's"}},
        });
        let wanted = json!({"properties": {
            "a": {"type": "object", "description": "own"},
            "n": {"type": "integer", "format": "int64"},
        }});
        assert_eq!(structural(&schema), wanted);
    }
}
