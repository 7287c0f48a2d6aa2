//! The types that a RayCluster is made of, as structural schemas.
//!
//! Input: `raycluster.json`, our model of the `ray.io` kinds, and `kubernetes.json`, generated from
//! the pinned API server's `OpenAPI` by `tests/tools/schema.py`. Both are part of the program and are
//! read once, when a schema is first asked for. The checker and the CRD are two readings of the same
//! [`Schema`].
//!
//! Invariants, held by tests: every reference leads to a definition, and no chain of references
//! comes back to itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

const RAY: &str = include_str!("raycluster.json");
const KUBERNETES: &str = include_str!("kubernetes.json");

/// One node of a structural schema.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Schema {
    /// The name of the definition that stands here; then nothing else is set.
    #[serde(rename = "$ref")]
    pub(super) reference: Option<&'static str>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Type>,
    pub(super) format: Option<&'static str>,
    pub(super) pattern: Option<Cow<'static, str>>,
    #[serde(rename = "enum")]
    pub(super) choices: Vec<&'static str>,
    pub(super) minimum: Option<i64>,
    pub(super) min_items: Option<usize>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) default: Option<Value>,
    pub(super) nullable: bool,
    pub(super) required: Vec<&'static str>,
    pub(super) properties: Option<BTreeMap<&'static str, Self>>,
    pub(super) items: Option<Box<Self>>,
    /// The schema of a map's values.
    pub(super) additional_properties: Option<Box<Self>>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub(super) int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub(super) preserve_unknown: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(super) list_type: Option<ListType>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(super) list_keys: Vec<&'static str>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub(super) map_type: Option<&'static str>,
    #[serde(rename = "x-kubernetes-validations")]
    pub(super) validations: Vec<Validation>,
    /// Fields that are not in the pinned schema, and the release that brought them. Ours: the CRD
    /// does not carry it.
    #[serde(rename = "x-raywarden-later")]
    pub(super) later: BTreeMap<&'static str, &'static str>,
}

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

/// What may not stand twice in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ListType {
    /// Anything may.
    Atomic,
    /// An entry with the same keys.
    Map,
    /// The same value.
    Set,
}

/// A CEL rule of the CRD.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Validation {
    pub(super) rule: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
}

impl Schema {
    /// The names of the fields that may stand here.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.properties.iter().flatten().map(|(name, _)| *name)
    }

    /// The schema of one field, references not yet followed.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.as_ref()?.get(name)
    }
}

impl Type {
    /// The spelling in a schema.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }
}

impl ListType {
    /// The spelling in a schema.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Map => "map",
            Self::Set => "set",
        }
    }
}

/// Every definition by its name: `v1.RayCluster`, `PodSpec`.
#[derive(Debug)]
pub(super) struct Definitions(BTreeMap<&'static str, Schema>);

impl Definitions {
    /// The definitions that are part of the program.
    pub(super) fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Definitions> = LazyLock::new(Definitions::read);
        &EMBEDDED
    }

    #[expect(
        clippy::expect_used,
        reason = "both files are part of the program, and a test reads them"
    )]
    fn read() -> Self {
        let mut all = BTreeMap::new();
        for text in [RAY, KUBERNETES] {
            let some: BTreeMap<&'static str, Schema> =
                serde_json::from_str(text).expect("the file is a map of schemas");
            all.extend(some);
        }
        Self(all)
    }

    /// The definition of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Schema> {
        self.0.get(name)
    }

    /// The schema itself, or the definition that it refers to.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Schema) -> &'a Schema {
        schema.reference.and_then(|name| self.get(name)).unwrap_or(schema)
    }

    /// Every definition, by name.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Schema)> {
        self.0.iter().map(|(name, schema)| (*name, schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(schema: &'a Schema, found: &mut Vec<&'a str>) {
        found.extend(schema.reference);
        let below = schema.properties.iter().flat_map(BTreeMap::values);
        for each in
            below.chain(schema.items.as_deref()).chain(schema.additional_properties.as_deref())
        {
            references(each, found);
        }
    }

    fn depth(name: &str, definitions: &Definitions, way: &[&str]) -> usize {
        assert!(!way.contains(&name), "{name} is part of itself: {way:?}");
        let mut found = Vec::new();
        let schema = definitions.get(name);
        references(schema.unwrap_or_else(|| panic!("no {name}")), &mut found);
        let way: Vec<&str> = way.iter().copied().chain([name]).collect();
        found
            .iter()
            .map(|each| depth(each, definitions, &way))
            .max()
            .map_or(1, |deepest| deepest + 1)
    }

    #[test]
    fn every_reference_leads_to_a_definition_and_never_back() {
        let definitions = Definitions::embedded();
        for (name, _) in definitions.iter() {
            assert!(depth(name, definitions, &[]) < 16, "{name}");
        }
    }

    #[test]
    fn a_reference_stands_alone() {
        fn visit(schema: &Schema) {
            if schema.reference.is_some() {
                assert!(schema.kind.is_none() && schema.default.is_none() && !schema.nullable);
            }
            for each in schema.properties.iter().flat_map(BTreeMap::values) {
                visit(each);
            }
        }
        Definitions::embedded().iter().for_each(|(_, each)| visit(each));
    }
}
