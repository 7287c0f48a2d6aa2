//! The library of ready policies in `deploy/policies`: each reports what its failing example does, and
//! refuses it once told to; its passing example nobody minds.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::run::run;
use support::webhook::raywarden;

const SOON: Duration = Duration::from_mins(1);

/// The folders of the library, by name.
fn library() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policies");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the library is part of the checkout")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(found.len() >= 6, "only {} policies", found.len());
    found
}

fn name(folder: &Path) -> &str {
    folder.file_name().and_then(|name| name.to_str()).expect("a name")
}

/// What `review` says of a file under a policy, given as text.
fn reviewed(file: &Path, policy: &str) -> Value {
    let mut command = raywarden();
    command.args(["review", "-o", "json", "--policy", "-", "-f"]).arg(file);
    let ran = run(command, policy, SOON);
    let report: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", ran.report()));
    report[0].clone()
}

fn count(report: &Value, key: &str) -> usize {
    report[key].as_array().expect("a list").len()
}

#[test]
fn every_policy_of_the_library_reports_at_first_and_refuses_when_told_to() {
    for folder in library() {
        let name = name(&folder);
        let audits = fs::read_to_string(folder.join("policy.yaml")).expect("a policy");
        assert_eq!(audits.matches("enforcement: audit").count(), 1, "{name}");
        let denies = audits.replace("enforcement: audit", "enforcement: deny");
        let fails = folder.join("fails.yaml");

        let report = reviewed(&fails, &audits);
        assert_eq!(report["allowed"], true, "{name}: {report}");
        assert!(count(&report, "audited") > 0, "{name}: {report}");
        let report = reviewed(&fails, &denies);
        assert_eq!(report["allowed"], false, "{name}: {report}");
        for cause in report["causes"].as_array().expect("causes") {
            assert_eq!(cause["policy"], name, "{cause}");
        }
        let report = reviewed(&folder.join("passes.yaml"), &denies);
        let said = ["causes", "warnings", "audited"].map(|key| count(&report, key));
        assert_eq!((said, &report["allowed"]), ([0, 0, 0], &true.into()), "{name}: {report}");
    }
}

#[test]
fn every_policy_of_the_library_is_installed_and_called_as_its_folder() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policies/kustomization.yaml");
    let text = fs::read_to_string(file).expect("a kustomization");
    let kustomization: Value = serde_saphyr::from_str(&text).expect("YAML");
    let mut listed: Vec<String> =
        serde_json::from_value(kustomization["resources"].clone()).expect("a list");
    listed.sort();
    let folders = library();
    let files: Vec<String> =
        folders.iter().map(|folder| format!("{}/policy.yaml", name(folder))).collect();
    assert_eq!(listed, files);
    for folder in folders {
        let text = fs::read_to_string(folder.join("policy.yaml")).expect("a policy");
        let policy: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(policy["metadata"]["name"], name(&folder));
    }
}
