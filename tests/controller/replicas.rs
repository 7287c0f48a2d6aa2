//! Replicas of several hosts come and go whole.

use std::collections::BTreeMap;

use serde_json::json;

use super::space::{SOON, Space, autoscaled, cluster, name};
use super::support::wait::wait_until;

/// Workers of `lab` by the name of their replica.
fn replicas(space: &Space) -> BTreeMap<String, Vec<String>> {
    let mut replicas = BTreeMap::<String, Vec<String>>::new();
    for pod in space.pods("lab", "worker") {
        let labels = &pod["metadata"]["labels"];
        let replica = labels["ray.io/worker-group-replica-name"].as_str().unwrap_or("").to_owned();
        replicas.entry(replica).or_default().push(name(&pod));
    }
    assert!(!replicas.contains_key(""), "{replicas:?}");
    replicas
}

/// Waits for so many replicas of four hosts.
#[track_caller]
fn whole(space: &Space, count: usize) -> BTreeMap<String, Vec<String>> {
    space.settle("lab", count * 4);
    let found = replicas(space);
    assert!(found.len() == count && found.values().all(|pods| pods.len() == 4), "{found:?}");
    found
}

#[test]
fn a_group_of_four_hosts_shrinks_grows_and_mends_by_whole_replicas() {
    let space = Space::new("hosts");
    let _controller = space.controller(&[]);
    let mut object = cluster("lab", 2);
    object["spec"]["workerGroupSpecs"][0]["numOfHosts"] = json!(4);
    space.create("rayclusters", &object);
    let two = whole(&space, 2);
    assert!(space.find("services", "lab-headless").is_some(), "{:?}", space.list("services"));
    assert_eq!(space.cluster("lab")["status"]["desiredWorkerReplicas"], 8);

    space.scale("lab", 1);
    let one = whole(&space, 1);
    assert!(one.keys().all(|replica| two.contains_key(replica)));
    space.scale("lab", 3);
    let three = whole(&space, 3);
    assert!(one.keys().all(|replica| three.contains_key(replica)));

    let (broken, pods) = three.first_key_value().expect("a replica");
    space.delete("pods", &pods[1]);
    wait_until(SOON, "the replica goes", || (!replicas(&space).contains_key(broken)).then_some(()));
    let mended = whole(&space, 3);
    let kept = three.iter().filter(|(replica, pods)| mended.get(*replica) == Some(pods)).count();
    assert_eq!(kept, 2, "{three:?} {mended:?}");
}

#[test]
fn a_named_host_takes_its_replica_along() {
    let space = Space::new("named-host");
    let _controller = space.controller(&[]);
    let mut object = autoscaled("lab", 2);
    object["spec"]["workerGroupSpecs"][0]["numOfHosts"] = json!(4);
    space.create("rayclusters", &object);
    let two = whole(&space, 2);
    let (gone, pods) = two.first_key_value().expect("a replica");

    space.json_patch(
        "lab",
        &json!([
            {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 1},
            {"op": "add", "path": "/spec/workerGroupSpecs/0/scaleStrategy",
             "value": {"workersToDelete": [pods[2]]}},
        ]),
    );

    let one = whole(&space, 1);
    assert!(!one.contains_key(gone) && one.keys().all(|replica| two.contains_key(replica)));
}
