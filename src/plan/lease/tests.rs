use proptest::prelude::*;
use serde_json::json;

use super::hold::{Counts, Field, Ground, Kept, Mover, Stand};
use super::*;

const NOW: &str = "2026-11-25T12:00:00Z";

fn cluster(autoscaling: bool, (replicas, min, max): (i64, i64, i64)) -> Value {
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "ns", "uid": "c"},
        "spec": {"enableInTreeAutoscaling": autoscaling, "workerGroupSpecs": [{
            "groupName": "small", "replicas": replicas, "minReplicas": min, "maxReplicas": max,
        }]},
    })
}

fn lease(name: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name, "generation": 1,
                     "creationTimestamp": "2026-11-25T11:00:00Z"},
        "spec": {"cluster": {"apiGroup": "ray.io", "name": "lab"}, "replicas": replicas,
                 "until": "2026-11-25T13:00:00Z", "requester": {"username": "jo"}},
    })
}

/// A cluster and its leases, as an API server and a controller would keep them.
struct World {
    cluster: Value,
    dialect: Dialect,
    leases: Vec<Value>,
    verdicts: BTreeMap<String, Verdict>,
    pods: Vec<Pod>,
    now: String,
}

impl World {
    fn new(cluster: Value, leases: &[Value]) -> Self {
        Self {
            cluster,
            dialect: Dialect::RayCluster,
            leases: leases.to_vec(),
            verdicts: BTreeMap::new(),
            pods: Vec::new(),
            now: NOW.to_owned(),
        }
    }

    fn plan(&self) -> Plan {
        let leases: Vec<Lease> = self.leases.iter().filter_map(Lease::read).collect();
        plan(&Observed {
            cluster: (!self.cluster.is_null()).then_some(&self.cluster),
            dialect: self.dialect,
            pods: &self.pods,
            leases: &leases,
            verdicts: &self.verdicts,
            now: self.now.parse().unwrap(),
        })
    }

    /// Plans and carries out till nothing is left; how many patches that took.
    fn settle(&mut self) -> usize {
        let mut patches = 0;
        for _ in 0..12 {
            let plan = self.plan();
            if let Some(ask) = &plan.ask {
                self.verdicts.entry(ask.lease.clone()).or_insert(Verdict::Allowed);
                continue;
            }
            let told = self.tell(&plan);
            if plan.operations.is_empty() && !told {
                return patches;
            }
            if !plan.binds && !plan.operations.is_empty() {
                apply(&mut self.cluster, &plan.operations);
                patches += 1;
            }
        }
        panic!("no end: {:?}", self.plan());
    }

    fn tell(&mut self, plan: &Plan) -> bool {
        let mut told = false;
        for object in &mut self.leases {
            let lease = Lease::read(object).unwrap();
            let Some(said) = plan.said.iter().find(|said| said.lease == lease.uid) else {
                continue;
            };
            if let Some(patch) = lease.tell(said, self.now.parse().unwrap()) {
                object["status"] = patch["status"].clone();
                told = true;
            }
        }
        told
    }

    fn said(&self, lease: usize) -> (String, String) {
        let status = &self.leases[lease]["status"];
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        (text(&status["phase"]), text(&status["conditions"][0]["reason"]))
    }

    fn phase(&self, lease: usize) -> String {
        self.said(lease).0
    }

    fn counts(&self) -> (i64, i64, i64) {
        let group = &self.cluster["spec"]["workerGroupSpecs"][0];
        let count = |key: &str| group[key].as_i64().unwrap_or(-1);
        (count("replicas"), count("minReplicas"), count("maxReplicas"))
    }

    fn set(&mut self, key: &str, value: i64) {
        self.cluster["spec"]["workerGroupSpecs"][0][key] = json!(value);
    }

    fn end(&mut self) {
        "2026-11-25T14:00:00Z".clone_into(&mut self.now);
    }

