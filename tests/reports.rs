//! The controller's audit against a real API server, with no rights but those that it names: what it
//! writes, what it keeps, and what it leaves alone.
//!
//! One control plane; an audit sees all of it, so the tests take turns.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use support::account::{HOME, account};
use support::control_plane::{ControlPlane, Options};
use support::controller::Controller;
use support::run::run;
use support::samples::bounded;
use support::wait::wait_until;

const SOON: Duration = Duration::from_mins(1);

/// Clusters that get a status write each.
const MANY: usize = 12;

struct Plane {
    plane: ControlPlane,
    kubeconfig: PathBuf,
}

static PLANE: LazyLock<Plane> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    plane.apply_yaml(include_str!("../deploy/crd/rayclusterreport.yaml"));
    install(&plane, &plane.kuberay().join("config/crd/bases/ray.io_rayjobs.yaml"));
    for namespace in ["one", "many", "jobs", "others", "none", "share"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    let kubeconfig = account(&plane);
    Plane { plane, kubeconfig }
});

/// The control plane, for one test at a time.
fn turn() -> (&'static Plane, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    (&*PLANE, TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn install(plane: &ControlPlane, crd: &Path) {
    let file = crd.display().to_string();
    plane.kubectl(&["apply", "--server-side", "-f", &file]).ok();
    // Until it has a condition at all, kubectl takes that for a failure.
    wait_until(SOON, "the definition is served", || {
        let wait = ["wait", "--for=condition=Established", "-f", &file, "--timeout=1s"];
        plane.kubectl(&wait).status.success().then_some(())
    });
}

/// The folder of a module that `tests/tools/reports` pins.
fn module(name: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/reports");
    let mut go = Command::new("go");
    go.arg("-C").arg(tools).args(["mod", "download", "-json", name]);
    go.env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
    let told: Value = serde_json::from_str(&run(go, "", 5 * SOON).ok()).expect("JSON");
    PathBuf::from(told["Dir"].as_str().expect("a folder"))
}

impl Plane {
    fn audits(&self, flags: &[&str]) -> Controller {
        self.audits_each("1s", flags)
    }

    fn audits_each(&self, interval: &str, flags: &[&str]) -> Controller {
        let always = ["--node-manager", "kuberay", "--audit-interval", interval];
        let mut controller = Controller::begin(&self.kubeconfig, HOME, &[&always, flags].concat());
        controller.wait_leads();
        controller
    }

    fn create(&self, namespace: &str, name: &str, max: i64) {
        let text = cluster(namespace, name, max).to_string();
        self.plane.kubectl_with("admin", &["create", "-f", "-"], &text).ok();
    }

    /// A status as a node manager writes it.
    fn write_status(&self, namespace: &str, name: &str, workers: u32) {
        let status = json!({"status": {"state": "ready", "availableWorkerReplicas": workers}});
        let status = status.to_string();
        let patch = ["patch", "raycluster", name, "-n", namespace, "--subresource=status"];
        let patch = [&patch[..], &["--type=merge", "-p", status.as_str()]].concat();
        self.plane.kubectl(&patch).ok();
    }

    /// The reports of a namespace, or nothing where there is none of that name.
    fn report(&self, namespace: &str, name: &str) -> Option<Value> {
        let plural = "rayclusterreports";
        let found = self.plane.kubectl(&[
            "get",
            plural,
            name,
            "-n",
            namespace,
            "-o",
            "json",
            "--ignore-not-found",
        ]);
        serde_json::from_str(&found.ok()).ok()
    }

    #[track_caller]
    fn refused(&self, namespace: &str, name: &str, count: u64) -> Value {
        wait_until(SOON, "the report counts what would be refused", || {
            self.report(namespace, name).filter(|report| report["audit"]["deny"] == json!(count))
        })
    }

    fn versions(&self, kind: &str, namespace: &str) -> String {
        let path = "jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}";
        self.plane.kubectl(&["get", kind, "-n", namespace, "-o", path]).ok()
    }
}

fn cluster(namespace: &str, name: &str, max: i64) -> Value {
    bounded(namespace, name, 2, max)
}

/// A figure of the metrics page; 0 where it is not there.
fn metric(controller: &Controller, name: &str) -> f64 {
    let page = controller.metrics();
    let start = format!("raywarden_controller_{name} ");
    let found = page.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse().ok());
    found.unwrap_or(0.0)
}

/// Waits until everything was audited twice from now on: the first may be on its way already.
#[track_caller]
fn audited_again(controller: &Controller) {
    let before = metric(controller, "audits_total");
    wait_until(SOON, "two more audits", || {
        (metric(controller, "audits_total") >= before + 2.0).then_some(())
    });
}

