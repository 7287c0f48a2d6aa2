//! The annotation of a cluster that says, by group, which lease holds it, what stood there before and
//! what was written.
//!
//! Invariants: it is written in the same patch as the counts; what cannot be read keeps nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::hold::{Field, Held, Kept};

/// The annotation.
pub const ANNOTATION: &str = "raywarden.io/scale-lease";

/// The most groups that are read of one annotation.
const MOST: usize = 1000;

/// What is kept of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The lease's name.
    pub lease: String,
    /// Its UID.
    pub uid: String,
    /// The fields that it changed.
    pub kept: Kept,
    /// It had to write a field once more.
    pub again: bool,
}

/// Entries by group.
pub type Entries = BTreeMap<String, Entry>;

/// Reads the annotation.
pub fn parse(text: &str) -> Entries {
    let json: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let groups = json.as_object().into_iter().flatten().take(MOST);
    groups.filter_map(|(group, entry)| Some((group.clone(), read(entry)?))).collect()
}

fn read(entry: &Value) -> Option<Entry> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut kept = Kept::new();
    for field in Field::ALL {
        let Some(written) = entry.get("written").and_then(|it| it.get(field.as_str())) else {
            continue;
        };
        let original = entry.get("original").and_then(|it| it.get(field.as_str()));
        let original = match original {
            None | Some(Value::Null) => None,
            Some(value) => Some(count(value)?),
        };
        kept.insert(field, Held { original, written: count(written)? });
    }
    let again = entry.get("again") == Some(&Value::Bool(true));
    Some(Entry { lease: text("lease")?, uid: text("uid")?, kept, again })
}

fn count(value: &Value) -> Option<i64> {
    value.as_i64().filter(|count| *count >= 0 && i32::try_from(*count).is_ok())
}

/// Writes the annotation; `None` where nothing is kept.
pub fn text(entries: &Entries) -> Option<String> {
    let written = |entry: &Entry| {
        let side = |value: fn(&Held) -> Value| {
            let fields = entry.kept.iter();
            fields.map(|(field, held)| (field.as_str().to_owned(), value(held))).collect()
        };
        let original: Map<String, Value> = side(|held| json!(held.original));
        let written: Map<String, Value> = side(|held| json!(held.written));
        let mut json = json!({
            "lease": entry.lease, "uid": entry.uid, "original": original, "written": written,
        });
        if let (true, Some(json)) = (entry.again, json.as_object_mut()) {
            json.insert("again".to_owned(), Value::Bool(true));
        }
        json
    };
    let groups: Map<String, Value> =
        entries.iter().map(|(group, entry)| (group.clone(), written(entry))).collect();
    (!groups.is_empty()).then(|| Value::Object(groups).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_wrote() {
        let held = |original, written| Held { original, written };
        let kept = Kept::from([(Field::Min, held(None, 5)), (Field::Replicas, held(Some(1), 5))]);
        let entry = Entry { lease: "night".into(), uid: "l".into(), kept, again: true };
        let entries = Entries::from([("small".to_owned(), entry)]);
        assert_eq!(parse(&text(&entries).unwrap()), entries);
        assert_eq!(text(&Entries::new()), None);
    }

    #[test]
    fn what_says_nonsense_keeps_nothing() {
        let negative = r#"{"a":{"lease":"l","uid":"u","written":{"maxReplicas":-1}}}"#;
        let huge = r#"{"a":{"lease":"l","uid":"u","written":{"maxReplicas":9999999999}}}"#;
        for nonsense in ["", "null", "[]", r#"{"a":1}"#, r#"{"a":{"lease":"l"}}"#, negative, huge] {
            assert_eq!(parse(nonsense), Entries::new(), "{nonsense}");
        }
    }
}
