use proptest::prelude::*;
use serde_json::json;

use super::*;

fn cluster(replicas: i64, min: Option<i64>, max: i64) -> Value {
    let mut object = json!({
        "metadata": {"name": "ray-1", "uid": "u1", "resourceVersion": "7", "labels": {OWNER: "ada"}},
        "spec": {"autoscaling": {"maxReplicas": max}, "worker": {"replicas": replicas}},
    });
    if let Some(min) = min {
        object["spec"]["autoscaling"]["minReplicas"] = min.into();
    }
    object
}

const NO_CEILING: Terms = Terms { ceiling: None };

fn ceiling(most: i32) -> Terms {
    Terms { ceiling: Some(most) }
}

/// The object after the patch, or why a test of it fails.
fn patched(object: &Value, change: &Change) -> Result<Value, String> {
    let mut object = object.clone();
    for operation in &change.operations {
        if operation["op"] == "test" {
            let path = operation["path"].as_str().unwrap();
            let found = object.pointer(path).unwrap_or(&Value::Null);
            if *found != operation["value"] {
                return Err(format!("{path} is {found}"));
            }
        } else {
            let patch: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
            json_patch::patch(&mut object, &patch).map_err(|error| error.to_string())?;
        }
    }
    Ok(object)
}

fn counts(object: &Value) -> (i64, i64, i64) {
    let at = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(-1);
    (
        at("/spec/worker/replicas"),
        at("/spec/autoscaling/minReplicas"),
        at("/spec/autoscaling/maxReplicas"),
    )
}

fn scaled(object: &Value, manner: Manner, replicas: i32, terms: Terms) -> Value {
    patched(object, &scale(object, manner, replicas, None, terms).unwrap()).unwrap()
}

#[test]
fn scaling_to_five_pins_the_minimum_and_leaves_one_above() {
    let object = cluster(1, Some(1), 10);
    let change = scale(&object, Manner::Pinned, 5, None, NO_CEILING).unwrap();
    assert_eq!(counts(&patched(&object, &change).unwrap()), (5, 5, 6));
    assert_eq!((change.from.replicas, change.from.bounds.max), (Some(1), Some(10)));
    assert!(!change.capped);
}

