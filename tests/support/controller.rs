//! The real `raywarden controller`, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use raywarden::control::rights::NEEDED;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::process::Process;
use super::request::{Answer, Request};
use super::wait::wait_until;
use super::webhook::raywarden;

/// Where the Lease is kept, and the account that may.
pub(crate) const HOME: &str = "raywarden-system";
const ACCOUNT: &str = "raywarden-controller";

const SOON: Duration = Duration::from_secs(30);

/// A running controller; dropping it tells it to end.
#[derive(Debug)]
pub(crate) struct Controller {
    process: Process,
    ops: String,
}

impl Controller {
    /// Starts one and waits until it has said where its operations port is. A Lease that nobody
    /// renews is free after six seconds, so that a test need not wait for long.
    ///
    /// # Panics
    /// When it ends or stays silent.
    #[track_caller]
    pub(crate) fn start(kubeconfig: &Path, flags: &[&str]) -> Self {
        let mut command = raywarden();
        command
            .args(["controller", "--node-manager", "raywarden", "--ops-listen", "127.0.0.1:0"])
            .args(["--lease-duration", "6s", "--lease-namespace", HOME])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(flags);
        let mut process = Process::start(command);
        process.wait_for_output("looking after RayClusters", SOON);
        let ops = wait_until(SOON, "the address of the operations port", || {
            let lines = lines(&process.stderr());
            lines.iter().find_map(|line| line["ops"].as_str().map(str::to_owned))
        });
        Self { process, ops }
    }

    /// Waits until it leads and knows every cluster.
    ///
    /// # Panics
    /// When that takes too long; with its log.
    #[track_caller]
    pub(crate) fn wait_leads(&mut self) {
        self.process.wait_for_output("elected", SOON);
        let ready = super::wait::wait_for(SOON, || {
            let answer = self.ready()?;
            (answer.status == 200 && answer.body.contains("leader: leads")).then_some(())
        });
        assert!(ready.is_some(), "not ready: {:?}\n{}", self.ready(), self.process.report());
    }

    /// What `/readyz?verbose` says; nothing where nobody answers.
    pub(crate) fn ready(&self) -> Option<Answer> {
        let url = format!("http://{}/readyz?verbose", self.ops);
        Request::new("GET", &url).try_send().ok()
    }

    /// Its log so far, line by line.
    pub(crate) fn log(&self) -> Vec<Value> {
        lines(&self.process.stderr())
    }

    /// Its process id, for signals.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it with SIGTERM: the Lease is given back.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait(SOON)
    }

    /// Ends it with SIGKILL: nothing is given back.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.process.signal("KILL");
        self.process.wait(SOON);
    }
}

fn lines(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The user name of the account that [`account`] makes.
pub(crate) fn user() -> String {
    format!("system:serviceaccount:{HOME}:{ACCOUNT}")
}

/// Makes the account of a controller with the rights that it says it needs, the Lease's, and no
/// others; its kubeconfig. A right that is missing shows as a refusal that an admin never meets.
#[track_caller]
pub(crate) fn account(plane: &ControlPlane) -> PathBuf {
    let rules: Vec<Value> = NEEDED
        .iter()
        .map(|(group, resource, verbs)| {
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        })
        .collect();
    let api = "rbac.authorization.k8s.io";
    let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}]);
    let meta = json!({"name": ACCOUNT, "namespace": HOME});
    let role = |kind: &str, rules: Value| json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": meta, "rules": rules});
    let binding = |kind: &str, role: &str| {
        json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": meta, "subjects": subjects,
               "roleRef": {"apiGroup": api, "kind": role, "name": ACCOUNT}})
    };
    let lease = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                        "verbs": ["get", "create", "update", "patch"]}]);
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        role("ClusterRole", Value::Array(rules)),
        binding("ClusterRoleBinding", "ClusterRole"),
        role("Role", lease),
        binding("RoleBinding", "Role"),
    ];
    for object in objects {
        plane.apply_yaml(&object.to_string());
    }
    let token = plane.kubectl(&["create", "token", ACCOUNT, "-n", HOME]).ok();
    plane.write_kubeconfig(ACCOUNT, token.trim())
}
