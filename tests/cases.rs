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

use clap::Parser;
use raywarden::admission::{Phase, Review, review, wire};
use raywarden::cli::settings::SettingsArgs;
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

/// The flags of a case, read as the command line reads them.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    rules: SettingsArgs,
}

fn rules(args: &[String]) -> SettingsArgs {
    let words = std::iter::once("raywarden").chain(args.iter().map(String::as_str));
    Flags::try_parse_from(words).expect("a case has flags of the command line").rules
}

/// The AdmissionReview that answers `request`.
fn answer(args: &[String], request: &Value) -> Value {
    let parsed = Review::from_value(request.clone()).expect("a case is an AdmissionReview");
    let rules = rules(args);
    let answer = review(&rules.settings(), &rules.policies(), Phase::Offline, &parsed);
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
