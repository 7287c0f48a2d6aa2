//! Whole screens, compared to the byte: the API server is a few answers, the dashboard behind its proxy
//! too. Ages are told from the time of the test, half a minute past the figure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::support::golden;
use super::{cluster, code, pod, running, unschedulable, why};

/// What is stored, and what the dashboard says.
#[derive(Clone)]
struct World {
    cluster: Value,
    pods: Vec<Value>,
    events: Vec<Value>,
    /// Status and body by the start of the path behind the proxy.
    dashboard: Vec<(&'static str, u16, String)>,
}

/// A kubeconfig of a server that answers from `world` for as long as the test runs.
fn serve(name: &str, world: World) -> PathBuf {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sender.send(listener.local_addr().expect("an address")).expect("the test waits");
            let router = Router::new().fallback(move |request: Request| {
                let answer = answer(&world, &request);
                async move { answer }
            });
            axum::serve(listener, router).await.expect("serves");
        });
    });
    let address: SocketAddr = receiver.recv().expect("it serves");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "only",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "only", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
    });
    let path = std::env::temp_dir().join(format!("raywarden-why-{}-{name}", std::process::id()));
    std::fs::write(&path, config.to_string()).expect("a kubeconfig can be written");
    path
}

fn answer(world: &World, request: &Request) -> Response {
    assert_eq!(request.method(), "GET", "nothing is written");
    let list = |items: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
        (StatusCode::OK, list.to_string()).into_response()
    };
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    if let Some((pod, asked)) = path.split_once("/proxy/") {
        assert!(pod.ends_with("/namespaces/team-a/pods/demo-head:8265"), "{pod}");
        let found = world.dashboard.iter().find(|(start, ..)| asked.starts_with(start));
        let (_, status, body) = found.expect("the dashboard was asked for something unknown");
        return (StatusCode::from_u16(*status).expect("a status"), body.clone()).into_response();
    }
    match request.uri().path() {
        "/apis/ray.io/v1/namespaces/team-a/rayclusters/demo" => {
            (StatusCode::OK, world.cluster.to_string()).into_response()
        }
        "/api/v1/namespaces/team-a/pods" => list(&world.pods),
        "/api/v1/namespaces/team-a/events" => list(&world.events),
        other => (StatusCode::NOT_FOUND, other.to_owned()).into_response(),
    }
}

fn minutes_ago(minutes: i64) -> String {
    let at = Timestamp::now().as_second() - minutes * 60 - 30;
    Timestamp::from_second(at).expect("a time").to_string()
}

/// A cluster whose head and two workers run and have joined.
fn healthy(max: i64, demand: &str) -> World {
    let mut cluster = cluster("demo", "team-a", 2, max);
    cluster["metadata"]["uid"] = json!("u-1");
    cluster["metadata"]["generation"] = json!(4);
    cluster["metadata"]["creationTimestamp"] = json!(minutes_ago(90));
    cluster["status"] = json!({"observedGeneration": 4});
    let place = |name: &str, group: &str, ip: &str| {
        let mut pod = pod(name, group, &cluster);
        pod["metadata"]["creationTimestamp"] = json!(minutes_ago(80));
        pod["status"] = running(&pod, ip, &minutes_ago(79));
        pod
    };
    let pods = vec![
        place("demo-head", "headgroup", "10.0.0.1"),
        place("demo-small-a", "small", "10.0.0.2"),
        place("demo-small-b", "small", "10.0.0.3"),
    ];
    let status = format!("Resources\n-------\nPending Demands:\n {demand}\n");
    let dashboard = vec![
        ("api/v0/nodes?limit=", 200, nodes(&["10.0.0.2", "10.0.0.3"])),
        ("nodes?view=summary", 200, json!({"result": true, "data": {"summary": []}}).to_string()),
        (
            "api/cluster_status?format=1",
            200,
            json!({"result": true, "data": {"clusterStatus": status}}).to_string(),
        ),
    ];
    World { cluster, pods, events: Vec::new(), dashboard }
}

fn nodes(ips: &[&str]) -> String {
    let node =
        |ip: &&str| json!({"node_id": ip, "node_ip": ip, "state": "ALIVE", "is_head_node": false});
    let nodes: Vec<Value> = ips.iter().map(node).collect();
    json!({"result": true, "data": {"result": {"num_filtered": nodes.len(), "result": nodes}}})
        .to_string()
}

