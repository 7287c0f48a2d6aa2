//! The page as the controller serves it, to those who may see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::check_with;
use super::support::account::{HOME, account};
use super::support::control_plane::{ControlPlane, Options};
use super::support::controller::Controller;
use super::support::request::{Answer, Request};
use super::support::run::run;
use super::support::samples::bounded;
use super::support::wait::wait_until;
use super::support::webhook::{Webhook, raywarden};

const SOON: Duration = Duration::from_mins(1);
const FORM: &str = "application/x-www-form-urlencoded";

/// A control plane with a cluster in each of two namespaces, a reader of the first of them, one of both and
/// one of none; objects of other kinds, and readers of these alone; and a controller that leads.
struct World {
    plane: ControlPlane,
    kubeconfig: PathBuf,
    controller: Controller,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    let kubeconfig = account(&plane);
    let report = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crd/rayclusterreport.yaml");
    let others = ["ray.io_rayjobs.yaml", "ray.io_rayservices.yaml"];
    let others = others.map(|file| plane.kuberay().join("config/crd/bases").join(file));
    let domino = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/domino/crd.yaml");
    for file in others.iter().chain([&report, &domino]) {
        let file = file.display().to_string();
        // KubeRay's are too large for the annotation of a client's apply.
        plane.kubectl(&["apply", "--server-side", "-f", &file]).ok();
    }
    wait_until(SOON, "every kind is served", || {
        let kinds = "rayjobs,rayservices,rayclusters.distributed-compute.dominodatalab.com";
        plane.kubectl(&["get", kinds]).status.success().then_some(())
    });
    for namespace in ["people", "team-a", "team-b"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
    }
    for name in ["ada", "eve", "joe", "dan", "root"] {
        plane.kubectl(&["create", "serviceaccount", name, "-n", "people"]).ok();
    }
    let list = ["--verb=list", "--resource=rayclusters.ray.io"];
    plane.kubectl(&[&["create", "role", "reader", "-n", "team-a"], &list[..]].concat()).ok();
    let ada = ["--role=reader", "--serviceaccount=people:ada"];
    plane.kubectl(&[&["create", "rolebinding", "ada", "-n", "team-a"], &ada[..]].concat()).ok();
    plane.kubectl(&[&["create", "clusterrole", "reader"], &list[..]].concat()).ok();
    let root = ["--clusterrole=reader", "--serviceaccount=people:root"];
    plane.kubectl(&[&["create", "clusterrolebinding", "root"], &root[..]].concat()).ok();
    let jobs = "rayjobs.ray.io,rayservices.ray.io";
    for (name, kinds) in
        [("joe", jobs), ("dan", "rayclusters.distributed-compute.dominodatalab.com")]
    {
        let kinds = ["--verb=list", &format!("--resource={kinds}")];
        plane.kubectl(&[&["create", "role", name, "-n", "team-a"], &kinds[..]].concat()).ok();
        let who = [format!("--role={name}"), format!("--serviceaccount=people:{name}")];
        let binding = ["create", "rolebinding", name, "-n", "team-a", &who[0], &who[1]];
        plane.kubectl(&binding).ok();
    }
    for (namespace, name) in [("team-a", "nightly"), ("team-b", "hourly")] {
        plane.apply_yaml(&embedding("RayJob", namespace, name).to_string());
    }
    plane.apply_yaml(&embedding("RayService", "team-a", "serving").to_string());
    plane.apply_yaml(&domino_cluster("team-a", "delta").to_string());
    plane.apply_yaml(&cluster("team-a", "alpha", 5).to_string());
    plane.apply_yaml(&cluster("team-b", "beta", 1).to_string());
    let mut controller = Controller::begin(
        &kubeconfig,
        HOME,
        &["--node-manager", "kuberay", "--lease-name", "page"],
    );
    controller.wait_leads();
    World { plane, kubeconfig, controller }
});

fn cluster(namespace: &str, name: &str, max: i64) -> Value {
    bounded(namespace, name, 3, max)
}

/// A RayJob or RayService whose cluster has bounds that contradict each other.
fn embedding(kind: &str, namespace: &str, name: &str) -> Value {
    let spec = cluster(namespace, name, 1)["spec"].clone();
    let member = if kind == "RayJob" { "rayClusterSpec" } else { "rayClusterConfig" };
    let mut object = json!({
        "apiVersion": "ray.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": {member: spec},
    });
    if kind == "RayJob" {
        object["spec"]["entrypoint"] = json!("python job.py");
    }
    object
}

