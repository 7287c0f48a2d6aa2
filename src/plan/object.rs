//! Objects in the making: members set or filled, entries put into lists.
//!
//! Input: a JSON object. Output: the same object, changed. A member that is null counts as absent,
//! and so does one that the schema would refuse; nothing else is lost.

use serde_json::{Value, json};

use crate::model::template::{member, position, text};

/// Sets a member.
pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

/// Sets a member that is absent.
pub(super) fn fill(object: &mut Value, key: &str, value: Value) {
    if member(object, key).is_none() {
        set(object, key, value);
    }
}

/// Puts an entry at the end of a list, which is made where it is absent.
pub(super) fn append(object: &mut Value, key: &str, entry: Value) {
    match object.get_mut(key) {
        Some(Value::Array(entries)) => entries.push(entry),
        _ => set(object, key, json!([entry])),
    }
}

/// Sets a variable of a container. One that is there is replaced where it stands, so that later
/// variables may still refer to it.
pub(super) fn put_env(container: &mut Value, entry: Value) {
    let name = text(&entry, "name").unwrap_or("").to_owned();
    let Some(Value::Array(env)) = container.get_mut("env") else {
        return append(container, "env", entry);
    };
    let place = position(env, "name", &name).unwrap_or(env.len());
    env.retain(|other| text(other, "name") != Some(&name));
    env.insert(place, entry);
}

/// Sets a variable of a container that has none of that name.
pub(super) fn fill_env(container: &mut Value, entry: Value) {
    let env = container.get("env").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if position(env, "name", text(&entry, "name").unwrap_or("")).is_none() {
        append(container, "env", entry);
    }
}

/// The owner references of what belongs to a RayCluster.
pub(super) fn owners(cluster: &str, uid: &str) -> Value {
    owners_of("ray.io/v1", "RayCluster", cluster, uid)
}

/// The owner references of what belongs to an object.
pub(super) fn owners_of(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!([{
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_replaced_where_it_stands_and_is_there_once() {
        let mut container = json!({"env": [
            {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}, {"name": "A"}]});
        put_env(&mut container, json!({"name": "A", "value": "2"}));
        let env = json!([{"name": "A", "value": "2"}, {"name": "B", "value": "$(A)"}]);
        assert_eq!(container["env"], env);
        fill_env(&mut container, json!({"name": "A", "value": "3"}));
        assert_eq!(container["env"], env);
    }

    #[test]
    fn a_null_member_counts_as_absent() {
        let mut object = json!({"env": null, "probe": null});
        fill_env(&mut object, json!({"name": "A"}));
        fill(&mut object, "probe", json!({}));
        assert_eq!(object, json!({"env": [{"name": "A"}], "probe": {}}));
    }
}