/// Both forms, against the golden files of this name, and the exit status.
#[track_caller]
fn shown(name: &str, world: World, status: i32) -> String {
    let kubeconfig = serve(name, world);
    let text = why(&kubeconfig, &["demo"]);
    assert_eq!(code(&text), status, "{}", text.report());
    assert!(text.stderr.is_empty(), "{}", text.report());
    golden::compare(&format!("tests/golden/why/{name}.txt"), &text.stdout);
    let json = why(&kubeconfig, &["demo", "--output", "json"]);
    assert_eq!(code(&json), status, "{}", json.report());
    golden::compare(&format!("tests/golden/why/{name}.json"), &json.stdout);
    let _ = std::fs::remove_file(kubeconfig);
    text.stdout
}

#[test]
fn a_healthy_cluster_has_nothing_in_the_way() {
    shown("healthy", healthy(5, "(no resource demands)"), 0);
}

#[test]
fn demand_that_meets_the_maximum_is_stopped_there() {
    shown("at-max", healthy(2, "{'CPU': 1.0}: 4+ pending tasks/actors"), 1);
}

#[test]
fn pods_that_no_node_takes_are_counted() {
    let mut world = healthy(5, "{'CPU': 1.0}: 4+ pending tasks/actors");
    world.cluster["spec"]["workerGroupSpecs"][0]["replicas"] = json!(4);
    for (name, minutes) in [("demo-small-c", 12), ("demo-small-d", 9)] {
        let mut pod = pod(name, "small", &world.cluster);
        pod["metadata"]["creationTimestamp"] = json!(minutes_ago(minutes));
        pod["status"] = unschedulable(&minutes_ago(minutes));
        world.pods.push(pod);
    }
    shown("unschedulable", world, 1);
}

#[test]
fn a_quota_is_named_by_the_event_of_the_node_manager() {
    let mut world = healthy(5, "{'CPU': 1.0}: 4+ pending tasks/actors");
    world.cluster["spec"]["workerGroupSpecs"][0]["replicas"] = json!(3);
    world.events.push(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "type": "Warning",
        "reason": "FailedToCreateWorkerPod", "lastTimestamp": minutes_ago(3),
        "involvedObject": {"uid": "u-1"},
        "message": "Failed to create worker Pod for the cluster team-a/demo, pods \"demo-small-worker-x\" \
                    is forbidden: exceeded quota: team, requested: cpu=1, used: cpu=3, limited: cpu=3",
    }));
    shown("quota", world, 1);
}

#[test]
fn an_autoscaler_out_of_memory_comes_before_what_it_should_have_done() {
    let mut world = healthy(5, "{'CPU': 1.0}: 4+ pending tasks/actors");
    let head = &mut world.pods[0]["status"];
    head["conditions"][0] = json!({"type": "Ready", "status": "False"});
    head["containerStatuses"][1] = json!({"name": "autoscaler", "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}});
    shown("out-of-memory", world, 1);
}

#[test]
fn a_worker_that_never_joined_is_named() {
    let mut world = healthy(5, "(no resource demands)");
    world.dashboard[0].2 = nodes(&["10.0.0.2"]);
    shown("not-joined", world, 1);
}

#[test]
fn a_dashboard_that_asks_for_a_token_says_how_to_give_it() {
    let mut world = healthy(5, "(no resource demands)");
    for answer in &mut world.dashboard {
        (answer.1, answer.2) = (401, "Unauthorized: Missing authentication token".to_owned());
    }
    let text = shown("token", world, 2);
    assert!(text.contains("--ray-token-file"), "{text}");
}

#[test]
fn a_token_goes_in_rays_own_header_and_is_never_shown() {
    let file = std::env::temp_dir().join(format!("raywarden-why-{}-token", std::process::id()));
    std::fs::write(&file, "hunter2hunter2\n").expect("can be written");
    let path = file.to_str().expect("a plain path");
    let mut world = healthy(5, "(no resource demands)");
    for answer in &mut world.dashboard {
        answer.1 = 403;
    }
    let kubeconfig = serve("with-token", world);
    let ran = why(&kubeconfig, &["demo", "--ray-token-file", path]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stdout.contains("does not take this token"), "{}", ran.report());
    assert!(!ran.report().contains("hunter2"), "{}", ran.report());
    for file in [file, kubeconfig] {
        let _ = std::fs::remove_file(file);
    }
}
