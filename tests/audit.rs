//! `raywarden audit` against a real API server: read-only, with no more rights than get and list.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::account;
use support::control_plane::{ControlPlane, Options};
use support::golden;
use support::run::{Ran, run};
use support::webhook::raywarden;

const SOON: Duration = Duration::from_mins(1);

static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    for namespace in ["team-a", "team-b"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    plane.apply_yaml(include_str!("../deploy/crd/rayclusterreport.yaml"));
    let items: Vec<Value> = (0..600).map(cluster).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    plane.kubectl_with("admin", &["create", "-f", "-"], &list.to_string()).ok();
    let mut leaving = cluster(500);
    leaving["metadata"] =
        json!({"name": "leaving", "namespace": "team-a", "finalizers": ["example.com/wait"]});
    plane.kubectl_with("admin", &["create", "-f", "-"], &leaving.to_string()).ok();
    plane.kubectl(&["delete", "raycluster", "leaving", "-n", "team-a", "--wait=false"]).ok();
    plane
});

/// Every hundredth cluster of team-a has bounds that contradict each other.
fn cluster(index: usize) -> Value {
    let container = json!({"name": "ray", "image": "x", "resources": {"limits": {"cpu": "1"}}});
    let max = if index.is_multiple_of(100) { 1 } else { 5 };
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": format!("c{index}"), "namespace": if index < 500 { "team-a" } else { "team-b" }},
        "spec": {
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}},
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": 2, "minReplicas": 2, "maxReplicas": max,
                "rayStartParams": {}, "template": {"spec": {"containers": [container]}},
            }],
        },
    })
}

/// A report of one refusal of a cluster, first seen at `time`.
fn report(name: &str, time: &str) -> String {
    let path = ["get", "raycluster", name, "-n", "team-b", "-o", "jsonpath={.metadata.uid}"];
    let uid = PLANE.kubectl(&path).ok();
    let finding = json!({
        "severity": "deny", "rule": "bounds/min-max", "firstSeen": time, "message": "of that day",
        "field": "spec.workerGroupSpecs[0].maxReplicas",
    });
    let owner = json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster", "name": name, "uid": uid.trim(),
        "controller": true,
    });
    json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterReport",
        "metadata": {"name": name, "namespace": "team-b", "ownerReferences": [owner]},
        "audit": {"deny": 1, "findings": [finding]},
    })
    .to_string()
}

fn audit(kubeconfig: &Path, arguments: &[&str]) -> Ran {
    let mut command = raywarden();
    command.arg("audit").arg("--kubeconfig").arg(kubeconfig).args(arguments);
    run(command, "", SOON)
}

fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap_or(-1)
}

/// A kubeconfig whose only right on the plane is what `rules` say, everywhere.
fn with_rights(name: &str, rules: &str) -> PathBuf {
    account::with_rights(&PLANE, name, rules)
}

