//! Restarts of heads, and how far they are.

use serde_json::{Value, json};

use super::identity::ADA;
use super::old::{self, mended, refuses};
use super::operator::{self, ready};
use super::proxy::Fate;
use super::support::request::Answer;
use super::world::{WORLD, manifest};

fn restart(cluster: &str) -> Answer {
    let path = format!("/ddl_cluster_scaler/restart_head/rayclusters/{cluster}");
    WORLD.api.send("ada", "PATCH", &path, "")
}

fn head_status(cluster: &str, since: &str) -> Answer {
    let since = since.replace(':', "%3A");
    let path =
        format!("/ddl_cluster_scaler/restart_head_status/rayclusters/{cluster}?started_at={since}");
    WORLD.api.get("ada", &path)
}

fn status(cluster: &str, node: &str) -> Value {
    let path = format!("/ddl_cluster_scaler/restart_status/rayclusters/{cluster}/{node}");
    WORLD.api.get("ada", &path).ok()
}

fn head(cluster: &str) -> Option<Value> {
    WORLD.find("pods", &format!("{cluster}-ray-head-0"))
}

#[test]
fn d28_d30_d31_a_restart_removes_the_head_once_and_a_second_call_joins_it() {
    // Not every cluster is called ray-something.
    let name = "team-a-lab";
    WORLD.cluster(name, ADA);
    operator::reconcile(name);
    let before = head(name).expect("a head")["metadata"]["uid"].clone();
    let answer = restart(name);
    mended(&answer, &old::json(404, &json!({"ok": false, "error": "NotFound"})), &|it| {
        it.status == 202
    });
    let said = answer.json();
    let wanted = json!({"ok": true, "namespace": "domino-compute", "pod": "team-a-lab-ray-head-0",
                        "grace_period_seconds": 20});
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(&said[key], value, "{key}");
    }
    let started = said["started_at"].as_str().expect("a time");
    assert!(head(name).expect("a head")["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(head_status(name, started).ok()["status"], "not_restarted");

    // The old Pod is gone, the new one is not there: the cluster is, so this is no 404.
    WORLD.delete("pods", "team-a-lab-ray-head-0");
    let absent = head_status(name, started);
    let gone = old::json(404, &json!({"ok": false, "status": "head_pod_not_found"}));
    mended(&absent, &gone, &|it| it.status == 200 && it.json()["restarted"] == false);

    operator::reconcile(name);
    ready("team-a-lab-ray-head-0", false);
    let new = head(name).expect("a head")["metadata"]["uid"].clone();
    assert_ne!(new, before);
    let again = restart(name);
    let killed = old::json(202, &json!({"ok": true, "started_at": "2030-01-01T00:00:00Z"}));
    mended(&again, &killed, &|it| it.status == 202 && it.json()["started_at"] == started);
    let kept = head(name).expect("a head");
    assert_eq!(kept["metadata"]["uid"], new);
    assert!(kept["metadata"]["deletionTimestamp"].is_null(), "the new head lives");
    assert_eq!(head_status(name, started).ok()["status"], "restarted_but_not_ready");
    ready("team-a-lab-ray-head-0", true);
    let done = head_status(name, started).ok();
    assert_eq!((&done["status"], &done["ready"]), (&json!("restarted_and_ready"), &json!(true)));
    assert_eq!(done["evaluated_with"], "started_at");
}

#[test]
fn a_head_that_was_replaced_a_moment_ago_is_not_removed() {
    let (proxy, api) = WORLD.proxied(&[]);
    let name = "ray-replaced";
    WORLD.cluster(name, ADA);
    operator::reconcile(name);
    proxy.decide(move |call| {
        if call.method == "DELETE" {
            WORLD.delete("pods", "ray-replaced-ray-head-0");
            operator::reconcile("ray-replaced");
        }
        Fate::Pass
    });
    let path = format!("/ddl_cluster_scaler/restart_head/rayclusters/{name}");
    let started = api.send("ada", "PATCH", &path, "").ok()["started_at"].clone();
    let kept = head(name).expect("a head");
    assert!(kept["metadata"]["deletionTimestamp"].is_null(), "another Pod of that name stays");
    let status = head_status(name, started.as_str().expect("a time")).ok();
    assert_eq!(status["status"], "restarted_and_ready");
}

#[test]
fn a_restart_whose_removal_failed_is_finished_by_the_next_call() {
    let (proxy, api) = WORLD.proxied(&[]);
    let name = "ray-resumed";
    WORLD.cluster(name, ADA);
    operator::reconcile(name);
    proxy.decide(|call| if call.method == "DELETE" { Fate::Answer(500) } else { Fate::Pass });
    let path = format!("/ddl_cluster_scaler/restart_head/rayclusters/{name}");
    assert!(refuses(&api.send("ada", "PATCH", &path, ""), 503, "upstream_unavailable"));
    assert!(head(name).expect("a head")["metadata"]["deletionTimestamp"].is_null());
    proxy.decide(|_| Fate::Pass);
    assert_eq!(api.send("ada", "PATCH", &path, "").status, 202);
    assert!(head(name).expect("a head")["metadata"]["deletionTimestamp"].is_string());
    let told = api.lines("audit").iter().filter(|it| it["what"] == "restart-head").count();
    assert_eq!(told, 1);
}

#[test]
fn d29_a_head_is_new_by_its_uid_and_not_by_a_clock() {
    let name = "ray-clock";
    WORLD.cluster(name, ADA);
    operator::reconcile(name);
    let started = restart(name).json()["started_at"].as_str().expect("a time").to_owned();
    // Made in the same second as the restart began, perhaps: by whole seconds it would be new.
    let claimed = old::json(200, &json!({"status": "restarted_and_ready", "restarted": true}));
    mended(&head_status(name, &started), &claimed, &|it| it.json()["restarted"] == false);
    WORLD.delete("pods", "ray-clock-ray-head-0");
    operator::reconcile(name);
    // By a clock that runs ahead of Kubernetes it never would be.
    let done = head_status(name, &started).ok();
    assert_eq!(done["status"], "restarted_and_ready");
    assert_eq!(head_status(name, "2099-01-01T00:00:00Z").ok()["restarted"], false);
}

#[test]
fn a_time_that_is_missing_or_nonsense_is_a_bad_request() {
    WORLD.cluster("ray-timeless", ADA);
    for since in ["", "yesterday", "12345"] {
        let answer = head_status("ray-timeless", since);
        assert!(refuses(&answer, 400, "bad_request"), "{answer:?}");
    }
    let path = "/ddl_cluster_scaler/restart_head_status/rayclusters/ray-timeless";
    assert!(refuses(&WORLD.api.get("ada", path), 400, "bad_request"));
    let none = restart("ray-timeless");
    assert!(refuses(&none, 404, "not_found"), "{none:?}");
}

#[test]
fn a_pod_of_the_heads_name_that_is_none_stays() {
    WORLD.cluster("ray-namesake", ADA);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "ray-namesake-ray-head-0", "namespace": "domino-compute"},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "x", "image": "x"}]},
    });
    WORLD.create("pods", &pod);
    assert!(refuses(&restart("ray-namesake"), 404, "not_found"));
    let kept = head("ray-namesake").expect("a Pod");
    assert!(kept["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn d40_healthy_nodes_at_rest_are_done_with_any_time_or_none() {
    WORLD.cluster("ray-rest", ADA);
    operator::reconcile("ray-rest");
    for node in ["head", "worker"] {
        for query in ["", "?started_at="] {
            let path =
                format!("/ddl_cluster_scaler/restart_status/rayclusters/ray-rest/{node}{query}");
            let answer = WORLD.api.get("ada", &path);
            let waits = old::json(400, &json!({"error": "bad_request", "message": "started_at"}));
            mended(&answer, &waits, &|it| {
                it.status == 200
                    && it.json()["status"] == "restarted_and_ready_counts_ok"
                    && it.json()["ok"] == true
            });
            let said = answer.json();
            assert_eq!(said["statefulset"], format!("ray-rest-ray-{node}"));
            assert_eq!(said["evaluated_with"], "statefulset_pods");
            assert!(said["oldestCreationTimestamp"].is_string());
        }
    }
}

#[test]
fn d38_workers_are_done_when_they_are_ready_and_not_when_their_names_are_listed() {
    let name = "ray-names";
    WORLD.cluster(name, ADA);
    operator::reconcile(name);
    WORLD.api.scale("ada", name, 3).ok();
    let said = status(name, "worker");
    assert_eq!(
        (&said["status"], &said["desired_replicas"]),
        (&json!("waiting_for_operator"), &json!(3))
    );
    operator::reconcile(name);
    // One Pod is listed, runs and is not ready; by the old count of names all is well.
    ready("ray-names-ray-worker-2", false);
    WORLD.merge(
        "statefulsets",
        "ray-names-ray-worker",
        "/status",
        &json!({"status": {"readyReplicas": 2}}),
    );
    let nodes =
        WORLD.api.get("ada", &format!("/raycluster/{name}")).ok()["status"]["nodes"].clone();
    assert_eq!(nodes.as_array().map(Vec::len), Some(4));
    let counted = old::json(200, &json!({"status": "restarted_and_ready_counts_ok"}));
    let path = format!("/ddl_cluster_scaler/restart_status/rayclusters/{name}/worker");
    mended(&WORLD.api.get("ada", &path), &counted, &|it| {
        let said = it.json();
        said["status"] == "restarting"
            && (&said["running_pods"], &said["ready_pods"]) == (&json!(3), &json!(2))
            && said["ready_equals_running"] == false
    });
    operator::reconcile(name);
    assert_eq!(status(name, "worker")["status"], "restarted_and_ready_counts_ok");
}

#[test]
fn an_operator_that_goes_backwards_is_not_done() {
    let name = "ray-backwards";
    WORLD.cluster(name, ADA);
    WORLD.api.scale("ada", name, 4).ok();
    operator::reconcile(name);
    assert_eq!(status(name, "worker")["status"], "restarted_and_ready_counts_ok");
    let object = WORLD.find("rayclusters", name).expect("a cluster");
    operator::nodes(&object, "worker", 2);
    assert_eq!(status(name, "worker")["status"], "waiting_for_operator");
    // The autoscaler itself may move the count; then that is what is wanted.
    WORLD.merge("rayclusters", name, "/scale", &json!({"spec": {"replicas": 2}}));
    assert_eq!(status(name, "worker")["status"], "restarted_and_ready_counts_ok");
}

#[test]
fn before_there_is_a_set_its_absence_is_said() {
    WORLD.create("rayclusters", &manifest("ray-setless", ADA));
    let said = status("ray-setless", "worker");
    assert_eq!((&said["status"], &said["ok"]), (&json!("statefulset_not_found"), &json!(false)));
}
