//! A head Pod that says which nodes have joined, as its dashboard does.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use super::world::{Space, WORLD};

/// A head whose dashboard answers on loopback for as long as the test process lives.
pub(crate) struct Head {
    pub(crate) port: u16,
    joined: Arc<Mutex<BTreeSet<String>>>,
}

impl Head {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let joined = Arc::new(Mutex::new(BTreeSet::new()));
        let said = Arc::clone(&joined);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                for line in lines {
                    if line.is_empty() {
                        break;
                    }
                }
                let nodes = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let body = answer(&first, &nodes).to_string();
                drop(write!(
                    &stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ));
            }
        });
        Self { port, joined }
    }

    /// The node at this address has joined.
    pub(crate) fn joins(&self, ip: &str) {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).insert(ip.to_owned());
    }
}

fn answer(request: &str, joined: &BTreeSet<String>) -> Value {
    if !request.contains("/api/v0/nodes") {
        return json!({"result": true, "data": {"summary": []}});
    }
    let node = |ip: &String| {
        json!({"node_id": ip, "node_ip": ip, "is_head_node": false, "state": "ALIVE",
               "state_message": null, "labels": {}})
    };
    let nodes: Vec<Value> = joined.iter().map(node).collect();
    json!({"result": true, "data": {"result": {"result": nodes, "total": nodes.len()}}})
}

impl Space {
    /// A Pod of a cluster that runs and is ready at this address.
    #[track_caller]
    pub(crate) fn pod(&self, cluster: &Value, name: &str, group: &str, ip: &str) {
        let node_type = if group == "headgroup" { "head" } else { "worker" };
        let owner = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "controller": true,
            "name": cluster["metadata"]["name"], "uid": cluster["metadata"]["uid"]});
        let labels = json!({"ray.io/cluster": cluster["metadata"]["name"],
            "ray.io/node-type": node_type, "ray.io/group": group});
        self.placed(name, &labels, &owner, ip);
    }

    #[track_caller]
    pub(crate) fn placed(&self, name: &str, labels: &Value, owner: &Value, ip: &str) {
        self.create(
            "pods",
            &json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
                "spec": {"automountServiceAccountToken": false,
                         "containers": [{"name": "ray", "image": "rayproject/ray:2.60.0"}]}}),
        );
        let status = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True",
                            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }});
        let path = format!("/api/v1/namespaces/{}/pods/{name}/status", self.name);
        let kind = "application/strategic-merge-patch+json";
        WORLD.plane.request("PATCH", &path).body(kind, &status).send().ok();
    }
}
