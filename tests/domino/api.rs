//! The real `raywarden api`, and a client of it.

use std::path::Path;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::identity::{Identity, key_of};
use super::proxy::RUNTIME;
use super::support::plain::call;
use super::support::process::Process;
use super::support::request::Answer;
use super::support::wait::{free_port, wait_until};
use super::support::webhook::raywarden;
use super::world::SOON;

/// An API that serves for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Api {
    process: Process,
    pub(crate) port: u16,
}

impl Api {
    /// Starts one and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(kubeconfig: &Path, identity: &Identity, flags: &[&str]) -> Self {
        Self::start_at(free_port(), kubeconfig, identity, flags)
    }

    /// Starts one on a port of the test's choice and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_at(
        port: u16,
        kubeconfig: &Path,
        identity: &Identity,
        flags: &[&str],
    ) -> Self {
        let mut api = Self::launch(port, kubeconfig, identity, flags);
        wait_until(SOON, "the API is ready", || {
            assert!(api.process.is_running(), "it ended: {}", api.process.report());
            let ready = api.try_call("GET", "/readyz", &[], "");
            (ready.is_some_and(|answer| answer.status == 200)).then_some(())
        });
        api
    }

    /// Starts one and waits until it answers at all.
    #[track_caller]
    fn launch(port: u16, kubeconfig: &Path, identity: &Identity, flags: &[&str]) -> Self {
        let ops = free_port();
        let mut command = raywarden();
        command.args(["api", "--domino-listen", &format!("127.0.0.1:{port}")]);
        command.args(["--ops-listen", &format!("127.0.0.1:{ops}")]);
        command.arg("--kubeconfig").arg(kubeconfig).args(["--shutdown-delay", "0s"]);
        if !flags.contains(&"--domino-url") {
            command.args(["--domino-url", &identity.url()]);
            command.arg("--domino-ca-file").arg(identity.ca());
        }
        if !flags.contains(&"--domino-timeout") {
            command.args(["--domino-timeout", "1s"]);
        }
        command.args(flags).env_remove("KUBERNETES_SERVICE_HOST");
        let mut api = Self { process: Process::start(command), port };
        wait_until(SOON, "the API answers", || {
            assert!(api.process.is_running(), "it ended: {}", api.process.report());
            api.try_call("GET", "/healthz", &[], "").map(|_| ())
        });
        api
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// The lines of a log target so far.
    pub(crate) fn lines(&self, target: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == target).collect()
    }

    /// A GET of somebody.
    #[track_caller]
    pub(crate) fn get(&self, who: &str, path: &str) -> Answer {
        self.call("GET", path, &[key_of(who)], "")
    }

    /// A request of somebody with a body.
    #[track_caller]
    pub(crate) fn send(&self, who: &str, method: &str, path: &str, body: &str) -> Answer {
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        self.call(method, path, &[key_of(who), json], body)
    }

    /// The documented scale.
    #[track_caller]
    pub(crate) fn scale(&self, who: &str, cluster: &str, replicas: i64) -> Answer {
        let body = serde_json::json!({"cluster_name": cluster, "replicas": replicas});
        self.send(who, "POST", "/raycluster/scale", &body.to_string())
    }

    /// The scale of later generations.
    #[track_caller]
    pub(crate) fn patch(&self, who: &str, cluster: &str, body: &Value) -> Answer {
        let path = format!("/ddl_cluster_scaler/scale/rayclusters/{cluster}");
        self.send(who, "PATCH", &path, &body.to_string())
    }

    /// A request with every header in the test's hands.
    #[track_caller]
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Answer {
        let answer = self.try_call(method, path, headers, body);
        answer.unwrap_or_else(|| panic!("no answer: {}", self.process.report()))
    }

    fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Option<Answer> {
        RUNTIME.block_on(call(self.port, method, path, headers, body)).ok()
    }

    /// Several reads of a path by somebody at once, as a task: their statuses.
    pub(crate) fn read_together(
        &self,
        who: &str,
        path: &str,
        times: usize,
    ) -> JoinHandle<Vec<u16>> {
        let (port, path, headers) = (self.port, path.to_owned(), [key_of(who)]);
        RUNTIME.spawn(async move {
            let calls = (0..times).map(|_| call(port, "GET", &path, &headers, ""));
            let answers = futures::future::join_all(calls).await;
            answers.into_iter().map(|answer| answer.map_or(0, |it| it.status)).collect()
        })
    }

    /// Several documented scales of somebody at once.
    pub(crate) fn scale_together(&self, who: &str, bodies: &[String]) -> Vec<Answer> {
        let headers = [key_of(who)];
        RUNTIME.block_on(async {
            let calls = bodies
                .iter()
                .map(|body| call(self.port, "POST", "/raycluster/scale", &headers, body));
            let answers = futures::future::join_all(calls).await;
            answers.into_iter().map(|answer| answer.expect("an answer")).collect()
        })
    }
}
