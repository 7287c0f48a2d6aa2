//! Clusters that are not ours to run, and what is not supported.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::api::WORLD;
use super::space::{MOMENT, SOON, Space, cluster};
use super::support::controller::Controller;
use super::support::wait::wait_until;

#[test]
fn a_field_that_closes_a_door_gives_a_condition_and_no_pods() {
    let space = Space::new("unsupported");
    let _controller = space.controller(&[]);
    let mut object = cluster("lab", 1);
    object["spec"]["networkPolicy"] = json!({});
    space.create("rayclusters", &object);

    let condition = space.wait_condition("lab", "UnsupportedField", "True");

    assert!(condition["message"].as_str().unwrap().contains("spec.networkPolicy"), "{condition}");
    space.stays(MOMENT, "no Pods", || space.list("pods").is_empty());
    space.json_patch("lab", &json!([{"op": "remove", "path": "/spec/networkPolicy"}]));
    space.settle("lab", 1);
    wait_until(SOON, "the condition goes", || {
        space.condition("lab", "UnsupportedField").is_null().then_some(())
    });
}

#[test]
fn a_cluster_that_is_managed_elsewhere_is_left_alone() {
    let space = Space::new("elsewhere");
    let _controller = space.controller(&[]);
    let mut object = cluster("far", 1);
    object["spec"]["managedBy"] = json!("kueue.x-k8s.io/multikueue");
    space.create("rayclusters", &object);
    space.create("rayclusters", &cluster("near", 1));

    space.settle("near", 1);

    space.stays(MOMENT, "no Pods of it", || space.names("far", "head").is_empty());
    assert_eq!(space.cluster("far")["status"], Value::Null);
    assert!(!space.writes().iter().any(|it| it.name.starts_with("far")), "{:?}", space.writes());
}

/// Now, as a Lease holds it.
pub(crate) fn now() -> String {
    #[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seconds = i64::try_from(since.as_secs()).expect("before the year 292 billion");
    let now = k8s_openapi::jiff::Timestamp::from_second(seconds).expect("a time");
    format!("{}.000000Z", now.to_string().trim_end_matches('Z'))
}

#[test]
fn a_live_operator_stops_us_in_its_namespace_only() {
    let (theirs, ours) = (Space::new("theirs"), Space::new("ours"));
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "ray-operator-leader"},
        "spec": {"holderIdentity": "operator", "leaseDurationSeconds": 15, "renewTime": now()},
    });
    theirs.create("leases", &lease);
    let flags = [
        "--node-manager",
        "kuberay",
        "--node-manager-for",
        "theirs=raywarden",
        "--node-manager-for",
        "ours=raywarden",
    ];
    let mut controller = Controller::begin(WORLD.plane.kubeconfig("admin"), &ours.name, &flags);
    controller.wait_ready();
    for space in [&theirs, &ours] {
        space.create("rayclusters", &cluster("lab", 1));
    }

    ours.settle("lab", 1);
    let condition = theirs.wait_condition("lab", "ForeignNodeManager", "True");

    assert!(condition["message"].as_str().unwrap().contains("ray-operator-leader"), "{condition}");
    assert!(controller.metrics().contains("raywarden_controller_foreign_node_manager_total"));
    ours.scale("lab", 2);
    ours.settle("lab", 2);
    assert!(theirs.list("pods").is_empty());
    theirs.delete("leases", "ray-operator-leader");
    theirs.settle("lab", 1);
    wait_until(SOON, "the condition goes", || {
        theirs.condition("lab", "ForeignNodeManager").is_null().then_some(())
    });
}

#[test]
fn beside_pods_of_another_manager_nothing_is_written_until_adoption_is_allowed() {
    let space = Space::new("beside");
    let stored = space.create("rayclusters", &cluster("lab", 1));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "lab-head-theirs",
            "labels": {"ray.io/cluster": "lab", "ray.io/node-type": "head",
                       "ray.io/group": "headgroup",
                       "app.kubernetes.io/created-by": "kuberay-operator"},
            "ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "lab",
                                 "uid": stored["metadata"]["uid"], "controller": true}],
        },
        "spec": {"containers": [{"name": "ray-head", "image": "x"}]},
    });
    space.create("pods", &pod);
    let _controller = space.controller(&[]);

    let condition = space.wait_condition("lab", "ForeignNodeManager", "True");

    assert!(condition["message"].as_str().unwrap().contains("kuberay-operator"), "{condition}");
    std::thread::sleep(Duration::from_secs(1));
    let writes = space.writes();
    let is_said = |it: &super::api::Write| it.subresource == "status" || it.resource == "events";
    assert!(writes.iter().all(is_said), "{writes:?}");
    let allow = json!({"metadata": {"annotations": {"raywarden.io/adopt": "true"}}});
    space.merge("rayclusters", "lab", &allow);
    space.settle("lab", 1);
    assert_eq!(space.names("lab", "head"), ["lab-head-theirs"]);
}
