use super::*;
use crate::inject::for_pod;
use crate::model::Settings;

fn cluster() -> Value {
    json!({
        "metadata": {"name": "lab"},
        "spec": {
            "enableInTreeAutoscaling": true,
            "autoscalerOptions": {"version": "v2"},
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [
                {"name": "ray-head", "image": "x:1"}]}}},
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": 1, "minReplicas": 0, "maxReplicas": 4,
                "template": {"spec": {"containers": [{"name": "ray-worker", "image": "x:1"}]}},
            }],
        },
    })
}

fn with(pointer: &str, key: &str, value: Value) -> Value {
    let mut object = cluster();
    object.pointer_mut(pointer).unwrap()[key] = value;
    object
}

#[test]
fn injection_by_any_release_leaves_the_hash_as_it_is() {
    let mut injected = for_pod(&cluster(), &Settings::default()).into_owned();
    assert_ne!(injected, cluster());
    assert_eq!(hash(&injected), hash(&cluster()));
    let head = injected.pointer_mut("/spec/headGroupSpec/template/spec").unwrap();
    head["containers"][1]["args"] = json!(["a line of another release"]);
    head["tolerations"] = json!([{"key": "a"}]);
    assert_eq!(hash(&injected), hash(&cluster()));
}

#[test]
fn scaling_suspending_and_queues_leave_the_hash_as_it_is() {
    let group = "/spec/workerGroupSpecs/0";
    let toleration = || json!([{"key": "a"}]);
    for object in [
        with(group, "replicas", json!(3)),
        with(group, "minReplicas", json!(1)),
        with(group, "maxReplicas", json!(9)),
        with(group, "scaleStrategy", json!({"workersToDelete": ["a"]})),
        with("/spec", "upgradeStrategy", json!({"type": "Recreate"})),
        with("/spec", "suspend", json!(false)),
        with("/spec", "idleSuspend", json!(true)),
        with("/spec/workerGroupSpecs/0/template/spec", "tolerations", toleration()),
        with("/spec/headGroupSpec/template/spec", "schedulingGates", json!([{"name": "kueue"}])),
        with("/metadata", "labels", json!({"a": "b"})),
    ] {
        assert_eq!(hash(&object), hash(&cluster()), "{object}");
    }
}

#[test]
fn what_runs_differently_has_another_hash() {
    for object in [
        with("/spec/headGroupSpec/template/spec/containers/0", "image", json!("x:2")),
        with("/spec/workerGroupSpecs/0/template/spec", "nodeSelector", json!({"a": "b"})),
        with("/spec/headGroupSpec/rayStartParams", "num-cpus", json!("0")),
        with("/spec/headGroupSpec/template/spec", "serviceAccountName", json!("reader")),
        with("/spec", "rayVersion", json!("2.60.0")),
        with("/spec/workerGroupSpecs/0", "numOfHosts", json!(2)),
    ] {
        assert_ne!(hash(&object), hash(&cluster()), "{object}");
    }
}

#[test]
fn the_order_of_members_and_what_is_empty_say_nothing() {
    let text = cluster().to_string().replace(
        r#""name":"ray-head","image":"x:1""#,
        r#""image":"x:1","env":[],"resources":{"limits":{}},"name":"ray-head""#,
    );
    assert_eq!(hash(&serde_json::from_str(&text).unwrap()), hash(&cluster()));
}
