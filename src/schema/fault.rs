//! What is said about each kind of fault.

use std::fmt::Write as _;

use serde_json::Value;

use super::definition::Type;
use super::nearest::{self, Hint};
use super::place::Place;
use crate::model::finding::quoted;
use crate::model::{Finding, RuleId};

/// A field that the schema does not have.
pub(super) fn unknown(place: &Place<'_>, key: &str, hint: Hint) -> Finding {
    let at = place.pointer().at(key.to_owned());
    let found = match place.schema.later.get(key) {
        Some(release) => format!("comes with {release}, dropped without it"),
        None => "unknown field: kubectl refuses the file, other clients lose the field".to_owned(),
    };
    Finding::warn(RuleId::UNKNOWN_FIELD, at, found, hint.allowed, hint.fix)
}

/// A value of another JSON type.
pub(super) fn wrong_type(place: &Place<'_>, value: &Value) -> Finding {
    let found = match value {
        Value::Null => "null is no entry of a list".to_owned(),
        Value::Bool(_) => format!("{value} is a boolean"),
        Value::Number(_) => format!("{value} is a number"),
        Value::String(_) => format!("{} is a string", quoted(value)),
        Value::Array(_) => "a list stands here".to_owned(),
        Value::Object(_) => "an object stands here".to_owned(),
    };
    Finding::deny(RuleId::TYPE, place.pointer(), found, wanted(place), respelled(place, value))
}

