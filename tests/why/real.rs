//! A real API server, whose Pods nobody runs: their statuses are written by hand.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::support::control_plane::{ControlPlane, Options};
use super::{cluster, code, pod, running, unschedulable, why};

static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    for namespace in ["team-a", "team-b"] {
        plane.kubectl(&["create", "namespace", namespace]).ok();
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace}});
        plane.apply_yaml(&account.to_string());
    }
    plane
});

/// A stored cluster with a status, as a node manager leaves it.
fn stored(name: &str, namespace: &str, replicas: i64, max: i64) -> Value {
    PLANE.apply_yaml(&cluster(name, namespace, replicas, max).to_string());
    let status = json!({"status": {"observedGeneration": 1}}).to_string();
    let patch = ["patch", "raycluster", name, "-n", namespace, "--subresource=status"];
    PLANE.kubectl(&[&patch[..], &["--type=merge", "-p", &status]].concat()).ok();
    PLANE.get_json(&["raycluster", name, "-n", namespace])
}

fn place(pod: &Value, status: &Value) {
    let text = |key: &str| pod["metadata"][key].as_str().expect("a Pod has one").to_owned();
    PLANE.apply_yaml(&pod.to_string());
    let status = json!({"status": status}).to_string();
    let (name, namespace) = (text("name"), text("namespace"));
    let patch = ["patch", "pod", &name, "-n", &namespace, "--subresource=status"];
    PLANE.kubectl(&[&patch[..], &["--type=merge", "-p", &status]].concat()).ok();
}

const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// A head and `workers` that run, on addresses where nobody answers.
fn populate(cluster: &Value, workers: usize) {
    let name = cluster["metadata"]["name"].as_str().expect("a cluster has a name");
    let head = pod(&format!("{name}-head"), "headgroup", cluster);
    place(&head, &running(&head, "127.0.0.1", LONG_AGO));
    for number in 0..workers {
        let worker = pod(&format!("{name}-small-{number}"), "small", cluster);
        place(&worker, &running(&worker, "127.0.0.1", LONG_AGO));
    }
}

/// A kubeconfig whose rights in team-a are these alone.
fn with_rights(name: &str, rules: &Value) -> PathBuf {
    let plane = &*PLANE;
    let metadata = json!({"name": name, "namespace": "team-a"});
    let rbac = "rbac.authorization.k8s.io";
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": rules},
        {"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "team-a"}]},
    ]});
    plane.apply_yaml(&objects.to_string());
    let token = plane.kubectl(&["create", "token", name, "-n", "team-a"]).ok();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "only",
        "clusters": [{"name": "c", "cluster": {
            "server": plane.server(), "certificate-authority": plane.ca()}}],
        "users": [{"name": "u", "user": {"token": token.trim()}}],
        "contexts": [{"name": "only", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
    });
    let path = plane.dir().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).expect("a kubeconfig can be written");
    path
}

/// The answer as JSON, and the exit status.
fn told(kubeconfig: &std::path::Path, arguments: &[&str]) -> (Value, i32) {
    let ran = why(kubeconfig, &[arguments, &["--output", "json"]].concat());
    let told = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", ran.report()));
    (told, code(&ran))
}

fn link<'a>(told: &'a Value, name: &str) -> &'a Value {
    let links = told["links"].as_array().expect("links");
    links.iter().find(|link| link["name"] == name).expect("every link is there")
}

#[test]
fn a_cluster_at_its_maximum_is_stopped_by_it() {
    let cluster = stored("full", "team-a", 2, 2);
    populate(&cluster, 2);
    let before = PLANE.get_json(&["raycluster", "full", "-n", "team-a"]);
    let (told, status) = told(PLANE.kubeconfig("admin"), &["full", "-n", "team-a"]);
    assert_eq!((status, &told["decides"]), (1, &json!("caps")), "{told:#}");
    assert!(
        link(&told, "caps")["fix"].as_str().is_some_and(|fix| fix.contains("raise maxReplicas"))
    );
    for name in ["cluster", "spec", "head", "autoscaler", "replicas", "pods"] {
        assert_eq!(link(&told, name)["state"], "ok", "{told:#}");
    }
    // Nobody answers behind the proxy: that is unknown, and no worker is called absent.
    assert_eq!(link(&told, "joined")["state"], "unknown", "{told:#}");
    let command = "kubectl port-forward -n team-a pod/full-head 8265";
    assert_eq!(told["dashboard"]["command"], command);
    assert_eq!(PLANE.get_json(&["raycluster", "full", "-n", "team-a"]), before);
}

