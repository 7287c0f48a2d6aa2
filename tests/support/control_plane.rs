//! A real etcd and kube-apiserver for as long as the value lives.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::request::Request;
use super::run::{Ran, run, wait_or_kill};

/// Far more than `up.py` allows itself: on a new machine it first builds Kubernetes.
const START: Duration = Duration::from_hours(3);
const STOP: Duration = Duration::from_secs(20);
const RESTART: Duration = Duration::from_mins(2);
const KUBECTL: Duration = Duration::from_mins(2);

/// What to start; see `tests/controlplane/up.py --help`.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Where the API server logs who wrote what.
    pub(crate) audit_log: Option<PathBuf>,
    /// Run kube-controller-manager too: garbage collection, quota, default accounts.
    pub(crate) controller_manager: bool,
    /// `kuberay`, or a file with `CustomResourceDefinition`s.
    pub(crate) crd: Option<String>,
    /// Further flags of kube-apiserver.
    pub(crate) apiserver_args: Vec<String>,
    /// Leave the folder with logs and data.
    pub(crate) keep: bool,
}

impl Options {
    fn arguments(self) -> Vec<String> {
        let Self { audit_log, controller_manager, crd, apiserver_args, keep } = self;
        let mut arguments = Vec::new();
        arguments.extend(audit_log.map(|file| format!("--audit-log={}", file.display())));
        arguments.extend(controller_manager.then(|| "--controller-manager".to_owned()));
        arguments.extend(crd.map(|crd| format!("--crd={crd}")));
        arguments.extend(apiserver_args.iter().map(|flag| format!("--apiserver-arg={flag}")));
        arguments.extend(keep.then(|| "--keep".to_owned()));
        arguments
    }
}

/// A running control plane.
///
/// Dropping it stops it and removes its folder. One in a `static` is never dropped, yet ends too: its
/// starter watches a pipe that closes with the test process.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    starter: Child,
    told: Value,
}

impl ControlPlane {
    /// Starts one and waits until it serves. On a new machine this builds Kubernetes, which takes
    /// minutes; progress goes to standard error.
    ///
    /// # Panics
    /// When it does not come up; standard error says why.
    #[track_caller]
    pub(crate) fn start(options: Options) -> Self {
        let mut starter = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/up.py"))
            .args(options.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python3 (3.9 or newer) is needed: {error}"));
        let line = starter.stdout.take().and_then(first_line).unwrap_or_default();
        let Ok(told) = serde_json::from_str(&line) else {
            // Its own clean-up first: killing it here would leave the folder.
            drop(starter.stdin.take());
            wait_or_kill(&mut starter, STOP);
            panic!("no control plane: up.py says why on standard error");
        };
        Self { starter, told }
    }

    /// Its private folder, with logs and kubeconfigs.
    pub(crate) fn dir(&self) -> &Path {
        Path::new(self.told("/dir"))
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn server(&self) -> &str {
        self.told("/server")
    }

    /// The certificate authority of its serving certificate.
    pub(crate) fn ca(&self) -> &Path {
        Path::new(self.told("/ca"))
    }

    /// The folder of `KubeRay`'s module, with CRDs and samples.
    pub(crate) fn kuberay(&self) -> &Path {
        Path::new(self.told("/kuberay"))
    }

    /// The kubeconfig of `admin`, `alice` or `argo`.
    pub(crate) fn kubeconfig(&self, user: &str) -> &Path {
        Path::new(self.told(&format!("/users/{user}")))
    }

    /// Writes the kubeconfig of whoever has `token`; it goes with the control plane.
    pub(crate) fn write_kubeconfig(&self, name: &str, token: &str) -> PathBuf {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster":
                {"server": self.server(), "certificate-authority": self.ca()}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        });
        let file = self.dir().join(format!("{name}.kubeconfig"));
        std::fs::write(&file, config.to_string()).expect("the folder is ours");
        file
    }

    /// The bearer token of a user.
    pub(crate) fn token(&self, user: &str) -> &str {
        self.told(&format!("/tokens/{user}"))
    }

    /// The process id of `etcd`, `kube-apiserver` or `kube-controller-manager`.
    pub(crate) fn pid(&self, program: &str) -> u32 {
        let pid = self.told.pointer(&format!("/pids/{program}")).and_then(Value::as_u64);
        pid.and_then(|pid| pid.try_into().ok()).expect("only programs that run have an id")
    }

    /// Ends the API server and starts it again, and waits until it serves.
    #[track_caller]
    pub(crate) fn restart_api_server(&self) {
        let count = self.dir().join("restarts");
        let before = std::fs::read_to_string(&count).unwrap_or_default();
        super::process::signal(self.starter.id(), "USR1");
        super::wait::wait_until(RESTART, "the API server serves again", || {
            let now = std::fs::read_to_string(&count).unwrap_or_default();
            (!now.is_empty() && now != before).then_some(())
        });
    }

    /// Runs kubectl as `admin`.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Ran {
        self.kubectl_with("admin", arguments, "")
    }

    /// Runs kubectl as another user.
    #[track_caller]
    pub(crate) fn kubectl_as(&self, user: &str, arguments: &[&str]) -> Ran {
        self.kubectl_with(user, arguments, "")
    }

    /// Runs kubectl with a text on standard input, for `-f -`.
    #[track_caller]
    pub(crate) fn kubectl_with(&self, user: &str, arguments: &[&str], stdin: &str) -> Ran {
        run(self.kubectl_command(user, arguments), stdin, KUBECTL)
    }

    /// kubectl as a command not yet run, untouched by the preferences of whoever runs the tests.
    pub(crate) fn kubectl_command(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.told("/kubectl"));
        command
            .env("KUBECONFIG", self.kubeconfig(user))
            .env("KUBECACHEDIR", self.dir().join("kubectl"))
            .env("KUBECTL_KUBERC", "false")
            .args(arguments);
        command
    }

    /// Applies manifests as `admin`, client-side as most people do.
    ///
    /// # Panics
    /// When they are refused.
    #[track_caller]
    pub(crate) fn apply_yaml(&self, yaml: &str) -> String {
        self.kubectl_with("admin", &["apply", "-f", "-"], yaml).ok()
    }

    /// What `kubectl get ARGUMENTS -o json` gives `admin`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub(crate) fn get_json(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat()).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// A request of `admin` to the API server, to be refined and sent.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.request_as("admin", method, path)
    }

    /// A request of another user.
    pub(crate) fn request_as(&self, user: &str, method: &str, path: &str) -> Request {
        Request::new(method, &format!("{}{path}", self.server()))
            .python(self.told("/python"))
            .trusting(self.ca())
            .token(self.token(user))
    }

    fn told(&self, pointer: &str) -> &str {
        let found = self.told.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("up.py told nothing under {pointer}: {}", self.told))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.starter.stdin.take());
        wait_or_kill(&mut self.starter, STOP);
    }
}

/// The line `up.py` prints; nothing when it ends or stays silent for too long.
fn first_line(stdout: ChildStdout) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // Nobody listens any more when the deadline has passed.
        drop(BufReader::new(stdout).read_line(&mut line).map(|_| sender.send(line)));
    });
    receiver.recv_timeout(START).ok()
}
