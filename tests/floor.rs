//! The floor that `export-vap` writes, on a real API server, beside the engine: it refuses nothing that
//! the engine admits, and what it claims to cover it refuses wherever the engine does.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "floor/objects.rs"]
mod objects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use objects::{FAULTS, KINDS, NAMESPACE, SOUND, object};
use raywarden::admission::{Phase, PolicySet, Review, Settings, review};
use raywarden::model::{Operation, Severity};
use raywarden::policy::Policy;
use serde_json::{Value, json};
use support::control_plane::{ControlPlane, Options};
use support::golden;
use support::run::run;
use support::wait::wait_until;
use support::webhook::raywarden;

/// What is wrong with the clusters that were there before.
const STORED: [&str; 8] = [
    "none",
    "min-above-max",
    "no-label",
    "default-account",
    "two-alike",
    "no-queue",
    "idle-long",
    "cluster-large",
];

const SOON: Duration = Duration::from_mins(1);

fn policy_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/floor.yaml")
}

/// What the command prints.
fn export(arguments: &[&str]) -> String {
    let mut command = raywarden();
    command.arg("export-vap").arg("--policy").arg(policy_file()).args(arguments);
    run(command, "", SOON).ok()
}

fn policies() -> PolicySet {
    let text = std::fs::read_to_string(policy_file()).expect("the policy can be read");
    let written: Vec<Value> = serde_saphyr::from_multiple(&text).expect("it is YAML");
    let compiled = written.iter().map(|it| Arc::new(Policy::compile(it).expect("it compiles")));
    PolicySet { policies: compiled.collect(), ..PolicySet::default() }
}

/// The rules by which the engine refuses.
fn engine(policies: &PolicySet, new: &Value, old: Option<&Value>) -> BTreeSet<String> {
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let request = Review::of_manifest(operation, "alice", NAMESPACE, new.clone(), old.cloned());
    let request = Review { manifest: false, ..request };
    let answer = review(&Settings::default(), policies, Phase::Validate, &request);
    let refusals = answer.findings.iter().filter(|finding| finding.severity == Severity::Deny);
    refusals.map(|finding| finding.rule.to_string()).collect()
}

/// What the floor did with a write in a dry run.
#[derive(Debug, PartialEq, Eq)]
enum Floor {
    Admits,
    Refuses(String),
    /// The schema was faster.
    Unasked,
}

fn floor(plane: &ControlPlane, new: &Value, old: Option<&Value>) -> Floor {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let plural = format!("{}s", text(&new["kind"]).to_lowercase());
    let folder = format!("/apis/ray.io/v1/namespaces/{NAMESPACE}/{plural}");
    let mut body = new.clone();
    let (method, path) = match old {
        Some(old) => {
            body["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            ("PUT", format!("{folder}/{}?dryRun=All", text(&old["metadata"]["name"])))
        }
        None => ("POST", format!("{folder}?dryRun=All")),
    };
    let answer = plane
        .request(method, &path)
        .impersonating("alice", &["system:masters"])
        .body("application/json", &body)
        .send();
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    match answer.status {
        200 | 201 => Floor::Admits,
        _ if message.contains("ValidatingAdmissionPolicy") => Floor::Refuses(message),
        422 => Floor::Unasked,
        status => panic!("{status}: {message}"),
    }
}

fn create(plane: &ControlPlane, object: &Value) -> Value {
    let folder = format!("/apis/ray.io/v1/namespaces/{NAMESPACE}/rayclusters");
    let answer = plane.request("POST", &folder).body("application/json", object).send();
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()
}

/// A control plane with every Ray kind and no webhook.
fn plane() -> ControlPlane {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    let definitions = plane.kuberay().join("config/crd/bases");
    for kind in ["rayjobs", "rayservices", "raycronjobs"] {
        let file = definitions.join(format!("ray.io_{kind}.yaml")).display().to_string();
        plane.kubectl(&["create", "-f", &file]).ok();
        wait_until(SOON, "the kind is served", || {
            plane.kubectl(&["get", kind]).status.success().then_some(())
        });
    }
    plane.kubectl(&["create", "namespace", NAMESPACE]).ok();
    plane
}

/// One write, judged by both.
struct Compared {
    what: String,
    engine: BTreeSet<String>,
    floor: Floor,
    /// Rules that the stored object broke before.
    before: BTreeSet<String>,
    creates: bool,
}

#[test]
fn the_floor_agrees_with_the_engine_on_every_rule_that_it_claims() {
    let policies = policies();
    let plane = plane();
    // Stored while nothing held them back.
    let stored: Vec<Value> = STORED
        .iter()
        .map(|fault| create(&plane, &object("RayCluster", &[fault], &format!("old-{fault}"))))
        .collect();
    plane.apply_yaml(&export(&[]));
    // Each of its policies takes its own moment to come into force.
    for fault in FAULTS.iter().filter(|fault| !SOUND.contains(fault)) {
        let bad = object("RayCluster", &[fault], "lab");
        wait_until(SOON, &format!("the floor holds {fault} back"), || {
            (floor(&plane, &bad, None) != Floor::Admits).then_some(())
        });
    }

    let mut compared = Vec::new();
    for (what, new) in created() {
        compared.push(Compared {
            engine: engine(&policies, &new, None),
            floor: floor(&plane, &new, None),
            before: BTreeSet::new(),
            creates: true,
            what,
        });
    }
    for old in &stored {
        let name = old["metadata"]["name"].as_str().expect("a name");
        for fault in FAULTS.iter().filter(|fault| !fault.starts_with("name-")) {
            let new = object("RayCluster", &[fault], name);
            compared.push(Compared {
                what: format!("{name} -> {fault}"),
                engine: engine(&policies, &new, Some(old)),
                floor: floor(&plane, &new, Some(old)),
                before: engine(&policies, old, None),
                creates: false,
            });
        }
    }
    let mut faults = disagreements(&compared);
    for fault in FAULTS {
        let what = format!("RayCluster {fault}");
        let one = compared.iter().find(|it| it.what == what).expect("each fault was tried");
        let sound = SOUND.contains(&fault);
        if sound != one.engine.is_empty() || sound != (one.floor == Floor::Admits) {
            faults.push(format!("{what}: engine {:?}, floor {:?}", one.engine, one.floor));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), compared.len(), faults.join("\n"));
}

/// Sound objects and each fault in every kind, and pairs of faults in a RayCluster.
fn created() -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for kind in KINDS {
        for fault in FAULTS {
            out.push((format!("{kind} {fault}"), object(kind, &[fault], "lab")));
        }
    }
    for (index, first) in FAULTS.iter().enumerate() {
        // Every ninth pair: enough to meet each fault beside several others.
        for second in FAULTS.iter().skip(index + 1).step_by(9) {
            let new = object("RayCluster", &[first, second], "lab");
            out.push((format!("RayCluster {first} {second}"), new));
        }
    }
    out.extend(cases());
    out.push(("an exception".to_owned(), object("RayCluster", &["default-account"], "moving-1")));
    out
}

