//! One control plane with both kinds and one API for all tests; a namespace of its own for each.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::support::control_plane::{ControlPlane, Options};
use super::support::plain::call;
use super::support::process::Process;
use super::support::request::Answer;
use super::support::wait::{free_port, wait_until};
use super::support::webhook::raywarden;

/// How long anything may take that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(40);

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// What all tests share.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) api: Api,
    /// The kubeconfig of the API's own account.
    pub(crate) kubeconfig: PathBuf,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |path: &str| root.join(path).display().to_string();
    plane.kubectl(&["apply", "-f", &file("tests/data/domino/crd.yaml")]).ok();
    plane.kubectl(&["apply", "-f", &file("deploy/crd/rayclusterpolicy.yaml")]).ok();
    plane.kubectl(&["create", "namespace", "raywarden-system"]).ok();
    plane.kubectl(&["create", "namespace", "people"]).ok();
    plane.kubectl(&["apply", "-k", &file("deploy/api")]).ok();
    for name in ["ada", "eve", "reader"] {
        plane.kubectl(&["create", "serviceaccount", name, "-n", "people"]).ok();
    }
    let token = plane.kubectl(&["create", "token", "raywarden-api", "-n", "raywarden-system"]).ok();
    let kubeconfig = plane.write_kubeconfig("raywarden-api", token.trim());
    let api = Api::start(&kubeconfig, &["--rate", "0", "--identity-ttl", "1s"]);
    World { plane, api, kubeconfig }
});

/// An API that serves for as long as the value lives.
pub(crate) struct Api {
    process: Process,
    port: u16,
    pub(crate) ops: u16,
}

impl Api {
    /// Starts one and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(kubeconfig: &Path, flags: &[&str]) -> Self {
        let (port, ops) = (free_port(), free_port());
        let mut command = raywarden();
        command.args(["api", "--api-plain-http", "--api-listen", &format!("127.0.0.1:{port}")]);
        command.args(["--ops-listen", &format!("127.0.0.1:{ops}")]);
        command.arg("--kubeconfig").arg(kubeconfig).args(["--shutdown-delay", "0s"]);
        command.args(flags).env_remove("KUBERNETES_SERVICE_HOST");
        let mut api = Self { process: Process::start(command), port, ops };
        wait_until(SOON, "the API is ready", || {
            assert!(api.process.is_running(), "it ended: {}", api.process.report());
            let answer = RUNTIME.block_on(call(port, "GET", "/readyz", &[], ""));
            answer.ok().filter(|answer| answer.status == 200).map(|_| ())
        });
        api
    }

    /// The lines of a log target so far.
    pub(crate) fn lines(&self, target: &str) -> Vec<Value> {
        let log = self.process.stderr();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == target).collect()
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// A request with every header in the test's hands.
    #[track_caller]
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Answer {
        let answer = RUNTIME.block_on(call(self.port, method, path, headers, body));
        answer.unwrap_or_else(|error| panic!("no answer: {error} {}", self.process.report()))
    }

    /// A request of somebody, with more headers.
    #[track_caller]
    pub(crate) fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
        if !body.is_empty() {
            headers.push(("Content-Type".to_owned(), JSON.to_owned()));
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        headers.extend(more.iter().map(own));
        self.raw(method, path, &headers, body)
    }

    /// The pages for Prometheus.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        let answer = RUNTIME.block_on(call(self.ops, "GET", "/metrics", &[], ""));
        answer.expect("metrics").body
    }
}

/// Several requests at once; their answers in the same order.
pub(crate) fn together(
    api: &Api,
    requests: &[(String, String, String)],
    body: &str,
) -> Vec<Answer> {
    RUNTIME.block_on(async {
        let calls = requests.iter().map(|(token, path, key)| {
            let headers = [
                ("Authorization".to_owned(), format!("Bearer {token}")),
                ("Content-Type".to_owned(), JSON.to_owned()),
                ("Idempotency-Key".to_owned(), key.clone()),
            ];
            async move { call(api.port, "PATCH", path, &headers, body).await.expect("an answer") }
        });
        futures::future::join_all(calls).await
    })
}

/// A token of an account in `people`, for the API.
#[track_caller]
pub(crate) fn token(name: &str) -> String {
    let plane = &WORLD.plane;
    plane
        .kubectl(&["create", "token", name, "-n", "people", "--audience", "raywarden"])
        .ok()
        .trim()
        .to_owned()
}

/// A namespace, in which `ada` may scale, `reader` may read and `eve` may nothing.
pub(crate) struct Space {
    pub(crate) name: String,
    pub(crate) ada: String,
}

