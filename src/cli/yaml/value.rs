//! The tree of values.

use serde_json::{Map, Number, Value};

use super::build::{Entry, Tree};
use super::scalar::{Meaning, Scalar};
use super::{Notice, Span};

/// Builds [`Value`]s and notes the keys that stand twice.
#[derive(Default)]
pub(super) struct Values {
    notices: Vec<Notice>,
}

impl Values {
    pub(super) fn into_notices(self) -> Vec<Notice> {
        self.notices
    }
}

impl Tree for Values {
    type Node = Value;

    fn scalar(&mut self, scalar: &Scalar<'_>, _: Span) -> Result<Value, String> {
        Ok(match scalar.meaning()? {
            Meaning::Null => Value::Null,
            Meaning::Bool(value) => Value::Bool(value),
            Meaning::Int(value) => Value::from(value),
            Meaning::Big(value) => Value::from(value),
            Meaning::Float(value) => number(value),
            Meaning::Text => Value::from(scalar.text),
            Meaning::Bytes(text) => Value::String(text),
        })
    }

    fn list(&mut self, items: Vec<Value>, _: Span) -> Value {
        Value::Array(items)
    }

    fn map(&mut self, entries: Vec<Entry<Value>>, _: Span) -> Value {
        let mut map = Map::with_capacity(entries.len());
        let mut merged = Vec::new();
        for entry in entries {
            if entry.merged {
                merged.push(entry.key.clone());
            } else if map.contains_key(&entry.key) && !merged.contains(&entry.key) {
                self.notices
                    .push(Notice::Repeated { key: entry.key.clone(), at: entry.span.start });
            }
            map.insert(entry.key, entry.node);
        }
        Value::Object(map)
    }

    fn aliased(&self, node: &Value, _: Span) -> Value {
        node.clone()
    }

    fn members(&self, node: &Value) -> Option<Vec<Entry<Value>>> {
        let Value::Object(map) = node else {
            return None;
        };
        let entry = |(key, value): (&String, &Value)| Entry::merged(key.clone(), value.clone());
        Some(map.iter().map(entry).collect())
    }

    fn items<'n>(&self, node: &'n Value) -> Option<&'n [Value]> {
        node.as_array().map(Vec::as_slice)
    }

    fn size(&self, node: &Value) -> usize {
        match node {
            Value::Array(items) => 1 + items.iter().map(|item| self.size(item)).sum::<usize>(),
            Value::Object(map) => 1 + map.values().map(|item| self.size(item)).sum::<usize>(),
            _ => 1,
        }
    }
}

/// Go writes 1e3 and 1.0 without exponent and fraction, so the API server sees integers.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
fn number(value: f64) -> Value {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-BOUND..BOUND).contains(&value) {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
