use proptest::prelude::*;
use serde_json::json;

use super::*;

fn amount(spec: &Value, name: &str) -> String {
    of_pod(spec, None).get(name).decimal()
}

fn asks(cpu: &str) -> Value {
    json!({"resources": {"requests": {"cpu": cpu}}})
}

#[test]
fn a_limit_stands_for_a_request_that_is_not_written() {
    let container = json!({"resources": {
        "requests": {"cpu": "500m"}, "limits": {"cpu": 2, "memory": "1Gi", "nvidia.com/gpu": "1"},
    }});
    let amounts = of_container(&container);
    let found: Vec<_> = amounts.iter().map(|(name, it)| (name, it.decimal())).collect();
    let expected = [("cpu", "0.5"), ("memory", "1073741824"), ("nvidia.com/gpu", "1")];
    assert_eq!(found, expected.map(|(name, it)| (name, it.to_owned())));
}

#[test]
fn what_cannot_be_read_and_what_is_negative_counts_as_nothing() {
    let container = json!({"resources": {"requests": {"cpu": "many", "memory": "-1Gi"}}});
    assert!(of_container(&container).iter().all(|(_, amount)| amount.is_zero()));
    assert_eq!(of_pod(&Value::Null, None), Amounts::default());
}

#[test]
fn an_init_container_counts_only_where_it_needs_more_than_all_that_runs_later() {
    let spec =
        |init: &str| json!({"containers": [asks("1"), asks("2")], "initContainers": [asks(init)]});
    assert_eq!(amount(&spec("2"), "cpu"), "3");
    assert_eq!(amount(&spec("5"), "cpu"), "5");
}

#[test]
fn an_init_container_that_goes_on_running_is_added_to_all_that_comes_behind_it() {
    let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}});
    let behind = json!({"containers": [asks("1")], "initContainers": [sidecar, asks("4")]});
    assert_eq!(amount(&behind, "cpu"), "5");
    let before = json!({"containers": [asks("1")], "initContainers": [asks("4"), sidecar]});
    assert_eq!(amount(&before, "cpu"), "4");
    let small = json!({"containers": [asks("1")], "initContainers": [asks("1"), sidecar]});
    assert_eq!(amount(&small, "cpu"), "2");
}

#[test]
fn the_pod_as_a_whole_stands_over_its_containers_and_overhead_comes_on_top() {
    let mut spec = json!({"containers": [asks("1")], "overhead": {"cpu": "250m"}});
    assert_eq!(amount(&spec, "cpu"), "1.25");
    spec["resources"] = json!({"requests": {"cpu": "3"}, "limits": {"memory": "2Gi", "x/y": "1"}});
    assert_eq!(amount(&spec, "cpu"), "3.25");
    assert_eq!(amount(&spec, "memory"), "2147483648");
    assert_eq!(amount(&spec, "x/y"), "0");
}

#[test]
fn a_container_that_somebody_adds_runs_beside_the_others() {
    let (spec, added) = (json!({"containers": [asks("1")]}), asks("500m"));
    assert_eq!(of_pod(&spec, Some(&added)).get("cpu").decimal(), "1.5");
}

proptest! {
    #[test]
    fn neither_order_nor_splitting_of_containers_matters(
        milli in prop::collection::vec(0_u32..10_000, 1..6),
        init in prop::collection::vec(0_u32..10_000, 0..4),
        cut in 0_u32..10_000,
        turn in 0_usize..6,
    ) {
        let all = |list: &[u32]| -> Vec<Value> {
            list.iter().map(|it| asks(&format!("{it}m"))).collect()
        };
        let spec = json!({"containers": all(&milli), "initContainers": all(&init)});
        let expected = milli.iter().sum::<u32>().max(init.iter().copied().max().unwrap_or(0));
        let expected = Quantity::parse(&format!("{expected}m")).unwrap();
        prop_assert_eq!(of_pod(&spec, None).get("cpu"), expected);

        let (mut turned, mut turned_init) = (milli.clone(), init.clone());
        turned.rotate_left(turn % milli.len());
        turned_init.reverse();
        let cut = cut.min(turned[0]);
        turned[0] -= cut;
        turned.push(cut);
        let spec = json!({"containers": all(&turned), "initContainers": all(&turned_init)});
        prop_assert_eq!(of_pod(&spec, None).get("cpu"), expected);
    }
}
