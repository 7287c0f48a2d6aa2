//! What a fault-tolerant cluster leaves in Redis, and the Job that removes it: the Job controller is
//! real, what its Pod comes to is the test's word.

use serde_json::{Value, json};

use super::api::WORLD;
use super::space::{MOMENT, SOON, Space, cluster, name};
use super::support::wait::wait_until;

const FINALIZER: &str = "ray.io/gcs-ft-redis-cleanup-finalizer";

/// A cluster that keeps its state in a Redis, with its head and one worker.
#[track_caller]
fn durable(space: &Space) {
    let mut object = cluster("lab", 1);
    object["spec"]["gcsFaultToleranceOptions"] = json!({"redisAddress": "redis:6379"});
    space.create("rayclusters", &object);
    space.settle("lab", 1);
    let finalizers = space.cluster("lab")["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!([FINALIZER]));
}

/// The Pods of the clean-up.
fn cleaners(space: &Space) -> Vec<Value> {
    let is_cleaner = |pod: &Value| pod["metadata"]["labels"]["ray.io/node-type"] == "redis-cleanup";
    space.list("pods").into_iter().filter(is_cleaner).collect()
}

/// Ends every Pod of the clean-up so, until the cluster is gone.
#[track_caller]
fn ends(space: &Space, phase: &str, code: u32) {
    let state = json!({"terminated": {"exitCode": code}});
    let container = json!({"name": "redis-cleanup", "image": "i", "imageID": "i", "ready": false,
                           "restartCount": 0, "state": state});
    wait_until(3 * SOON, "the cluster is gone", || {
        for pod in cleaners(space).iter().filter(|pod| pod["status"]["phase"] == "Pending") {
            let status = json!({"phase": phase, "containerStatuses": [container]});
            space.pod_status(&name(pod), &status);
        }
        space.find("rayclusters", "lab").is_none().then_some(())
    });
}

#[test]
fn a_deleted_cluster_stays_till_its_head_is_gone_and_a_job_has_emptied_its_part_of_redis() {
    let space = Space::new("durable");
    let _controller = space.controller(&[]);
    durable(&space);
    let held = [space.names("lab", "head"), space.names("lab", "worker")].concat();
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    for pod in &held {
        space.merge("pods", pod, &finalizers(json!(["test/held"])));
    }

    space.delete("rayclusters", "lab");

    wait_until(SOON, "both are told to end", || {
        let ends = |pod: &String| {
            let pod = space.find("pods", pod);
            pod.is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string())
        };
        held.iter().all(ends).then_some(())
    });
    space.stays(2 * MOMENT, "no Job beside a head", || space.list("jobs").is_empty());
    space.merge("pods", &held[0], &finalizers(Value::Null));
    let job = wait_until(SOON, "the Job", || space.list("jobs").into_iter().next());
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let env = container["env"].as_array().expect("variables");
    let told = |name: &str| env.iter().any(|it| it["name"] == name);
    assert!(told("RAY_REDIS_ADDRESS") && told("RAY_external_storage_namespace"), "{container}");
    assert_eq!(job["metadata"]["ownerReferences"][0]["kind"], "RayCluster");
    wait_until(SOON, "its Pod", || (!cleaners(&space).is_empty()).then_some(()));
    assert!(space.find("rayclusters", "lab").is_some(), "it waits for the Job");
    assert!(space.find("pods", &held[1]).is_some(), "the Job waits for no worker");
    space.merge("pods", &held[1], &finalizers(Value::Null));
    ends(&space, "Succeeded", 0);
}

#[test]
fn a_cluster_that_is_deleted_in_the_foreground_is_cleaned_up_too() {
    let space = Space::new("in-foreground");
    let _controller = space.controller(&[]);
    // The garbage collector learns of a new kind half a minute after its start.
    space.create("rayclusters", &cluster("first", 1));
    space.settle("first", 1);
    space.delete("rayclusters", "first");
    wait_until(3 * SOON, "the first one's Pods go", || space.list("pods").is_empty().then_some(()));
    durable(&space);
    let uid = space.cluster("lab")["metadata"]["uid"].clone();
    let held = json!({"metadata": {
        "name": "held", "finalizers": ["test/held"],
        "ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "lab",
                             "uid": uid, "blockOwnerDeletion": true}]}});
    space.create("configmaps", &held);
    let path = format!("/apis/ray.io/v1/namespaces/{}/rayclusters/lab", space.name);
    let how = json!({"propagationPolicy": "Foreground"});
    let (code, answer) = WORLD.call("DELETE", &path, "application/json", &how);
    assert!(code < 300, "{answer}");
    wait_until(SOON, "the clean-up's Pod", || (!cleaners(&space).is_empty()).then_some(()));
    let job = name(&space.list("jobs")[0]);
    // Each time that something of the cluster's goes, the collector looks at what it still has.
    let gone = || {
        space
            .find("configmaps", "held")
            .filter(|it| it["metadata"]["deletionTimestamp"].is_string())
    };
    wait_until(SOON, "the collector deletes what blocks", gone);
    space.merge("configmaps", "held", &json!({"metadata": {"finalizers": null}}));
    space.stays(6 * MOMENT, "the Job", || {
        space.find("jobs", &job).is_some_and(|job| job["metadata"]["deletionTimestamp"].is_null())
    });
    ends(&space, "Succeeded", 0);
}

#[test]
fn a_clean_up_that_fails_lets_the_cluster_go() {
    let space = Space::new("not-cleaned");
    let _controller = space.controller(&[]);
    durable(&space);
    space.delete("rayclusters", "lab");
    wait_until(SOON, "the clean-up's Pod", || (!cleaners(&space).is_empty()).then_some(()));
    ends(&space, "Failed", 1);
}

#[test]
fn a_namespace_that_is_deleted_is_not_held_up_by_a_clean_up() {
    let space = Space::new("goes-whole");
    let _controller = space.controller(&[]);
    durable(&space);
    let path = format!("/api/v1/namespaces/{}", space.name);
    let (code, answer) = WORLD.call("DELETE", &path, "application/json", &json!({}));
    assert!(code < 300, "{answer}");
    wait_until(2 * SOON, "the namespace is gone", || {
        (WORLD.call("GET", &path, "", &Value::Null).0 == 404).then_some(())
    });
}
