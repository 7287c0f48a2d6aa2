//! Probes of the container that runs Ray, where the user set none.
//!
//! From Ray 2.53 on one HTTP address tells the health of a node. Older Rays answer in words, which
//! takes a shell. Ports follow the parameters of `ray start`.

use serde_json::{Value, json};

use super::Node;
use crate::model::template::{entry, list};
use crate::plan::object::{fill, set};

/// The first Ray that tells a node's health by HTTP status.
const UNIFIED: (u32, u32) = (2, 53);

/// Fills in both probes.
pub(super) fn complete(node: &Node<'_>, ray: &mut Value) {
    let timeout = if node.is_head { 5 } else { 2 };
    let serves = node.plot.is_of_service() && !node.is_head;
    let live = probe(action(node), 30, timeout, 120);
    let ready = if serves {
        // Traffic goes to workers whose proxy answers, and stops at once.
        let port =
            entry(list(ray, "ports"), "name", "serve").and_then(|it| it.get("containerPort"));
        let port = port.and_then(Value::as_u64).unwrap_or(8000);
        let mut questions = questions(node);
        questions.push(question(port, "-/healthz", timeout));
        probe(shell(&questions), 10, timeout, 1)
    } else {
        probe(action(node), 10, timeout, 10)
    };
    fill(ray, "livenessProbe", live);
    fill(ray, "readinessProbe", ready);
}

fn probe(action: (&str, Value), initial: u32, timeout: u32, failures: u32) -> Value {
    let mut probe = json!({
        "initialDelaySeconds": initial,
        "timeoutSeconds": timeout,
        "periodSeconds": 5,
        "successThreshold": 1,
        "failureThreshold": failures,
    });
    let (how, what) = action;
    set(&mut probe, how, what);
    probe
}

fn action(node: &Node<'_>) -> (&'static str, Value) {
    let version = node.plot.cluster.ray_version();
    if version.is_some_and(|version| version >= UNIFIED) {
        return ("httpGet", json!({"path": "/api/healthz", "port": agent(node)}));
    }
    shell(&questions(node))
}

/// What is asked of a node in words: its own state and, on a head, the GCS's.
fn questions(node: &Node<'_>) -> Vec<String> {
    let mut questions = vec![question(u64::from(agent(node)), "api/local_raylet_healthz", 2)];
    if node.is_head {
        let dashboard = node.port("dashboard-port", 8265);
        questions.push(question(u64::from(dashboard), "api/gcs_healthz", 5));
    }
    questions
}

/// One try, within so many seconds: the probe itself is what repeats.
fn question(port: u64, path: &str, seconds: u32) -> String {
    format!("wget -q -O- --tries=1 -T {seconds} http://localhost:{port}/{path} | grep -q success")
}

fn shell(questions: &[String]) -> (&'static str, Value) {
    ("exec", json!({"command": ["bash", "-c", questions.join(" && ")]}))
}

fn agent(node: &Node<'_>) -> u16 {
    node.port("dashboard-agent-listen-port", 52365)
}
