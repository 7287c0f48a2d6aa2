//! The published clients of every generation, call by call, with an operator at work.

use std::time::Duration;

use serde_json::{Value, json};

use super::identity::{ADA, bearer_of, key_of};
use super::operator::{self, Operator};
use super::support::request::Answer;
use super::support::wait::wait_until;
use super::world::{SOON, WORLD, counts};

/// `requests` with `raise_for_status` and a JSON body.
#[track_caller]
fn good(answer: &Answer) -> Value {
    let json = answer.header("content-type").is_some_and(|it| it.contains("application/json"));
    assert!(json, "{answer:?}");
    answer.ok()
}

fn operator(cluster: &str) -> Operator {
    WORLD.cluster(cluster, ADA);
    operator::reconcile(cluster);
    Operator::start(cluster, Duration::from_millis(300))
}

#[test]
fn the_first_generations_notebook_runs_to_its_end() {
    let name = "ray-655cb2de368ad4624b1e7d01";
    let _operator = operator(name);
    let headers =
        [bearer_of("ada.notebook"), ("Content-Type".to_owned(), "application/json".to_owned())];
    let get = |path: &str| good(&WORLD.api.call("GET", path, &headers, ""));
    get("/healthz");
    let list = get("/rayclusterscaler/list");
    assert!(list["ray_clusters"][0]["metadata"]["name"].is_string());
    get(&format!("/rayclusterscaler/{name}"));
    let body = json!({"cluster_name": name, "replicas": 5}).to_string();
    let scaled = good(&WORLD.api.call("POST", "/rayclusterscaler/scale", &headers, &body));
    assert_eq!(counts(&scaled), (5, 5, 6));
    // What the documentation tells users to look for.
    let seen = wait_until(SOON, "five workers", || {
        let cluster = get(&format!("/raycluster/{name}"));
        (cluster["status"]["nodes"].as_array().map(Vec::len) == Some(6)).then_some(cluster)
    });
    assert_eq!(seen["status"]["workerReplicas"], 5);
    assert_eq!(seen["status"]["nodes"][0], format!("{name}-ray-head-0"));
    assert_eq!(seen["spec"]["autoscaling"], json!({"maxReplicas": 6, "minReplicas": 5}));
    assert_eq!(seen["spec"]["worker"]["replicas"], seen["spec"]["autoscaling"]["minReplicas"]);
}

#[test]
fn the_second_generations_client_scales_restarts_and_stops_waiting() {
    let name = "ray-655cb2de368ad4624b1e7d02";
    let _operator = operator(name);
    let base = "/ddl_cluster_scaler";
    assert_eq!(good(&WORLD.api.get("ada", "/healthz"))["status"], "healthy");
    let cluster = format!("{base}/cluster/rayclusters/{name}");
    assert!(good(&WORLD.api.get("ada", &cluster))["spec"]["autoscaling"].is_object());
    let body = json!({"replicas": 3, "worker_hw_tier": "Small", "worker_hw_tier_id": "Small"});
    let scaled = good(&WORLD.api.patch("ada", name, &body));
    let from_scale = scaled["started_at"].as_str().expect("a time").replace(':', "%3A");
    wait_until(SOON, "the client's count of names", || {
        let cluster = good(&WORLD.api.get("ada", &cluster));
        let nodes = cluster["status"]["nodes"].as_array().map_or(0, Vec::len) as u64;
        (Some(nodes - 1) == cluster["spec"]["worker"]["replicas"].as_u64()).then_some(())
    });
    let path = format!("{base}/restart_head/rayclusters/{name}?started_at={from_scale}");
    let answer = WORLD.api.send("ada", "PATCH", &path, "");
    assert_eq!(answer.status, 202);
    let since = good(&answer)["started_at"].as_str().expect("a time").replace(':', "%3A");
    let path = format!("{base}/restart_head_status/rayclusters/{name}?started_at={since}");
    wait_until(SOON, "a head that is back", || {
        (good(&WORLD.api.get("ada", &path))["status"] == "restarted_and_ready").then_some(())
    });
    // Its main program asks with the time of the scale, before the restart.
    let path = format!("{base}/restart_head_status/rayclusters/{name}?started_at={from_scale}");
    assert_eq!(good(&WORLD.api.get("ada", &path))["status"], "restarted_and_ready");
}

#[test]
fn the_second_generations_first_notebook_finds_its_paths() {
    let name = "ray-655cb2de368ad4624b1e7d03";
    WORLD.cluster(name, ADA);
    let base = "/ddl_cluster_scaler";
    let list = good(&WORLD.api.get("ada", &format!("{base}/list/rayclusters")));
    assert_eq!(list["kind"], "rayclusters");
    good(&WORLD.api.get("ada", &format!("{base}/get/rayclusters/{name}")));
    let path = format!("{base}/scale/rayclusters/{name}");
    let said = good(&WORLD.api.send("ada", "POST", &path, r#"{"replicas": 4}"#));
    assert_eq!(counts(&said["object"]), (4, 4, 10));
}

#[test]
fn the_third_generations_client_stops_waiting_after_scale_and_restart() {
    let name = "ray-655cb2de368ad4624b1e7d04";
    let _operator = operator(name);
    let base = "/ddl_cluster_scaler";
    let headers = [key_of("ada")];
    let body = json!({"replicas": 4, "worker_hw_tier_name": "Small"});
    let said = good(&WORLD.api.patch("ada", name, &body));
    assert!(said["restarted_ts"].is_string() && said["started_at"].is_string());
    let wait = |node: &str| {
        // It looks at no status code, only at this word.
        let path = format!("{base}/restart_status/rayclusters/{name}/{node}");
        wait_until(SOON, node, || {
            let said = WORLD.api.call("GET", &path, &headers, "").json();
            (said["status"] == "restarted_and_ready_counts_ok").then_some(said)
        })
    };
    assert_eq!(wait("worker")["ready_pods"], 4);
    let path = format!("{base}/restart_head/rayclusters/{name}");
    for body in ["{}", r#"{"head_hw_tier_name": ""}"#] {
        assert_eq!(WORLD.api.send("ada", "PATCH", &path, body).status, 202);
        // The head once, and then the workers for ever.
        wait("head");
        wait("worker");
    }
    let cluster = good(&WORLD.api.get("ada", &format!("{base}/cluster/rayclusters/{name}")));
    assert!(cluster["status"].is_object() && cluster["spec"]["autoscaling"].is_object());
    assert_eq!(cluster["spec"]["worker"]["replicas"], 4);
}
