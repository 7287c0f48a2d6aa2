use serde_json::json;

use super::*;

fn cluster() -> Value {
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "demo", "namespace": "a", "uid": "u"},
        "spec": {"workerGroupSpecs": [
            {"groupName": "small", "replicas": 3, "minReplicas": 1, "maxReplicas": 5},
            {"groupName": "gpu", "replicas": 1, "maxReplicas": 2},
        ]},
    })
}

fn pod(name: &str, group: &str, uid: &str) -> Pod {
    Pod::read(&json!({"metadata": {
        "name": name, "labels": {"ray.io/node-type": "worker", "ray.io/group": group},
        "ownerReferences": [{"controller": true, "uid": uid}]}}))
}

fn wanted(group: &str, replicas: i32, victims: &[&str]) -> Wanted {
    let victims = victims.iter().map(|it| (*it).to_owned()).collect();
    Wanted { group: Some(group.to_owned()).filter(|it| !it.is_empty()), replicas, victims }
}

fn planned(object: &Value, wanted: &Wanted) -> Result<Planned, Fault> {
    let pods = [
        pod("a", "small", "u"),
        pod("b", "small", "u"),
        pod("g", "gpu", "u"),
        pod("x", "small", "other"),
    ];
    let terms = Terms { ceiling: Some(4) };
    plan(Given { object, dialect: Dialect::RayCluster, pods: &pods, terms }, wanted, None)
}

fn code(object: &Value, asked: &Wanted) -> Code {
    planned(object, asked).unwrap_err().code
}

/// As the API server applies it: a test of null holds where there is nothing.
fn applied(object: &Value, operations: &[Value]) -> Result<Value, String> {
    let (tests, changes): (Vec<_>, Vec<_>) = operations.iter().partition(|it| it["op"] == "test");
    for test in tests {
        let found = object.pointer(test["path"].as_str().unwrap()).unwrap_or(&Value::Null);
        if *found != test["value"] {
            return Err(format!("{test} on {found}"));
        }
    }
    let changes: Vec<Value> = changes.into_iter().cloned().collect();
    let patch: json_patch::Patch = serde_json::from_value(changes.into()).unwrap();
    let mut after = object.clone();
    json_patch::patch(&mut after, &patch).map(|()| after).map_err(|error| error.to_string())
}

#[test]
fn a_count_within_the_bounds_is_written_and_nothing_else() {
    let object = cluster();
    let plan = planned(&object, &wanted("small", 4, &[])).unwrap();
    assert_eq!((plan.from, plan.to), (Some(3), 4));
    let mut expected = object.clone();
    expected["spec"]["workerGroupSpecs"][0]["replicas"] = json!(4);
    assert_eq!(applied(&object, &plan.operations), Ok(expected));
    assert!(planned(&object, &wanted("small", 3, &[])).unwrap().operations.is_empty());
}

#[test]
fn what_was_decided_from_is_tested() {
    let object = cluster();
    let plan = planned(&object, &wanted("small", 4, &[])).unwrap();
    for (at, value) in [
        ("/metadata/uid", json!("another")),
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/spec/suspend", json!(true)),
        ("/spec/enableInTreeAutoscaling", json!(true)),
        ("/spec/workerGroupSpecs/0/groupName", json!("other")),
        ("/spec/workerGroupSpecs/0/maxReplicas", json!(3)),
        ("/spec/workerGroupSpecs/0/suspend", json!(true)),
    ] {
        let add = json!([{"op": "add", "path": at, "value": value}]);
        let moved = applied(&object, add.as_array().unwrap()).unwrap();
        assert!(applied(&moved, &plan.operations).is_err(), "{at}");
    }
    let mut counted = object.clone();
    counted["spec"]["workerGroupSpecs"][0]["replicas"] = json!(1);
    assert!(applied(&counted, &plan.operations).is_ok(), "the count itself moves");
}

#[test]
fn a_count_outside_the_bounds_is_refused_and_names_them() {
    let object = cluster();
    let fault = planned(&object, &wanted("gpu", 3, &[])).unwrap_err();
    assert_eq!(fault.code, Code::AboveMax);
    assert!(fault.message.contains("spec.workerGroupSpecs[1].maxReplicas is 2"), "{fault}");
    assert_eq!(code(&object, &wanted("small", 0, &[])), Code::BelowMin);
    assert_eq!(code(&object, &wanted("small", 5, &[])), Code::AboveCeiling);
    let mut odd = object.clone();
    odd["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!("many");
    assert_eq!(code(&odd, &wanted("small", 4, &[])), Code::InvalidAutoscaling);
}

#[test]
fn a_group_is_named_where_there_are_several() {
    let object = cluster();
    let fault = planned(&object, &wanted("", 2, &[])).unwrap_err();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (Code::BadRequest, "group is missing; this cluster has small, gpu")
    );
    assert_eq!(code(&object, &wanted("big", 2, &[])), Code::NotFound);
    let mut single = object.clone();
    single["spec"]["workerGroupSpecs"].as_array_mut().unwrap().pop();
    assert_eq!(planned(&single, &wanted("", 2, &[])).unwrap().group, "small");
    single["spec"]["workerGroupSpecs"] = json!([]);
    assert_eq!(code(&single, &wanted("", 2, &[])), Code::NotScalable);
}

