//! Our RayCluster CRD beside KubeRay's, each on a real API server: the same objects are refused at
//! the same places, the same samples accepted and stored alike.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::control_plane::{ControlPlane, Options};
use support::samples::samples;

/// The two definitions, each with an API server of its own.
static SIDES: LazyLock<[(&str, ControlPlane); 2]> = LazyLock::new(|| {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd/raycluster.yaml");
    [("ours", ours), ("kuberay", "kuberay")].map(|(name, crd)| {
        let options = Options { crd: Some(crd.to_owned()), ..Options::default() };
        (name, ControlPlane::start(options))
    })
});

fn table() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/invalid.yaml");
    let text = std::fs::read_to_string(path).expect("the table is part of the checkout");
    serde_saphyr::from_str(&text).expect("the table is YAML")
}

fn rows<'a>(table: &'a Value, part: &str) -> &'a [Value] {
    table[part].as_array().map_or(&[], Vec::as_slice)
}

fn object(table: &Value, row: &Value) -> Value {
    let mut object = table["base"].clone();
    let patch: json_patch::Patch = serde_json::from_value(row["patch"].clone()).expect("RFC 6902");
    json_patch::patch(&mut object, &patch).expect("the patch fits the base");
    object
}

/// `/spec/a/0/b-c` as a server writes it: `spec.a[0].b-c`.
fn field_path(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        if step.chars().all(|c| c.is_ascii_digit()) {
            let _ = write!(path, "[{step}]");
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

fn create(plane: &ControlPlane, object: &Value, validation: &str) -> support::request::Answer {
    let version = object["apiVersion"].as_str().unwrap_or("ray.io/v1");
    let path = format!(
        "/apis/{version}/namespaces/default/rayclusters?dryRun=All&fieldValidation={validation}"
    );
    plane.request("POST", &path).body("application/json", object).send()
}

#[test]
fn thirty_invalid_objects_are_refused_at_the_same_place_by_both() {
    let table = table();
    let rows = rows(&table, "invalid");
    assert!(rows.len() >= 30, "only {} rows", rows.len());
    let mut faults = Vec::new();
    for row in rows {
        let wanted = field_path(row["at"].as_str().expect("a row has a place"));
        for (side, plane) in &*SIDES {
            let answer = create(plane, &object(&table, row), "Warn");
            let status = answer.json();
            let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
            let named = causes.iter().any(|cause| cause["field"] == json!(wanted));
            if answer.status != 422 || !named {
                faults.push(format!("{side}: {}: {} {causes:?}", row["name"], answer.status));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_unknown_field_is_warned_of_at_the_same_place_by_both() {
    let table = table();
    for row in rows(&table, "unknown") {
        let wanted = field_path(row["at"].as_str().expect("a row has a place"));
        for (side, plane) in &*SIDES {
            let answer = create(plane, &object(&table, row), "Warn");
            let headers = answer.headers.iter();
            let warnings = headers.filter(|(key, _)| key.eq_ignore_ascii_case("warning"));
            let warning: String = warnings.map(|(_, text)| text.as_str()).collect();
            let name = &row["name"];
            assert_eq!(answer.status, 201, "{side}: {name}: {answer:?}");
            assert!(warning.contains(&wanted), "{side}: {name}: {warning:?} without {wanted}");
        }
    }
}

#[test]
fn every_sample_is_accepted_by_both_and_stored_alike() {
    let (_, plane) = &SIDES[0];
    for sample in samples(plane) {
        let mut object = sample.object.clone();
        object["metadata"]["name"] = json!("sample");
        let stored = SIDES.each_ref().map(|(side, plane)| {
            let answer = create(plane, &object, "Strict");
            assert_eq!(answer.status, 201, "{side}: {}: {answer:?}", sample.name);
            answer.json()["spec"].clone()
        });
        assert_eq!(stored[0], stored[1], "{}", sample.name);
    }
}
