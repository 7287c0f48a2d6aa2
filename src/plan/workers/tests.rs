use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::plan::pod::{CREATED_BY, OURSELVES};

const UID: &str = "cluster-uid";

fn pod(name: &str) -> Pod {
    let stored = serde_json::json!({
        "metadata": {
            "name": name,
            "uid": format!("uid-of-{name}"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "ray.io/cluster": "lab",
                "ray.io/node-type": "worker",
                "ray.io/group": "pool",
                CREATED_BY: OURSELVES,
            },
            "ownerReferences": [{"controller": true, "uid": UID}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "ray-worker"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    Pod::read(&stored)
}

fn wish(replicas: usize) -> Wish<'static> {
    Wish {
        cluster: "lab",
        uid: UID,
        group: "pool",
        replicas,
        hosts: 1,
        named: Vec::new(),
        unwanted: &[],
        trims: true,
        waits_for_gone: false,
        ray_container: Some("ray-worker"),
        attempt: 0,
    }
}

fn deleted<'a>(moves: &Moves<'a>) -> Vec<&'a str> {
    moves.delete.iter().map(|(pod, _)| pod.name.as_str()).collect()
}

/// What is stored once a seat was taken.
fn seated(seat: &Seat) -> Pod {
    Pod {
        attempt: seat.attempt,
        index: Some(seat.index),
        replica: seat.replica.clone(),
        host: seat.replica.is_some().then_some(seat.host),
        ..pod(&seat.name)
    }
}

#[test]
fn an_empty_group_is_filled_with_neighbouring_slots() {
    let moves = moves(&wish(3), &[]);
    let indexes: Vec<u32> = moves.create.iter().map(|seat| seat.index).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert!(moves.delete.is_empty());
}

#[test]
fn a_gap_is_refilled_with_its_own_slot_under_another_name() {
    let first: Vec<Pod> = moves(&wish(3), &[]).create.iter().map(seated).collect();
    let left = [first[0].clone(), first[2].clone()];
    let again = moves(&Wish { attempt: 1, ..wish(3) }, &left);
    assert_eq!(again.create.len(), 1);
    assert_eq!(again.create[0].index, 1);
    assert_ne!(again.create[0].name, first[1].name);
}

#[test]
fn a_victim_that_is_gone_takes_its_replica_along_and_its_name_is_not_used_again() {
    let two = Wish { hosts: 2, trims: false, ..wish(2) };
    let stored: Vec<Pod> = moves(&two, &[]).create.iter().map(seated).collect();
    // As after a restart: nobody remembers that the attempt was retired.
    let victim = stored[0].name.clone();
    let named = Wish { named: vec![victim.as_str()], ..two };
    let half = moves(&named, &stored[1..]);
    assert_eq!(deleted(&half), [stored[1].name.as_str()]);
    let after = moves(&named, &stored[2..]);
    assert_eq!(after.create.len(), 2);
    assert!(
        after.create.iter().all(|seat| seat.name != victim && seat.replica != stored[0].replica)
    );
    let alone = Wish { named: vec![victim.as_str()], ..wish(1) };
    assert_ne!(moves(&alone, &[]).create[0].name, victim);
}

#[test]
fn surplus_goes_named_then_unscheduled_then_not_ready_then_youngest() {
    let aged = |name: &str, second: u32, ready: bool| Pod {
        created: format!("2026-01-01T00:00:{second:02}Z"),
        ready: Some(ready),
        ..pod(name)
    };
    let five = [
        aged("a", 1, true),
        aged("b", 50, false),
        aged("c", 2, true),
        aged("d", 3, true),
        aged("e", 4, true),
    ];
    let asked = Wish { named: vec!["c"], ..wish(3) };
    let moves_now = moves(&asked, &five);
    assert_eq!(deleted(&moves_now), ["c", "b"]);
    let whys: Vec<Why> = moves_now.delete.iter().map(|(_, why)| *why).collect();
    assert_eq!(whys, [Why::Named, Why::Surplus]);

    assert_eq!(deleted(&moves(&wish(3), &five)), ["b", "e"]);
    let mut unscheduled = five.clone();
    unscheduled[0].scheduled = false;
    assert_eq!(deleted(&moves(&wish(3), &unscheduled)), ["a", "b"]);
}

#[test]
fn a_victim_named_twice_or_gone_costs_no_further_pod() {
    let three = [pod("a"), pod("b"), pod("c")];
    let asked = Wish { named: vec!["c", "c", "gone"], ..wish(2) };
    assert_eq!(deleted(&moves(&asked, &three)), ["c"]);
    let mut terminating = three.clone();
    terminating[2].terminating = true;
    let now = moves(&asked, &terminating);
    assert!(now.delete.is_empty() && now.create.is_empty());
}

#[test]
fn with_autoscaling_on_surplus_stays_and_named_pods_go() {
    let three = [pod("a"), pod("b"), pod("c")];
    let asked = Wish { trims: false, ..wish(1) };
    assert!(moves(&asked, &three).delete.is_empty());
    let named = Wish { named: vec!["b"], ..asked };
    assert_eq!(deleted(&moves(&named, &three)), ["b"]);
}

#[test]
fn pods_of_others_are_neither_counted_nor_deleted() {
    let others = [
        Pod { owner: "another".into(), ..pod("payments-db-0") },
        Pod { node_type: NodeType::Head, ..pod("lab-head-x2x4z") },
        Pod { group: "other".into(), ..pod("lab-other-worker-a") },
    ];
    let names = vec!["payments-db-0", "lab-head-x2x4z", "lab-other-worker-a", "nothing"];
    let moves = moves(&Wish { named: names.clone(), ..wish(1) }, &others);
    assert!(moves.delete.is_empty());
    assert_eq!(moves.create.len(), 1);
    assert_eq!(moves.strangers, names[..3]);
}

#[test]
fn an_ended_pod_is_deleted_and_replaced_at_once() {
    let mut ended = pod("a");
    ended.phase = Phase::Failed;
    let mut stopped = pod("b");
    stopped.never_restarts = true;
    stopped.containers[0].terminated = true;
    let mut restarting = pod("c");
    restarting.containers[0].terminated = true;
    let pods = [ended, stopped, restarting];
    let now = moves(&Wish { trims: false, ..wish(3) }, &pods);
    assert_eq!(deleted(&now), ["a", "b"]);
    assert_eq!(now.create.len(), 2);
}

#[test]
fn a_terminating_pod_is_replaced_at_once_unless_asked_to_wait() {
    let leaving = Pod { terminating: true, ..pod("a") };
    let pods = [leaving, pod("b")];
    assert_eq!(moves(&wish(2), &pods).create.len(), 1);
    let patient = Wish { waits_for_gone: true, ..wish(2) };
    assert!(moves(&patient, &pods).create.is_empty());
}

#[test]
fn one_more_beside_a_terminating_pod_that_holds_its_place_gets_an_index_of_its_own() {
    let patient = Wish { waits_for_gone: true, ..wish(3) };
    let mut stored: Vec<Pod> = moves(&patient, &[]).create.iter().map(seated).collect();
    stored[1].terminating = true;
    let more = Wish { replicas: 4, attempt: 1, ..patient };
    let indices = |moves: &Moves<'_>| moves.create.iter().map(|it| it.index).collect::<Vec<_>>();
    assert_eq!(indices(&moves(&more, &stored)), [3], "index 1 is that of the one which leaves");
    stored.remove(1);
    assert_eq!(indices(&moves(&Wish { replicas: 3, ..more }, &stored)), [1]);
}

#[test]
fn a_replica_of_several_hosts_comes_and_goes_whole() {
    let four = Wish { hosts: 4, ..wish(2) };
    let stored: Vec<Pod> = moves(&four, &[]).create.iter().map(seated).collect();
    assert_eq!(stored.len(), 8);

    let one = stored[0].name.clone();
    let named = Wish { named: vec![one.as_str()], attempt: 1, ..four.clone() };
    let now = moves(&named, &stored);
    assert_eq!(now.delete.len(), 4);
    assert!(now.delete.iter().all(|(pod, _)| pod.replica == stored[0].replica));
    assert_eq!(now.create.len(), 4, "the group still asks for two replicas");

    let shrunk = Wish { replicas: 1, ..four };
    assert_eq!(moves(&shrunk, &stored).delete.len(), 4);
}

#[test]
fn a_replica_that_lost_a_host_is_rebuilt_whole() {
    let four = Wish { hosts: 4, ..wish(1) };
    let stored: Vec<Pod> = moves(&four, &[]).create.iter().map(seated).collect();
    let now = moves(&Wish { attempt: 1, trims: false, ..four }, &stored[1..]);
    assert_eq!(now.delete.len(), 3);
    assert_eq!(now.create.len(), 4);
    let old: BTreeSet<&str> = stored.iter().map(|pod| pod.name.as_str()).collect();
    assert!(now.create.iter().all(|seat| !old.contains(seat.name.as_str())));
}

#[test]
fn a_replica_made_by_half_is_completed() {
    let four = Wish { hosts: 4, ..wish(1) };
    let seats = moves(&four, &[]).create;
    let stored: Vec<Pod> = seats.iter().take(2).map(seated).collect();
    let now = moves(&four, &stored);
    assert!(now.delete.is_empty());
    assert_eq!(now.create, seats[2..]);
}

#[test]
fn a_huge_count_is_reached_in_steps() {
    let now = moves(&wish(2_000_000_000), &[]);
    assert_eq!(now.create.len(), MOST_AT_ONCE);
    assert!(now.unfinished);
}

/// A world in which plans are carried out, and Pods fail and vanish.
#[derive(Debug)]
struct World {
    pods: Vec<Pod>,
    attempt: u64,
    ever: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let foreign = Pod { owner: "another".into(), ..pod("foreign") };
        Self { pods: vec![foreign], attempt: 0, ever: BTreeSet::new() }
    }

    /// Carries out the first `most` steps of a plan; whether that was all.
    fn act(&mut self, wish: &Wish<'_>, most: usize) -> bool {
        let wish = Wish { attempt: self.attempt, ..wish.clone() };
        let pods = self.pods.clone();
        let moves = moves(&wish, &pods);
        let steps = moves.delete.len() + moves.create.len();
        for (victim, _) in moves.delete.iter().take(most) {
            assert!(is_member(victim, UID, "pool"));
            self.retire(|pod| pod.uid == victim.uid);
        }
        for seat in moves.create.iter().take(most.saturating_sub(moves.delete.len())) {
            assert!(self.ever.insert(seat.name.clone()), "{} was used before", seat.name);
            self.pods.push(seated(seat));
        }
        steps <= most
    }

    fn retire(&mut self, gone: impl Fn(&Pod) -> bool) {
        let retired = self.pods.iter().filter(|pod| gone(pod)).map(|pod| pod.attempt + 1).max();
        self.attempt = self.attempt.max(retired.unwrap_or(0));
        self.pods.retain(|pod| !gone(pod));
    }

    fn members(&self) -> usize {
        self.pods.iter().filter(|pod| is_member(pod, UID, "pool")).count()
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Scale(usize),
    Crash(usize),
    Vanish(usize),
    Fail(usize),
    Name(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0_usize..6).prop_map(Happening::Scale),
        (0_usize..9).prop_map(Happening::Crash),
        (0_usize..9).prop_map(Happening::Vanish),
        (0_usize..9).prop_map(Happening::Fail),
        (0_usize..9).prop_map(Happening::Name),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_group_settles_at_what_is_asked_and_names_are_never_reused(
        hosts in 1_u32..4,
        trims: bool,
        happenings in proptest::collection::vec(happening(), 1..12),
    ) {
        let mut world = World::new();
        let mut wish = Wish { hosts, trims, ..wish(2) };
        let mut peak = 2;
        for happening in happenings {
            let name = |at: usize, world: &World| {
                let count = world.pods.len();
                world.pods[at % count].name.clone()
            };
            match happening {
                Happening::Scale(replicas) => wish.replicas = replicas,
                Happening::Crash(writes) => _ = world.act(&wish, writes),
                Happening::Vanish(at) => {
                    let name = name(at, &world);
                    world.retire(|pod| pod.name == name && pod.owner == UID);
                }
                Happening::Fail(at) => {
                    let name = name(at, &world);
                    let found = world.pods.iter_mut().find(|pod| pod.name == name);
                    if let Some(pod) = found { pod.phase = Phase::Failed; }
                }
                Happening::Name(at) => {
                    let name = name(at, &world);
                    let named = Wish { named: vec![&name], ..wish.clone() };
                    world.act(&named, usize::MAX);
                }
            }
            peak = peak.max(wish.replicas);
            prop_assert!(world.members() <= peak * hosts as usize);
        }
        let settled = (0..4).any(|_| world.act(&wish, usize::MAX)
            && moves(&Wish { attempt: world.attempt, ..wish.clone() }, &world.pods) == Moves::default());
        prop_assert!(settled);
        let asked = wish.replicas * hosts as usize;
        if trims {
            prop_assert_eq!(world.members(), asked);
        } else {
            prop_assert!(world.members() >= asked);
        }
        prop_assert!(world.pods.iter().any(|pod| pod.name == "foreign"));
    }
}
