//! Real-world cases with their right outcomes, each step an AdmissionReview and what is expected of
//! the answer; and every step again in variants whose verdict must follow.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

#[path = "cases/expect.rs"]
mod expect;
#[path = "cases/vary.rs"]
mod vary;

use std::path::PathBuf;

use raywarden::admission::settings::NodeManagerChoice;
use raywarden::admission::{Mode, Phase, PolicySet, Review, Settings, review, wire};
use serde_json::Value;

/// One step of a case.
struct Step {
    name: String,
    args: Vec<String>,
    review: Value,
    expect: Value,
}

fn steps() -> Vec<Step> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of cases is part of the checkout")
        .map(|entry| entry.expect("a folder entry can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    assert!(files.len() > 50, "only {} cases found", files.len());
    files.iter().flat_map(read).collect()
}

fn read(path: &PathBuf) -> Vec<Step> {
    let text = std::fs::read_to_string(path).expect("a case can be read");
    let case: Value = serde_json::from_str(&text).expect("a case is JSON");
    let id = case["id"].as_str().expect("a case has an id").to_owned();
    let steps = case["steps"].as_array().expect("a case has steps");
    steps
        .iter()
        .enumerate()
        .map(|(index, step)| Step {
            name: format!("{id}.{} {}", index + 1, step["name"].as_str().unwrap_or("-")),
            args: serde_json::from_value(step["args"].clone()).unwrap_or_default(),
            review: step["review"].clone(),
            expect: step["expect"].clone(),
        })
        .collect()
}

fn settings(args: &[String]) -> Settings {
    let mut settings = Settings::default();
    for pair in args.chunks(2) {
        match (pair[0].as_str(), pair[1].as_str()) {
            ("--node-manager", name) => {
                settings.node_manager = NodeManagerChoice::parse(name).expect("a node manager").0;
            }
            ("--mode", "audit") => settings.mode = Mode::Audit,
            other => panic!("unknown argument {other:?}"),
        }
    }
    settings
}

/// The AdmissionReview that answers `request`.
fn answer(args: &[String], request: &Value) -> Value {
    let parsed = Review::from_value(request.clone()).expect("a case is an AdmissionReview");
    let answer = review(&settings(args), &PolicySet::default(), Phase::Offline, &parsed);
    wire::response(&parsed.uid, &answer)
}

#[test]
fn every_case_has_its_right_outcome() {
    let mut failures = Vec::new();
    for step in steps() {
        let faults =
            expect::faults(&|request| answer(&step.args, request), &step.review, &step.expect);
        failures.extend(faults.into_iter().map(|fault| format!("{}: {fault}", step.name)));
    }
    assert!(failures.is_empty(), "{} faults:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_verdict_follows_names_order_and_unknown_fields() {
    let mut failures = Vec::new();
    let mut count = 0;
    for step in steps() {
        for variant in vary::variants(&step.review, &step.expect) {
            count += 1;
            let faults = expect::faults(
                &|request| answer(&step.args, request),
                &variant.review,
                &variant.expect,
            );
            failures.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{} ({}): {fault}", step.name, variant.name)),
            );
        }
    }
    assert!(count > 500, "only {count} variants");
    assert!(failures.is_empty(), "{} faults:\n{}", failures.len(), failures.join("\n"));
}
