//! Our CRD and the offline checker against the pinned KubeRay: its CRDs and its samples, read from
//! its Go module.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by a panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use raywarden::schema;
use serde_json::{Map, Value, json};

#[path = "support/golden.rs"]
mod golden;

const KUBERAY: &str = "github.com/ray-project/kuberay/ray-operator@v1.6.2";

/// Fields that KubeRay's CRD has and ours has not: its Go types are those of Kubernetes 1.35, and a
/// server of the pinned Kubernetes 1.34 drops them when the Pod is made.
const NEWER_THAN_KUBERNETES: [&str; 2] =
    [".spec.workloadRef", ".spec.volumes[].projected.sources[].podCertificate.userAnnotations"];

static MODULE: LazyLock<PathBuf> = LazyLock::new(|| {
    let answer = Command::new("go")
        .args(["mod", "download", "-json", KUBERAY])
        .current_dir("/")
        .output()
        .expect("go is installed");
    let answer: Value = serde_json::from_slice(&answer.stdout).expect("go answers in JSON");
    PathBuf::from(answer["Dir"].as_str().expect("the module is there"))
});

fn kuberay(plural: &str) -> Value {
    let path = MODULE.join(format!("config/crd/bases/ray.io_{plural}.yaml"));
    let text = fs::read_to_string(&path).expect("the module holds the CRD");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each version of a CRD with its schema taken out of it.
fn versions(crd: &Value) -> Vec<(String, Map<String, Value>, Value)> {
    let versions = crd["spec"]["versions"].as_array().expect("versions");
    let split = |version: &Value| {
        let mut rest = version.as_object().expect("a version").clone();
        let schema = rest.remove("schema").expect("a schema")["openAPIV3Schema"].take();
        (version["name"].as_str().expect("a name").to_owned(), rest, schema)
    };
    versions.iter().map(split).collect()
}

/// Every difference between two structural schemas, as a line.
fn differences(ours: &Value, theirs: &Value, at: &str, out: &mut Vec<String>) {
    let (Value::Object(left), Value::Object(right)) = (ours, theirs) else {
        out.push(format!("{at}: {ours} instead of {theirs}"));
        return;
    };
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        match (key.as_str(), left.get(key), right.get(key)) {
            // Said by x-kubernetes-int-or-string already, and the default of every list.
            ("anyOf", None, Some(_)) if left.contains_key("x-kubernetes-int-or-string") => {}
            ("x-kubernetes-list-type", None, Some(kind)) if kind == "atomic" => {}
            ("properties", ours, theirs) => fields(ours, theirs, at, out),
            ("items", Some(ours), Some(theirs)) => {
                differences(ours, theirs, &format!("{at}[]"), out);
            }
            ("additionalProperties", Some(ours), Some(theirs)) => {
                differences(ours, theirs, &format!("{at}{{}}"), out);
            }
            ("required" | "enum", Some(ours), Some(theirs)) if sorted(ours) == sorted(theirs) => {}
            (_, ours, theirs) if ours == theirs => {}
            (key, ours, theirs) => out.push(format!("{at} {key}: {ours:?} instead of {theirs:?}")),
        }
    }
}

fn fields(ours: Option<&Value>, theirs: Option<&Value>, at: &str, out: &mut Vec<String>) {
    let none = json!({});
    let members =
        |side: Option<&Value>| side.unwrap_or(&none).as_object().cloned().expect("fields");
    let (ours, theirs) = (members(ours), members(theirs));
    for (name, field) in &ours {
        match theirs.get(name) {
            Some(other) => differences(field, other, &format!("{at}.{name}"), out),
            None => out.push(format!("{at}.{name}: only ours")),
        }
    }
    let missing = theirs.keys().filter(|name| !ours.contains_key(*name));
    out.extend(missing.map(|name| format!("{at}.{name}: only KubeRay's")));
}

fn sorted(list: &Value) -> Vec<String> {
    let mut entries: Vec<String> =
        list.as_array().expect("a list").iter().map(Value::to_string).collect();
    entries.sort();
    entries
}

fn unexplained(differences: Vec<String>) -> Vec<String> {
    let explained = |line: &String| {
        NEWER_THAN_KUBERNETES
            .iter()
            .any(|field| line.ends_with(&format!("{field}: only KubeRay's")))
    };
    differences.into_iter().filter(|line| !explained(line)).collect()
}

