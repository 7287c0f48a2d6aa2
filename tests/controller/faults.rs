//! Controllers that stop, stall and die, and API servers that fail: always the same end.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::dying::{at_every_write, dies_at, proxy};
use super::proxy::Fate;
use super::space::{SOON, Space, autoscaled, cluster, name};
use super::support::controller::Controller;
use super::support::wait::{wait_for, wait_until};

/// How many Pods were made, and how many deleted, by controllers.
pub(crate) fn made_and_deleted(space: &Space) -> (usize, usize) {
    let writes = space.writes();
    let count = |verb: &str| {
        let done =
            |it: &&super::api::Write| it.verb == verb && it.resource == "pods" && it.code < 300;
        writes.iter().filter(done).count()
    };
    (count("create"), count("delete"))
}

#[test]
fn killed_and_started_again_it_goes_on_where_it_was() {
    let space = Space::new("killed");
    // Who is killed gives no Lease back.
    let flags = ["--lease-duration", "2s"];
    let controller = space.controller(&flags);
    space.create("rayclusters", &autoscaled("lab", 9));
    wait_until(SOON, "some Pods", || (space.list("pods").len() >= 3).then_some(()));
    controller.kill();
    let so_far = space.names("lab", "worker");

    let controller = space.controller(&flags);
    let nine = space.settle("lab", 9);
    assert!(so_far.iter().all(|it| nine.contains(it)), "{so_far:?} {nine:?}");
    // The one that was on its way is logged as it ended, not as it was asked.
    let (made, deleted) = made_and_deleted(&space);
    assert!((9..=10).contains(&made) && deleted == 0, "{:?}", space.writes());
    let victims: Vec<&str> = nine.iter().take(4).map(String::as_str).collect();
    space.name_victims("lab", &victims);
    space.scale("lab", 9);
    wait_until(SOON, "a victim is gone", || {
        (!space.names("lab", "worker").contains(&nine[0])).then_some(())
    });
    controller.kill();
    let _controller = space.controller(&flags);
    let after = space.settle("lab", 9);
    let kept = nine.iter().skip(4).filter(|it| after.contains(it)).count();
    assert_eq!((kept, after.iter().any(|it| victims.contains(&it.as_str()))), (5, false));
}

#[test]
fn once_all_is_well_nothing_is_written_but_the_lease() {
    let space = Space::new("steady");
    let _controller = space.controller(&[]);
    space.create("rayclusters", &autoscaled("lab", 2));
    let mut several = cluster("several", 1);
    several["spec"]["workerGroupSpecs"][0]["numOfHosts"] = json!(2);
    space.create("rayclusters", &several);
    let mut resting = cluster("resting", 1);
    resting["spec"]["suspend"] = json!(true);
    space.create("rayclusters", &resting);
    space.settle("lab", 2);
    space.settle("several", 2);
    space.run_all("lab");
    space.run_all("several");
    space.wait_condition("lab", "RayClusterProvisioned", "True");
    space.wait_condition("several", "RayClusterProvisioned", "True");
    space.wait_condition("resting", "RayClusterSuspended", "True");
    std::thread::sleep(Duration::from_secs(1));

    let before = space.writes();
    std::thread::sleep(Duration::from_secs(6));

    let after = space.writes();
    assert_eq!(after.len(), before.len(), "{:?}", after.get(before.len()..));
}

/// What a cluster came to: kinds and names, Pods by type and rank.
fn end_state(space: &Space) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for kind in ["serviceaccounts", "roles", "rolebindings", "services", "secrets"] {
        all.extend(space.list(kind).iter().map(|it| format!("{kind} {}", it["metadata"]["name"])));
    }
    for pod in space.list("pods") {
        let labels = &pod["metadata"]["labels"];
        let rank = &labels["ray.io/worker-group-replica-index"];
        all.insert(format!("{} {rank}", labels["ray.io/node-type"]));
    }
    let status = space.cluster("lab")["status"].clone();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    all.extend(conditions.iter().map(|it| format!("{} {}", it["type"], it["status"])));
    all.insert(format!("desired {}", status["desiredWorkerReplicas"]));
    all
}

/// A new cluster whose first controller dies by its `n`th write: whether there was one, and the end.
fn dies_making(n: usize, wanted: Option<&BTreeSet<String>>) -> (bool, BTreeSet<String>) {
    let space = Space::new(&format!("dies-making-{n}"));
    let mut object = autoscaled("lab", 2);
    object["spec"]["authOptions"] = json!({"mode": "token"});
    space.create("rayclusters", &object);
    let named = || !space.cluster("lab")["status"]["head"]["podName"].is_null();
    let (reached, _proxy, second) = dies_at(n, &space, || space.list("pods").len() == 3 && named());
    space.settle("lab", 2);
    let is_it = |now: &BTreeSet<String>| {
        now.contains("desired 2") && wanted.is_none_or(|wanted| wanted == now)
    };
    let end = wait_for(SOON, || Some(end_state(&space)).filter(is_it));
    let report =
        || format!("died at {n}: {:?}, not {wanted:?}\n{}", end_state(&space), second.report());
    let end = end.unwrap_or_else(|| panic!("{}", report()));
    assert_eq!(made_and_deleted(&space), (3, 0), "died at {n}: {:?}", space.writes());
    (reached, end)
}

