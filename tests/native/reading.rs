//! What is read.

use serde_json::{Value, json};

use super::support::control_plane::{ControlPlane, Options};
use super::support::head::Head;
use super::support::run::run;
use super::support::webhook::raywarden;
use super::world::{Api, SOON, Space, WORLD, code};

#[test]
fn a_cluster_is_told_with_its_bounds_and_workers() {
    let space = Space::new("told-whole");
    let head = Head::start();
    let mut object = space.manifest("demo");
    object["spec"]["headGroupSpec"]["rayStartParams"]["dashboard-port"] =
        head.port.to_string().into();
    object["spec"]["workerGroupSpecs"][0]["replicas"] = json!(5);
    let cluster = space.create("rayclusters", &object);
    space.pod(&cluster, "demo-head", "headgroup", "127.0.0.1");
    let ips: Vec<String> = (1..=5).map(|n| format!("127.9.0.{n}")).collect();
    for (index, ip) in ips.iter().enumerate() {
        space.pod(&cluster, &format!("demo-w{index}"), "small", ip);
    }
    for ip in &ips[..3] {
        head.joins(ip);
    }
    let state = space.get("/demo").ok();
    let workers = &state["workers"];
    assert_eq!(workers["desired"], 5, "{state}");
    assert_eq!((&workers["running"], &workers["ready"]), (&json!(5), &json!(5)));
    assert_eq!(workers["joined"], 3, "{state}");
    assert_eq!(workers["notJoined"], json!(["demo-w3", "demo-w4"]));
    assert_eq!(workers["allJoined"], false);
    assert_eq!(state["groups"][0]["maxReplicas"], 10);
    assert_eq!(state["groups"][1]["workers"]["desired"], 0);
    assert_eq!(state["apiGroup"], "ray.io");
    assert_eq!(state["dashboard"], format!("127.0.0.1:{}", head.port));
    assert_eq!(space.get("/demo/scale").ok()["uid"], state["uid"]);
}

#[test]
fn without_a_head_nobody_is_said_to_be_missing() {
    let space = Space::new("headless");
    space.cluster("demo");
    let state = space.get("/demo").ok();
    assert_eq!(state["workers"]["joined"], Value::Null);
    assert_eq!(state["workers"]["unknown"], "no head Pod runs");
    assert_eq!(state["workers"]["notJoined"], json!([]));
}

#[test]
fn a_domino_cluster_is_told_the_same_way() {
    let space = Space::new("dominos");
    let cluster = space.domino("ray-1");
    let set = |part: &str, replicas: i64| {
        let labels = json!({"app.kubernetes.io/name": "ray", "app.kubernetes.io/instance": "ray-1",
                            "app.kubernetes.io/component": part});
        let owner = json!({"apiVersion": "distributed-compute.dominodatalab.com/v1alpha1",
            "kind": "RayCluster", "name": "ray-1", "uid": cluster["metadata"]["uid"], "controller": true});
        let made = space.create(
            "statefulsets",
            &json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": format!("ray-1-ray-{part}"), "ownerReferences": [owner]},
            "spec": {"replicas": replicas, "serviceName": "x", "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                         {"name": "ray", "image": "ray"}]}}}}),
        );
        let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": true,
            "name": made["metadata"]["name"], "uid": made["metadata"]["uid"]});
        (labels, owner)
    };
    let (labels, owner) = set("worker", 1);
    space.placed("ray-1-ray-worker-0", &labels, &owner, "127.9.1.1");
    let stray = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": true,
        "name": "else", "uid": "00000000-0000-0000-0000-000000000001"});
    space.placed("stray", &labels, &stray, "127.9.1.2");
    let state = space.get("/ray-1").ok();
    assert_eq!(state["apiGroup"], "distributed-compute.dominodatalab.com");
    assert_eq!(state["groups"][0]["name"], "worker");
    assert_eq!(state["workers"]["running"], 1, "{state}");
    assert_eq!(state["workers"]["unknown"], "no head Pod runs");
}

#[test]
fn a_list_is_paged_through_both_groups() {
    let space = Space::new("pages");
    for name in ["a", "b", "c"] {
        space.cluster(name);
    }
    space.domino("d");
    space.domino("e");
    let mut seen: Vec<String> = Vec::new();
    let mut next = String::new();
    for _ in 0..10 {
        let page = space.get(&format!("?limit=2{next}")).ok();
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 2, "{page}");
        seen.extend(items.iter().map(|it| it["name"].as_str().expect("a name").to_owned()));
        match page["continue"].as_str() {
            Some(mark) => next = format!("&continue={mark}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    let ray = space.get("?apiGroup=ray.io").ok();
    assert_eq!(ray["items"].as_array().map(Vec::len), Some(3), "{ray}");
    assert_eq!(ray["items"][0]["groups"][0]["maxReplicas"], 10);
}

#[test]
fn a_name_of_both_groups_asks_which() {
    let space = Space::new("twice");
    space.cluster("same");
    space.domino("same");
    assert_eq!(code(&space.get("/same")), (409, "ambiguous-name".to_owned()));
    let group = "distributed-compute.dominodatalab.com";
    assert_eq!(space.get(&format!("/same?apiGroup={group}")).ok()["apiGroup"], group);
    assert_eq!(code(&space.get("/other")), (404, "not-found".to_owned()));
}

#[test]
fn what_is_open_is_open_and_says_no_more_than_it_must() {
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(WORLD.api.raw("GET", path, &[], "").status, 200, "{path}");
    }
    let answer = WORLD.api.raw("GET", "/api/v1", &[], "");
    assert_eq!(code(&answer), (404, "not-found".to_owned()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = WORLD.api.raw("DELETE", "/openapi.json", &[], "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn where_dominos_kind_is_not_served_there_are_only_the_others() {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    plane.kubectl(&["create", "serviceaccount", "ada"]).ok();
    let bind = ["create", "clusterrolebinding", "ada", "--clusterrole=cluster-admin"];
    plane.kubectl(&[&bind[..], &["--serviceaccount=default:ada"]].concat()).ok();
    let token = plane.kubectl(&["create", "token", "ada", "--audience", "raywarden"]).ok();
    let manifest = Space { name: "default".to_owned(), ada: String::new() }.manifest("demo");
    plane.apply_yaml(&manifest.to_string());
    let api = Api::start(plane.kubeconfig("admin"), &[]);
    let send = |method: &str, rest: &str, body: &str| {
        let path = format!("/api/v1/namespaces/default/rayclusters{rest}");
        api.send(token.trim(), method, &path, &[], body)
    };
    assert_eq!(send("GET", "/demo", "").ok()["name"], "demo");
    assert_eq!(send("GET", "", "").ok()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(send("PATCH", "/demo/scale", r#"{"group":"small","replicas":2}"#).ok()["to"], 2);
    assert_eq!(code(&send("GET", "/other", "")), (404, "not-found".to_owned()));
    let mut command = raywarden();
    command.args(["scale", "demo", "-g", "small", "-r", "3"]);
    command.arg("--kubeconfig").arg(plane.kubeconfig("admin"));
    command.env_remove("KUBERNETES_SERVICE_HOST");
    let ran = run(command, "", SOON);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let mut command = raywarden();
    command.args(["wait", "other"]).arg("--kubeconfig").arg(plane.kubeconfig("admin"));
    command.env_remove("KUBERNETES_SERVICE_HOST");
    let ran = run(command, "", SOON);
    assert!(ran.stderr.contains("there is no RayCluster other in namespace default"), "{ran:?}");
}