impl Space {
    #[track_caller]
    pub(crate) fn new(name: &str) -> Self {
        let plane = &WORLD.plane;
        plane.kubectl(&["create", "namespace", name]).ok();
        let within = ["-n", name];
        // Pods want it, and nothing here makes it.
        plane.kubectl(&[&["create", "serviceaccount", "default"], &within[..]].concat()).ok();
        let groups = "rayclusters.ray.io,rayclusters.distributed-compute.dominodatalab.com";
        for (role, verbs) in [("ada", "get,list,patch"), ("reader", "get,list")] {
            let verb = format!("--verb={verbs}");
            let resource = format!("--resource={groups}");
            plane
                .kubectl(&[&["create", "role", role, &verb, &resource], &within[..]].concat())
                .ok();
            let (role_flag, account) =
                (format!("--role={role}"), format!("--serviceaccount=people:{role}"));
            let binding = ["create", "rolebinding", role, &role_flag, &account];
            plane.kubectl(&[&binding[..], &within[..]].concat()).ok();
        }
        Self { name: name.to_owned(), ada: token("ada") }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/rayclusters{rest}", self.name)
    }

    /// What ada gets at a path below the namespace's clusters.
    #[track_caller]
    pub(crate) fn get(&self, rest: &str) -> Answer {
        WORLD.api.send(&self.ada, "GET", &self.path(rest), &[], "")
    }

    /// A scale by ada.
    #[track_caller]
    pub(crate) fn scale(&self, name: &str, query: &str, body: &Value) -> Answer {
        self.scale_with(name, query, &[], body)
    }

    #[track_caller]
    pub(crate) fn scale_with(
        &self,
        name: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let path = self.path(&format!("/{name}/scale{query}"));
        WORLD.api.send(&self.ada, "PATCH", &path, headers, &body.to_string())
    }

    fn objects(&self, kind: &str) -> String {
        let group = match kind {
            "rayclusters" => "apis/ray.io/v1",
            "domino" => {
                return format!(
                    "/apis/distributed-compute.dominodatalab.com/v1alpha1/namespaces/{}/rayclusters",
                    self.name
                );
            }
            "statefulsets" => "apis/apps/v1",
            "events" => "apis/events.k8s.io/v1",
            _ => "api/v1",
        };
        format!("/{group}/namespaces/{}/{kind}", self.name)
    }

    #[track_caller]
    pub(crate) fn create(&self, kind: &str, object: &Value) -> Value {
        WORLD.plane.request("POST", &self.objects(kind)).body(JSON, object).send().ok()
    }

    #[track_caller]
    pub(crate) fn find(&self, kind: &str, name: &str) -> Value {
        WORLD.plane.request("GET", &format!("{}/{name}", self.objects(kind))).send().ok()
    }

    #[track_caller]
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let list = WORLD.plane.request("GET", &self.objects(kind)).send().ok();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn merge(&self, kind: &str, name: &str, patch: &Value) -> Value {
        let one = format!("{}/{name}", self.objects(kind));
        WORLD.plane.request("PATCH", &one).body(MERGE, patch).send().ok()
    }

    #[track_caller]
    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let one = format!("{}/{name}", self.objects(kind));
        WORLD
            .plane
            .request("DELETE", &one)
            .body(JSON, &json!({"gracePeriodSeconds": 0}))
            .send()
            .ok();
    }

    /// A cluster with the groups `small` (1 of 0 to 10) and `gpu` (0 of 0 to 2).
    #[track_caller]
    pub(crate) fn cluster(&self, name: &str) -> Value {
        self.create("rayclusters", &self.manifest(name))
    }

    pub(crate) fn manifest(&self, name: &str) -> Value {
        let template = |container: &str| {
            json!({"spec": {"containers": [{"name": container, "image": "rayproject/ray:2.60.0",
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}})
        };
        let group = |name: &str, replicas: i64, max: i64| {
            json!({"groupName": name, "replicas": replicas, "minReplicas": 0, "maxReplicas": max,
                   "rayStartParams": {}, "template": template("ray-worker")})
        };
        json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "rayVersion": "2.60.0",
                "headGroupSpec": {"rayStartParams": {}, "template": template("ray-head")},
                "workerGroupSpecs": [group("small", 1, 10), group("gpu", 0, 2)],
            },
        })
    }

    /// A cluster of Domino's kind with 1 worker between 1 and 10.
    #[track_caller]
    pub(crate) fn domino(&self, name: &str) -> Value {
        let size = json!({"cpu": "1", "memory": "1Gi"});
        self.create("domino", &json!({
            "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "image": {"repository": "ray", "tag": "2.60.0"},
                "autoscaling": {"minReplicas": 1, "maxReplicas": 10},
                "worker": {"replicas": 1, "resources": {"requests": size, "limits": size}},
                "head": {"resources": {"requests": size}},
            },
        }))
    }

    /// The stored replicas of a group.
    #[track_caller]
    pub(crate) fn replicas(&self, name: &str, group: usize) -> i64 {
        let object = self.find("rayclusters", name);
        object["spec"]["workerGroupSpecs"][group]["replicas"].as_i64().unwrap_or(-1)
    }
}

/// The code of a problem.
#[track_caller]
pub(crate) fn code(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status, "{problem}");
    (answer.status, problem["code"].as_str().unwrap_or("").to_owned())
}
