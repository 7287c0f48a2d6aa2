//! What `deploy/` installs, on a real API server: replicas that share a certificate of their own, and
//! a registration that the one that leads fills.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::control_plane::{ControlPlane, Options};
use support::process::Process;
use support::request::Request;
use support::wait::{free_port, wait_for, wait_until};
use support::webhook::raywarden;

const SOON: Duration = Duration::from_secs(30);
const A_WHILE: Duration = Duration::from_secs(4);
const HOME: &str = "raywarden-system";
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
const KINDS: [&str; 2] = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];
const BAD: &str = "{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: probe, namespace: default}, \
                   spec: {headGroupSpec: {template: {spec: {containers: []}}}}}";

/// A control plane with everything of `deploy/` on it, and the account of its Pods.
struct Installed {
    plane: ControlPlane,
    kubeconfig: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let plane =
            ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
        plane.kubectl(&["apply", "-k", DEPLOY]).ok();
        let token = plane.kubectl(&["create", "token", "raywarden", "-n", HOME]).ok();
        let kubeconfig = plane.write_kubeconfig("raywarden", token.trim());
        Self { plane, kubeconfig }
    }

    /// The registration's two objects.
    fn registration(&self) -> [Value; 2] {
        KINDS.map(|kind| self.plane.get_json(&[kind, "raywarden"]))
    }

    /// Whether both say something, and both name `authority`.
    fn is_filled(&self, authority: &str) -> bool {
        let bundle = STANDARD.encode(authority);
        self.registration().iter().all(|it| {
            let webhooks = it["webhooks"].as_array().cloned().unwrap_or_default();
            !webhooks.is_empty()
                && webhooks.iter().all(|it| it["clientConfig"]["caBundle"] == bundle.as_str())
        })
    }

    fn secret(&self) -> Option<Value> {
        let secret =
            self.plane.kubectl(&["get", "secret", "raywarden-tls", "-n", HOME, "-o", "json"]);
        serde_json::from_str(&secret.stdout).ok()
    }

    /// The certificate of the authority, also as a file.
    fn authority(&self) -> (String, PathBuf) {
        let secret = wait_until(SOON, "the Secret is there", || self.secret());
        let text = secret["data"]["ca.crt"].as_str().expect("the authority is kept");
        let text = STANDARD.decode(text).expect("base64");
        let file = self.plane.dir().join("issued-ca.crt");
        std::fs::write(&file, &text).expect("the folder is ours");
        (String::from_utf8(text).expect("PEM"), file)
    }

    /// Whether the API server asks the webhook about RayClusters.
    fn is_asked(&self) -> bool {
        let asked =
            self.plane.kubectl_with("admin", &["create", "--dry-run=server", "-f", "-"], BAD);
        asked.stderr.contains("raywarden")
    }
}

/// One replica, as the Deployment starts it but for the URL.
struct Replica {
    process: Process,
    port: u16,
}

impl Replica {
    fn start(at: &Installed, identity: &str, port: u16, registered: u16, more: &[&str]) -> Self {
        let mut command: Command = raywarden();
        command.args(["serve", "--with-controller", "--reports", "none", "--identity", identity]);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--lease-namespace", HOME]);
        command.args(["--lease-duration", "4s", "--tls-reload-interval", "1s"]);
        command.args(["--shutdown-delay", "0s"]).arg("--kubeconfig").arg(&at.kubeconfig);
        if more.is_empty() {
            command.args(["--tls-secret", "raywarden-tls", "--registered-url"]);
            command.arg(format!("https://127.0.0.1:{registered}"));
        }
        command.args(more).env_remove("KUBERNETES_SERVICE_HOST");
        Self { process: Process::start(command), port }
    }

