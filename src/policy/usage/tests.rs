use proptest::prelude::*;
use serde_json::json;

use super::*;

fn template(cpu: &str) -> Value {
    json!({"spec": {"containers": [{"name": "ray", "resources": {"limits": {
        "cpu": cpu, "nvidia.com/gpu": "1",
    }}}]}})
}

fn cluster(name: &str, autoscaling: bool, groups: &[Value]) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {
            "enableInTreeAutoscaling": autoscaling,
            "headGroupSpec": {"template": {"spec": {"containers": [{"name": "ray-head"}]}}},
            "workerGroupSpecs": groups,
        },
    })
}

fn sums(object: &Value) -> Sums {
    measure(&Settings::default(), Dialect::RayCluster, object).unwrap()
}

fn whole(count: i64) -> Figure {
    Figure { amount: Quantity::whole(count), unbounded: 0 }
}

#[test]
fn a_cluster_is_its_head_with_the_autoscaler_and_every_group_at_its_most() {
    let group = json!({"groupName": "a", "replicas": 1, "maxReplicas": 4, "numOfHosts": 2,
                       "template": template("2")});
    let scaling = sums(&cluster("lab", true, std::slice::from_ref(&group)));
    assert_eq!((scaling.replicas, scaling.pods, scaling.gpus), (whole(4), whole(9), whole(8)));
    assert_eq!(scaling.resource("cpu").amount.spelled(), "16500m");
    assert_eq!(scaling.resource("memory").amount.spelled_binary(), "512Mi");
    let fixed = sums(&cluster("lab", false, std::slice::from_ref(&group)));
    assert_eq!((fixed.replicas, fixed.pods), (whole(1), whole(3)));
    assert_eq!(fixed.resource("cpu").amount.spelled(), "4");
    assert_eq!(fixed.resource("memory"), Figure::default());
}

#[test]
fn the_autoscalers_own_size_counts_and_a_container_that_is_there_counts_once() {
    let mut object = cluster("lab", true, &[]);
    object["spec"]["autoscalerOptions"] = json!({"resources": {"limits": {"cpu": "2"}}});
    assert_eq!(sums(&object).resource("cpu").amount.spelled(), "2");
    let containers = &mut object["spec"]["headGroupSpec"]["template"]["spec"]["containers"];
    let sidecar = json!({"name": "autoscaler", "resources": {"limits": {"cpu": "1"}}});
    containers.as_array_mut().unwrap().push(sidecar);
    assert_eq!(sums(&object).resource("cpu").amount.spelled(), "1");
}

#[test]
fn a_group_without_a_maximum_is_unbounded_in_what_it_asks_for_alone() {
    let sums = sums(&cluster("lab", true, &[json!({"template": template("1")})]));
    assert!(sums.replicas.exceeds(Quantity::whole(i64::MAX)));
    assert_eq!((sums.pods.unbounded, sums.gpus.unbounded), (1, 1));
    assert!(!sums.resource("memory").exceeds(Quantity::parse("512Mi").unwrap()));
}

#[test]
fn dominos_workers_and_head_are_counted_without_resources() {
    let object = json!({
        "metadata": {"name": "ray-1", "namespace": "team-a"},
        "spec": {"autoscaling": {"minReplicas": 1, "maxReplicas": 5}, "worker": {"replicas": 2}},
    });
    let sums = measure(&Settings::default(), Dialect::Domino, &object).unwrap();
    assert_eq!((sums.replicas, sums.pods), (whole(5), whole(6)));
    assert!(sums.resources.is_empty());
}

#[test]
fn a_namespace_is_all_of_its_clusters_but_the_one_that_is_asked_about() {
    let settings = Settings::default();
    let of = |max: i64| json!({"replicas": 1, "maxReplicas": max, "template": template("1")});
    let (one, two) = (cluster("one", true, &[of(3)]), cluster("two", true, &[of(5)]));
    let mut usage = Usage::default();
    usage.insert(&settings, Dialect::RayCluster, "team-a", &cluster("one", true, &[of(100)]));
    usage.insert(&settings, Dialect::RayCluster, "team-a", &one);
    usage.insert(&settings, Dialect::RayCluster, "team-a", &two);
    let beside = |usage: &Usage, object: &Value| {
        let view = Dialect::RayCluster.view(object).unwrap();
        usage.beside("team-a", "RayCluster", &view).replicas
    };
    assert_eq!(beside(&usage, &one), whole(5));
    assert_eq!(beside(&usage, &cluster("three", true, &[of(1)])), whole(8));
    usage.remove(Dialect::RayCluster, "team-a", &two);
    assert_eq!(beside(&usage, &one), Figure::default());
    usage.remove(Dialect::RayCluster, "team-a", &one);
    assert!(usage.namespaces.is_empty());
}