/// The objects that people create in the cases.
fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = std::fs::read_dir(folder).expect("the cases are part of the checkout");
    let mut out = Vec::new();
    for file in files.map(|entry| entry.expect("an entry can be read").path()) {
        if file.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a case can be read");
        let case: Value = serde_json::from_str(&text).expect("a case is JSON");
        for step in case["steps"].as_array().expect("steps") {
            let request = &step["review"]["request"];
            let mut new = request["object"].clone();
            let ours = new["apiVersion"] == "ray.io/v1"
                && KINDS.iter().any(|kind| new["kind"] == *kind)
                && new["metadata"].is_object();
            if ours && request["operation"] == "CREATE" {
                new["metadata"]["namespace"] = json!(NAMESPACE);
                out.push((format!("{} {}", case["id"], step["name"]), new));
            }
        }
    }
    assert!(out.len() > 40, "only {} objects in the cases", out.len());
    out
}

fn disagreements(compared: &[Compared]) -> Vec<String> {
    let coverage: Value = serde_json::from_str(&export(&["-o", "coverage"])).expect("JSON");
    let covered = coverage["covered"].as_array().expect("a list");
    let claims = |creates: bool| -> BTreeSet<String> {
        let claimed = covered.iter().filter(|entry| {
            creates || entry["operations"].as_array().is_some_and(|list| list.len() == 2)
        });
        claimed.map(|entry| entry["rule"].as_str().expect("a rule").to_owned()).collect()
    };
    let mut faults = Vec::new();
    let mut shown = BTreeSet::new();
    for Compared { what, engine, floor, before, creates } in compared {
        let claimed = claims(*creates);
        let due = engine.intersection(&claimed).filter(|rule| !before.contains(*rule));
        let due: Vec<&String> = due.collect();
        match floor {
            Floor::Refuses(message) if engine.is_empty() => {
                faults.push(format!("{what}: only the floor refuses: {message}"));
            }
            Floor::Refuses(message) => {
                shown.extend(engine.iter().filter(|rule| message.contains(*rule)).cloned());
            }
            Floor::Admits if !due.is_empty() => {
                faults.push(format!("{what}: the floor admits what the engine refuses by {due:?}"));
            }
            Floor::Admits | Floor::Unasked => {}
        }
    }
    let unseen: Vec<String> = claims(true).difference(&shown).cloned().collect();
    if !unseen.is_empty() {
        faults.push(format!("claimed and never seen to refuse: {unseen:?}"));
    }
    faults
}

#[test]
fn what_the_floor_covers_is_listed_and_does_not_shrink_unseen() {
    golden::compare("tests/golden/floor/coverage.json", &export(&["-o", "coverage"]));
    golden::compare("tests/golden/floor/floor.yaml", &export(&[]));
}

#[test]
fn a_machine_and_an_account_of_the_namespace_are_never_asked() {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&export(&[])).expect("YAML");
    let policies = objects.iter().filter(|it| it["kind"] == "ValidatingAdmissionPolicy");
    for policy in policies {
        let conditions = policy["spec"]["matchConditions"].as_array().expect("conditions");
        let names: Vec<&Value> = conditions.iter().map(|condition| &condition["name"]).collect();
        for name in ["people", "no-account-of-the-namespace-updates", "stays"] {
            assert!(names.contains(&&json!(name)), "{names:?}");
        }
        assert_eq!(policy["spec"]["failurePolicy"], "Ignore");
    }
}
