//! Scale leases when things go wrong: controllers that die by any of their writes, a kind that is not
//! served, a webhook that is not there. A controller looks after the leases of every namespace, so
//! these tests take turns.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "controller/api.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod api;
#[path = "controller/dying.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod dying;
#[path = "controller/proxy.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod proxy;
#[path = "controller/space.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod space;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use self::api::WORLD;
use self::dying::dies_at;
use self::proxy::Fate;
use self::space::{SOON, Space, cluster};
use self::support::controller::Controller;
use self::support::wait::{wait_for, wait_until};

static TURN: Mutex<()> = Mutex::new(());

const FILES: [&str; 2] = ["deploy/crd/scalelease.yaml", "deploy/crd/scalelease-policy.yaml"];

/// One test at a time, with the kind served and the policy there.
fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    install();
    turn
}

fn install() {
    for file in FILES {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        WORLD.plane.kubectl(&["apply", "-f", &path]).ok();
    }
    let path = "/apis/raywarden.io/v1alpha1/namespaces/default/scaleleases?dryRun=All";
    wait_until(SOON, "the kind is served and the policy in force", || {
        let mut probe = lease("probe", "lab", 1);
        probe["spec"]["requester"]["username"] = json!("somebody else");
        let (code, answer) = WORLD.call("POST", path, "application/json", &probe);
        (code == 403 && answer.to_string().contains("somebody else")).then_some(())
    });
}

/// A lease as `admin` makes it where no webhook records who that is.
fn lease(name: &str, cluster: &str, replicas: i64) -> Value {
    let until = (raywarden::clock::now() + Duration::from_hours(1)).to_string();
    json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "ScaleLease", "metadata": {"name": name},
        "spec": {
            "cluster": {"name": cluster}, "replicas": replicas, "until": until,
            "requester": {"username": "admin", "groups": ["system:masters"]},
        },
    })
}

/// Replicas and maximum, then what the lease says and why.
fn state(space: &Space) -> (i64, i64, String, String) {
    let group = &space.cluster("lab")["spec"]["workerGroupSpecs"][0];
    let count = |key: &str| group[key].as_i64().unwrap_or(-1);
    let lease = space.find("scaleleases", "night").unwrap_or(Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let status = &lease["status"];
    let reason = text(&status["conditions"][0]["reason"]);
    (count("replicas"), count("maxReplicas"), text(&status["phase"]), reason)
}

fn patches(space: &Space) -> usize {
    let writes = space.writes();
    let patched = |it: &&api::Write| it.resource == "rayclusters" && it.verb == "patch";
    writes.iter().filter(patched).filter(|it| it.code < 300 && it.subresource.is_empty()).count()
}

/// A controller dies by its `n`th write, another one goes on: whether there was such a write.
#[track_caller]
fn dies(n: usize, space: &Space, step: &str, wanted: (i64, i64, &str, &str)) -> bool {
    let home = Space::new(&format!("{step}-home-{n}"));
    let wanted = (wanted.0, wanted.1, wanted.2.to_owned(), wanted.3.to_owned());
    let before = patches(space);
    let (reached, _proxy, second) = dies_at(n, &home, || state(space) == wanted);
    let there = wait_for(SOON, || (state(space) == wanted).then_some(()));
    let report = || format!("{step}, died at {n}: {:?}\n{}", state(space), second.report());
    assert!(there.is_some(), "{}", report());
    space.stays(Duration::from_millis(400), "the end", || state(space) == wanted);
    assert_eq!(patches(space) - before, 1, "{}", report());
    second.stop();
    reached
}

#[test]
fn killed_at_any_write_it_comes_to_the_same_end() {
    let _turn = turn();
    for n in 1..20 {
        let space = Space::new(&format!("killed-{n}"));
        let mut object = cluster("lab", 1);
        object["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(3);
        space.create("rayclusters", &object);
        space.create("scaleleases", &lease("night", "lab", 5));
        let mut reached = dies(n, &space, "held", (5, 5, "Active", "Held"));

        let path = "/spec/workerGroupSpecs/0/replicas";
        space.json_patch("lab", &json!([{"op": "replace", "path": path, "value": 2}]));
        reached |= dies(n, &space, "changed", (5, 5, "Active", "HeldAgain"));

        let now = raywarden::clock::now().to_string();
        space.merge("scaleleases", "night", &json!({"spec": {"until": now}}));
        // What somebody wrote in between is what comes back.
        reached |= dies(n, &space, "over", (2, 3, "Ended", "Expired"));
        space.delete("scaleleases", "night");
        if !reached {
            assert!(n > 4, "only {} writes", n - 1);
            return;
        }
    }
    panic!("no end of writes");
}

#[test]
fn what_the_api_server_refuses_is_said_and_tried_again() {
    let _turn = turn();
    let space = Space::new("refusing");
    space.create("rayclusters", &cluster("lab", 1));
    space.create("scaleleases", &lease("night", "lab", 5));
    let proxy = dying::proxy();
    let home = Space::new("refusing-home");
    proxy.decide(|call| {
        let changes = call.method == "PATCH" && call.path.ends_with("/rayclusters/lab");
        if changes { Fate::Answer(409) } else { Fate::Pass }
    });
    let controller = Controller::start(proxy.kubeconfig(), &home.name, &[]);
    wait_until(SOON, "it is said", || (state(&space).3 == "WriteRefused").then_some(()));
    assert_eq!(state(&space).0, 1);
    let mut codes = [500, 429, 409].into_iter();
    proxy.decide(move |call| {
        let fails = call.is_write().then(|| codes.next()).flatten();
        fails.map_or(Fate::Pass, Fate::Answer)
    });
    wait_until(SOON, "it is held", || (state(&space).3 == "Held").then_some(()));
    assert_eq!((state(&space).0, patches(&space)), (5, 1));
    controller.stop();
    space.delete("scaleleases", "night");
}

#[test]
fn without_the_kind_there_are_no_leases_and_with_it_they_are_found() {
    let _turn = turn();
    let space = Space::new("unserved");
    space.create("rayclusters", &cluster("lab", 1));
    space.create("scaleleases", &lease("night", "lab", 5));
    let controller = space.controller(&[]);
    wait_until(SOON, "it is held", || (state(&space).2 == "Active").then_some(()));
    controller.stop();
    WORLD.plane.kubectl(&["delete", "crd", "scaleleases.raywarden.io"]).ok();
    let count = || space.cluster("lab")["spec"]["workerGroupSpecs"][0]["replicas"].clone();
    assert_eq!(count(), 5);

    let controller: Controller = space.controller(&[]);
    wait_until(SOON, "what the lease left is given back", || (count() == 1).then_some(()));
    install();
    space.create("scaleleases", &lease("night", "lab", 4));
    wait_until(SOON, "the kind is found", || (state(&space).2 == "Active").then_some(()));
    assert_eq!(count(), 4);
    controller.stop();
    space.delete("scaleleases", "night");
}

#[test]
fn nobody_names_another_as_the_requester_while_no_webhook_records_it() {
    let _turn = turn();
    let space = Space::new("forged");
    let mut forged = lease("night", "lab", 5);
    forged["spec"]["requester"] = json!({"username": "admin", "groups": ["cluster-admins"]});
    let (code, answer) =
        WORLD.call("POST", &space.path("scaleleases"), "application/json", &forged);
    assert_eq!(code, 403, "{answer}");
    assert!(answer.to_string().contains("spec.requester is somebody else"), "{answer}");
    forged["spec"].as_object_mut().unwrap().remove("requester");
    space.create("scaleleases", &forged);
    space.delete("scaleleases", "night");
}
