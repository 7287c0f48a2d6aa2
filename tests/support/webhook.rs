//! The real `raywarden serve`, and its registration at a control plane.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::control_plane::ControlPlane;
use super::process::Process;
use super::request::Request;
use super::wait::{free_port, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A webhook that serves on loopback for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Webhook {
    process: Option<Process>,
    port: u16,
    certificates: PathBuf,
    flags: Vec<String>,
}

/// The binary under test.
pub(crate) fn raywarden() -> Command {
    Command::new(env!("CARGO_BIN_EXE_raywarden"))
}

impl Webhook {
    /// Starts one with these flags and waits until it is ready. Its certificates lie in the control
    /// plane's folder and go with it.
    pub(crate) fn start(plane: &ControlPlane, flags: &[&str]) -> Self {
        let port = free_port();
        let mut webhook = Self {
            process: None,
            port,
            certificates: plane.dir().join(format!("webhook-{port}")),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        webhook.serve();
        webhook
    }

    /// Serves (again), on the same port with the same certificate.
    pub(crate) fn serve(&mut self) {
        let certificate = self.certificates.join("tls.crt");
        let mut command = raywarden();
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)]).args(&self.flags);
        if certificate.exists() {
            command.arg("--tls-cert").arg(&certificate);
            command.arg("--tls-key").arg(self.certificates.join("tls.key"));
        } else {
            command.arg("--dev-cert-dir").arg(&self.certificates);
        }
        self.process = Some(Process::start(command));
        wait_until(SOON, "the webhook is ready", || {
            let ready = self.request("GET", "/readyz").try_send();
            ready.ok().filter(|answer| answer.status == 200).map(|_| ())
        });
    }

    /// Ends the process and waits until nobody listens.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.wait(SOON);
        }
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// A request to it, which trusts its certificate.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let url = format!("https://127.0.0.1:{}{path}", self.port);
        Request::new(method, &url).trusting(&self.authority())
    }

    fn authority(&self) -> PathBuf {
        self.certificates.join("ca.crt")
    }

    /// Registers it and waits until the API server asks it.
    pub(crate) fn register(&self, plane: &ControlPlane) {
        let url = format!("https://127.0.0.1:{}", self.port);
        let mut generate = raywarden();
        generate.args(["generate", "manifests", "--url", &url, "--ca-file"]).arg(self.authority());
        let manifests = super::run::run(generate, "", SOON).ok();
        plane.apply_yaml(&manifests);
        let probe = "{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: probe, namespace: \
                     default}, spec: {headGroupSpec: {template: {spec: {containers: []}}}}}";
        wait_until(SOON, "the API server asks the webhook", || {
            let asked =
                plane.kubectl_with("admin", &["create", "--dry-run=server", "-f", "-"], probe);
            asked.stderr.contains("raywarden").then_some(())
        });
    }

    /// Takes the registration away.
    pub(crate) fn unregister(plane: &ControlPlane) {
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            plane.kubectl(&["delete", kind, "raywarden", "--ignore-not-found"]).ok();
        }
    }

    /// The folder of its certificates.
    pub(crate) fn certificates(&self) -> &Path {
        &self.certificates
    }
}
