//! One control plane with Domino's kind, one identity service and one API for all tests; a cluster of
//! its own for each.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::api::Api;
use super::identity::Identity;
use super::proxy::{Proxy, client};
use super::support::control_plane::{ControlPlane, Options};

/// Where the test's own calls run. A proxy's rule may make some while other requests wait for that rule;
/// on the proxies' own runtime they could stand behind those, and wait for ever.
static OWN: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// How long anything may take that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Where the clusters are.
pub(crate) const NAMESPACE: &str = "domino-compute";

pub(crate) const OWNER: &str = "dominodatalab.com/starting-user-id";

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON: &str = "application/json";

/// What all tests share.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    /// For proxies.
    client: Client,
    /// For the test itself.
    own: Client,
    pub(crate) identity: Identity,
    /// The kubeconfig of the account that `deploy/domino` makes.
    pub(crate) kubeconfig: PathBuf,
    pub(crate) api: Api,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/domino/crd.yaml");
    let plane = ControlPlane::start(Options { crd: Some(crd.to_owned()), ..Options::default() });
    let kubeconfig = account(&plane);
    let client = client(plane.kubeconfig("admin"));
    let own = OWN.block_on(async {
        let file = Kubeconfig::read_from(plane.kubeconfig("admin")).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a kubeconfig with a context")).expect("a client")
    });
    let identity = Identity::start(plane.dir());
    let api = Api::start(&kubeconfig, &identity, &["--rate", "0"]);
    World { plane, client, own, identity, kubeconfig, api }
});

/// What `deploy/domino` installs, and a kubeconfig of its account.
fn account(plane: &ControlPlane) -> PathBuf {
    let default = json!({"name": "default", "namespace": NAMESPACE});
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": default}),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    plane.apply_yaml(&list.to_string());
    let file = |path: &str| format!("{}/deploy/{path}", env!("CARGO_MANIFEST_DIR"));
    plane.kubectl(&["apply", "-f", &file("crd/rayclusterpolicy.yaml")]).ok();
    plane.kubectl(&["apply", "-k", &file("domino")]).ok();
    let name = "raywarden-api";
    let token = plane.kubectl(&["create", "token", name, "-n", "domino-field"]).ok();
    plane.write_kubeconfig(name, token.trim())
}

/// The path of a resource, or of one object of it.
fn path(kind: &str, name: &str) -> String {
    let group = match kind {
        "rayclusters" => "apis/distributed-compute.dominodatalab.com/v1alpha1",
        "statefulsets" => "apis/apps/v1",
        "events" => "apis/events.k8s.io/v1",
        _ => "api/v1",
    };
    let slash = if name.is_empty() { "" } else { "/" };
    format!("/{group}/namespaces/{NAMESPACE}/{kind}{slash}{name}")
}

impl World {
    /// One request as `admin`; status and body.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", kind)
            .body(Body::from(body))
            .expect("a request");
        let ask = async {
            let response = self.own.send(request).await.expect("an answer");
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.expect("a body").to_bytes();
            (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
        };
        // A rule of a proxy calls from inside the runtime.
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::task::block_in_place(|| OWN.block_on(ask))
        } else {
            OWN.block_on(ask)
        }
    }

    #[track_caller]
    pub(crate) fn create(&self, kind: &str, object: &Value) -> Value {
        let (code, answer) = self.call("POST", &path(kind, ""), JSON, object);
        assert_eq!(code, 201, "{answer}");
        answer
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<Value> {
        let (code, object) = self.call("GET", &path(kind, name), JSON, &Value::Null);
        (code == 200).then_some(object)
    }

    /// A merge patch, of a subresource where `part` names one.
    #[track_caller]
    pub(crate) fn merge(&self, kind: &str, name: &str, part: &str, patch: &Value) -> Value {
        let (code, answer) =
            self.call("PATCH", &format!("{}{part}", path(kind, name)), MERGE, patch);
        assert_eq!(code, 200, "{answer}");
        answer
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let now = json!({"gracePeriodSeconds": 0});
        self.call("DELETE", &path(kind, name), JSON, &now);
    }

    /// The objects that a selector finds.
    #[track_caller]
    pub(crate) fn list(&self, kind: &str, selector: &str) -> Vec<Value> {
        let selector = selector.replace('=', "%3D").replace(',', "%2C");
        let path = format!("{}?labelSelector={selector}", path(kind, ""));
        let (code, list) = self.call("GET", &path, JSON, &Value::Null);
        assert_eq!(code, 200, "{list}");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// A cluster of `owner` with 1 worker between 1 and 10.
    #[track_caller]
    pub(crate) fn cluster(&self, name: &str, owner: &str) -> Value {
        self.create("rayclusters", &manifest(name, owner))
    }

    /// Replicas, minimum and maximum as stored; -1 where absent.
    #[track_caller]
    pub(crate) fn counts(&self, name: &str) -> (i64, i64, i64) {
        counts(&self.find("rayclusters", name).expect("a cluster"))
    }

    /// A proxy between an API of its own and the API server.
    pub(crate) fn proxied(&self, flags: &[&str]) -> (Proxy, Api) {
        let proxy = Proxy::start(self.client.clone(), self.plane.dir());
        let api = Api::start(proxy.kubeconfig(), &self.identity, flags);
        (proxy, api)
    }
}

pub(crate) fn counts(object: &Value) -> (i64, i64, i64) {
    let at = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(-1);
    (
        at("/spec/worker/replicas"),
        at("/spec/autoscaling/minReplicas"),
        at("/spec/autoscaling/maxReplicas"),
    )
}

pub(crate) fn manifest(name: &str, owner: &str) -> Value {
    let labels: HashMap<&str, &str> = HashMap::from([(OWNER, owner)]);
    let size = json!({"cpu": "1", "memory": "1Gi"});
    json!({
        "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1",
        "kind": "RayCluster",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "image": {"repository": "ray", "tag": "2.60.0"},
            "autoscaling": {"minReplicas": 1, "maxReplicas": 10},
            "worker": {"replicas": 1, "resources": {"requests": size, "limits": size}},
            "head": {"resources": {"requests": size}},
        },
    })
}