#[test]
fn under_rays_autoscaler_a_count_is_only_raised_and_no_worker_named() {
    let mut object = cluster();
    object["spec"]["enableInTreeAutoscaling"] = json!(true);
    let fault = planned(&object, &wanted("small", 2, &[])).unwrap_err();
    assert_eq!(fault.code, Code::AutoscalerOwns);
    for way in ["idleTimeoutSeconds", "maxReplicas", "enableInTreeAutoscaling"] {
        assert!(fault.message.contains(way), "{fault}");
    }
    assert_eq!(code(&object, &wanted("small", 4, &["a"])), Code::AutoscalerOwns);
    let plan = planned(&object, &wanted("small", 4, &[])).unwrap();
    let mut moved = object.clone();
    moved["spec"]["workerGroupSpecs"][0]["replicas"] = json!(5);
    assert!(applied(&moved, &plan.operations).is_err(), "the autoscaler was faster");
}

#[test]
fn workers_that_go_are_of_the_group_and_no_more_than_go() {
    let object = cluster();
    let plan = planned(&object, &wanted("small", 2, &["b"])).unwrap();
    let after = applied(&object, &plan.operations).unwrap();
    assert_eq!(
        after["spec"]["workerGroupSpecs"][0]["scaleStrategy"],
        json!({"workersToDelete": ["b"]})
    );
    for (replicas, victims) in
        [(2, &["g"][..]), (2, &["x"]), (2, &["nobody"]), (2, &["a", "b"]), (3, &["a"])]
    {
        let asked = wanted("small", replicas, victims);
        assert_eq!(code(&object, &asked), Code::NoSuchWorker, "{asked:?}");
    }
}

#[test]
fn what_is_not_scaled_here_is_refused_with_where_it_is() {
    let changed = |at: &str, value: Value| {
        let add = json!([{"op": "add", "path": at, "value": value}]);
        applied(&cluster(), add.as_array().unwrap()).unwrap()
    };
    let owner = |kind: &str| json!([{"apiVersion": "ray.io/v1", "kind": kind, "name": "serve", "uid": "p", "controller": true}]);
    let asked = wanted("small", 4, &[]);
    for (object, expected) in [
        (changed("/spec/suspend", json!(true)), Code::Suspended),
        (changed("/spec/workerGroupSpecs/0/suspend", json!(true)), Code::Suspended),
        (changed("/spec/managedBy", json!("kueue.x-k8s.io/multikueue")), Code::ManagedElsewhere),
        (changed("/metadata/ownerReferences", owner("RayService")), Code::ParentOwns),
        (changed("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")), Code::Conflict),
    ] {
        assert_eq!(code(&object, &asked), expected);
    }
    assert!(planned(&changed("/metadata/ownerReferences", owner("RayJob")), &asked).is_ok());
}

#[test]
fn a_request_that_was_done_is_not_done_again() {
    let object = cluster();
    let terms = Terms::default();
    let asked = wanted("small", 4, &[]);
    let key = Key::of("ada", "k", &[b"4"]);
    let given = |object| Given { object, dialect: Dialect::RayCluster, pods: &[], terms };
    let first = plan(given(&object), &asked, Some(&key)).unwrap();
    let mut after = applied(&object, &first.operations).unwrap();
    after["spec"]["workerGroupSpecs"][0]["replicas"] = json!(2);
    let second = plan(given(&after), &asked, Some(&key)).unwrap();
    assert!(second.replayed && second.operations.is_empty());
    assert_eq!(second.to, 2, "what stands is told");
}

#[test]
fn a_domino_cluster_is_scaled_within_its_maximum() {
    let object = json!({
        "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
        "metadata": {"name": "demo", "namespace": "a", "uid": "u"},
        "spec": {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}, "worker": {"replicas": 1}},
    });
    let terms = Terms { ceiling: None };
    let of = |asked: &Wanted| {
        let given = Given { object: &object, dialect: Dialect::Domino, pods: &[], terms };
        plan(given, asked, Some(&Key::of("ada", "k", &[])))
    };
    let after = applied(&object, &of(&wanted("", 3, &[])).unwrap().operations).unwrap();
    assert_eq!(after.pointer("/spec/worker/replicas"), Some(&json!(3)));
    assert_eq!(after.pointer("/spec/autoscaling/minReplicas"), Some(&json!(3)));
    assert!(after.pointer("/metadata/annotations/raywarden.io~1scale-keys").is_some());
    assert_eq!(of(&wanted("worker", 4, &[])).unwrap_err().code, Code::AboveMax);
    assert_eq!(of(&wanted("", 0, &[])).unwrap_err().code, Code::ZeroWorkers);
    assert_eq!(of(&wanted("", 2, &["a"])).unwrap_err().code, Code::BadRequest);
}
