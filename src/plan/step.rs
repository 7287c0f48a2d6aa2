//! What is to be done about one object other than a Pod.

use serde_json::{Value, json};

use super::Action;
use super::pod::{CREATED_BY, OURSELVES, controller_uid};

/// Whether `object` is the one that `wanted` names.
pub fn is_same(wanted: &Value, object: &Value) -> bool {
    wanted.get("kind") == object.get("kind")
        && wanted.pointer("/metadata/name") == object.pointer("/metadata/name")
}

/// What is to be done so that `object` stands as it is, among the objects of its names that exist;
/// `None` where it does. Rules and subjects are compared; what else a user sets on a Service stays.
pub fn step(object: Value, existing: &[Value], uid: &str) -> Option<Action> {
    let Some(found) = existing.iter().find(|other| is_same(&object, other)) else {
        return Some(Action::Create(object));
    };
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let name = text(&object, "/metadata/name");
    let kind = text(&object, "/kind");
    if controller_uid(found) != Some(uid) {
        return Some(Action::Conflict { kind, name });
    }
    let differs = |key: &str| object.get(key).is_some_and(|wanted| found.get(key) != Some(wanted));
    // The role of a binding can never be changed.
    if differs("roleRef") {
        let uid = text(found, "/metadata/uid");
        return Some(Action::Remove { kind, name, uid });
    }
    let relabelled = found.pointer("/metadata/labels").and_then(|labels| labels.get(CREATED_BY))
        != Some(&json!(OURSELVES));
    (differs("rules") || differs("subjects") || relabelled).then_some(Action::Mend(object))
}