#[test]
fn what_changes_no_bound_changes_no_sum_and_what_differs_is_named() {
    let settings = Settings::default();
    let (ray, domino) = (Dialect::RayCluster, Dialect::Domino);
    let of = |replicas: i64, max: i64| {
        cluster("one", true, &[json!({"replicas": replicas, "maxReplicas": max})])
    };
    let mut usage = Usage::default();
    assert!(usage.insert(&settings, ray, "team-a", &of(1, 4)) && !usage.is_empty());
    let before = usage.clone();
    assert!(!usage.insert(&settings, ray, "team-a", &of(3, 4)));
    assert!(usage.differing(&before).is_empty());
    assert!(usage.insert(&settings, ray, "team-a", &of(3, 5)));
    assert!(usage.insert(&settings, ray, "team-b", &of(1, 4)));
    assert_eq!(Vec::from_iter(usage.differing(&before)), ["team-a", "team-b"]);
    assert_eq!(usage.differing(&before), before.differing(&usage));
    // A list stands for its own kind alone.
    let theirs = json!({"metadata": {"name": "one"}, "spec": {"worker": {"replicas": 2}}});
    assert!(usage.insert(&settings, domino, "team-a", &theirs));
    usage.replace(ray, Usage::default());
    assert!(!usage.remove(ray, "team-a", &of(1, 4)) && !usage.remove(ray, "team-c", &of(1, 4)));
    assert!(usage.remove(domino, "team-a", &theirs) && usage.is_empty());
}

#[test]
fn the_clusters_of_a_job_are_not_counted_beside_the_job_itself() {
    let settings = Settings::default();
    let mut child = cluster("nightly-x", true, &[json!({"maxReplicas": 4})]);
    child["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "nightly", "controller": true},
    ]);
    let mut usage = Usage::default();
    usage.insert(&settings, Dialect::RayCluster, "team-a", &child);
    let job = json!({"metadata": {"name": "nightly"}, "spec": {"rayClusterSpec": {}}});
    let embedded = Dialect::Embedded(Parent::RayJob);
    assert_eq!(measure(&settings, embedded, &job), None);
    let view = embedded.view(&job).unwrap();
    assert_eq!(usage.beside("team-a", "RayJob", &view), Sums::default());
    assert_eq!(usage.beside("team-a", "RayService", &view).replicas, whole(4));
}

proptest! {
    #[test]
    fn the_sums_of_a_namespace_are_those_of_its_clusters_however_they_came_about(
        writes in prop::collection::vec(
            (0_usize..4, 0_i64..6, 0_u32..4000, any::<bool>(), any::<bool>()), 0..24,
        ),
    ) {
        let settings = Settings::default();
        let mut usage = Usage::default();
        let mut stored: BTreeMap<String, Value> = BTreeMap::new();
        for (index, max, milli, bounded, deleted) in writes {
            let name = format!("c{index}");
            let mut group = json!({"replicas": 1, "template": template(&format!("{milli}m"))});
            if bounded {
                group["maxReplicas"] = json!(max);
            }
            let object = cluster(&name, true, &[group]);
            let changed = if deleted {
                usage.remove(Dialect::RayCluster, "team-a", &object)
                    == stored.remove(&name).is_some()
            } else {
                let differs = stored.get(&name).is_none_or(|it| sums(it) != sums(&object));
                let told = usage.insert(&settings, Dialect::RayCluster, "team-a", &object);
                stored.insert(name, object);
                told == differs
            };
            prop_assert!(changed);
        }
        let nobody = cluster("nobody", true, &[]);
        let beside = usage.beside(
            "team-a", "RayCluster", &Dialect::RayCluster.view(&nobody).unwrap(),
        );
        let mut wanted = Sums::default();
        for it in stored.values() {
            wanted += &sums(it);
        }
        prop_assert_eq!(beside, wanted);
        let mut again = Usage::default();
        again.replace(Dialect::RayCluster, usage.clone());
        prop_assert!(again.differing(&usage).is_empty());
    }

    #[test]
    fn sums_are_exact_whatever_the_order_of_groups(
        figures in prop::collection::vec((0_i64..50, 1_i64..4, 0_u32..8000), 0..8),
        turn in 0_usize..8,
    ) {
        let group = |(index, (max, hosts, milli)): (usize, &(i64, i64, u32))| json!({
            "groupName": format!("g{index}"), "maxReplicas": max, "numOfHosts": hosts,
            "template": template(&format!("{milli}m")),
        });
        let mut groups: Vec<Value> = figures.iter().enumerate().map(group).collect();
        let there = sums(&cluster("lab", true, &groups));
        let pods: i64 = figures.iter().map(|(max, hosts, _)| max * hosts).sum();
        let milli: i64 =
            figures.iter().map(|(max, hosts, milli)| max * hosts * i64::from(*milli)).sum();
        prop_assert_eq!(there.pods, whole(pods + 1));
        prop_assert_eq!(there.gpus, whole(pods));
        let cpu = Quantity::parse(&format!("{}m", milli + 500)).unwrap();
        prop_assert_eq!(there.resource("cpu").amount, cpu);
        if !groups.is_empty() {
            let turn = turn % groups.len();
            groups.rotate_left(turn);
        }
        prop_assert_eq!(sums(&cluster("lab", true, &groups)), there);
    }
}
