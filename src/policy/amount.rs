//! A quantity in a policy, with the spelling that its author chose.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::Quantity;

/// An amount of a resource, as Kubernetes writes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// As it was written; messages quote it.
    pub written: String,
    /// What it amounts to.
    pub quantity: Quantity,
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let written = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let quantity = Quantity::from_json(&value).filter(|it| *it >= Quantity::default());
        let quantity = quantity.ok_or_else(|| {
            D::Error::custom(format!("{written:?} is no amount; write one such as 4, 500m or 16Gi"))
        })?;
        Ok(Self { written, quantity })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true})
    }
}
