//! What the tests of scaling share: one control plane with the webhook, the controller, and a machine
//! that runs Ray for the Pods. None of the Pods is made by hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::account::account;
use crate::support::control_plane::{ControlPlane, Options};
use crate::support::controller::Controller;
use crate::support::process::Process;
use crate::support::ray::RayLab;
use crate::support::wait::wait_for;
use crate::support::webhook::Webhook;

pub(crate) const NAMESPACE: &str = "scaled";
/// Far more than any step takes on two busy cores.
pub(crate) const SOON: Duration = Duration::from_mins(2);
/// So short that a worker is idle for long enough soon after the demand has gone.
const IDLE_SECONDS: u32 = 5;
/// Between two looks: kubectl without a pause would take a processor from Ray.
const PAUSE: Duration = Duration::from_millis(300);

/// Looks again and again, not too often, for as long as [`SOON`].
pub(crate) fn look<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    wait_for(SOON, || {
        let found = probe();
        if found.is_none() {
            thread::sleep(PAUSE);
        }
        found
    })
}

pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) lab: RayLab,
    /// The kubeconfig of the controller's account.
    pub(crate) account: PathBuf,
    audit_log: PathBuf,
    webhook: Webhook,
    controller: Controller,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let audit_log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ray-audit.log");
    // One of an earlier run would be continued.
    drop(fs::remove_file(&audit_log));
    let plane = ControlPlane::start(Options {
        audit_log: Some(audit_log.clone()),
        controller_manager: true,
        crd: Some("kuberay".to_owned()),
        ..Options::default()
    });
    plane.kubectl(&["create", "namespace", NAMESPACE]).ok();
    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd/rayclusterreport.yaml");
    plane.kubectl(&["create", "-f", definition]).ok();
    let webhook = Webhook::start(&plane, &["--node-manager", "raywarden"]);
    webhook.register(&plane);
    let account = account(&plane);
    let mut controller = Controller::everywhere(
        &account,
        &["--joined-within", "5s", "--autoscaler-acts-within", "8s", "--report-interval", "3s"],
    );
    controller.wait_leads();
    let lab = RayLab::start(&plane, NAMESPACE);
    World { plane, lab, account, audit_log, webhook, controller }
});

/// One write that the API server has taken.
pub(crate) struct Write {
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    /// The Pod that the writer's token is bound to.
    pub(crate) from_pod: String,
}

impl World {
    /// Every write so far that was not refused, the oldest first.
    pub(crate) fn writes(&self) -> Vec<Write> {
        let log = fs::read_to_string(&self.audit_log).unwrap_or_default();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let taken = events.filter(|event| event["responseStatus"]["code"].as_u64() < Some(300));
        taken
            .map(|event| {
                let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or("");
                Write {
                    user: text("/user/username").to_owned(),
                    verb: text("/verb").to_owned(),
                    resource: text("/objectRef/resource").to_owned(),
                    name: text("/objectRef/name").to_owned(),
                    from_pod: text("/user/extra/authentication.kubernetes.io~1pod-name/0")
                        .to_owned(),
                }
            })
            .collect()
    }
}

/// A RayCluster with a head that serves, and the only one that runs.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) head: String,
    /// The stored object as it changes.
    watch: Process,
}

impl Cluster {
    /// Applies KubeRay's sample, of which image, minimum, idle time and version of the autoscaler are
    /// changed, and waits until its first worker is a node of Ray.
    #[track_caller]
    pub(crate) fn start(name: &str, version: &str) -> Self {
        let plane = &WORLD.plane;
        plane
            .kubectl_with("admin", &["apply", "-n", NAMESPACE, "-f", "-"], &seed(name, version))
            .ok();
        let watch = ["get", "raycluster", name, "-n", NAMESPACE, "--watch", "-o", "json"];
        let watch = Process::start(plane.kubectl_command("admin", &watch));
        let mut cluster = Self { name: name.to_owned(), head: String::new(), watch };
        let head = look(|| cluster.pods("head").into_iter().next());
        cluster.head = head.unwrap_or_else(|| panic!("no head: {}", cluster.report()));
        let workers = cluster.wait_workers(1);
        cluster.wait_alive(&workers);
        cluster
    }

    /// The object as it is stored.
    #[track_caller]
    pub(crate) fn stored(&self) -> Value {
        WORLD.plane.get_json(&["raycluster", &self.name, "-n", NAMESPACE])
    }

