//! Variants of a step: the same situation under other names, in another order, with more around it.
//! The expectation is carried along: paths follow the entries that moved.

use serde_json::{Value, json};

/// A varied step.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) review: Value,
    pub(crate) expect: Value,
}

/// Every variant that makes sense for a step.
pub(crate) fn variants(review: &Value, expect: &Value) -> Vec<Variant> {
    let same = |name, review| Variant { name, review, expect: expect.clone() };
    let mut all = vec![
        same("another namespace and user", elsewhere(review)),
        same("unknown fields", with_unknown(review)),
        same("another key order", reversed_keys(review)),
    ];
    all.extend(renamed(review, expect));
    all.extend(group_in_front(review, expect));
    all.extend(groups_reversed(review, expect));
    all.extend(second_container(review, expect));
    all
}

const OBJECTS: [&str; 2] = ["object", "oldObject"];

/// Another namespace, its accounts included, and another person.
fn elsewhere(review: &Value) -> Value {
    let mut review = review.clone();
    let request = &mut review["request"];
    let user = request["userInfo"]["username"].as_str().unwrap_or("").to_owned();
    if user == "alice@corp.example" {
        request["userInfo"]["username"] = json!("ci-bot");
    }
    let namespace = request["namespace"].as_str().unwrap_or("").to_owned();
    if namespace.is_empty() {
        return review;
    }
    if let Some(name) = user.strip_prefix(&format!("system:serviceaccount:{namespace}:")) {
        request["userInfo"]["username"] = json!(format!("system:serviceaccount:elsewhere:{name}"));
    }
    request["namespace"] = json!("elsewhere");
    for key in OBJECTS {
        if request[key]["metadata"]["namespace"].is_string() {
            request[key]["metadata"]["namespace"] = json!("elsewhere");
        }
    }
    review
}

/// Fields of a later day, in the spec and in every group.
fn with_unknown(review: &Value) -> Value {
    let mut review = review.clone();
    for key in OBJECTS {
        let object = &mut review["request"][key];
        if object["spec"].is_object() {
            object["spec"]["laterField"] = json!({"a/b": [1, {"~": null}]});
        }
        for group in object["spec"]["workerGroupSpecs"].as_array_mut().into_iter().flatten() {
            if group.is_object() {
                group["laterField"] = json!("kept");
            }
        }
    }
    review
}

/// Members of every object in reverse; lists stay.
fn reversed_keys(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().rev().map(|(k, v)| (k.clone(), reversed_keys(v))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(reversed_keys).collect()),
        other => other.clone(),
    }
}

/// Another cluster name of the same length, wherever it stands. Short names could be part of other
/// words.
fn renamed(review: &Value, expect: &Value) -> Option<Variant> {
    let name = review["request"]["object"]["metadata"]["name"].as_str()?.to_owned();
    if name.len() < 6 || !name.contains('-') {
        return None;
    }
    let other = format!("zq{}", &name[2..]);
    let swap = |value: &Value| -> Value {
        serde_json::from_str(&value.to_string().replace(&name, &other)).expect("still JSON")
    };
    Some(Variant { name: "another cluster name", review: swap(review), expect: swap(expect) })
}

/// A sound group before all others.
fn group_in_front(review: &Value, expect: &Value) -> Option<Variant> {
    let front = json!({
        "groupName": "front",
        "replicas": 1, "minReplicas": 0, "maxReplicas": 2, "numOfHosts": 1,
        "rayStartParams": {},
        "template": {"spec": {"containers": [{
            "name": "ray-worker", "image": "registry.example/ray:2.52.0",
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        }]}},
    });
    let review = with_groups(review, |groups| {
        groups.insert(0, front.clone());
        !groups.is_empty()
    })?;
    let expect = remapped(expect, "workerGroupSpecs", &|index| index + 1);
    Some(Variant { name: "a group in front", review, expect })
}

/// The groups in reverse order, where each has a name of its own.
fn groups_reversed(review: &Value, expect: &Value) -> Option<Variant> {
    let mut lengths = Vec::new();
    let review = with_groups(review, |groups| {
        lengths.push(groups.len());
        groups.reverse();
        let names: std::collections::HashSet<String> =
            groups.iter().map(|group| group["groupName"].to_string()).collect();
        names.len() == groups.len()
    })?;
    let last = lengths.first()?.checked_sub(1)?;
    if lengths.iter().any(|length| *length != last + 1) {
        return None;
    }
    let expect = remapped(expect, "workerGroupSpecs", &|index| last.saturating_sub(index));
    Some(Variant { name: "groups reversed", review, expect })
}

/// Changes the groups of every object; `None` where there are none or `change` says no.
fn with_groups(review: &Value, mut change: impl FnMut(&mut Vec<Value>) -> bool) -> Option<Value> {
    let mut review = review.clone();
    let mut found = false;
    for key in OBJECTS {
        for spec in ["/spec", "/spec/rayClusterSpec", "/spec/rayClusterConfig"] {
            let groups = review["request"][key].pointer_mut(&format!("{spec}/workerGroupSpecs"));
            let Some(groups) = groups.and_then(Value::as_array_mut) else {
                continue;
            };
            if groups.is_empty() || !change(groups) {
                return None;
            }
            found = true;
        }
    }
    found.then_some(review)
}

/// A second container of the user's behind the Ray container; what follows moves by one.
fn second_container(review: &Value, expect: &Value) -> Option<Variant> {
    let mut review = review.clone();
    let mut found = false;
    for key in OBJECTS {
        let at = "/spec/headGroupSpec/template/spec/containers";
        let containers = review["request"][key].pointer_mut(at).and_then(Value::as_array_mut);
        let Some(containers) = containers.filter(|list| !list.is_empty()) else {
            continue;
        };
        containers.insert(1, json!({"name": "log-shipper", "image": "registry.example/logs:1"}));
        found = true;
    }
    let expect = expect.to_string();
    // Where a step names the whole head, an addition is another situation.
    if !found || expect.contains("\"/spec/headGroupSpec\":{") {
        return None;
    }
    let expect: Value = serde_json::from_str(&expect).ok()?;
    let moved = |index| if index == 0 { 0 } else { index + 1 };
    let expect = remapped(&expect, "headGroupSpec/template/spec/containers", &moved);
    let expect = remapped(&expect, "headGroupSpec.template.spec.containers", &moved);
    Some(Variant { name: "a second container", review, expect })
}

/// The expectation with the indices behind `list` changed, in pointers and in field paths.
fn remapped(expect: &Value, list: &str, index: &dyn Fn(usize) -> usize) -> Value {
    match expect {
        Value::String(text) => json!(remap_text(text, list, index)),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| remapped(item, list, index)).collect())
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (remap_text(key, list, index), remapped(value, list, index)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn remap_text(text: &str, list: &str, index: &dyn Fn(usize) -> usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(list) {
        let (head, tail) = rest.split_at(at + list.len());
        out.push_str(head);
        let digits: String = tail.chars().skip(1).take_while(char::is_ascii_digit).collect();
        match digits.parse::<usize>() {
            Ok(number) if tail.starts_with(['[', '/']) => {
                out.push_str(&tail[..1]);
                out.push_str(&index(number).to_string());
                rest = &tail[1 + digits.len()..];
            }
            _ => rest = tail,
        }
    }
    out.push_str(rest);
    out
}