/// The same of Domino's kind.
fn domino_cluster(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "image": {"repository": "ray", "tag": "2.60.0"},
            "autoscaling": {"minReplicas": 4, "maxReplicas": 2},
            "worker": {"replicas": 3},
        },
    })
}

/// One token for all tests: all of them come from one address, which may look up only so many.
fn token(name: &str, audience: &str) -> String {
    static MADE: Mutex<BTreeMap<[String; 2], String>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = || {
        let arguments = ["create", "token", name, "-n", "people", "--audience", audience];
        WORLD.plane.kubectl(&arguments).ok().trim().to_owned()
    };
    made.entry([name, audience].map(str::to_owned)).or_insert_with(fresh).clone()
}

fn url(controller: &Controller) -> String {
    format!("http://127.0.0.1:{}/audit", controller.port())
}

/// All tests here come from one address, and as few people.
trait Patiently {
    /// Sends it again and again for as long as its sender asks too often.
    fn patiently(self) -> Answer;
}

impl Patiently for Request {
    #[track_caller]
    fn patiently(self) -> Answer {
        wait_until(SOON, "there is a turn", || {
            let answer = self.clone().send();
            if answer.status == 429 {
                std::thread::sleep(Duration::from_secs(1));
                return None;
            }
            Some(answer)
        })
    }
}

fn get(controller: &Controller) -> Request {
    Request::new("GET", &url(controller))
}

/// The clusters of a page by namespace and name.
#[track_caller]
fn shown(answer: &Answer) -> Vec<(String, String)> {
    let clusters = clusters(answer);
    let text = |cluster: &Value, key: &str| cluster[key].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<_> =
        clusters.iter().map(|it| (text(it, "namespace"), text(it, "name"))).collect();
    names.sort();
    names
}

#[track_caller]
fn clusters(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    data(&answer.body)
}

#[track_caller]
fn data(html: &str) -> Vec<Value> {
    let begun = html.split_once("id=\"data\">").expect("a data block").1;
    let text = begun.split_once("</script>").expect("its end").0;
    let data: Value = serde_json::from_str(text).expect("JSON");
    data["clusters"].as_array().expect("a list").clone()
}

#[test]
fn without_a_token_for_this_audience_nothing_is_shown() {
    let controller = &WORLD.controller;
    let forged = format!("{}x", token("root", "raywarden").trim_end_matches(char::is_alphanumeric));
    let theirs = WORLD.plane.kubectl(&["create", "token", "root", "-n", "people"]).ok();
    for request in [
        get(controller),
        get(controller).header("Authorization", "Basic cm9vdDpyb290"),
        get(controller).token("opaque"),
        get(controller).token(&forged),
        get(controller).token(theirs.trim()),
        Request::new("POST", &url(controller)).body(FORM, "token="),
        Request::new("POST", &url(controller)).body(FORM, &format!("token={}", theirs.trim())),
    ] {
        let answer = request.patiently();
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.body.contains("--audience raywarden"), "{answer:?}");
        assert!(!answer.body.contains("alpha") && !answer.body.contains(theirs.trim()));
    }
    let text = get(controller).patiently();
    assert!(text.body.starts_with("no credential: send `Authorization: Bearer"), "{text:?}");
    let html = get(controller).header("Accept", "text/html,*/*").patiently();
    assert_eq!((html.status, html.header("content-type")), (401, Some("text/html; charset=utf-8")));
    let policy = html.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("form-action 'self'") && policy.ends_with("frame-ancestors 'none'"));
    let odd = Request::new("POST", &url(controller)).body("text/plain", "token=x").patiently();
    assert_eq!(odd.status, 415);
    assert_eq!(Request::new("DELETE", &url(controller)).patiently().status, 405);
}

#[test]
fn a_reader_sees_the_namespaces_whose_clusters_they_may_list() {
    let controller = &WORLD.controller;
    let (alpha, beta) = (("team-a", "alpha"), ("team-b", "beta"));
    let named = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
    };
    let root = get(controller).token(&token("root", "raywarden")).patiently();
    assert_eq!(shown(&root), named(&[alpha, beta]));
    let ada = get(controller).token(&token("ada", "raywarden")).patiently();
    assert_eq!(shown(&ada), named(&[alpha]));
    assert!(!ada.body.contains("beta") && !ada.body.contains("team-b"), "another namespace shows");
    for (name, wanted) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(ada.header(name), Some(wanted), "{name}");
    }
    let policy = ada.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("; frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let eve = get(controller).token(&token("eve", "raywarden")).patiently();
    assert_eq!(eve.status, 403, "{eve:?}");
    assert!(
        eve.body.contains("people:eve may list rayclusters (ray.io) or other Ray kinds in none"),
        "{eve:?}"
    );
    let posted = format!("token={}", token("ada", "raywarden"));
    let posted = Request::new("POST", &url(controller)).body(FORM, &posted).patiently();
    assert_eq!(shown(&posted), named(&[alpha]));
}