    fn kept(&self) -> Value {
        let text = self.cluster["metadata"]["annotations"][kept::ANNOTATION].as_str();
        text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }
}

/// As the API server does: a test of null also passes where nothing is.
fn apply(object: &mut Value, operations: &[Value]) {
    let mut rest = Vec::new();
    for operation in operations {
        if operation["op"] == "test" {
            let at = operation["path"].as_str().unwrap();
            let found = object.pointer(at).unwrap_or(&Value::Null);
            assert_eq!(found, &operation["value"], "{operation}");
        } else {
            rest.push(operation.clone());
        }
    }
    let patch: json_patch::Patch = serde_json::from_value(json!(rest)).unwrap();
    json_patch::patch(object, &patch).unwrap();
}

#[test]
fn a_group_is_held_and_goes_back_to_where_it_was() {
    for autoscaling in [false, true] {
        let mut world = World::new(cluster(autoscaling, (1, 0, 3)), &[lease("a", 5)]);
        let before = world.cluster.clone();
        assert_eq!(world.settle(), 1);
        assert_eq!(world.said(0), ("Active".into(), HELD.into()));
        let held = if autoscaling { (5, 5, 5) } else { (5, 0, 5) };
        assert_eq!(world.counts(), held);
        assert_eq!(world.kept()["small"]["lease"], "a");
        world.end();
        world.settle();
        assert_eq!(world.said(0), ("Ended".into(), EXPIRED.into()));
        if autoscaling {
            // Five run, and only the autoscaler says who goes.
            assert_eq!(world.counts(), (5, 0, 5));
            world.set("replicas", 4);
            world.settle();
            assert_eq!(world.counts(), (4, 0, 4));
            world.set("replicas", 1);
            world.settle();
            assert_eq!(world.counts(), (1, 0, 3));
        }
        world.cluster["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(world.cluster, before);
    }
}

#[test]
fn under_an_autoscaler_the_maximum_stays_above_the_pods_that_are_there() {
    let mut world = World::new(cluster(true, (1, 0, 3)), &[lease("a", 5)]);
    world.settle();
    world.pods = (0..4)
        .map(|n| {
            Pod::read(&json!({"metadata": {
                "name": format!("w{n}"), "uid": format!("w{n}"),
                "labels": {"ray.io/node-type": "worker", "ray.io/group": "small"},
                "ownerReferences": [{"controller": true, "uid": "c"}],
            }}))
        })
        .collect();
    // A lower count alone takes no worker away.
    world.set("replicas", 1);
    world.end();
    world.settle();
    assert_eq!((world.counts(), world.plan().again), ((1, 0, 4), Some(SHRINKS)));
    world.pods.clear();
    world.settle();
    assert_eq!((world.counts(), world.kept()), ((1, 0, 3), Value::Null));
}

#[test]
fn what_an_autoscaler_moves_above_the_count_is_nobodys_quarrel() {
    let mut world = World::new(cluster(true, (1, 0, 10)), &[lease("a", 5)]);
    world.settle();
    world.set("replicas", 8);
    assert_eq!(world.settle(), 0);
    assert_eq!(world.phase(0), "Active");
}

#[test]
fn a_field_that_is_changed_is_written_once_more_and_then_left() {
    let mut world = World::new(cluster(false, (1, 0, 10)), &[lease("a", 5)]);
    world.settle();
    world.set("replicas", 2);
    assert_eq!(world.settle(), 1);
    assert_eq!((world.counts().0, world.said(0).1), (5, HELD_AGAIN.to_owned()));
    world.set("replicas", 3);
    assert_eq!(world.settle(), 0);
    assert_eq!((world.counts().0, world.phase(0)), (3, "Contested".to_owned()));
    world.end();
    world.settle();
    assert_eq!((world.counts(), world.kept()), ((3, 0, 10), Value::Null));
}

#[test]
fn an_edit_that_was_written_over_comes_back_at_the_end() {
    let mut world = World::new(cluster(true, (1, 0, 10)), &[lease("a", 5)]);
    world.settle();
    world.set("minReplicas", 2);
    world.settle();
    assert_eq!(world.counts().1, 5);
    world.end();
    world.settle();
    assert_eq!(world.counts().1, 2);
}

#[test]
fn whoever_takes_the_annotation_away_is_another_writer_too() {
    let mut world = World::new(cluster(false, (1, 0, 10)), &[lease("a", 5)]);
    for reason in [HELD, HELD_AGAIN] {
        world.settle();
        assert_eq!(world.said(0), ("Active".into(), reason.into()));
        world.cluster = cluster(false, (2, 0, 10));
    }
    assert_eq!(world.settle(), 0);
    assert_eq!((world.phase(0), world.counts().0), ("Contested".to_owned(), 2));
}

#[test]
fn the_earlier_lease_holds_and_the_next_takes_over_from_the_first_originals() {
    let (mut early, late) = (lease("z", 5), lease("a", 7));
    early["metadata"]["creationTimestamp"] = json!("2026-11-25T10:00:00Z");
    early["spec"]["until"] = json!("2026-11-25T12:30:00Z");
    let mut world = World::new(cluster(false, (1, 0, 3)), &[late, early]);
    world.settle();
    assert_eq!((world.said(0).1, world.phase(1)), (HELD_BY_ANOTHER.to_owned(), "Active".into()));
    assert!(world.leases[0]["status"]["message"].as_str().unwrap().contains("lease z holds"));
    "2026-11-25T12:45:00Z".clone_into(&mut world.now);
    assert_eq!(world.settle(), 1);
    assert_eq!((world.phase(0), world.phase(1)), ("Active".to_owned(), "Ended".to_owned()));
    assert_eq!(world.counts(), (7, 0, 7));
    world.end();
    world.settle();
    assert_eq!(world.counts(), (1, 0, 3));
}

#[test]
fn a_lease_that_is_gone_gives_back_as_one_that_is_over() {
    let mut world = World::new(cluster(false, (1, 0, 3)), &[lease("a", 5)]);
    world.settle();
    world.leases.clear();
    world.settle();
    assert_eq!((world.counts(), world.kept()), ((1, 0, 3), Value::Null));
}

#[test]
fn a_lease_ends_with_its_cluster_and_another_of_the_same_name_is_left_alone() {
    let mut world = World::new(cluster(false, (1, 0, 10)), &[lease("a", 5)]);
    world.settle();
    world.cluster = Value::Null;
    world.settle();
    assert_eq!(world.said(0), ("Ended".into(), CLUSTER_GONE.into()));
    let mut next = cluster(false, (1, 0, 10));
    next["metadata"]["uid"] = json!("another");
    world.cluster = next.clone();
    assert_eq!(world.settle(), 0);
    assert_eq!((world.said(0).1, &world.cluster), (CLUSTER_REPLACED.to_owned(), &next));
}

#[test]
fn a_lease_waits_for_a_cluster_that_is_not_there_yet() {
    let mut world = World::new(Value::Null, &[lease("a", 5)]);
    world.settle();
    assert_eq!(world.said(0), ("Pending".into(), NO_CLUSTER.into()));
    world.cluster = cluster(false, (1, 0, 10));
    world.settle();
    assert_eq!((world.phase(0), world.counts().0), ("Active".to_owned(), 5));
}

#[test]
fn nothing_is_written_for_a_requester_who_may_not_and_the_next_has_its_turn() {
    let mut world = World::new(cluster(false, (1, 0, 10)), &[lease("a", 5), lease("b", 4)]);
    let no = Verdict::Refused { reason: NOT_ALLOWED, message: "jo may not".to_owned() };
    world.verdicts.insert("a".to_owned(), no);
    world.settle();
    assert_eq!(world.said(0), ("Refused".into(), NOT_ALLOWED.into()));
    assert_eq!((world.phase(1), world.counts().0), ("Active".to_owned(), 4));
    // It stays refused without being asked again, till its spec changes.
    world.verdicts.clear();
    assert_eq!(world.settle(), 0);
    assert_eq!(world.phase(0), "Refused");
}

#[test]
fn a_requester_who_lost_the_right_meanwhile_loses_the_group_at_the_next_write() {
    let mut world = World::new(cluster(false, (1, 0, 3)), &[lease("a", 5)]);
    world.settle();
    let no = Verdict::Refused { reason: NOT_ALLOWED, message: "jo may not".to_owned() };
    world.verdicts.insert("a".to_owned(), no);
    world.set("replicas", 2);
    world.settle();
    assert_eq!(world.said(0), ("Refused".into(), NOT_ALLOWED.into()));
    assert_eq!((world.counts(), world.kept()), ((2, 0, 3), Value::Null));
}

#[test]
fn a_lease_that_is_over_and_is_moved_on_holds_again() {
    let mut world = World::new(cluster(false, (1, 0, 3)), &[lease("a", 5)]);
    world.settle();
    world.end();
    world.settle();
    world.leases[0]["spec"]["until"] = json!("2026-11-25T18:00:00Z");
    world.leases[0]["metadata"]["generation"] = json!(2);
    world.settle();
    assert_eq!((world.said(0).1, world.counts().0), (HELD.to_owned(), 5));
}

#[test]
fn the_next_look_is_when_the_first_lease_ends() {
    let world = World::new(Value::Null, &[lease("a", 5)]);
    assert_eq!(world.plan().again, Some(Duration::from_hours(1)));
}

#[test]
fn what_cannot_be_held_is_refused_with_the_way_out() {
    let mut nobody = lease("a", 5);
    nobody["spec"].as_object_mut().unwrap().remove("requester");
    let mut endless = lease("a", 5);
    endless["spec"]["until"] = json!("soon");
    let mut service = cluster(false, (1, 0, 10));
    service["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "ray.io/v1", "kind": "RayService", "name": "front", "controller": true}]);
    let mut two = cluster(false, (1, 0, 10));
    let mut other = two["spec"]["workerGroupSpecs"][0].clone();
    other["groupName"] = json!("large");
    two["spec"]["workerGroupSpecs"].as_array_mut().unwrap().push(other);
    let plain = cluster(false, (1, 0, 10));
    for (cluster, lease, reason) in [
        (plain.clone(), nobody, NO_REQUESTER),
        (plain, endless, UNTIL_UNREADABLE),
        (service, lease("a", 5), PARENT_DECIDES),
        (two, lease("a", 5), GROUP_UNCLEAR),
    ] {
        let mut world = World::new(cluster.clone(), &[lease]);
        assert_eq!(world.settle(), 0);
        assert_eq!(world.said(0), ("Refused".into(), reason.into()));
        assert_eq!(world.cluster, cluster);
    }
}

#[test]
fn dominos_one_group_is_held_with_its_bounds() {
    let domino = json!({
        "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "ns", "uid": "c"},
        "spec": {"worker": {"replicas": 2}, "autoscaling": {"maxReplicas": 3}},
    });
    let mut object = lease("a", 5);
    object["spec"]["cluster"]["apiGroup"] = json!("distributed-compute.dominodatalab.com");
    let mut world = World::new(domino.clone(), &[object]);
    world.dialect = Dialect::Domino;
    world.settle();
    let spec = &world.cluster["spec"];
    assert_eq!(spec["worker"]["replicas"], 5);
    assert_eq!(spec["autoscaling"], json!({"maxReplicas": 5, "minReplicas": 5}));
    world.end();
    world.settle();
    assert_eq!(world.cluster["spec"], domino["spec"]);
}

#[test]
fn a_forged_annotation_raises_no_maximum() {
    let mut world = World::new(cluster(false, (1, 0, 10)), &[]);
    let forged = json!({"small": {"lease": "x", "uid": "x",
        "original": {"replicas": 900, "minReplicas": 800, "maxReplicas": 1000},
        "written": {"replicas": 1, "minReplicas": 0, "maxReplicas": 10}}});
    world.cluster["metadata"]["annotations"] = json!({(kept::ANNOTATION): forged.to_string()});
    world.settle();
    let (replicas, min, max) = world.counts();
    assert!(min <= replicas && replicas <= max && max == 10, "{:?}", world.counts());
}

fn movers() -> impl Strategy<Value = Mover> {
    prop_oneof![Just(Mover::Nobody), Just(Mover::Ray), Just(Mover::Horizontal)]
}

fn grounds() -> impl Strategy<Value = Ground> {
    (movers(), 0_i64..9, 0_i64..9, 0_i64..9).prop_map(|(mover, min, more, room)| {
        let replicas = min + more;
        let counts =
            Counts { replicas: Some(replicas), min: Some(min), max: Some(replicas + room) };
        Ground { counts, mover, bounded: true, min_default: 0, present: replicas }
    })
}

fn at(ground: Ground, counts: Counts) -> Ground {
    let present = counts.replicas.unwrap_or(0);
    Ground { counts, present, ..ground }
}

fn in_order(counts: Counts) -> bool {
    let count = |field| counts.get(field).unwrap_or(0);
    count(Field::Min) <= count(Field::Replicas) && count(Field::Replicas) <= count(Field::Max)
}

proptest! {
    #[test]
    fn what_nobody_touched_comes_back_as_it_was(ground in grounds(), count in 0_i64..20) {
        let (held, kept) = ground.take(count, &Kept::new());
        prop_assert!(in_order(held), "{:?}", held);
        let there = at(ground, held);
        prop_assert_eq!(there.stand(count, &kept), Stand::Suits);
        let (mut back, mut left) = there.give_back(&kept);
        if ground.mover == Mover::Ray {
            // The autoscaler takes what is idle, and the maximum follows.
            prop_assert!(in_order(back), "{:?}", back);
            prop_assert!(back.max >= held.replicas);
            let idle = back.min.max(ground.counts.replicas.min(held.replicas));
            (back, left) = at(ground, back.with(Field::Replicas, idle)).give_back(&left);
            back.replicas = ground.counts.replicas;
        }
        prop_assert_eq!((back, left), (ground.counts, Kept::new()));
    }

    #[test]
    fn bounds_stay_in_order_and_edits_survive(
        ground in grounds(), count in 0_i64..20, edit in 0_i64..30, which in 0_usize..3,
    ) {
        let (held, kept) = ground.take(count, &Kept::new());
        let field = Field::ALL[which];
        let edited = held.with(field, Some(edit));
        prop_assume!(in_order(edited) && held != edited);
        let (back, _) = at(ground, edited).give_back(&kept);
        prop_assert!(in_order(back), "{:?} {:?} {:?}", held, edited, back);
        // A count under a horizontal autoscaler follows its bounds.
        let follows = field == Field::Replicas && ground.mover != Mover::Nobody;
        prop_assert!(follows || back.get(field) == Some(edit), "{:?} {:?}", edited, back);
    }

    #[test]
    fn writing_again_suits_and_keeps_the_edit(
        ground in grounds(), count in 1_i64..20, edit in 0_i64..30, which in 0_usize..3,
    ) {
        let (held, kept) = ground.take(count, &Kept::new());
        let there = at(ground, held.with(Field::ALL[which], Some(edit)));
        if there.stand(count, &kept) == Stand::Suits {
            return Ok(());
        }
        let (again, kept) = there.again(count, &kept);
        let there = at(ground, again);
        prop_assert_eq!(there.stand(count, &kept), Stand::Suits);
        prop_assert_eq!(there.again(count, &kept), (again, kept));
    }
}