    /// Names of the Pods of a type that are not on their way out.
    #[track_caller]
    pub(crate) fn pods(&self, node_type: &str) -> BTreeSet<String> {
        let labels = format!("ray.io/cluster={},ray.io/node-type={node_type}", self.name);
        let pods = WORLD.plane.get_json(&["pods", "-n", NAMESPACE, "-l", &labels]);
        let pods = pods["items"].as_array().into_iter().flatten();
        let live = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        live.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until the spec asks for this many workers and exactly those are there; their names.
    #[track_caller]
    pub(crate) fn wait_workers(&self, count: usize) -> BTreeSet<String> {
        let found = look(|| {
            let asked = self.stored()["spec"]["workerGroupSpecs"][0]["replicas"] == count;
            Some(self.pods("worker")).filter(|workers| asked && workers.len() == count)
        });
        found.unwrap_or_else(|| panic!("never {count} workers: {}", self.report()))
    }

    /// Waits until each of these Pods is a node of Ray.
    #[track_caller]
    pub(crate) fn wait_alive(&self, pods: &BTreeSet<String>) {
        for pod in pods {
            WORLD.lab.wait_alive(&self.head, pod, SOON);
        }
    }

    /// Waits until Ray knows the head and this many workers as ALIVE, and the status says so.
    #[track_caller]
    pub(crate) fn wait_settled(&self, workers: usize) {
        let settled = look(|| {
            let status = &self.stored()["status"];
            let ready = status["state"] == "ready" && status["availableWorkerReplicas"] == workers;
            (ready && WORLD.lab.alive(&self.head).len() == workers + 1).then_some(())
        });
        assert!(settled.is_some(), "never settled with {workers}: {}", self.report());
    }

    /// Every name that ever stood in `workersToDelete`.
    pub(crate) fn victims(&self) -> BTreeSet<String> {
        let text = self.watch.stdout();
        // The last one may have come by half.
        let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let named = objects.map_while(Result::ok).flat_map(|object| {
            let names = &object["spec"]["workerGroupSpecs"][0]["scaleStrategy"]["workersToDelete"];
            names.as_array().cloned().unwrap_or_default()
        });
        named.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Writes of a kind to the Pods of this cluster, by one user: the names, one for each write.
    pub(crate) fn pods_written(&self, verb: &str, user: &str) -> Vec<String> {
        let prefix = format!("{}-", self.name);
        let writes = WORLD.writes().into_iter().filter(|write| {
            (write.verb.as_str(), write.resource.as_str()) == (verb, "pods")
                && write.user == user
                && write.name.starts_with(&prefix)
        });
        writes.map(|write| write.name).collect()
    }

    /// What Events on the cluster tell.
    #[track_caller]
    pub(crate) fn told(&self) -> String {
        let about = format!("regarding.name={}", self.name);
        let events = ["get", "events.events.k8s.io", "-n", NAMESPACE, "--field-selector", &about];
        let notes = ["-o", "jsonpath={range .items[*]}{.reason}: {.note}{'\\n'}{end}"];
        WORLD.plane.kubectl(&[&events[..], &notes].concat()).ok()
    }

    /// Deletes it; its Pods go with it.
    #[track_caller]
    pub(crate) fn end(self) {
        WORLD.plane.kubectl(&["delete", "raycluster", &self.name, "-n", NAMESPACE]).ok();
        let gone =
            look(|| (self.pods("head").is_empty() && self.pods("worker").is_empty()).then_some(()));
        assert!(gone.is_some(), "Pods outlive their cluster: {}", self.report());
    }

    /// Everything there is to know, for a failing test.
    #[track_caller]
    pub(crate) fn report(&self) -> String {
        let workers: String = self.pods("worker").iter().map(|pod| WORLD.lab.report(pod)).collect();
        let head = WORLD.lab.report(&self.head);
        let (stored, told) = (self.stored(), self.told());
        let (webhook, controller) = (WORLD.webhook.log(), WORLD.controller.log());
        format!(
            "{stored}\n{told}\n-- webhook\n{webhook}\n-- controller\n{controller:#?}\n{head}\n{workers}"
        )
    }
}

/// KubeRay's sample with an autoscaler, and the `ConfigMap` that it mounts: the text, for kubectl to
/// read.
fn seed(name: &str, version: &str) -> String {
    let file = WORLD.plane.kuberay().join("config/samples/ray-cluster.autoscaler.yaml");
    let text = fs::read_to_string(file).expect("the module holds the sample");
    let version = format!("  autoscalerOptions:\n    version: {version}\n");
    let name = format!("name: {name}\n");
    let idle = format!("idleTimeoutSeconds: {IDLE_SECONDS}\n");
    let changes = [
        ("name: raycluster-autoscaler\n", name.as_str(), 1),
        ("image: rayproject/ray:2.52.0\n", "image: local/ray:2.60.0\n", 2),
        ("rayVersion: '2.52.0'\n", "rayVersion: '2.60.0'\n", 1),
        ("  autoscalerOptions:\n", &version, 1),
        ("idleTimeoutSeconds: 60\n", &idle, 1),
        // The sample's replicas stay 0, below the minimum: the webhook raises them.
        ("minReplicas: 0\n", "minReplicas: 1\n", 1),
    ];
    changes.into_iter().fold(text, |text, (old, new, times)| {
        assert_eq!(text.matches(old).count(), times, "{old:?} in {text}");
        text.replace(old, new)
    })
}
