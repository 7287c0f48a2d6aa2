//! Real Ray for the Pods of one namespace: a stand-in for the kubelet and its node.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::control_plane::ControlPlane;
use super::run::{Ran, run, wait_or_kill};
use super::wait::wait_until;

/// What `venv.sh` allows itself, after waiting for somebody else's.
const INSTALL: Duration = Duration::from_mins(46);
/// A driver of Ray needs about a second on an idle machine.
const DRIVER: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(20);
/// More nodes of Ray at once than this do not fit a small machine.
const MOST_PODS: &str = "8";

/// What runs the Pods, and nothing else: it may not even make one.
const RUNNER: &str = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: pod-runner}, rules: [
  {apiGroups: [""], resources: [pods], verbs: [get, list, watch]},
  {apiGroups: [""], resources: [pods/status], verbs: [patch]}]}
"#;
/// What else a kubelet does for a Pod.
const KUBELET: &str = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: pod-kubelet}, rules: [
  {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]},
  {apiGroups: [""], resources: [secrets], verbs: [get]},
  {apiGroups: [""], resources: [pods], verbs: [get, delete]}]}
"#;

/// A running Pod runner; dropping it ends every process it started, and so does the end of the test
/// process, since the runner watches a pipe that closes then.
#[derive(Debug)]
pub(crate) struct RayLab {
    runner: Child,
    venv: PathBuf,
    state: PathBuf,
}

impl RayLab {
    /// Makes Ray's environment where it is missing, the runner's two identities in `namespace`, and
    /// starts the runner. Its folder lies in the control plane's and goes with it.
    ///
    /// # Panics
    /// When one of them fails.
    #[track_caller]
    pub(crate) fn start(plane: &ControlPlane, namespace: &str) -> Self {
        let venv = venv();
        let state = plane.dir().join(format!("ray-{namespace}"));
        fs::create_dir_all(&state).expect("the control plane's folder is ours");
        let rights = identity(plane, namespace, "pod-runner", RUNNER);
        let kubelet = identity(plane, namespace, "pod-kubelet", KUBELET);
        let log = fs::File::create(state.join("runner.log")).expect("the folder is ours");
        let mut runner = Command::new("python3")
            .arg(script("runner.py"))
            .arg("--kubeconfig")
            .arg(rights)
            .arg("--tokens-kubeconfig")
            .arg(kubelet)
            .args(["--namespace", namespace, "--base", &base(), "--max-pods", MOST_PODS])
            .arg("--venv")
            .arg(&venv)
            .arg("--state")
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("python3 was there for the control plane");
        let mut line = String::new();
        let stdout = runner.stdout.take().expect("it was asked for");
        // It announces itself before it does anything that could take long; an end closes the pipe.
        BufReader::new(stdout).read_line(&mut line).expect("a pipe can be read");
        let lab = Self { runner, venv, state };
        assert!(!line.is_empty(), "no Pod runner: {}", lab.runner_log());
        lab
    }

    /// The folder of a Pod; `tests/ray/pod.py` lists what is in it.
    pub(crate) fn dir(&self, pod: &str) -> PathBuf {
        self.state.join(pod)
    }

