//! The control plane of this file and its API server, asked as `admin`.

use std::path::PathBuf;
use std::sync::LazyLock;

use http_body_util::BodyExt as _;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::proxy::{RUNTIME, client};
use super::space::{SOON, cluster};
use super::support::control_plane::{ControlPlane, Options};
use super::support::wait::wait_until;

/// What tells our requests from the controller's in the audit log.
const AGENT: &str = "the-test";

/// The control plane.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    audit: PathBuf,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let audit = std::env::temp_dir().join(format!("raywarden-audit-{}.log", std::process::id()));
    let plane = ControlPlane::start(Options {
        audit_log: Some(audit.clone()),
        crd: Some("kuberay".to_owned()),
        controller_manager: true,
        ..Options::default()
    });
    // It lives on as long as somebody writes to it, and nothing is left behind.
    let kept = plane.dir().join("audit.log");
    std::fs::hard_link(&audit, &kept).expect("the log is on the disk of the folder");
    std::fs::remove_file(&audit).expect("the log can be unlinked");
    let client = client(plane.kubeconfig("admin"));
    let world = World { plane, client, audit: kept };
    world.allow_network_policies();
    world
});

/// One line of the audit log: somebody else's write.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) name: String,
    pub(crate) code: u64,
}

impl World {
    /// Adds a field of a later `KubeRay` to the definition of the pinned one.
    fn allow_network_policies(&self) {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rayclusters.ray.io";
        let (_, definition) = self.call("GET", path, "", &Value::Null);
        let versions = definition["spec"]["versions"].as_array().expect("versions");
        let v1 = versions.iter().position(|it| it["name"] == "v1").expect("v1");
        let at = format!(
            "/spec/versions/{v1}/schema/openAPIV3Schema/properties/spec/properties/networkPolicy"
        );
        let field = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let change = json!([{"op": "add", "path": at, "value": field}]);
        let (code, answer) = self.call("PATCH", path, "application/json-patch+json", &change);
        assert_eq!(code, 200, "{answer}");
        let mut probe = cluster("probe", 0);
        probe["spec"]["networkPolicy"] = json!({});
        let dry = "/apis/ray.io/v1/namespaces/default/rayclusters?dryRun=All";
        wait_until(SOON, "the field is stored", || {
            let (_, answer) = self.call("POST", dry, "application/json", &probe);
            answer["spec"]["networkPolicy"].is_object().then_some(())
        });
    }

    /// One request; status and body.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("User-Agent", AGENT)
            .header("Content-Type", kind)
            .body(Body::from(body))
            .expect("a request");
        RUNTIME.block_on(async {
            let response = self.client.send(request).await.expect("an answer");
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.expect("a body").to_bytes();
            (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
        })
    }

    /// What controllers of ours wrote in a namespace so far, but for Leases.
    pub(crate) fn writes(&self, namespace: &str) -> Vec<Write> {
        let log = std::fs::read_to_string(&self.audit).expect("the audit log");
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |event: &Value, at: &str| {
            event.pointer(at).and_then(Value::as_str).unwrap_or("").to_owned()
        };
        events
            .filter(|event| text(event, "/objectRef/namespace") == namespace)
            .filter(|event| text(event, "/user/username") == "admin")
            .filter(|event| !text(event, "/userAgent").contains(AGENT))
            .filter(|event| text(event, "/objectRef/resource") != "leases")
            .map(|event| Write {
                verb: text(&event, "/verb"),
                resource: text(&event, "/objectRef/resource"),
                subresource: text(&event, "/objectRef/subresource"),
                name: text(&event, "/objectRef/name"),
                code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or(0),
            })
            .collect()
    }
}