#[test]
fn the_embedded_kubernetes_types_are_those_of_the_pinned_api_server() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/schema.py");
    let check = Command::new("python3").args([script, "--check"]).output().expect("python3 runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn our_schema_means_what_that_of_kuberay_means() {
    let (ours, theirs) = (schema::crd(), kuberay("rayclusters"));
    let mut found = Vec::new();
    let (ours, theirs) = (versions(&ours), versions(&theirs));
    assert_eq!(ours.len(), theirs.len());
    for ((name, _, ours), (other, _, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(name, other);
        differences(ours, theirs, name, &mut found);
    }
    // Two fields, in the templates of head and workers, in two versions: the allow-list is no wider
    // than what it allows.
    assert_eq!(found.len(), 8, "{found:#?}");
    assert_eq!(unexplained(found), [] as [String; 0]);
}

#[test]
fn names_columns_and_subresources_are_those_of_kuberay() {
    let (ours, theirs) = (schema::crd(), kuberay("rayclusters"));
    assert_eq!(ours["metadata"]["name"], theirs["metadata"]["name"]);
    for member in ["group", "names", "scope"] {
        assert_eq!(ours["spec"][member], theirs["spec"][member], "{member}");
    }
    for ((name, mut ours, _), (_, theirs, _)) in versions(&ours).into_iter().zip(versions(&theirs))
    {
        // KubeRay marks v1alpha1 as deprecated from 1.7 on.
        let deprecated = ours.remove("deprecated").is_some();
        let warned = ours.remove("deprecationWarning").is_some();
        assert_eq!((deprecated, warned), (name == "v1alpha1", name == "v1alpha1"));
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn the_kinds_that_embed_a_cluster_have_the_schema_that_kuberay_gives_them() {
    let mut compared = 0;
    for (plural, kind) in
        [("rayjobs", "RayJob"), ("rayservices", "RayService"), ("raycronjobs", "RayCronJob")]
    {
        for (version, _, theirs) in versions(&kuberay(plural)) {
            let ours = schema::structural(&version, kind).expect("a schema");
            let mut found = Vec::new();
            let spec = |whole: &Value| whole["properties"]["spec"].clone();
            differences(&spec(&ours), &spec(&theirs), plural, &mut found);
            assert_eq!(unexplained(found), [] as [String; 0]);
            compared += 1;
        }
    }
    assert_eq!(compared, 5);
}

/// Every object of our kinds in the samples, with the file that holds it.
fn samples() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut waiting = vec![MODULE.join("config/samples")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of samples");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            let objects = documents(&path).into_iter().filter(|object| {
                let version = object["apiVersion"].as_str().unwrap_or_default();
                version.starts_with("ray.io/")
            });
            found.extend(objects.map(|object| (path.display().to_string(), object)));
        }
    }
    found
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a sample");
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_sample_of_kuberay_passes_the_offline_checker() {
    let samples = samples();
    assert!(samples.len() > 70, "{} samples", samples.len());
    for (path, object) in samples {
        let findings = schema::check(&object).unwrap_or_else(|| panic!("{path}: no schema"));
        assert_eq!(findings, [], "{path}");
    }
}

#[test]
fn a_client_side_apply_can_write_its_annotation() {
    const LIMIT: usize = 262_144;
    let length = schema::crd().to_string().len();
    assert!(length < LIMIT - 4096, "{length} bytes");
}

#[test]
fn the_manifest_that_is_checked_in_is_the_one_that_is_printed() {
    let printed = schema::crd_yaml();
    let read: Value = serde_saphyr::from_str(&printed).expect("YAML");
    assert_eq!(read, schema::crd());
    golden::compare("deploy/crd/raycluster.yaml", &printed);
    let report = schema::yaml(&raywarden::plan::report::definition());
    golden::compare("deploy/crd/rayclusterreport.yaml", &report);
    let lease = schema::yaml(&raywarden::plan::lease::definition::crd());
    golden::compare("deploy/crd/scalelease.yaml", &lease);
    let rules = schema::yaml(&raywarden::policy::definition::crd());
    golden::compare("deploy/crd/rayclusterpolicy.yaml", &rules);
    let ourselves = raywarden::model::settings::Accounts::default().ourselves;
    let [policy, binding] = raywarden::plan::lease::definition::policy(&ourselves);
    let both = format!("{}---\n{}", schema::yaml(&policy), schema::yaml(&binding));
    golden::compare("deploy/crd/scalelease-policy.yaml", &both);
}