/// The type that belongs here, in words.
fn wanted(place: &Place<'_>) -> &'static str {
    match place.schema.kind {
        Some(Type::Array) => "a list",
        Some(Type::Boolean) => "true or false",
        Some(Type::Integer) => "a whole number",
        Some(Type::Number) => "a number",
        Some(Type::Object) => "an object",
        Some(Type::String) => "a string",
        None if place.schema.pattern.is_some() => {
            "a quantity: a whole number, or a string such as \"500m\" or \"1.5Gi\""
        }
        None => "a whole number or a string",
    }
}

/// How to write the value so that its type is right.
fn respelled(place: &Place<'_>, value: &Value) -> String {
    match (place.schema.kind, value) {
        (_, Value::Null) => "take it out".to_owned(),
        // 1.10 has been read as 1.1 by now: the file alone knows how it was written.
        (Some(Type::String), Value::Number(number)) if number.is_f64() => {
            "put it in quotes, as it stands in the file".to_owned()
        }
        (Some(Type::String), Value::Number(_) | Value::Bool(_)) | (None, Value::Number(_)) => {
            format!("write \"{value}\"")
        }
        (Some(Type::Integer | Type::Number), Value::String(text)) => unquoted(place, text.trim()),
        (Some(Type::Boolean), Value::String(text)) => match truth(text) {
            Some(truth) => format!("write {truth} without quotes"),
            None => "write true or false".to_owned(),
        },
        (Some(Type::Boolean), Value::Number(number)) => {
            format!("write {}", number.as_i64() != Some(0))
        }
        (Some(Type::Array), Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            format!("write [{}]", quoted(value))
        }
        (Some(Type::Array), _) => "begin each entry with \"- \"".to_owned(),
        (Some(Type::Object), Value::Array(_)) => "write the fields without \"- \"".to_owned(),
        (Some(Type::Object), _) => "write its fields, one a line, below its name".to_owned(),
        (Some(Type::Integer), _) => "write a whole number".to_owned(),
        (Some(Type::Number), _) => "write a number without quotes".to_owned(),
        (Some(Type::String) | None, _) => "write one string".to_owned(),
        (Some(Type::Boolean), _) => "write true or false".to_owned(),
    }
}

/// A number that stands in quotes.
fn unquoted(place: &Place<'_>, text: &str) -> String {
    const LONGEST: usize = 24;
    let whole = place.schema.kind == Some(Type::Integer);
    let number =
        if whole { text.parse::<i64>().is_ok() } else { text.parse().is_ok_and(f64::is_finite) };
    if number && text.len() <= LONGEST {
        format!("write {text} without quotes")
    } else if whole {
        "write a whole number".to_owned()
    } else {
        "write a number".to_owned()
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number that its field cannot hold.
pub(super) fn too_wide(place: &Place<'_>, whole: i64) -> Finding {
    Finding::deny(
        RuleId::TYPE,
        place.pointer(),
        format!("{whole} does not fit into 32 bits, and the operator could not read the object"),
        format!("{} to {}", i32::MIN, i32::MAX),
        "write a smaller number",
    )
}

/// A number below the least one.
pub(super) fn too_small(place: &Place<'_>, whole: i64, least: i64) -> Finding {
    Finding::deny(
        RuleId::VALUE,
        place.pointer(),
        format!("{whole} is too small"),
        format!("{least} and above"),
        format!("write {least} or more"),
    )
}

/// A list with too few entries.
pub(super) fn too_few(place: &Place<'_>, entries: usize, least: usize) -> Finding {
    Finding::deny(
        RuleId::VALUE,
        place.pointer(),
        format!("a list of {entries}"),
        format!("{least} entries and more"),
        "add an entry, or take the field out",
    )
}

/// A string that is none of the values that the schema lists.
pub(super) fn not_listed(place: &Place<'_>, text: &str, choices: &[&str]) -> Finding {
    let fix = match nearest::word(text, choices.iter().copied()) {
        Some(near) => format!("write {near}"),
        None => "write one of them".to_owned(),
    };
    Finding::deny(
        RuleId::VALUE,
        place.pointer(),
        format!("{} is not listed", quoted(&Value::from(text))),
        choices.join(", "),
        fix,
    )
}

/// A string that its pattern refuses.
pub(super) fn malformed(place: &Place<'_>, text: &str) -> Finding {
    let text_shown = quoted(&Value::from(text));
    let (found, allowed, fix) = if place.schema.int_or_string {
        (
            format!("{text_shown} is no quantity"),
            "a number with a unit (m, k, M, G, Ki, Mi, Gi...) or none",
            nearest::quantity(text),
        )
    } else {
        (
            format!("{text_shown} has a character that may not stand there"),
            "letters, digits, - _ . and a letter or digit at both ends",
            "take the other characters out".to_owned(),
        )
    };
    Finding::deny(RuleId::VALUE, place.pointer(), found, allowed, fix)
}

/// A string that is too long or too short.
pub(super) fn length(place: &Place<'_>, length: usize) -> Finding {
    let least = place.schema.min_length.unwrap_or(0);
    let mut allowed = format!("at least {least}");
    if let Some(most) = place.schema.max_length {
        let _ = write!(allowed, " and at most {most}");
    }
    Finding::deny(
        RuleId::VALUE,
        place.pointer(),
        format!("{length} characters"),
        allowed,
        "write a text of that length",
    )
}

/// A string that is no time.
pub(super) fn no_time(place: &Place<'_>, text: &str) -> Finding {
    Finding::deny(
        RuleId::TYPE,
        place.pointer(),
        format!("{} is no time", quoted(&Value::from(text))),
        "a time such as 2026-01-31T12:00:00Z",
        "write it so, or take the field out",
    )
}

/// A field that must be there.
pub(super) fn missing(place: &Place<'_>) -> Finding {
    Finding::deny(RuleId::REQUIRED, place.pointer(), "missing", wanted(place), "add it")
}

/// An entry of a list that has the key of an earlier one.
pub(super) fn twice(place: &Place<'_>, first: &Place<'_>, key: &[(&str, &Value)]) -> Finding {
    let shown: Vec<String> = key
        .iter()
        .map(|(name, value)| format!("{name} {}", quoted(value)).trim_start().to_owned())
        .collect();
    Finding::deny(
        RuleId::LIST_KEY,
        place.pointer(),
        format!("{} is there already, at {}", shown.join(", "), first.pointer()),
        "one entry of each key",
        "rename or remove one of the two",
    )
}