#[test]
fn killed_at_any_write_of_a_new_cluster_it_comes_to_the_same_end() {
    let (_, undisturbed) = dies_making(1000, None);
    at_every_write(8, |n| dies_making(n, Some(&undisturbed)).0);
}

/// A replica goes and two come, and the controller dies by its `n`th write: whether there was one.
fn dies_changing(n: usize) -> bool {
    let space = Space::new(&format!("dies-changing-{n}"));
    let mut object = autoscaled("lab", 2);
    object["spec"]["workerGroupSpecs"][0]["numOfHosts"] = json!(2);
    space.create("rayclusters", &object);
    let before = space.controller(&[]);
    let four = space.settle("lab", 4);
    before.stop();
    let victim = &four[0];
    let replica =
        |pod: &Value| pod["metadata"]["labels"]["ray.io/worker-group-replica-name"].to_string();
    let pods = space.pods("lab", "worker");
    let gone = pods.iter().find(|pod| name(pod) == *victim).map(replica).expect("it is there");
    space.json_patch(
        "lab",
        &json!([
            {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 3},
            {"op": "add", "path": "/spec/workerGroupSpecs/0/scaleStrategy",
             "value": {"workersToDelete": [victim]}},
        ]),
    );
    let desired = || space.cluster("lab")["status"]["desiredWorkerReplicas"] == 6;
    let (reached, _proxy, second) =
        dies_at(n, &space, || space.names("lab", "worker").len() == 6 && desired());
    space.settle("lab", 6);
    wait_until(SOON, "the status", || desired().then_some(()));
    let after = space.pods("lab", "worker");
    let mut replicas: Vec<String> = after.iter().map(replica).collect();
    replicas.sort();
    let whole = replicas.chunks(2).all(|pair| pair[0] == pair[1]);
    replicas.dedup();
    let report = || format!("died at {n}: {:?}\n{}", space.writes(), second.report());
    assert!(whole && replicas.len() == 3 && !replicas.contains(&gone), "{}", report());
    assert_eq!(made_and_deleted(&space), (9, 2), "{}", report());
    reached
}

#[test]
fn killed_at_any_write_of_a_change_it_comes_to_the_same_end() {
    at_every_write(8, dies_changing);
}

#[test]
fn refusals_for_a_while_change_nothing_in_the_end() {
    let space = Space::new("refusals");
    let proxy = proxy();
    let failing = |codes: &'static [u16], method: &'static str| {
        let mut codes = codes.iter();
        move |call: &super::proxy::Call| {
            let meant = call.is_write() && (method.is_empty() || call.method == method);
            meant.then(|| codes.next()).flatten().map_or(Fate::Pass, |code| Fate::Answer(*code))
        }
    };
    proxy.decide(failing(&[429, 429, 409, 409, 500, 500], ""));
    space.create("rayclusters", &autoscaled("lab", 4));
    let controller = Controller::start(proxy.kubeconfig(), &space.name, &[]);
    let four = space.settle("lab", 4);
    assert_eq!(made_and_deleted(&space), (5, 0));

    proxy.decide(failing(&[409, 500, 429], "DELETE"));
    space.name_victims("lab", &[&four[0], &four[1]]);
    space.scale("lab", 2);

    wait_until(SOON, "the victims go", || {
        (space.names("lab", "worker") == four[2..]).then_some(())
    });
    space.settle("lab", 2);
    assert_eq!(made_and_deleted(&space).1, 2, "{}", controller.report());
    wait_until(SOON, "the status says so", || {
        let all_well = space.condition("lab", "ReplicaFailure").is_null();
        (all_well && space.cluster("lab")["status"]["desiredWorkerReplicas"] == 2).then_some(())
    });
}

#[test]
fn watches_that_expire_and_an_api_server_that_is_away_lose_nothing() {
    let space = Space::new("expired");
    let proxy = proxy();
    space.create("rayclusters", &cluster("lab", 2));
    let _controller = Controller::start(proxy.kubeconfig(), &space.name, &[]);
    let two = space.settle("lab", 2);

    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410}});
    let mut left = 14_u32;
    proxy.decide(move |call| {
        if !call.is_watch() || left == 0 {
            return Fate::Pass;
        }
        left -= 1;
        if left >= 7 { Fate::Say(format!("{gone}\n")) } else { Fate::Answer(410) }
    });
    proxy.cut();
    space.scale("lab", 3);
    space.delete("pods", &two[0]);
    let three = space.settle("lab", 3);
    assert!(three.contains(&two[1]) && !three.contains(&two[0]));

    proxy.decide(|_| Fate::Cut);
    proxy.cut();
    space.scale("lab", 5);
    space.delete("pods", &two[1]);
    std::thread::sleep(Duration::from_secs(2));
    proxy.decide(|_| Fate::Pass);
    let five = space.settle("lab", 5);
    assert_eq!(three.iter().filter(|it| five.contains(it)).count(), 2);
    assert_eq!(made_and_deleted(&space), (8, 0));
    let status: Value = space.cluster("lab")["status"].clone();
    assert_eq!(status["desiredWorkerReplicas"], 5, "{status}");
}
