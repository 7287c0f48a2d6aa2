//! Workers follow `replicas`, and only the right ones go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::api::WORLD;
use super::proxy::{Fate, Proxy, client};
use super::space::{MOMENT, SOON, Space, autoscaled, cluster, name};
use super::support::controller::Controller;
use super::support::wait::wait_until;

#[test]
fn a_new_cluster_is_filled_and_its_status_says_so() {
    let space = Space::new("fill");
    let controller = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 3));

    space.settle("lab", 3);

    let status = &space.cluster("lab")["status"];
    assert_eq!(status["desiredWorkerReplicas"], 3, "{status}");
    assert_eq!(status["head"]["serviceName"], "lab-head-svc", "{status}");
    let provisioned = space.condition("lab", "RayClusterProvisioned");
    assert_eq!(provisioned["reason"], "RayClusterPodsProvisioning");
    space.run_all("lab");
    space.wait_condition("lab", "RayClusterProvisioned", "True");
    let cluster = wait_until(SOON, "ready workers are counted", || {
        let cluster = space.cluster("lab");
        (cluster["status"]["readyWorkerReplicas"] == 3).then_some(cluster)
    });
    assert_eq!(cluster["status"]["state"], "ready");
    assert_eq!(cluster["status"]["observedGeneration"], cluster["metadata"]["generation"]);
    assert_eq!(space.list("services").len(), 1);
    controller.stop();
}

#[test]
fn scaled_down_without_autoscaling_it_loses_first_what_helps_least() {
    let space = Space::new("victims");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 5));
    let all = space.settle("lab", 5);
    space.run_all("lab");
    space.run(&all[2], false);
    let named = all[4].clone();
    wait_until(SOON, "all of that is known", || {
        (space.cluster("lab")["status"]["readyWorkerReplicas"] == 4).then_some(())
    });

    space.json_patch(
        "lab",
        &json!([
            {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 3},
            {"op": "add", "path": "/spec/workerGroupSpecs/0/scaleStrategy",
             "value": {"workersToDelete": [named]}},
        ]),
    );

    let left = space.settle("lab", 3);
    assert_eq!(left, [all[0].clone(), all[1].clone(), all[3].clone()], "named and not ready");
    space.scale("lab", 6);
    let grown = space.settle("lab", 6);
    assert!(left.iter().all(|it| grown.contains(it)), "{left:?} of {grown:?}");
    assert!(!grown.contains(&all[2]) && !grown.contains(&all[4]), "a name was used twice");
    space.run_all("lab");
    space.pod_status(&grown[0], &json!({"phase": "Failed"}));
    wait_until(SOON, "a worker that failed is replaced", || {
        (!space.names("lab", "worker").contains(&grown[0])).then_some(())
    });
    space.settle("lab", 6);
    space.scale("lab", 0);
    space.settle("lab", 0);
}

#[test]
fn with_autoscaling_only_named_workers_go() {
    let space = Space::new("named");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &autoscaled("lab", 4));
    let all = space.settle("lab", 4);
    space.run_all("lab");

    space.scale("lab", 1);
    space.stays(MOMENT, "the number of workers", || space.names("lab", "worker").len() == 4);
    space.name_victims("lab", &[&all[0], &all[1]]);

    let left = space.settle("lab", 2);
    assert_eq!(left, [all[2].clone(), all[3].clone()]);
    let head = &space.pods("lab", "head")[0];
    assert_eq!(head["spec"]["containers"][1]["name"], "autoscaler");
    assert_eq!(head["spec"]["serviceAccountName"], "raywarden-lab");
}

#[test]
fn named_pods_that_are_no_workers_of_the_group_stay_and_somebody_is_told() {
    let space = Space::new("strangers");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 2));
    space.create("rayclusters", &cluster("other", 1));
    space.settle("lab", 2);
    let foreign_worker = space.settle("other", 1).remove(0);
    let head = space.names("lab", "head").remove(0);
    let tool = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "tool", "labels": {
            "ray.io/cluster": "lab", "ray.io/node-type": "worker", "ray.io/group": "small"}},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    });
    space.create("pods", &tool);

    space.name_victims("lab", &[&head, "tool", &foreign_worker]);

    space.told("ForeignWorkerToDelete", &head);
    space.told("ForeignWorkerToDelete", "tool");
    space.told("ForeignWorkerToDelete", &foreign_worker);
    space.stays(MOMENT, "every Pod", || {
        let all: Vec<String> = space.list("pods").iter().map(name).collect();
        all.len() == 6
            && [&head, "tool", &foreign_worker].iter().all(|it| all.iter().any(|other| other == it))
    });
}

#[test]
fn a_list_of_victims_that_are_gone_is_cleared_but_not_one_that_was_named_meanwhile() {
    let space = Arc::new(Space::new("stale"));
    let proxy = Proxy::start(client(WORLD.plane.kubeconfig("admin")), WORLD.plane.dir());
    let flags = ["--stale-victims-after", "2s"];
    let _controller = Controller::start(proxy.kubeconfig(), &space.name, &flags);
    space.create("rayclusters", &autoscaled("lab", 2));
    let all = space.settle("lab", 2);
    let list = || {
        let cluster = space.cluster("lab");
        cluster["spec"]["workerGroupSpecs"][0]["scaleStrategy"]["workersToDelete"].clone()
    };
    space.name_victims("lab", &["long-gone"]);
    wait_until(SOON, "the stale list is cleared", || (list() == json!([])).then_some(()));

    // While the next patch that clears is on its way, somebody names a victim that lives.
    let (late, victim) = (Arc::clone(&space), all[0].clone());
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    proxy.decide(move |call| {
        let clears = call.method == "PATCH" && call.path.ends_with("/rayclusters/lab");
        if clears && seen.fetch_add(1, Ordering::Relaxed) == 0 {
            let (late, victim) = (Arc::clone(&late), victim.clone());
            let name = move || late.name_victims("lab", &["long-gone", &victim]);
            std::thread::spawn(name).join().expect("the victim is named");
        }
        Fate::Pass
    });
    space.name_victims("lab", &["long-gone"]);

    wait_until(SOON, "the victim goes", || {
        (!space.names("lab", "worker").contains(&all[0])).then_some(())
    });
    wait_until(SOON, "the list is cleared again", || (list() == json!([])).then_some(()));
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    assert!(space.settle("lab", 2).contains(&all[1]));
}

#[test]
fn workers_of_a_group_that_left_the_spec_go_after_a_while() {
    let space = Space::new("orphans");
    let _controller = space.controller(&["--orphan-grace", "1s"]);
    let mut object = cluster("lab", 1);
    let mut second = object["spec"]["workerGroupSpecs"][0].clone();
    second["groupName"] = json!("large");
    second["replicas"] = json!(2);
    object["spec"]["workerGroupSpecs"].as_array_mut().unwrap().push(second);
    space.create("rayclusters", &object);
    space.settle("lab", 3);

    space.json_patch("lab", &json!([{"op": "remove", "path": "/spec/workerGroupSpecs/1"}]));

    space.settle("lab", 1);
    assert_eq!(space.pods("lab", "worker")[0]["metadata"]["labels"]["ray.io/group"], "small");
}