#[test]
fn the_patch_names_four_members_and_never_the_whole_object() {
    let object = cluster(1, Some(1), 10);
    let change = scale(&object, Manner::Pinned, 5, None, NO_CEILING).unwrap();
    let writes: Vec<&str> = change
        .operations
        .iter()
        .filter(|operation| operation["op"] != "test")
        .map(|operation| operation["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        writes,
        [
            "/spec/worker/replicas",
            "/spec/autoscaling/minReplicas",
            "/spec/autoscaling/maxReplicas",
            "/metadata/annotations",
        ]
    );
    assert!(!change.operations.iter().any(|it| it["path"] == "/metadata/resourceVersion"));
}

#[test]
fn the_ceiling_holds_the_count_and_the_room_above_it() {
    let object = cluster(1, Some(1), 10);
    assert_eq!(counts(&scaled(&object, Manner::Pinned, 5, ceiling(5))), (5, 5, 5));
    let fault = scale(&object, Manner::Pinned, 6, None, ceiling(5)).unwrap_err();
    assert_eq!(fault.code, Code::AboveCeiling);
    assert!(fault.message.contains("at most 5"), "{}", fault.message);
    assert_eq!(counts(&scaled(&object, Manner::Capped, 9, ceiling(5))), (5, 5, 10));
}

#[test]
fn what_exceeds_the_maximum_is_capped_and_the_maximum_stays() {
    let object = cluster(2, None, 4);
    let change = scale(&object, Manner::Capped, 9, None, NO_CEILING).unwrap();
    assert_eq!(counts(&patched(&object, &change).unwrap()), (4, 4, 4));
    assert!(change.capped);
    assert!(!scale(&object, Manner::Capped, 4, None, NO_CEILING).unwrap().capped);
}

#[test]
fn a_pinned_scale_is_no_new_maximum_for_a_capped_one() {
    let object = scaled(&cluster(1, Some(1), 10), Manner::Pinned, 5, NO_CEILING);
    let change = scale(&object, Manner::Capped, 9, None, NO_CEILING).unwrap();
    assert_eq!(counts(&patched(&object, &change).unwrap()), (9, 9, 10));
    let above = scaled(&cluster(1, Some(1), 4), Manner::Pinned, 50, NO_CEILING);
    assert_eq!(counts(&scaled(&above, Manner::Capped, 40, NO_CEILING)), (4, 4, 4));
}

#[test]
fn scaling_down_lowers_the_minimum_with_the_count() {
    let object = cluster(5, Some(5), 8);
    assert_eq!(counts(&scaled(&object, Manner::Capped, 2, NO_CEILING)), (2, 2, 8));
}

#[test]
fn the_first_bounds_come_back_and_leave_no_trace() {
    let object = cluster(1, None, 10);
    let object = scaled(&object, Manner::Pinned, 5, NO_CEILING);
    let object = scaled(&object, Manner::Pinned, 3, NO_CEILING);
    let back = patched(&object, &restore(&object).unwrap()).unwrap();
    assert_eq!(counts(&back), (3, -1, 10));
    assert!(back.pointer("/metadata/annotations/raywarden.io~1original-bounds").is_none());
    assert_eq!(restore(&back).unwrap().operations, Vec::<Value>::new());
}

#[test]
fn a_restore_brings_the_count_within_the_bounds() {
    let object = cluster(2, Some(2), 4);
    let object = scaled(&object, Manner::Pinned, 9, NO_CEILING);
    let back = patched(&object, &restore(&object).unwrap()).unwrap();
    assert_eq!(counts(&back), (4, 2, 4));
}

#[test]
fn what_stands_as_wanted_is_not_written() {
    let object = scaled(&cluster(1, Some(1), 10), Manner::Pinned, 5, NO_CEILING);
    let again = scale(&object, Manner::Pinned, 5, None, NO_CEILING).unwrap();
    assert_eq!(again.operations, Vec::<Value>::new());
}

#[test]
fn a_cluster_that_changed_between_check_and_patch_is_not_touched() {
    let object = cluster(1, Some(1), 10);
    let change = scale(&object, Manner::Pinned, 5, None, NO_CEILING).unwrap();
    let moves: [(&str, Value); 5] = [
        ("/metadata/uid", "u2".into()),
        ("/metadata/labels/dominodatalab.com~1starting-user-id", "eve".into()),
        ("/spec/autoscaling/maxReplicas", 3.into()),
        ("/spec/autoscaling/minReplicas", 2.into()),
        ("/metadata/labels", json!({})),
    ];
    for (path, value) in moves {
        let mut other = object.clone();
        *other.pointer_mut(path).unwrap() = value;
        assert!(patched(&other, &change).is_err(), "{path}");
    }
    let mut dying = object.clone();
    dying["metadata"]["deletionTimestamp"] = "2025-10-02T09:30:00Z".into();
    assert!(patched(&dying, &change).is_err());
    let mut scaled = object;
    scaled["spec"]["worker"]["replicas"] = 7.into();
    assert!(patched(&scaled, &change).is_ok(), "the autoscaler's own moves are no conflict");
}

#[test]
fn absence_is_tested_at_the_highest_parent_that_is_not_there() {
    let mut object = cluster(1, None, 10);
    object["metadata"].as_object_mut().unwrap().remove("labels");
    let change = scale(&object, Manner::Pinned, 5, None, NO_CEILING).unwrap();
    let tests: Vec<&Value> = change.operations.iter().filter(|it| it["op"] == "test").collect();
    assert!(tests.contains(&&json!({"op": "test", "path": "/metadata/labels", "value": null})));
    assert!(
        tests.contains(&&json!({"op": "test", "path": "/metadata/annotations", "value": null}))
    );
}

#[test]
fn clusters_without_readable_bounds_are_refused_as_what_they_are() {
    let code =
        |object: &Value, manner| scale(object, manner, 2, None, NO_CEILING).unwrap_err().code;
    let mut off = cluster(1, None, 3);
    off["spec"].as_object_mut().unwrap().remove("autoscaling");
    assert_eq!(code(&off, Manner::Pinned), Code::NotScalable);
    assert_eq!(code(&off, Manner::Capped), Code::NotScalable);
    for max in [json!(0), json!(-1), json!("many"), json!(null)] {
        let mut odd = cluster(1, None, 3);
        odd["spec"]["autoscaling"]["maxReplicas"] = max;
        assert_eq!(code(&odd, Manner::Capped), Code::InvalidAutoscaling);
    }
    let mut dying = cluster(1, None, 3);
    dying["metadata"]["deletionTimestamp"] = "2025-10-02T09:30:00Z".into();
    assert_eq!(code(&dying, Manner::Pinned), Code::Conflict);
}

proptest! {
    #[test]
    fn whatever_is_asked_the_invariant_and_the_ceiling_hold(
        replicas in 0_i64..40,
        min in proptest::option::of(1_i64..40),
        max in 1_i64..40,
        most in proptest::option::of(1_i32..40),
        asked in proptest::collection::vec((1_i32..60, any::<bool>()), 1..5),
    ) {
        let first = cluster(replicas, min, max);
        let mut object = first.clone();
        for (wanted, pinned) in asked {
            let manner = if pinned { Manner::Pinned } else { Manner::Capped };
            let Ok(change) = scale(&object, manner, wanted, None, Terms { ceiling: most }) else {
                continue;
            };
            object = patched(&object, &change).expect("nothing came in between");
            let (replicas, min, max) = counts(&object);
            prop_assert!(1 <= min && min <= replicas && replicas <= max);
            prop_assert!(most.is_none_or(|most| replicas <= i64::from(most)));
            prop_assert!(change.capped == (replicas < i64::from(wanted)));
        }
        let back = patched(&object, &restore(&object).unwrap()).unwrap();
        if min.is_none_or(|min| min <= max) {
            prop_assert_eq!(&back["spec"]["autoscaling"], &first["spec"]["autoscaling"]);
        }
        prop_assert!(counts(&back).0 <= max || object == first);
    }
}