#[test]
fn a_finding_is_dated_once_and_outlives_the_process_that_found_it() {
    let (it, _turn) = turn();
    it.create("one", "bad", 1);
    it.create("one", "good", 5);
    let controller = it.audits(&[]);
    let first = it.refused("one", "bad", 1);
    let finding = &first["audit"]["findings"][0];
    assert_eq!(finding["rule"], "bounds/min-max");
    assert_eq!(finding["severity"], "deny");
    assert_eq!(finding["field"], "spec.workerGroupSpecs[0].maxReplicas");
    let date = finding["firstSeen"].as_str().expect("a date").to_owned();
    assert_eq!(first["metadata"]["ownerReferences"][0]["name"], "bad");
    let line = "findings{rule=\"bounds/min-max\",severity=\"deny\"}";
    assert!(metric(&controller, line) >= 1.0, "{}", controller.metrics());
    audited_again(&controller);
    controller.stop();
    let before = it.report("one", "bad").expect("the report");

    let controller = it.audits(&[]);
    audited_again(&controller);
    let after = it.report("one", "bad").expect("the report");
    assert_eq!(after["audit"], before["audit"], "{}", controller.report());
    assert_eq!(after["audit"]["findings"][0]["firstSeen"], date.as_str());
    let good = it.report("one", "good").expect("the report of who joined");
    assert_eq!(good.get("audit"), None, "nothing was ever found: {good}");
    assert!((metric(&controller, "audit_failures_total")).abs() < 0.5, "{}", controller.report());

    // A change is judged soon, not only with everything else.
    let patch = r#"[{"op":"replace","path":"/spec/workerGroupSpecs/0/maxReplicas","value":5}]"#;
    let patched = ["patch", "raycluster", "bad", "-n", "one", "--type=json", "-p", patch];
    it.plane.kubectl(&patched).ok();
    let mended = it.refused("one", "bad", 0);
    assert_eq!(mended["audit"]["findings"], json!([]));
    controller.stop();
    it.plane.kubectl(&["delete", "raycluster", "--all", "-n", "one"]).ok();
}

#[test]
fn an_audit_after_a_status_write_on_every_cluster_writes_nothing() {
    let (it, _turn) = turn();
    for index in 0..MANY {
        it.create("many", &format!("c{index}"), if index % 3 == 0 { 1 } else { 5 });
    }
    let controller = it.audits(&["--report-interval", "1h"]);
    it.refused("many", "c0", 1);
    // Reports of who joined come one by one.
    wait_until(SOON, "every cluster has its report", || {
        let names = it.versions("rayclusterreports", "many");
        (names.split_whitespace().count() == MANY).then_some(())
    });
    audited_again(&controller);
    let (reports, clusters) =
        (it.versions("rayclusterreports", "many"), it.versions("rayclusters", "many"));
    for index in 0..MANY {
        it.write_status("many", &format!("c{index}"), 2);
    }
    assert_ne!(it.versions("rayclusters", "many"), clusters);
    audited_again(&controller);
    assert_eq!(it.versions("rayclusterreports", "many"), reports, "{}", controller.report());
    controller.stop();
    it.plane.kubectl(&["delete", "raycluster", "--all", "-n", "many"]).ok();
}

#[test]
fn what_a_job_embeds_is_reported_under_the_jobs_own_name() {
    let (it, _turn) = turn();
    let mut job = cluster("jobs", "batch", 1);
    job["kind"] = json!("RayJob");
    job["spec"] = json!({"entrypoint": "x", "rayClusterSpec": job["spec"]});
    it.plane.kubectl_with("admin", &["create", "-f", "-"], &job.to_string()).ok();
    let controller = it.audits(&[]);
    let report = it.refused("jobs", "rayjob.ray.batch", 1);
    let field = "spec.rayClusterSpec.workerGroupSpecs[0].maxReplicas";
    assert_eq!(report["audit"]["findings"][0]["field"], field);
    assert_eq!(report["metadata"]["ownerReferences"][0]["kind"], "RayJob");
    controller.stop();
    it.plane.kubectl(&["delete", "rayjob", "--all", "-n", "jobs"]).ok();
}