#[test]
fn every_stored_cluster_is_judged_and_none_is_written() {
    let plane = &*PLANE;
    let versions = || {
        plane
            .kubectl(&[
                "get",
                "rayclusters",
                "-A",
                "-o",
                "jsonpath={.items[*].metadata.resourceVersion}",
            ])
            .ok()
    };
    let before = versions();
    let ran = audit(plane.kubeconfig("admin"), &[]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    let last = ran.stdout.lines().last().unwrap_or_default();
    let wanted = "601 objects: 6 to refuse, 0 to warn, 0 to audit, 594 clean, 1 skipped";
    assert_eq!(last, wanted, "{}", ran.report());
    let absent = "Not served here: rayjobs.ray.io, rayservices.ray.io, raycronjobs.ray.io, \
                  distributed-compute.dominodatalab.com\nSkipped: 1 being deleted\n";
    assert!(ran.stdout.contains(absent), "{}", ran.report());
    assert!(ran.stderr.is_empty(), "no progress but on a terminal: {}", ran.report());
    assert!(ran.stdout.contains("RayCluster team-a/c100"), "{}", ran.report());
    assert!(
        ran.stdout.contains("6 to refuse    0 to warn    0 to audit  bounds/min-max"),
        "{}",
        ran.report()
    );
    assert_eq!(versions(), before);
}

#[test]
fn a_namespace_can_be_audited_alone_and_as_json() {
    let ran = audit(PLANE.kubeconfig("admin"), &["-n", "team-b", "--output", "json"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON was asked for");
    let entries = report.as_array().expect("an array");
    assert_eq!(entries.len(), 100);
    let bad: Vec<&Value> = entries.iter().filter(|entry| entry["findings"] != json!([])).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0]["object"]["name"], "c500");
    assert_eq!(bad[0]["findings"][0]["rule"], "bounds/min-max");
    assert_eq!(bad[0]["findings"][0]["severity"], "deny");
}

#[test]
fn machines_read_what_a_cluster_has_in_the_forms_that_they_know() {
    let admin = PLANE.kubeconfig("admin");
    let ran = audit(admin, &["-n", "team-a", "--output", "sarif"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON was asked for");
    let results = report["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), 5, "{}", ran.report());
    let result = results.iter().find(|it| it.to_string().contains("/c100\"")).expect("c100");
    assert_eq!(result["ruleId"], "bounds/min-max");
    let place = &result["locations"][0]["physicalLocation"];
    let path = "apis/ray.io/v1/namespaces/team-a/rayclusters/c100";
    assert_eq!(place["artifactLocation"]["uri"], path);
    assert_eq!(place["region"]["startLine"], 1);

    let ran = audit(admin, &["-n", "team-b", "--output", "junit"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    let case = "<testcase classname=\"team-b\" name=\"RayCluster team-b/c500\">\n<failure message=\"denied\">";
    assert!(ran.stdout.contains(case), "{}", ran.report());
    let count = |word: &str| ran.stdout.matches(word).count();
    assert_eq!((count("<testcase "), count("<failure ")), (100, 1));
    assert!(ran.stderr.contains("Not served here: rayjobs.ray.io"), "{}", ran.report());
}

#[test]
fn only_what_is_new_since_a_report_counts() {
    let admin = PLANE.kubeconfig("admin");
    let known = PLANE.dir().join("known.json");
    let ran = audit(admin, &["-n", "team-a", "--output", "json"]);
    std::fs::write(&known, &ran.stdout).expect("can be written");
    let against = |file: &Path, more: &[&str]| {
        let file = file.display().to_string();
        audit(admin, &[&["-n", "team-a", "--baseline", &file], more].concat())
    };
    let ran = against(&known, &[]);
    assert_eq!(code(&ran), 0, "{}", ran.report());
    assert!(ran.stdout.contains("5 findings of the baseline still there"), "{}", ran.report());
    let last = "501 objects: 0 to refuse, 0 to warn, 0 to audit, 500 clean, 1 skipped";
    assert_eq!(ran.stdout.lines().last(), Some(last), "{}", ran.report());

    // One finding of another cluster instead of c100's: it is gone, and c100's is new.
    let text = std::fs::read_to_string(&known).expect("was written");
    let other = PLANE.dir().join("other.json");
    std::fs::write(&other, text.replace("\"c100\"", "\"c-1\"")).expect("can be written");
    let ran = against(&other, &[]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    for words in [
        "RayCluster team-a/c100\n",
        "Gone: RayCluster team-a/c-1: spec.workerGroupSpecs[0].maxReplicas: bounds/min-max",
        "1 finding of the baseline gone",
        "501 objects: 1 to refuse, 0 to warn, 0 to audit, 499 clean, 1 skipped",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.report());
    }

    // The report of such a run is the next one's baseline.
    let ran = against(&other, &["--output", "json"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(ran.stderr.contains("4 findings of the baseline still there"), "{}", ran.report());
    let next = PLANE.dir().join("next.json");
    std::fs::write(&next, &ran.stdout).expect("can be written");
    assert_eq!(code(&against(&next, &[])), 0);

    for (file, words) in
        [("no-such.json", "failed to read --baseline"), ("admin", "is no JSON report")]
    {
        let path = if file == "admin" { admin.to_owned() } else { PLANE.dir().join(file) };
        let ran = against(&path, &[]);
        assert_eq!(code(&ran), 2, "{}", ran.report());
        assert!(ran.stderr.contains(words) && ran.stdout.is_empty(), "{}", ran.report());
    }
}

#[test]
fn only_what_was_first_seen_since_then_counts() {
    let plane = &*PLANE;
    let admin = plane.kubeconfig("admin");
    let since = |time: &str| audit(admin, &["-n", "team-b", "--since", time]);
    let ran = since("2026-01-02");
    assert_eq!(code(&ran), 1, "no report holds it: {}", ran.report());
    assert!(ran.stdout.contains("1 finding in no report yet"), "{}", ran.report());

    plane
        .kubectl_with("admin", &["create", "-f", "-"], &report("c500", "2026-01-01T00:00:00Z"))
        .ok();
    let ran = since("2026-01-02");
    assert_eq!(code(&ran), 0, "{}", ran.report());
    assert!(ran.stdout.contains("1 finding first seen before --since"), "{}", ran.report());
    let ran = since("2025-12-31T22:00:00Z");
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(ran.stdout.contains("(since 2026-01-01)"), "{}", ran.report());
    let ran = audit(admin, &["-n", "team-b", "--output", "json"]);
    assert!(ran.stdout.contains(r#""firstSeen":"2026-01-01T00:00:00Z""#), "{}", ran.report());
    plane.kubectl(&["delete", "rayclusterreport", "c500", "-n", "team-b"]).ok();

    for (time, words) in [("yesterday", "such as 7d or 12h"), ("2999-01-01", "in the future")] {
        let ran = since(time);
        assert_eq!(code(&ran), 2, "{}", ran.report());
        assert!(ran.stderr.contains(words), "{}", ran.report());
    }
    let rules = "[{apiGroups: [ray.io], resources: [rayclusters], verbs: [get, list]}]";
    let ran = audit(&with_rights("undated", rules), &["-n", "team-b", "--since", "7d"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("may not list rayclusterreports.raywarden.io"), "{}", ran.report());
}

#[test]
fn what_a_policy_would_do_is_told_before_it_is_rolled_out() {
    let plane = &*PLANE;
    plane.kubectl(&["label", "namespace", "team-b", "tier=gold", "--overwrite"]).ok();
    let policy = |name: &str, selector: &str| {
        format!(
            "apiVersion: raywarden.io/v1alpha1\nkind: RayClusterPolicy\nmetadata: {{name: {name}}}\n\
             spec:\n  enforcement: deny\n  match: {{namespaceSelector: {{matchLabels: {selector}}}}}\n  \
             labels: {{required: [{{key: cost}}]}}\n---\n"
        )
    };
    let file = PLANE.dir().join("policies.yaml");
    let text = policy("cost", "{tier: gold}") + &policy("lost", "{tier: lead}");
    std::fs::write(&file, text).expect("can be written");
    let file = file.display().to_string();
    let ran = audit(plane.kubeconfig("admin"), &["--policy", &file]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    for words in [
        "  cost: about 100 objects, broken by 100: 100 to refuse, 0 to warn, 0 to audit\n",
        "  lost: about no object here; look at its match\n",
        "601 objects: 105 to refuse, 0 to warn, 0 to audit, 495 clean, 1 skipped\n",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.report());
    }
    let ran = audit(plane.kubeconfig("admin"), &["--policy", &file, "--output", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON was asked for");
    let entries = report.as_array().expect("an array");
    let under = entries.iter().filter(|entry| entry["policies"] == json!(["cost"]));
    assert_eq!(under.count(), 100);
    let blind = "[{apiGroups: [ray.io], resources: [rayclusters], verbs: [get, list]}]";
    let ran = audit(&with_rights("blind", blind), &["--policy", &file]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("list namespaces, whose labels"), "{}", ran.report());
}

const SHARE: &str = "apiVersion: raywarden.io/v1alpha1\nkind: RayClusterPolicy\nmetadata: {name: share}\n\
                     spec: {enforcement: warn, ceilings: {perNamespace: {replicas: 900}}}\n";

#[test]
fn what_a_namespace_may_reach_is_counted_before_its_clusters_are_judged() {
    let file = PLANE.dir().join("share.yaml");
    std::fs::write(&file, SHARE).expect("can be written");
    let file = file.display().to_string();
    let ran = audit(PLANE.kubeconfig("admin"), &["--policy", &file]);
    // Of two workers each: 501 clusters of team-a, 100 of team-b.
    let words = "  share: about 600 objects, broken by 500: 0 to refuse, 500 to warn, 0 to audit\n";
    assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.report());
    // In files too, where no namespace is the default one, and from standard input.
    let of = |name: &str, metadata: &str, replicas: u32| {
        format!(
            "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {{name: {name}{metadata}}}\nspec:\n  \
             headGroupSpec: {{rayStartParams: {{}}, template: {{spec: {{containers: [{{name: h, image: x}}]}}}}}}\n  \
             workerGroupSpecs:\n  - {{groupName: a, replicas: {replicas}, minReplicas: 0, maxReplicas: {replicas}, \
             rayStartParams: {{}}, template: {{spec: {{containers: [{{name: w, image: x}}]}}}}}}\n---\n"
        )
    };
    let clusters = of("one", "", 500)
        + &of("two", ", namespace: default", 500)
        + &of("alone", ", namespace: team-c", 500);
    let mut command = raywarden();
    command.args(["audit", "-f", "-", "--output", "json", "--policy", &file]);
    let ran = run(command, &clusters, SOON);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON was asked for");
    let over = report.as_array().expect("an array").iter().filter(|entry| {
        let findings = entry["findings"].as_array().expect("a list");
        findings.iter().any(|it| it["policy"] == "share")
    });
    let over: Vec<&Value> = over.map(|entry| &entry["object"]["name"]).collect();
    assert_eq!(over, ["one", "two"], "{}", ran.report());
}

#[test]
fn get_and_list_of_what_is_served_are_enough() {
    let rules = "[{apiGroups: [ray.io], resources: [rayclusters], verbs: [get, list]}]";
    let ran = audit(&with_rights("reader", rules), &[]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(ran.stdout.contains("601 objects"), "{}", ran.report());
}

#[test]
fn a_missing_right_is_named_and_how_to_get_it() {
    let ran = audit(&with_rights("nobody", "[]"), &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    for word in ["may not list rayclusters.ray.io in all namespaces", "ClusterRole", "get and list"]
    {
        assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.report());
    }
    assert!(ran.stdout.is_empty(), "half a report looks like a whole one: {}", ran.report());
}

#[test]
fn the_right_in_one_namespace_is_enough_for_it() {
    let kubeconfig = with_rights("local", "[]");
    let plane = &*PLANE;
    let verbs = "--verb=get,list";
    let role = ["create", "role", "local", "-n", "team-b", verbs, "--resource=rayclusters.ray.io"];
    plane.kubectl(&role).ok();
    let subject = "--serviceaccount=default:local";
    plane
        .kubectl(&["create", "rolebinding", "local", "-n", "team-b", "--role=local", subject])
        .ok();
    let ran = audit(&kubeconfig, &["-n", "team-b"]);
    assert_eq!(code(&ran), 1, "{}", ran.report());
    assert!(ran.stdout.contains("100 objects"), "{}", ran.report());
    let ran = audit(&kubeconfig, &["-n", "team-a"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("in namespace team-a"), "{}", ran.report());
}

#[test]
fn what_cannot_be_reached_is_said_plainly() {
    let admin = PLANE.kubeconfig("admin");
    let ran = audit(admin, &["--context", "elsewhere"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(
        ran.stderr.contains("there is no context \"elsewhere\"; known ones:"),
        "{}",
        ran.report()
    );

    let missing = PLANE.dir().join("no-such-file");
    let ran = audit(&missing, &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("no-such-file"), "{}", ran.report());

    let empty = PLANE.dir().join("empty");
    std::fs::write(&empty, "").expect("can be written");
    let ran = audit(&empty, &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("there is no context in the kubeconfig"), "{}", ran.report());

    let ran = audit(admin, &["-n", "no-such-namespace"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("there is no namespace"), "{}", ran.report());

    let text = std::fs::read_to_string(admin).expect("the kubeconfig can be read");
    let port = support::wait::free_port();
    let nowhere = format!("https://127.0.0.1:{port}");
    let path = PLANE.dir().join("nowhere.kubeconfig");
    std::fs::write(&path, text.replace(PLANE.server(), &nowhere)).expect("can be written");
    let ran = audit(&path, &[]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains(&nowhere), "{}", ran.report());
}

#[test]
fn the_reports_are_what_people_and_machines_read() {
    for (form, golden) in [
        ("table", "report.txt"),
        ("json", "report.json"),
        ("sarif", "report.sarif"),
        ("junit", "report.xml"),
    ] {
        let mut command = raywarden();
        command.args(["audit", "-f", "mixed.yaml", "-f", "good.json", "--output", form]);
        command.args(["--fail-on", "warn"]).env("COLUMNS", "100");
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/review");
        command.current_dir(data);
        let ran = run(command, "", SOON);
        assert_eq!(code(&ran), 1, "{}", ran.report());
        golden::compare(&format!("tests/golden/audit/{golden}"), &ran.stdout);
    }
}

#[test]
fn files_can_be_audited_and_fail_on_decides() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/review");
    let audit = |arguments: &[&str]| {
        let mut command = raywarden();
        command.arg("audit").args(arguments).current_dir(&files);
        run(command, "", SOON)
    };
    assert_eq!(code(&audit(&["-f", "good.json"])), 0);
    assert_eq!(code(&audit(&["-f", "mixed.yaml"])), 1);
    let warned = |arguments: &[&str]| {
        let mut command = raywarden();
        command.args(["audit", "-f", "-"]).args(arguments);
        let object = "{apiVersion: distributed-compute.dominodatalab.com/v1alpha1, kind: RayCluster, \
                      metadata: {name: r}, spec: {autoscaling: {minReplicas: 2, maxReplicas: 5}, \
                      worker: {replicas: 1}}}";
        run(command, object, SOON)
    };
    let report = warned(&[]);
    let counts = "1 object: 0 to refuse, 1 to warn, 0 to audit, 0 clean, 0 skipped";
    assert_eq!(report.stdout.lines().last(), Some(counts), "{}", report.report());
    assert_eq!((code(&report), code(&warned(&["--fail-on", "warn"]))), (0, 1));
    assert_eq!(code(&audit(&["-f", "good.json", "--fail-on", "warn"])), 0);
    assert_eq!(code(&audit(&["-f", "no-such.yaml"])), 2);
}