#[test]
fn a_reader_sees_every_kind_where_they_may_list_that_kind() {
    let controller = &WORLD.controller;
    let joe = token("joe", "raywarden");
    let (answer, found) = wait_until(SOON, "everything was audited and dated", || {
        let answer = get(controller).token(&joe).patiently();
        // A page of no kind that the audit has got to.
        if answer.status == 403 {
            return None;
        }
        let found = clusters(&answer);
        let findings = found.iter().flat_map(|it| it["findings"].as_array().expect("a list"));
        let dated = findings.clone().count() > 0 && findings.clone().all(|it| it["since"] != "");
        dated.then_some((answer, found))
    });
    let own = [("team-a", "nightly"), ("team-a", "serving")];
    let own = own.map(|(one, other)| (one.to_owned(), other.to_owned()));
    assert_eq!(shown(&answer), own, "{found:?}");
    for (kind, at) in [("RayJob", "spec.rayClusterSpec"), ("RayService", "spec.rayClusterConfig")] {
        let object = found.iter().find(|it| it["kind"] == kind).expect("it is there");
        let findings = object["findings"].as_array().expect("a list");
        let broken = findings.iter().find(|it| it["rule"] == "bounds/min-max");
        let field = broken.expect("its bounds are told")["field"].as_str().unwrap_or_default();
        assert!(field.starts_with(at), "{object}");
    }
    assert!(answer.body.contains("when they were audited last"), "how old it is, is told");
    let dan = get(controller).token(&token("dan", "raywarden")).patiently();
    assert_eq!(shown(&dan), [("team-a".to_owned(), "delta".to_owned())], "of Domino's group alone");
    for (who, theirs) in [("ada", "alpha"), ("root", "beta")] {
        let answer = get(controller).token(&token(who, "raywarden")).patiently();
        assert!(shown(&answer).iter().any(|(_, name)| name == theirs), "{answer:?}");
        for name in ["nightly", "hourly", "serving", "delta"] {
            assert!(!answer.body.contains(name), "{who} may list RayClusters and sees {name}");
        }
        assert!(answer.body.contains("RayJobs"), "{who} is told which kinds are not shown");
    }
    assert!(!answer.body.contains("hourly") && !answer.body.contains("alpha"), "{answer:?}");
}

#[test]
fn findings_and_workers_are_those_of_the_controller() {
    let controller = &WORLD.controller;
    let root = token("root", "raywarden");
    let beta = wait_until(SOON, "the controller has looked at the cluster", || {
        let found = clusters(&get(controller).token(&root).patiently());
        let beta = found.into_iter().find(|it| it["name"] == "beta").expect("it is there");
        let dated = beta["findings"].as_array().expect("a list").iter().all(|it| it["since"] != "");
        (!beta["live"].is_null() && dated).then_some(beta)
    });
    let rules: Vec<&Value> =
        beta["findings"].as_array().expect("a list").iter().map(|it| &it["rule"]).collect();
    assert!(rules.contains(&&json!("bounds/min-max")), "{beta}");
    // There is no Pod, and no head that could say who has joined.
    let counts = (&beta["desired"], &beta["live"], &beta["joined"]);
    assert_eq!(counts, (&json!(3), &json!(0), &Value::Null), "{beta}");
}

#[test]
fn plain_http_is_answered_on_loopback_names_alone() {
    let controller = &WORLD.controller;
    let ada = token("ada", "raywarden");
    for host in ["raywarden.example", "10.0.0.1:8080", "localhost.evil.example"] {
        let answer = get(controller).header("Host", host).token(&ada).patiently();
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains("kubectl port-forward"), "{answer:?}");
        let form = get(controller).header("Host", host).header("Accept", "text/html").patiently();
        assert!(form.status == 403 && !form.body.contains("<form"), "it invites a token: {form:?}");
    }
    let (status, page) = controller.page("/audit");
    assert!(status == 403 && page.contains("kubectl port-forward"), "{page}");
}