    /// The page of `/readyz?verbose`, where it answers under that authority.
    fn page(&self, authority: &Path) -> Option<String> {
        let url = format!("https://127.0.0.1:{}/readyz?verbose", self.port);
        let answer = Request::new("GET", &url).trusting(authority).try_send().ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    #[track_caller]
    fn wait_ready(&mut self, authority: &Path) -> String {
        wait_until(SOON, "the replica is ready", || {
            assert!(self.process.is_running(), "{}", self.process.report());
            self.page(authority)
        })
    }

    #[track_caller]
    fn wait_says(&mut self, authority: &Path, what: &str) {
        wait_until(SOON, what, || {
            self.page(authority).filter(|page| page.contains(what)).map(|_| ())
        });
    }
}

#[test]
fn replicas_serve_one_certificate_that_the_first_start_issues_and_it_outlives_them() {
    let at = Installed::new();
    assert!(at.registration().iter().all(|it| it.get("webhooks").is_none()));
    let ports = [free_port(), free_port()];
    let start = |name: &str, which: usize| Replica::start(&at, name, ports[which], ports[0], &[]);
    let (mut one, mut two) = (start("one", 0), start("two", 1));
    let (authority, file) = at.authority();
    for replica in [&mut one, &mut two] {
        let page = replica.wait_ready(&file);
        assert!(page.contains("[+] certificate: "), "{page}");
    }
    wait_until(SOON, "the registration is filled", || at.is_filled(&authority).then_some(()));
    wait_until(SOON, "the webhook is asked", || at.is_asked().then_some(()));

    let issued = [&one, &two].map(|it| it.process.stderr().matches("issued: Both").count());
    assert_eq!(issued.iter().sum::<usize>(), 1, "{issued:?}");
    for replica in [&one, &two] {
        let page = replica.page(&file).unwrap_or_default();
        assert!(page.contains("[+] rights: every right is there"), "{page}");
    }
    let kept = at.secret();
    drop((one, two));
    let mut again = start("three", 0);
    again.wait_ready(&file);
    assert_eq!(at.secret().map(|it| it["data"].clone()), kept.map(|it| it["data"].clone()));
}

#[test]
fn what_somebody_changes_in_the_registration_is_put_right_and_what_they_add_stays() {
    let at = Installed::new();
    let port = free_port();
    let mut replica = Replica::start(&at, "one", port, port, &[]);
    let (authority, file) = at.authority();
    replica.wait_ready(&file);
    wait_until(SOON, "the registration is filled", || at.is_filled(&authority).then_some(()));

    let selector = json!({"matchLabels": {"ray": "yes"}});
    let broken = json!([
        {"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"},
        {"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": selector},
    ]);
    let patch = ["patch", KINDS[0], "raywarden", "--type=json", "-p", &broken.to_string()];
    at.plane.kubectl(&patch).ok();
    wait_until(SOON, "it is filled again", || at.is_filled(&authority).then_some(()));
    assert_eq!(at.registration()[0]["webhooks"][0]["namespaceSelector"], selector);

    let generations = || at.registration().map(|it| it["metadata"]["generation"].clone());
    let before = generations();
    std::thread::sleep(A_WHILE);
    assert_eq!(generations(), before, "nothing is written where nothing differs");
}

#[test]
fn the_registration_stays_empty_until_the_webhook_serves() {
    let at = Installed::new();
    let foreign =
        ["create", "secret", "generic", "raywarden-tls", "-n", HOME, "--from-literal=a=b"];
    at.plane.kubectl(&foreign).ok();
    let port = free_port();
    let mut replica = Replica::start(&at, "one", port, port, &[]);
    replica.process.wait_for_output("is not raywarden's own", SOON);
    assert!(wait_for(A_WHILE, || (!replica.process.is_running()).then_some(())).is_none());
    assert!(at.registration().iter().all(|it| it.get("webhooks").is_none()));
    assert_eq!(at.secret().map(|it| it["data"].clone()), Some(json!({"a": "Yg=="})));

    at.plane.kubectl(&["delete", "secret", "raywarden-tls", "-n", HOME]).ok();
    let (authority, file) = at.authority();
    replica.wait_ready(&file);
    wait_until(SOON, "the registration is filled", || at.is_filled(&authority).then_some(()));
}

#[test]
fn a_registration_whose_authority_somebody_else_keeps_is_left_alone() {
    let at = Installed::new();
    let port = free_port();
    let untouched = |what: &str| {
        let written = at.registration().map(|it| it["metadata"]["resourceVersion"].clone());
        std::thread::sleep(A_WHILE);
        let now = at.registration().map(|it| it["metadata"]["resourceVersion"].clone());
        assert_eq!(now, written, "{what}");
        assert!(at.registration().iter().all(|it| it.get("webhooks").is_none()), "{what}");
    };

    let folder = at.plane.dir().join("own");
    let made = ["generate", "certs", "--name", "127.0.0.1", "--out"];
    let mut generate = raywarden();
    generate.args(made).arg(&folder);
    support::run::run(generate, "", SOON).ok();
    let [certificate, key] = ["tls.crt", "tls.key"].map(|it| folder.join(it).display().to_string());
    let files = ["--tls-cert", &certificate, "--tls-key", &key];
    let mut replica = Replica::start(&at, "one", port, port, &files);
    replica.wait_ready(&folder.join("ca.crt"));
    replica.wait_says(&folder.join("ca.crt"), "leader: leads");
    untouched("with files of somebody else's");
    drop(replica);

    for kind in KINDS {
        let by = "cert-manager.io/inject-ca-from=raywarden-system/raywarden-tls";
        at.plane.kubectl(&["annotate", kind, "raywarden", by]).ok();
    }
    let mut replica = Replica::start(&at, "two", port, port, &[]);
    let (_, file) = at.authority();
    replica.wait_says(&file, "is left alone");
    untouched("beside cert-manager");
}

#[test]
fn a_second_apply_takes_nothing_back_and_the_standalone_overlay_names_the_node_manager() {
    let at = Installed::new();
    let port = free_port();
    let mut replica = Replica::start(&at, "one", port, port, &[]);
    let (authority, file) = at.authority();
    replica.wait_ready(&file);
    wait_until(SOON, "the registration is filled", || at.is_filled(&authority).then_some(()));

    let standalone = format!("{DEPLOY}/standalone");
    at.plane.kubectl(&["apply", "-k", &standalone]).ok();
    assert!(at.is_filled(&authority));
    let deployment = at.plane.get_json(&["deployment", "raywarden", "-n", HOME]);
    assert_eq!(deployment["spec"]["replicas"], 2);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let manager = json!({"name": "RAYWARDEN_NODE_MANAGER", "value": "raywarden"});
    assert!(container["env"].as_array().expect("a list").contains(&manager), "{container}");
}
