//! Guards of a JSON patch: tests that what it was planned from still stands.

use serde_json::{Value, json};

use super::{Op, Pointer};

/// That the place holds what was read. Of an absent one, that it or its highest absent parent is null:
/// a test below a parent that is not there fails as malformed.
fn test(object: &Value, at: &Pointer) -> Value {
    let mut at = at.clone();
    while let Some((parent, _)) = at.split_last() {
        if parent.get(object).is_some_and(|it| !it.is_null()) {
            break;
        }
        at = parent;
    }
    let value = at.get(object).unwrap_or(&Value::Null);
    json!({"op": "test", "path": at.to_json_pointer(), "value": value})
}

/// The changes behind a test of the UID, of the deletion, and of each of `places`, each once; nothing
/// where nothing changes.
pub fn guarded<'a>(
    object: &Value,
    places: impl IntoIterator<Item = &'a Pointer>,
    changes: &[Op],
) -> Vec<Value> {
    if changes.is_empty() {
        return Vec::new();
    }
    let always = [Pointer::of(["metadata", "uid"]), Pointer::of(["metadata", "deletionTimestamp"])];
    let mut operations: Vec<Value> = Vec::new();
    let mut guard = |at: &Pointer| {
        let test = test(object, at);
        if !operations.contains(&test) {
            operations.push(test);
        }
    };
    always.iter().for_each(&mut guard);
    places.into_iter().for_each(&mut guard);
    operations.extend(changes.iter().map(Op::to_json));
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_tested_at_the_highest_place_that_is_not_there() {
        let object = json!({"metadata": {"uid": "u"}, "spec": {"worker": {}}});
        let shown = |tokens: &[&'static str]| test(&object, &Pointer::of(tokens.iter().copied()));
        assert_eq!(
            shown(&["metadata", "uid"]),
            json!({"op": "test", "path": "/metadata/uid", "value": "u"})
        );
        assert_eq!(
            shown(&["spec", "autoscaling", "minReplicas"]),
            json!({"op": "test", "path": "/spec/autoscaling", "value": null})
        );
    }
}
