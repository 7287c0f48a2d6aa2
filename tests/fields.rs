//! What is written down beside the code and must stay true: the table of fields in the README, which
//! covers every field of the CRD, and the rights in `deploy/`, which are those that the controller
//! asks for.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by a panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use raywarden::control::rights::{NEEDED, REGISTERS};
use raywarden::plan::fields::TABLE;
use serde_json::Value;

/// Fields of newer CRDs than the pinned one. A cluster that runs on such a CRD must not lose them
/// silently either.
const NEWER_THAN_THE_PIN: [&str; 7] = [
    "gcsFaultToleranceOptions.backend",
    "gcsFaultToleranceOptions.storage",
    "headGroupSpec.ingressOptions",
    "historyServerOptions",
    "networkPolicy",
    "tlsOptions",
    "workerGroupSpecs[].priority",
];

const BEGIN: &str = "<!-- fields: begin -->\n";
const END: &str = "<!-- fields: end -->";

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document of a YAML file.
fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    let parts = text.split("\n---\n");
    parts.map(|part| serde_saphyr::from_str(part).expect("the file is YAML")).collect()
}

/// The fields of the CRD's `spec` in v1 down to those of the groups; templates are one field.
fn crd_fields() -> BTreeSet<String> {
    let crd = documents("deploy/crd/raycluster.yaml").remove(0);
    let versions = crd["spec"]["versions"].as_array().expect("versions");
    let v1 = versions.iter().find(|version| version["name"] == "v1").expect("v1");
    let spec = &v1["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut fields = BTreeSet::new();
    let keys = |schema: &Value| -> Vec<String> {
        schema["properties"].as_object().expect("fields").keys().cloned().collect()
    };
    fields.extend(keys(spec));
    for key in keys(&spec["properties"]["headGroupSpec"]) {
        fields.insert(format!("headGroupSpec.{key}"));
    }
    for key in keys(&spec["properties"]["workerGroupSpecs"]["items"]) {
        fields.insert(format!("workerGroupSpecs[].{key}"));
    }
    fields
}

#[test]
fn every_field_of_the_crd_has_a_row_and_every_row_a_field() {
    let fields = crd_fields();
    let rows: BTreeSet<String> = TABLE.iter().map(|(path, _)| (*path).to_owned()).collect();
    let missing: Vec<_> = fields.difference(&rows).collect();
    assert!(missing.is_empty(), "fields without a row: {missing:?}");
    let newer = |path: &&String| NEWER_THAN_THE_PIN.contains(&path.as_str());
    let unknown: Vec<_> = rows.difference(&fields).filter(|path| !newer(path)).collect();
    assert!(unknown.is_empty(), "rows without a field: {unknown:?}");
}

#[test]
fn the_readme_prints_the_table_of_fields() {
    let mut table = String::from("| field of `spec` | in standalone mode |\n| --- | --- |\n");
    for (path, support) in TABLE {
        let _ = writeln!(table, "| `{path}` | {} |", support.as_str());
    }
    let readme = read("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a place for the table");
    let (stored, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
        fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("it can be written");
        return;
    }
    assert_eq!(stored, table, "UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn the_deployed_role_holds_what_the_controller_asks_for_and_no_more() {
    let documents = documents("deploy/controller/rbac.yaml");
    let role = documents.iter().find(|it| it["kind"] == "ClusterRole").expect("a ClusterRole");
    let strings = |value: &Value| -> Vec<String> {
        let items = value.as_array().expect("a list").iter();
        items.map(|it| it.as_str().expect("text").to_owned()).collect()
    };
    let mut held: BTreeMap<(String, String, Option<String>), BTreeSet<String>> = BTreeMap::new();
    for rule in role["rules"].as_array().expect("rules") {
        let resource = strings(&rule["resources"]).remove(0);
        let group = strings(&rule["apiGroups"]).remove(0);
        let name = rule.get("resourceNames").map(|names| strings(names).join(","));
        held.insert((group, resource, name), strings(&rule["verbs"]).into_iter().collect());
    }
    let all = NEEDED.iter().map(|(group, resource, verbs)| (*group, *resource, None, *verbs));
    let named = REGISTERS.iter();
    let named =
        named.map(|(group, resource, name, verbs)| (*group, *resource, Some(*name), *verbs));
    let needed = all.chain(named).map(|(group, resource, name, verbs)| {
        let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        ((group.to_owned(), resource.to_owned(), name.map(str::to_owned)), verbs)
    });
    let needed: BTreeMap<_, BTreeSet<String>> = needed.collect();
    assert_eq!(held, needed);
    for verb in ["escalate", "bind", "*"] {
        assert!(held.values().all(|verbs| !verbs.contains(verb)), "{verb}");
    }
}

#[test]
fn the_controller_holds_every_right_that_it_grants() {
    let granted = raywarden::plan::rbac::rules("lab");
    for rule in granted.as_array().expect("rules") {
        let group = rule["apiGroups"][0].as_str().expect("a group");
        let resource = rule["resources"][0].as_str().expect("a resource");
        let held = NEEDED.iter().find(|(g, r, _)| *g == group && *r == resource);
        let held = held.unwrap_or_else(|| panic!("nothing held on {resource}")).2;
        for verb in rule["verbs"].as_array().expect("verbs") {
            assert!(held.contains(&verb.as_str().expect("a verb")), "{verb} on {resource}");
        }
    }
}
