//! The catalogue as a test: each rule's failing example is refused or warned of by that rule alone,
//! and its passing example by none. Run by the binary, as a reader of `explain` would.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::time::Duration;

use raywarden::policy::rules::{Base, Example, catalogue};
use serde_json::Value;
use support::golden;
use support::run::run;
use support::webhook::raywarden;

const SOON: Duration = Duration::from_secs(30);

/// Lays a fragment over an object: members over members, list entries over the entry of their rank,
/// further ones over the first; null takes out and an empty list replaces.
fn lay(base: &mut Value, fragment: &Value) {
    match (base, fragment) {
        (Value::Object(base), Value::Object(fragment)) => {
            for (key, value) in fragment {
                if value.is_null() {
                    base.remove(key);
                } else {
                    lay(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(base), Value::Array(fragment)) if !fragment.is_empty() => {
            let first = base.first().cloned().unwrap_or(Value::Null);
            for (index, value) in fragment.iter().enumerate() {
                if index == base.len() {
                    base.push(if value.is_object() { first.clone() } else { Value::Null });
                }
                lay(&mut base[index], value);
            }
        }
        (base, fragment) => base.clone_from(fragment),
    }
}

fn object(base: Base, fragment: &str) -> Value {
    let mut object: Value = serde_saphyr::from_str(base.yaml()).expect("a base is YAML");
    if !fragment.is_empty() {
        let fragment: Value = serde_saphyr::from_str(fragment).expect("a fragment is YAML");
        lay(&mut object, &fragment);
    }
    object
}

/// The rules that speak of an example, with their weights; under a policy those that do not speak
/// without it.
fn rules(example: &Example) -> Vec<(String, String)> {
    let new = object(example.base, example.yaml).to_string();
    let mut command = raywarden();
    command.args(["review", "-f", "-", "--output", "json"]).args(example.flags);
    let folder = tempfolder();
    if let Some(before) = example.before {
        let path = folder.join("old.json");
        std::fs::write(&path, object(example.base, before).to_string()).expect("can be written");
        command.arg("--old").arg(path);
    }
    if let Some(policy) = example.policy {
        command.arg("--policy").arg(policy_file(&folder, policy));
    }
    let ran = run(command, &new, SOON);
    let _ = std::fs::remove_dir_all(folder);
    let report: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", ran.report()));
    let list = |key: &str, weight: &str| -> Vec<(String, String)> {
        let lines = report[0][key].as_array().cloned().unwrap_or_default();
        lines
            .iter()
            .map(|line| (line["rule"].as_str().expect("a rule").to_owned(), weight.to_owned()))
            .collect()
    };
    let mut rules = [list("causes", "deny"), list("warnings", "warn")].concat();
    rules.dedup();
    if example.policy.is_some() {
        let built_in = self::rules(&Example { policy: None, ..*example });
        rules.retain(|rule| !built_in.contains(rule));
    }
    rules
}

/// A policy of that spec; it refuses.
fn policy_file(folder: &std::path::Path, spec: &str) -> std::path::PathBuf {
    let mut spec: Value = serde_saphyr::from_str(spec).expect("a spec is YAML");
    spec["enforcement"] = "deny".into();
    let policy = serde_json::json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
        "metadata": {"name": "example"}, "spec": spec,
    });
    let path = folder.join("policy.json");
    std::fs::write(&path, policy.to_string()).expect("can be written");
    path
}

fn tempfolder() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("raywarden-explain-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a folder can be made");
    path
}

#[test]
fn each_failing_example_is_caught_by_its_rule_alone_and_each_passing_one_by_none() {
    let mut faults = Vec::new();
    for rule in catalogue() {
        let weight = format!("{:?}", rule.severity).to_lowercase();
        let found = rules(&rule.fails);
        if found != [(rule.id.as_str().to_owned(), weight)] {
            faults.push(format!("{} fails by {found:?}", rule.id));
        }
        let found = rules(&rule.passes);
        if !found.is_empty() {
            faults.push(format!("{} passes with {found:?}", rule.id));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_refusal_says_what_is_there_what_is_allowed_and_what_to_do() {
    for rule in catalogue() {
        let example = &rule.fails;
        // What is wrong with a policy is one sentence of whoever reads it.
        let sent = matches!(example.base, Base::Scale | Base::Policy);
        if example.before.is_some() || sent {
            continue;
        }
        let mut command = raywarden();
        command.args(["review", "-f", "-", "--output", "json", "--strict"]).args(example.flags);
        let ran = run(command, &object(example.base, example.yaml).to_string(), SOON);
        let report: Value = serde_json::from_str(&ran.stdout).expect("JSON was asked for");
        for cause in report[0]["causes"].as_array().into_iter().flatten() {
            let message = cause["message"].as_str().expect("a message");
            let parts: Vec<&str> = message.split("; ").collect();
            let allowed = parts.iter().any(|part| part.starts_with("allowed: "));
            assert!(allowed && parts.len() >= 3, "{}: {message}", rule.id);
            assert!(cause["field"].as_str().is_some_and(|field| !field.is_empty()));
        }
    }
}

#[test]
fn the_table_and_a_page_read_as_they_are_meant_to() {
    let explain = |arguments: &[&str]| {
        let mut command = raywarden();
        command.arg("explain").args(arguments);
        run(command, "", SOON)
    };
    golden::compare("tests/golden/explain/table.txt", &explain(&[]).ok());
    golden::compare("deploy/RULES.md", &explain(&["--output", "markdown"]).ok());
    golden::compare("tests/golden/explain/min-max.txt", &explain(&["bounds/min-max"]).ok());
    golden::compare("tests/golden/explain/page.txt", &explain(&["bounds/replicas-above-max"]).ok());
    // As it is copied from a refusal.
    let copied = explain(&["[raywarden bounds/replicas-above-max]"]).ok();
    assert!(copied.starts_with("bounds/replicas-above-max"));
    let json: Value =
        serde_json::from_str(&explain(&["--output", "json"]).ok()).expect("JSON was asked for");
    assert_eq!(json.as_array().map(Vec::len), Some(catalogue().count()));
}

#[test]
fn an_unknown_rule_ends_with_2_and_the_nearest_one() {
    let mut command = raywarden();
    command.args(["explain", "bounds/minmax"]);
    let ran = run(command, "", SOON);
    assert_eq!(ran.status.code(), Some(2));
    assert!(ran.stderr.contains("did you mean bounds/min-max"), "{}", ran.report());
}
