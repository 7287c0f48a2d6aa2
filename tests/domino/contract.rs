//! Every route of every generation: the status of its success, and the names and types of its fields, as
//! the services had them. More fields may come; none of these may go.

use serde_json::{Value, json};

use super::identity::ADA;
use super::operator;
use super::support::request::Answer;
use super::world::WORLD;

/// The name of a field and what may stand there.
type Field = (&'static str, &'static [&'static str]);

const CLUSTER: [Field; 5] = [
    ("apiVersion", &["text"]),
    ("kind", &["text"]),
    ("metadata", &["object"]),
    ("spec", &["object"]),
    ("status", &["object"]),
];
const SCALED: [Field; 10] = [
    ("kind", &["text"]),
    ("name", &["text"]),
    ("requested_replicas", &["number"]),
    ("effective_replicas", &["number"]),
    ("maxReplicas", &["number"]),
    ("capped", &["truth"]),
    ("worker_hw_tier_id", &["text", "null"]),
    ("object", &["object"]),
    ("started_at", &["text"]),
    ("restarted_ts", &["text"]),
];
const RESTARTING: [Field; 6] = [
    ("ok", &["truth"]),
    ("namespace", &["text"]),
    ("pod", &["text"]),
    ("grace_period_seconds", &["number"]),
    ("started_at", &["text"]),
    ("k8s_response", &["object"]),
];
const HEAD: [Field; 9] = [
    ("ok", &["truth"]),
    ("restarted", &["truth"]),
    ("ready", &["truth"]),
    ("status", &["text"]),
    ("namespace", &["text"]),
    ("pod", &["text"]),
    ("creationTimestamp", &["text"]),
    ("started_at", &["text"]),
    ("evaluated_with", &["text"]),
];
const ROLLOUT: [Field; 13] = [
    ("desired_replicas", &["number"]),
    ("running_pods", &["number"]),
    ("ready_pods", &["number"]),
    ("ready_equals_running", &["truth"]),
    ("restarted", &["truth"]),
    ("ok", &["truth"]),
    ("node_type", &["text"]),
    ("statefulset", &["text"]),
    ("namespace", &["text"]),
    ("oldestCreationTimestamp", &["text"]),
    ("started_at", &["text", "null"]),
    ("evaluated_with", &["text"]),
    ("status", &["text"]),
];
const LISTED: [Field; 3] = [("kind", &["text"]), ("count", &["number"]), ("clusters", &["list"])];
const DOCUMENTED_LIST: [Field; 1] = [("ray_clusters", &["list"])];
const STATE: [Field; 1] = [("status", &["text"])];

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "truth",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[track_caller]
fn keeps(what: &str, answer: &Answer, status: u16, fields: &[Field]) -> Value {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    let body = answer.json();
    for (name, kinds) in fields {
        let found = body.get(name).map(kind);
        assert!(
            found.is_some_and(|it| kinds.contains(&it)),
            "{what}: {name} is {found:?} in {body}"
        );
    }
    body
}

#[test]
fn every_route_keeps_its_status_and_the_names_and_types_of_its_fields() {
    let name = "ray-contract";
    WORLD.cluster(name, ADA);
    operator::reconcile(name);
    let later = |rest: &str| format!("/ddl_cluster_scaler/{rest}").replace("NAME", name);
    let named = json!({"cluster_name": name, "replicas": 3}).to_string();
    let counted = json!({"replicas": 2}).to_string();
    let since = "?started_at=2025-10-02T09:30:00Z";
    let mut routes: Vec<(&str, String, &str, u16, &[Field])> = vec![
        ("GET", "/healthz".to_owned(), "", 200, &STATE),
        ("GET", "/readyz".to_owned(), "", 200, &STATE),
        ("GET", later("list/rayclusters"), "", 200, &LISTED),
        ("GET", later("cluster/rayclusters/NAME"), "", 200, &CLUSTER),
        ("GET", later("get/rayclusters/NAME"), "", 200, &CLUSTER),
        ("PATCH", later("scale/rayclusters/NAME"), &counted, 200, &SCALED),
        ("POST", later("scale/rayclusters/NAME"), &counted, 200, &SCALED),
        ("PATCH", later("restore/rayclusters/NAME"), "", 200, &CLUSTER),
        ("PATCH", later("restart_head/rayclusters/NAME"), "", 202, &RESTARTING),
        ("PATCH", later(&format!("restart_head/rayclusters/NAME{since}")), "{}", 202, &RESTARTING),
        ("GET", later(&format!("restart_head_status/rayclusters/NAME{since}")), "", 200, &HEAD),
        ("GET", later("restart_status/rayclusters/NAME/head"), "", 200, &ROLLOUT),
        ("GET", later("restart_status/rayclusters/NAME/worker"), "", 200, &ROLLOUT),
        ("GET", later(&format!("restart_status/rayclusters/NAME/head{since}")), "", 200, &ROLLOUT),
    ];
    for prefix in ["/raycluster", "/rayclusterscaler"] {
        routes.extend([
            ("GET", format!("{prefix}/list"), "", 200, &DOCUMENTED_LIST[..]),
            ("GET", format!("{prefix}/{name}"), "", 200, &CLUSTER),
            ("POST", format!("{prefix}/scale"), named.as_str(), 200, &CLUSTER),
            ("POST", format!("{prefix}/restore"), named.as_str(), 200, &CLUSTER),
        ]);
    }
    for (method, path, body, status, fields) in routes {
        let answer = WORLD.api.send("ada", method, &path, body);
        keeps(&format!("{method} {path}"), &answer, status, fields);
        let head = WORLD.api.send("ada", "HEAD", &path, "");
        let reads = method == "GET";
        assert_eq!(
            (head.status == status, head.body.as_str()),
            (reads, ""),
            "HEAD {path}: {head:?}"
        );
    }
}

#[test]
fn every_failure_of_every_route_keeps_a_code_and_a_message() {
    let code: [Field; 3] = [("error", &["text"]), ("message", &["text"]), ("ok", &["truth"])];
    for (method, path) in [
        ("GET", "/raycluster/ray-none"),
        ("GET", "/ddl_cluster_scaler/cluster/rayclusters/ray-none"),
        ("PATCH", "/ddl_cluster_scaler/restore/rayclusters/ray-none"),
        ("PATCH", "/ddl_cluster_scaler/restart_head/rayclusters/ray-none"),
        (
            "GET",
            "/ddl_cluster_scaler/restart_head_status/rayclusters/ray-none?started_at=2025-10-02T09:30:00Z",
        ),
        ("GET", "/ddl_cluster_scaler/restart_status/rayclusters/ray-none/head"),
    ] {
        let answer = WORLD.api.send("root", method, path, "");
        let body = keeps(path, &answer, 404, &code);
        assert_eq!((&body["ok"], &body["error"]), (&json!(false), &json!("not_found")), "{path}");
        assert_eq!(WORLD.api.send("ada", method, path, "").status, 403, "{path}");
    }
}