    /// A file of a Pod's folder, such as `head.log`; empty when it is not there yet.
    pub(crate) fn file(&self, pod: &str, name: &str) -> String {
        fs::read(self.dir(pod).join(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// What the autoscaler of a head Pod said.
    pub(crate) fn autoscaler_log(&self, pod: &str) -> String {
        self.file(pod, "autoscaler.log")
    }

    /// What the runner itself said.
    pub(crate) fn runner_log(&self) -> String {
        fs::read_to_string(self.state.join("runner.log")).unwrap_or_default()
    }

    /// `HOST:PORT` of a head's dashboard, once the head serves.
    pub(crate) fn dashboard(&self, pod: &str) -> Option<String> {
        Some(self.file(pod, "address")).filter(|text| !text.is_empty())
    }

    /// A process of a Pod that runs: `start` (the container's first one), `raylet` or `autoscaler`.
    pub(crate) fn pid(&self, pod: &str, what: &str) -> Option<u32> {
        self.file(pod, &format!("{what}.pid")).parse().ok()
    }

    /// Waits until a Pod's node is ALIVE in Ray's own book.
    ///
    /// # Panics
    /// When that takes longer than `deadline`; with the logs.
    #[track_caller]
    pub(crate) fn wait_alive(&self, head: &str, pod: &str, deadline: Duration) {
        let found = super::wait::wait_for(deadline, || {
            let address = self.file(pod, "ip");
            let nodes = self.alive(head);
            std::thread::sleep(Duration::from_millis(200));
            nodes.iter().any(|node| node["node_ip"] == address.as_str()).then_some(())
        });
        assert!(found.is_some(), "{pod} is not ALIVE after {deadline:?}\n{}", self.report(pod));
    }

    /// The ALIVE nodes of a head's cluster; none while the head does not serve.
    #[track_caller]
    pub(crate) fn alive(&self, head: &str) -> Vec<Value> {
        let Some(dashboard) = self.dashboard(head) else { return Vec::new() };
        let mut command = Command::new(self.python());
        command.arg(script("demand.py")).args(["nodes", &dashboard]);
        let told = run(command, "", DRIVER);
        serde_json::from_str(&told.stdout).unwrap_or_default()
    }

    /// Types the walkthrough's program into the head's Python: it asks for four CPUs.
    #[track_caller]
    pub(crate) fn walk_through(&self, head: &str) {
        let program = script("walkthrough.py").display().to_string();
        self.exec(head, &[&self.python().display().to_string(), &program]).ok();
    }

    /// Asks for this many CPUs at a head, as a user's program does; stands until `clear_demand`.
    #[track_caller]
    pub(crate) fn request_cpus(&self, head: &str, cpus: u32) {
        self.demand(head, "request", &[&cpus.to_string()]);
    }

    /// Makes an actor that takes this many CPUs, and waits for them.
    #[track_caller]
    pub(crate) fn make_actor(&self, head: &str, cpus: u32) {
        self.demand(head, "actor", &[&cpus.to_string()]);
    }

    /// Takes the demand back.
    #[track_caller]
    pub(crate) fn clear_demand(&self, head: &str) {
        self.demand(head, "clear", &[]);
    }

    #[track_caller]
    fn demand(&self, head: &str, mode: &str, rest: &[&str]) {
        let gcs = self.file(head, "gcs");
        let python = self.python().display().to_string();
        let demand = script("demand.py").display().to_string();
        let arguments = [&[python.as_str(), &demand, mode, &gcs], rest].concat();
        self.exec(head, &arguments).ok();
    }

    /// Runs a program inside a Pod's sandbox, like `kubectl exec`.
    ///
    /// # Panics
    /// When the Pod does not run.
    #[track_caller]
    pub(crate) fn exec(&self, pod: &str, arguments: &[&str]) -> Ran {
        let pid = self.pid(pod, "start").unwrap_or_else(|| panic!("{}", self.report(pod)));
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--mount", "--pid", "--"]).args(arguments);
        run(command, "", DRIVER)
    }

    /// The runner's own process id.
    pub(crate) fn id(&self) -> u32 {
        self.runner.id()
    }

    /// Everything there is to know of a Pod, for a failing test.
    pub(crate) fn report(&self, pod: &str) -> String {
        let logs = ["head.log", "worker.log", "autoscaler.log"].map(|name| {
            let text = self.file(pod, name);
            let from = text.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            format!("-- {pod}/{name}\n{}", &text[from..])
        });
        format!("-- runner\n{}\n{}", self.runner_log(), logs.join("\n"))
    }

    fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }
}

impl Drop for RayLab {
    fn drop(&mut self) {
        drop(self.runner.stdin.take());
        wait_or_kill(&mut self.runner, STOP);
    }
}

/// The folder of Ray's environment, made where it is missing.
///
/// # Panics
/// When it cannot be made.
#[track_caller]
pub(crate) fn venv() -> PathBuf {
    PathBuf::from(run(Command::new(script("venv.sh")), "", INSTALL).ok().trim())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ray").join(name)
}

/// Loopback addresses for one runner of this machine: those of two test processes rarely meet, those
/// of one never do.
fn base() -> String {
    static RUNNERS: AtomicU32 = AtomicU32::new(0);
    let place = std::process::id().wrapping_mul(16) + RUNNERS.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{}.", 16 + place / 256 % 224, place % 256)
}

/// A `ServiceAccount` with a Role of its own, and a kubeconfig that has its token.
fn identity(plane: &ControlPlane, namespace: &str, name: &str, role: &str) -> PathBuf {
    let within = ["-n", namespace];
    plane.kubectl(&[&["create", "serviceaccount", name], &within[..]].concat()).ok();
    plane.kubectl_with("admin", &["create", "-n", namespace, "-f", "-"], role).ok();
    let account = format!("--serviceaccount={namespace}:{name}");
    let binding = ["create", "rolebinding", name, &format!("--role={name}"), &account];
    plane.kubectl(&[&binding, &within[..]].concat()).ok();
    let token = plane.kubectl(&[&["create", "token", name], &within[..]].concat()).ok();
    let file = plane.write_kubeconfig(&format!("{name}-{namespace}"), token.trim());
    // The authorizer learns of the binding by a watch.
    wait_until(Duration::from_secs(30), "the identity's rights", || {
        let subject = format!("--as=system:serviceaccount:{namespace}:{name}");
        let asked = ["auth", "can-i", "get", "pods", "-n", namespace, &subject];
        plane.kubectl(&asked).status.success().then_some(())
    });
    file
}
