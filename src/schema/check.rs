//! The walk through a document beside its schema.
//!
//! Input: a document and the schema of its kind. Output: what the API server would say about it, in
//! document order. The server prunes unknown fields, drops nulls, fills in defaults, and validates
//! what is left; the walk judges as if that had happened, and changes nothing.
//!
//! Differences, all on purpose. A whole number that does not fit into 32 bits is refused: the
//! server stores it, and the operator, whose field is an `int32`, then cannot read the object. An
//! unknown field that is null is not mentioned: nothing is lost with it. Of the CRD's CEL rules only
//! those that list the allowed values are judged; the others are left to the server.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use super::definition::{Definitions, ListType, Schema, Type};
use super::place::Place;
use super::{fault, lexical, nearest};
use crate::model::{Finding, Pointer, Severity};

/// A document with more faults than this has another problem than the next one.
const MOST: usize = 200;

/// The walk, and what it found so far.
pub(super) struct Check {
    definitions: &'static Definitions,
    findings: Vec<Finding>,
}

impl Check {
    /// Walks through a whole object of the kind that `schema` describes.
    pub(super) fn of(
        definitions: &'static Definitions,
        schema: &'static Schema,
        object: &Value,
    ) -> Vec<Finding> {
        let mut check = Self { definitions, findings: Vec::new() };
        check.value(object, &Place::root(schema));
        // The server takes the status out before it validates: only its own endpoint writes it.
        let status = Pointer::of(["status"]);
        check
            .findings
            .retain(|each| each.severity < Severity::Deny || each.at.below(&status).is_none());
        check.findings
    }

    fn value(&mut self, value: &Value, place: &Place<'_>) {
        let schema = place.schema;
        match (schema.kind, value) {
            (Some(Type::Object), Value::Object(members)) => self.object(members, place),
            (Some(Type::Array), Value::Array(entries)) => self.array(entries, place),
            (Some(Type::String), Value::String(text)) => self.text(text, place),
            (Some(Type::Boolean), Value::Bool(_)) | (Some(Type::Number), Value::Number(_)) => {}
            (Some(Type::Integer), Value::Number(number)) => self.integer(number, place),
            (None, Value::String(text)) if schema.int_or_string => self.text(text, place),
            (None, Value::Number(number)) if schema.int_or_string => self.integer(number, place),
            (None, _) if !schema.int_or_string => {}
            _ => self.say(fault::wrong_type(place, value)),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, place: &Place<'_>) {
        let schema = place.schema;
        for (key, member) in members {
            if self.findings.len() >= MOST {
                return;
            }
            let known = schema.field(key).or(schema.additional_properties.as_deref());
            match known.map(|known| self.definitions.resolve(known)) {
                // Dropped, or replaced by the default.
                _ if member.is_null() => {}
                Some(known) => self.value(member, &place.member(key, known)),
                None if schema.preserve_unknown => {}
                None => {
                    let hint = nearest::field(self.definitions, place, key);
                    self.say(fault::unknown(place, key, hint));
                }
            }
        }
        for name in &schema.required {
            let Some(field) = schema.field(name) else {
                continue;
            };
            let field = self.definitions.resolve(field);
            let absent = match members.get(*name) {
                None => true,
                Some(value) => value.is_null() && !field.nullable,
            };
            if absent && field.default.is_none() {
                self.say(fault::missing(&place.member(name, field)));
            }
        }
    }

    fn array(&mut self, entries: &[Value], place: &Place<'_>) {
        let Some(items) = place.schema.items.as_deref() else {
            return;
        };
        let items = self.definitions.resolve(items);
        if let Some(least) = place.schema.min_items
            && entries.len() < least
        {
            self.say(fault::too_few(place, entries.len(), least));
        }
        let mut seen = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if self.findings.len() >= MOST {
                return;
            }
            let at = place.entry(index, items);
            self.value(entry, &at);
            if entries.len() > 1
                && let Some(key) = key_of(place.schema, items, entry)
            {
                if let Some(first) = seen.get(&key) {
                    self.say(fault::twice(&at, &place.entry(*first, items), &key));
                } else {
                    seen.insert(key, index);
                }
            }
        }
    }

    fn text(&mut self, text: &str, place: &Place<'_>) {
        let schema = place.schema;
        if !schema.choices.is_empty() && !schema.choices.contains(&text) {
            self.say(fault::not_listed(place, text, &schema.choices));
        }
        if let Some(choices) = schema.validations.iter().find_map(|each| listed(&each.rule))
            && !choices.contains(&text)
        {
            self.say(fault::not_listed(place, text, &choices));
        }
        if schema.max_length.is_some() || schema.min_length.is_some() {
            self.length(text.chars().count(), place);
        }
        if let Some(pattern) = &schema.pattern
            && lexical::matches(pattern, text) == Some(false)
        {
            self.say(fault::malformed(place, text));
        }
        if schema.format == Some("date-time") && !lexical::is_date_time(text) {
            self.say(fault::no_time(place, text));
        }
    }

    fn length(&mut self, length: usize, place: &Place<'_>) {
        let least = place.schema.min_length.unwrap_or(0);
        let most = place.schema.max_length.unwrap_or(usize::MAX);
        if length < least || length > most {
            self.say(fault::length(place, length));
        }
    }

    fn integer(&mut self, number: &Number, place: &Place<'_>) {
        let Some(whole) = whole(number) else {
            self.say(fault::wrong_type(place, &Value::Number(number.clone())));
            return;
        };
        if place.schema.format == Some("int32") && i32::try_from(whole).is_err() {
            self.say(fault::too_wide(place, whole));
        }
        if let Some(least) = place.schema.minimum
            && whole < least
        {
            self.say(fault::too_small(place, whole, least));
        }
    }

    fn say(&mut self, finding: Finding) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        }
    }
}

/// What an entry may not share with another one of its list; `None` where it may share everything,
/// or where a part of the key is missing, which is a fault of its own.
fn key_of<'a>(
    list: &'static Schema,
    items: &'static Schema,
    entry: &'a Value,
) -> Option<Vec<(&'static str, &'a Value)>>
where
    'static: 'a,
{
    match list.list_type? {
        ListType::Set => Some(vec![("", entry)]),
        ListType::Map if entry.is_object() => list
            .list_keys
            .iter()
            .map(|key| {
                let written = entry.get(*key).filter(|value| !value.is_null());
                let value = written.or_else(|| items.field(key)?.default.as_ref())?;
                Some((*key, value))
            })
            .collect(),
        ListType::Atomic | ListType::Map => None,
    }
}

/// The whole number that the API server reads: `1.0` is one, what JSON cannot hold exactly is none.
#[expect(clippy::cast_possible_truncation, reason = "bounded by 2^53 and without a fraction")]
fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|_| number.is_f64())?;
        (float.abs() <= EXACT && float.fract() == 0.0).then_some(float as i64)
    })
}

/// The values that a CEL rule of the form `self in ['a', 'b']` lets through.
fn listed(rule: &str) -> Option<Vec<&str>> {
    let inner = rule.strip_prefix("self in ['")?.strip_suffix("']")?;
    Some(inner.split("', '").collect())
}
