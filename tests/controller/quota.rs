//! Refusals for want of room, and namespaces that end.

use std::time::Duration;

use serde_json::{Value, json};

use super::space::{SOON, Space, cluster};
use super::support::wait::wait_until;

/// A quota, in force.
fn quota(space: &Space, pods: &str) {
    let object = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room"},
        "spec": {"hard": {"pods": pods}},
    });
    space.create("resourcequotas", &object);
    wait_until(SOON, "the quota is in force", || {
        let quota = space.find("resourcequotas", "room")?;
        (quota["status"]["hard"]["pods"] == pods).then_some(())
    });
}

/// How often a Pod was asked for.
fn tries(space: &Space) -> usize {
    let writes = space.writes();
    writes.iter().filter(|it| it.verb == "create" && it.resource == "pods").count()
}

#[test]
fn a_quota_that_is_exceeded_is_said_tried_seldom_and_overcome_once_it_is_raised() {
    let space = Space::new("quota");
    quota(&space, "0");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 2));

    let condition = space.wait_condition("lab", "ReplicaFailure", "True");

    assert_eq!(condition["reason"], "FailedCreateHeadPod", "{condition}");
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("exceeded quota: room"), "{message}");
    std::thread::sleep(Duration::from_secs(4));
    assert!((1..=2).contains(&tries(&space)), "{:?}", space.writes());
    space.merge("resourcequotas", "room", &json!({"spec": {"hard": {"pods": "2"}}}));
    wait_until(SOON, "the head and one worker", || (space.list("pods").len() == 2).then_some(()));
    wait_until(SOON, "the worker that has no room is spoken of", || {
        let condition = space.condition("lab", "ReplicaFailure");
        (condition["reason"] == "FailedCreateWorkerPod").then_some(())
    });
    space.merge("resourcequotas", "room", &json!({"spec": {"hard": {"pods": "5"}}}));
    space.settle("lab", 2);
    wait_until(SOON, "the condition goes", || {
        space.condition("lab", "ReplicaFailure").is_null().then_some(())
    });
}

#[test]
fn half_a_replica_for_which_there_is_room_waits_for_the_other_half() {
    let space = Space::new("half");
    quota(&space, "4");
    let _controller = space.controller(&[]);
    let mut object = cluster("lab", 1);
    object["spec"]["workerGroupSpecs"][0]["numOfHosts"] = json!(4);
    space.create("rayclusters", &object);
    let condition = space.wait_condition("lab", "ReplicaFailure", "True");
    assert_eq!(condition["reason"], "FailedCreateWorkerPod", "{condition}");
    let half = space.settle("lab", 3);

    // The next try is due within this time.
    space.stays(Duration::from_secs(7), "the half", || space.names("lab", "worker") == half);

    space.merge("resourcequotas", "room", &json!({"spec": {"hard": {"pods": "9"}}}));
    let whole = space.settle("lab", 4);
    assert!(half.iter().all(|it| whole.contains(it)), "{half:?} {whole:?}");
}

#[test]
fn a_limit_range_that_refuses_is_quoted() {
    let space = Space::new("limits");
    let object = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small-ones"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "512Mi"}}]},
    });
    space.create("limitranges", &object);
    let _controller = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 1));

    let condition = space.wait_condition("lab", "ReplicaFailure", "True");

    assert_eq!(condition["reason"], "FailedCreateHeadPod", "{condition}");
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("maximum memory usage per Container is 512Mi"), "{message}");
    space.told("FailedCreateHeadPod", "maximum memory usage");
}

#[test]
fn a_namespace_that_ends_is_let_go() {
    let space = Space::new("ending");
    let _controller = space.controller(&[]);
    let mut object = cluster("lab", 2);
    object["metadata"]["finalizers"] = json!(["example.com/wait"]);
    space.create("rayclusters", &object);
    space.settle("lab", 2);
    // A cluster that nobody has told to go while its namespace ends.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "keeps", "finalizers": ["example.com/wait"]},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    });
    space.create("pods", &pod);

    let plane = &super::api::WORLD.plane;
    plane.kubectl(&["delete", "namespace", &space.name, "--wait=false"]).ok();

    wait_until(SOON, "the Pods go", || (space.list("pods").len() == 1).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    let before = tries(&space);
    space.stays(Duration::from_secs(3), "the number of tries", || tries(&space) <= before + 1);
    assert!(before <= 5, "{:?}", space.writes());
    space.merge("pods", "keeps", &json!({"metadata": {"finalizers": Value::Null}}));
    space.merge("rayclusters", "lab", &json!({"metadata": {"finalizers": Value::Null}}));
    wait_until(SOON, "the namespace is gone", || {
        let gone = plane.kubectl(&["get", "namespace", &space.name]);
        (!gone.status.success()).then_some(())
    });
}