#[test]
fn pods_that_no_node_takes_stop_it() {
    let cluster = stored("starved", "team-a", 3, 9);
    populate(&cluster, 1);
    for number in 7..9 {
        let worker = pod(&format!("starved-small-{number}"), "small", &cluster);
        place(&worker, &unschedulable(LONG_AGO));
    }
    let (told, status) = told(PLANE.kubeconfig("admin"), &["starved", "-n", "team-a"]);
    assert_eq!((status, &told["decides"]), (1, &json!("pods")), "{told:#}");
    let what = link(&told, "pods")["what"].as_str().expect("a text");
    for word in ["1 of 3 workers ready", "2 unschedulable", "the oldest for", "3 Insufficient cpu"]
    {
        assert!(what.contains(word), "no {word:?} in {what}");
    }
}

#[test]
fn a_warning_about_the_cluster_says_why_pods_are_missing() {
    let cluster = stored("refused", "team-a", 2, 9);
    populate(&cluster, 1);
    let event = |name: &str, uid: &Value, message: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedToCreateWorkerPod",
            "metadata": {"name": name, "namespace": "team-a"}, "message": message,
            "lastTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "test"},
            "involvedObject": {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "refused",
                "namespace": "team-a", "uid": uid}})
    };
    PLANE
        .apply_yaml(&event("its", &cluster["metadata"]["uid"], "exceeded quota: team").to_string());
    PLANE.apply_yaml(&event("older", &json!("another-uid"), "not about this one").to_string());
    let (told, status) = told(PLANE.kubeconfig("admin"), &["refused", "-n", "team-a"]);
    assert_eq!((status, &told["decides"]), (1, &json!("replicas")), "{told:#}");
    let what = link(&told, "replicas")["what"].as_str().expect("a text");
    assert!(what.contains("exceeded quota: team") && !what.contains("not about"), "{what}");
}

#[test]
fn a_missing_right_is_named_and_the_rest_is_told() {
    let cluster = stored("partly", "team-a", 1, 9);
    populate(&cluster, 1);
    let get = json!({"apiGroups": ["ray.io"], "resources": ["rayclusters"], "verbs": ["get"]});
    let list = json!({"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]});

    let without_pods = with_rights("without-pods", &json!([get]));
    let (answer, status) = told(&without_pods, &["partly"]);
    assert_eq!((status, &answer["verdict"]), (2, &json!("unknown")), "{answer:#}");
    let head = link(&answer, "head");
    assert_eq!(head["what"], "unknown: grant list on pods in namespace team-a");
    assert!(head["fix"].as_str().is_some_and(|fix| fix.contains("--verb=list --resource=pods")));
    assert_eq!(link(&answer, "spec")["state"], "ok");

    let without_proxy = with_rights("without-proxy", &json!([get, list]));
    let (answer, status) = told(&without_proxy, &["partly"]);
    assert_eq!(status, 2, "{answer:#}");
    assert_eq!(link(&answer, "pods")["state"], "ok", "{answer:#}");
    let joined = &link(&answer, "joined")["what"];
    assert_eq!(joined, "unknown: grant get on pods/proxy in namespace team-a");

    let with_nothing = with_rights("with-nothing", &json!([]));
    let ran = why(&with_nothing, &["partly"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    assert!(ran.stderr.contains("may not get rayclusters.ray.io"), "{}", ran.report());
    assert!(ran.stderr.contains("kubectl create role"), "{}", ran.report());
    assert!(ran.stdout.is_empty(), "{}", ran.report());
}

#[test]
fn a_cluster_that_is_not_there_is_answered_with_where_there_is_one() {
    stored("wanted", "team-b", 1, 2);
    stored("wantad", "team-a", 1, 2);
    let ran = why(PLANE.kubeconfig("admin"), &["wanted", "-n", "team-a"]);
    assert_eq!(code(&ran), 2, "{}", ran.report());
    for word in [
        "there is no RayCluster \"wanted\" in namespace team-a",
        "did you mean wantad?",
        "one of that name is in namespace team-b",
    ] {
        assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.report());
    }
    assert!(ran.stdout.is_empty(), "{}", ran.report());
}