#[test]
fn a_replica_that_does_not_lead_says_who_does() {
    let World { kubeconfig, controller, .. } = &*WORLD;
    let leader = controller.log();
    let leader = leader
        .iter()
        .find_map(|line| line["fields"]["identity"].as_str().or_else(|| line["identity"].as_str()));
    let leader = leader.expect("its name is in the log").to_owned();
    let flags = ["--node-manager", "kuberay", "--lease-name", "page", "--identity", "second"];
    let second = Controller::begin(kubeconfig, HOME, &flags);
    let ada = token("ada", "raywarden");
    wait_until(SOON, "the second one says who leads", || {
        let answer = get(&second).token(&ada).try_send().ok()?;
        let said = answer.status == 503
            && answer.body.contains(&format!("another replica leads: {leader}"));
        said.then_some(())
    });
    assert_eq!(get(&second).patiently().status, 401, "nobody learns it without a token");
}

#[test]
fn a_controller_may_be_told_to_show_nothing() {
    let flags = [
        "--node-manager",
        "kuberay",
        "--lease-name",
        "page",
        "--identity",
        "third",
        "--no-audit-page",
    ];
    let mut third = Controller::begin(&WORLD.kubeconfig, HOME, &flags);
    third.wait_ready();
    assert_eq!(get(&third).patiently().status, 404);
}

#[test]
fn over_tls_it_is_answered_to_any_name() {
    let World { plane, kubeconfig, .. } = &*WORLD;
    let kubeconfig = kubeconfig.display().to_string();
    let flags = [
        "--with-controller",
        "--node-manager",
        "kuberay",
        "--kubeconfig",
        &kubeconfig,
        "--lease-namespace",
        HOME,
        "--lease-name",
        "page-over-tls",
        "--lease-duration",
        "6s",
    ];
    let webhook = Webhook::start(plane, &flags);
    let ada = token("ada", "raywarden");
    let answer = wait_until(SOON, "it leads", || {
        let request =
            webhook.request("GET", "/audit").header("Host", "raywarden.raywarden-system.svc");
        let answer = request.token(&ada).patiently();
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(shown(&answer), [("team-a".to_owned(), "alpha".to_owned())]);
    assert_eq!(webhook.request("GET", "/audit").patiently().status, 401);
}

#[test]
fn a_browser_gets_from_the_form_to_the_page_and_keeps_nothing() {
    check_with("served", url(&WORLD.controller), &token("ada", "raywarden"));
}

#[test]
fn an_audit_of_a_live_cluster_knows_what_status_and_report_tell() {
    let World { plane, .. } = &*WORLD;
    plane.kubectl(&["create", "namespace", "told"]).ok();
    for name in ["silent", "spoken"] {
        let mut cluster = cluster("told", name, 5);
        // The controller of the other tests looks away from it, and writes no report of its own.
        cluster["spec"]["managedBy"] = json!("kueue.x-k8s.io/multikueue");
        plane.apply_yaml(&cluster.to_string());
    }
    let uid =
        plane.get_json(&["raycluster.ray.io", "spoken", "-n", "told"])["metadata"]["uid"].clone();
    let status = json!({"status": {"availableWorkerReplicas": 2}}).to_string();
    let within = ["-n", "told", "--subresource=status", "--type=merge", "-p", &status];
    plane.kubectl(&[&["patch", "raycluster.ray.io", "silent"], &within[..]].concat()).ok();
    let owner = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "spoken", "uid": uid, "controller": true});
    let report = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterReport",
        "metadata": {"name": "spoken", "namespace": "told", "ownerReferences": [owner]},
        "report": {
            "dashboard": {"state": "Answers", "address": "", "message": ""},
            "workers": {"joined": 2, "starting": 1, "notJoined": 0, "unknown": 0},
            "groups": [{"name": "small", "joined": 2, "starting": 1, "unknown": 0, "notJoined": []}],
        },
    });
    plane.apply_yaml(&report.to_string());
    let mut audit = raywarden();
    audit.args(["audit", "-n", "told", "-o", "html", "--kubeconfig"]);
    audit.arg(plane.kubeconfig("admin"));
    let html = run(audit, "", SOON).ok();
    let counts = |name: &str| {
        let found = data(&html);
        let cluster = found.into_iter().find(|it| it["name"] == name).expect("it is there");
        let group = cluster["groups"][0].clone();
        [&cluster, &group]
            .map(|it| (it["desired"].clone(), it["live"].clone(), it["joined"].clone()))
    };
    let (three, two, unknown) = (json!(3), json!(2), Value::Null);
    assert_eq!(
        counts("silent"),
        [(three.clone(), two.clone(), unknown.clone()), (three.clone(), unknown.clone(), unknown)]
    );
    assert_eq!(
        counts("spoken"),
        [(three.clone(), three.clone(), two.clone()), (three.clone(), three, two)]
    );
}
