//! Guards of a JSON patch: tests that what it was planned from still stands.

use serde_json::{Value, json};

use super::Pointer;

/// That the place holds what was read. Of an absent one, that it or its highest absent parent is null:
/// a test below a parent that is not there fails as malformed.
pub fn test(object: &Value, at: &Pointer) -> Value {
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