#[test]
fn other_tools_get_their_reports_once_their_kinds_are_installed() {
    let (it, _turn) = turn();
    let wg = module("sigs.k8s.io/wg-policy-prototypes")
        .join("policy-report/crd/v1alpha2/wgpolicyk8s.io_policyreports.yaml");
    let open =
        module("github.com/openreports/reports-api").join("config/crd/openreports.io_reports.yaml");
    it.create("others", "bad", 1);
    let controller = it.audits(&[]);
    let own = it.refused("others", "bad", 1);
    audited_again(&controller);
    assert!((metric(&controller, "audit_failures_total")).abs() < 0.5, "{}", controller.report());
    let seconds = own["audit"]["findings"][0]["firstSeen"].as_str().expect("a date").to_owned();

    for (crd, kind) in [(&wg, "policyreports.wgpolicyk8s.io"), (&open, "reports.openreports.io")] {
        install(&it.plane, crd);
        let report = wait_until(SOON, "the report of other tools", || {
            let items = it.plane.get_json(&[kind, "-n", "others"])["items"].take();
            items.as_array().and_then(|items| items.first().cloned())
        });
        assert_eq!(report["summary"]["fail"], 1, "{report}");
        assert_eq!(report["scope"]["name"], "bad");
        let result = &report["results"][0];
        assert_eq!((&result["result"], &result["source"]), (&json!("fail"), &json!("raywarden")));
        assert_eq!(result["rule"], "bounds/min-max");
        let mut date = Command::new("date");
        date.args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"]);
        date.arg(format!("@{}", result["timestamp"]["seconds"]));
        let date = run(date, "", SOON);
        assert_eq!(date.ok().trim(), seconds, "first seen, not when the report was made");
        let before = it.versions(kind, "others");
        audited_again(&controller);
        assert_eq!(it.versions(kind, "others"), before, "{}", controller.report());
    }
    controller.stop();
    it.plane.kubectl(&["delete", "raycluster", "--all", "-n", "others"]).ok();
    for crd in [wg, open] {
        it.plane.kubectl(&["delete", "-f", &crd.display().to_string()]).ok();
    }
}

#[test]
fn what_a_namespace_may_reach_is_followed_without_auditing_everything_for_every_write() {
    let (it, _turn) = turn();
    let crd = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crd/rayclusterpolicy.yaml");
    install(&it.plane, &crd);
    it.create("share", "a", 9);
    it.create("share", "b", 9);
    // Each has two workers.
    it.plane.apply_yaml(
        "apiVersion: raywarden.io/v1alpha1\nkind: RayClusterPolicy\nmetadata: {name: share}\n\
         spec: {enforcement: warn, match: {namespaces: [share]}, ceilings: {perNamespace: {replicas: 3}}}\n",
    );
    let controller = it.audits_each("1h", &[]);
    let breaking =
        || it.plane.get_json(&["rayclusterpolicy", "share"])["status"]["breaking"].clone();
    wait_until(SOON, "both break it", || (breaking() == json!(2)).then_some(()));
    let warned = |name: &str, count: u64| {
        let told = it.report("share", name);
        told.is_some_and(|report| report["audit"]["warn"] == json!(count))
    };
    wait_until(SOON, "both are reported", || (warned("a", 1) && warned("b", 1)).then_some(()));
    let before = metric(&controller, "audits_total");
    for workers in 1..4 {
        it.write_status("share", "a", workers);
        it.write_status("share", "b", workers);
    }
    it.plane.kubectl(&["delete", "raycluster", "a", "-n", "share"]).ok();
    wait_until(2 * SOON, "the other one is let off", || warned("b", 0).then_some(()));
    let after = metric(&controller, "audits_total");
    assert!((after - before).abs() < 0.5, "{before} then {after}: {}", controller.report());
    controller.stop();
    it.plane.kubectl(&["delete", "raycluster", "--all", "-n", "share"]).ok();
    it.plane.kubectl(&["delete", "-f", &crd.display().to_string()]).ok();
}

#[test]
fn without_reports_metrics_and_the_log_remain() {
    let (it, _turn) = turn();
    it.create("none", "bad", 1);
    let controller = it.audits(&["--reports", "none"]);
    audited_again(&controller);
    let line = "findings{rule=\"bounds/min-max\",severity=\"deny\"}";
    assert!(metric(&controller, line) >= 1.0, "{}", controller.metrics());
    assert!(metric(&controller, "audit_last_timestamp_seconds") > 0.0);
    let mut log = controller.log().into_iter().map(|line| line.to_string());
    let said = log.rfind(|line| line.contains("audited what is stored"));
    let said = said.expect("the log says so");
    assert!(said.contains("\"refused\":") && said.contains("\"written\":0"), "{said}");
    assert_eq!(it.report("none", "bad"), None);
    controller.stop();
    it.plane.kubectl(&["delete", "raycluster", "--all", "-n", "none"]).ok();
}
