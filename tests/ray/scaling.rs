//! The whole loop with nothing faked but the kubelet: a user applies a manifest, the webhook injects,
//! the controller makes everything, the real autoscaler decides, and Ray itself says who joined.

use std::collections::BTreeSet;

use serde_json::json;

use super::turn;
use super::world::{Cluster, NAMESPACE, WORLD, look};
use crate::support::account::user;
use crate::support::process::signal;

#[test]
fn the_seed_manifest_runs_and_autoscaler_v2_grows_and_shrinks_it() {
    let _turn = turn();
    let cluster = Cluster::start("second", "v2");
    everything_was_made(&cluster);
    grows_and_shrinks(&cluster, "instance_manager.py", "StandardAutoscaler");
    cluster.end();
}

#[test]
fn the_seed_manifest_runs_and_autoscaler_v1_grows_and_shrinks_it() {
    let _turn = turn();
    let cluster = Cluster::start("first", "v1");
    everything_was_made(&cluster);
    grows_and_shrinks(&cluster, "StandardAutoscaler", "instance_manager.py");
    cluster.end();
}

#[test]
fn a_worker_whose_raylet_was_killed_is_replaced_under_a_new_name_and_joins() {
    let _turn = turn();
    let cluster = Cluster::start("killed", "v2");
    let before = cluster.wait_workers(1);
    let killed = before.first().expect("there is one");
    let raylet = WORLD.lab.pid(killed, "raylet").expect("it is a node of Ray");
    signal(raylet, "KILL");
    let after =
        look(|| Some(cluster.pods("worker")).filter(|after| after.len() == 1 && *after != before));
    let after = after.unwrap_or_else(|| panic!("no other worker: {}", cluster.report()));
    cluster.wait_alive(&after);
    assert!(!after.contains(killed), "a name comes once: {after:?}");
    // Ray's autoscaler may ask for one more before it sees the new one, and name either as idle later.
    let left = cluster.wait_workers(1);
    cluster.wait_alive(&left);
    cluster.wait_settled(1);
    let deleted = cluster.pods_written("delete", &user());
    let (first, rest) = deleted.split_first().expect("the killed one went");
    assert_eq!(first, killed, "{}", cluster.report());
    let rest: BTreeSet<String> = rest.iter().cloned().collect();
    assert_eq!(rest.len() + 1, deleted.len(), "each one once: {deleted:?}");
    let named = look(|| rest.is_subset(&cluster.victims()).then_some(()));
    assert!(named.is_some(), "{rest:?} went unnamed: {}", cluster.report());
    let told = cluster.told();
    assert!(told.contains(&format!("deleted Pods {killed} (")), "{told}");
    cluster.end();
}

/// What the webhook put into the stored object, and what the controller made of it.
#[track_caller]
fn everything_was_made(cluster: &Cluster) {
    let own = format!("raywarden-{}", cluster.name);
    let stored = cluster.stored();
    let head = &stored["spec"]["headGroupSpec"]["template"]["spec"];
    let pod = WORLD.plane.get_json(&["pod", &cluster.head, "-n", NAMESPACE]);
    for (spec, whose) in [(head, "stored"), (&pod["spec"], "Pod's")] {
        assert_eq!(spec["serviceAccountName"], own.as_str(), "{whose}: {spec}");
        let names: Vec<_> = spec["containers"].as_array().expect("a list").iter().collect();
        let names: Vec<_> = names.iter().map(|container| &container["name"]).collect();
        assert_eq!(names, [&json!("ray-head"), &json!("autoscaler")], "{whose}: {spec}");
    }
    let service = format!("{}-head-svc", cluster.name);
    for (kind, name) in
        [("serviceaccount", &own), ("role", &own), ("rolebinding", &own), ("service", &service)]
    {
        let object = WORLD.plane.get_json(&[kind, name, "-n", NAMESPACE]);
        let owner = &object["metadata"]["ownerReferences"][0]["uid"];
        assert_eq!(*owner, stored["metadata"]["uid"], "{object}");
    }
    cluster.wait_settled(1);
}

/// `proof` is what only this version of the autoscaler writes to its log, `other` what only the other.
#[track_caller]
fn grows_and_shrinks(cluster: &Cluster, proof: &str, other: &str) {
    let lab = &WORLD.lab;
    let kept = cluster.wait_workers(1);
    assert!(cluster.victims().is_empty(), "{}", cluster.report());

    lab.walk_through(&cluster.head);
    let grown = cluster.wait_workers(4);
    assert!(grown.is_superset(&kept), "{kept:?} {grown:?}");
    cluster.wait_alive(&grown);
    cluster.wait_settled(4);
    let log = lab.autoscaler_log(&cluster.head);
    assert!(log.contains(proof) && !log.contains(other), "{proof}, not {other}: {log}");
    assert_eq!(cluster.pods_written("delete", &user()), [""; 0], "nothing has to go yet");

    lab.clear_demand(&cluster.head);
    let left = cluster.wait_workers(1);
    let gone: BTreeSet<String> = grown.difference(&left).cloned().collect();
    assert_eq!((left.len(), gone.len()), (1, 3), "the minimum of one is kept");
    assert_eq!(cluster.victims(), gone, "what was named and what went: {}", cluster.report());
    let deleted = cluster.pods_written("delete", &user());
    assert_eq!(deleted.len(), 3, "each one once: {deleted:?}");
    assert_eq!(deleted.into_iter().collect::<BTreeSet<_>>(), gone);
    let told = cluster.told();
    assert!(gone.iter().all(|pod| told.contains(&format!("{pod} (named in"))), "{told}");
    cluster.wait_settled(1);

    // Ray takes a second Pod of one name for the first, so none may come again.
    lab.request_cpus(&cluster.head, 2);
    let again = cluster.wait_workers(2);
    cluster.wait_alive(&again);
    assert!(again.is_superset(&left) && again.is_disjoint(&gone), "{gone:?} {again:?}");
    let made = cluster.pods_written("create", &user());
    assert_eq!(made.len(), made.iter().collect::<BTreeSet<_>>().len(), "{made:?}");
    assert_eq!(made.len(), 1 + 4 + 1, "a head and each worker once: {made:?}");

    // Under its own account, with a token that is bound to the head.
    let account = format!("system:serviceaccount:{NAMESPACE}:raywarden-{}", cluster.name);
    let writes = WORLD.writes();
    let own: Vec<_> = writes.iter().filter(|write| write.user == account).collect();
    assert!(own.len() >= 3, "up, down and up again: {}", own.len());
    for write in own {
        assert_eq!((write.verb.as_str(), write.resource.as_str()), ("patch", "rayclusters"));
        assert_eq!((&write.name, &write.from_pod), (&cluster.name, &cluster.head));
    }
    lab.clear_demand(&cluster.head);
}
