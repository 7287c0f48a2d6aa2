//! Properties that hold for every object, however odd: the patch gives the wanted object, a second
//! pass is empty, nothing is lost or reordered, nothing panics.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

#[path = "properties/make.rs"]
mod make;

use std::sync::Arc;

use make::{Case, arbitrary_json, case, giving};
use proptest::prelude::*;
use raywarden::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use raywarden::model::Op;
use raywarden::policy::Policy;
use serde_json::{Value, json};

fn settings(case: &Case) -> Settings {
    Settings { node_manager: Some(case.manager), ..Settings::default() }
}

fn ask(case: &Case, object: &Value, phase: Phase) -> Answer {
    ask_under(case, object, phase, &[])
}

fn ask_under(case: &Case, object: &Value, phase: Phase, policies: &[Arc<Policy>]) -> Answer {
    let request = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "ray.io", "version": "v1", "kind": "RayCluster"},
            "namespace": "team-a",
            "name": "lab",
            "operation": if case.old.is_null() { "CREATE" } else { "UPDATE" },
            "userInfo": {"username": case.user},
            "options": {"fieldManager": case.field_manager},
            "object": object,
            "oldObject": case.old,
        },
    });
    let parsed = Review::from_value(request).expect("a well-formed review");
    review(
        &settings(case),
        &PolicySet { strict: case.strict, policies: policies.to_vec(), ..PolicySet::default() },
        phase,
        &parsed,
    )
}

/// The object after the patch, by a library that is not ours.
fn patched(object: &Value, answer: &Answer) -> Value {
    let ops: Vec<Value> = answer.patch.iter().map(Op::to_json).collect();
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(ops)).expect("RFC 6902");
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).expect("the patch applies");
    object
}

fn groups(object: &Value) -> &[Value] {
    object["spec"]["workerGroupSpecs"].as_array().map_or(&[], Vec::as_slice)
}

fn names<'a>(object: &'a Value, at: &str) -> Vec<&'a str> {
    let list = object.pointer(at).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

/// Whether `part` comes in `whole` in the same order.
fn is_subsequence(part: &[&str], whole: &[&str]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|entry| rest.any(|other| other == entry))
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_global_rejects: 1_000_000,
        ..ProptestConfig::with_cases(600)
    })]

    #[test]
    fn applying_the_patch_leaves_nothing_to_patch(case in case()) {
        let first = ask(&case, &case.new, Phase::Offline);
        let object = patched(&case.new, &first);
        let second = ask(&case, &object, Phase::Offline);
        prop_assert_eq!(&second.patch, &Vec::<Op>::new());
        if !first.patch.is_empty() {
            prop_assert_eq!(first.allowed, second.allowed);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_answer(case in case()) {
        let phases = [Phase::Mutate, Phase::Validate, Phase::Offline];
        for phase in phases {
            prop_assert_eq!(ask(&case, &case.new, phase), ask(&case, &case.new, phase));
        }
    }

    #[test]
    fn what_is_denied_or_validated_is_never_patched(case in case()) {
        for phase in [Phase::Mutate, Phase::Validate, Phase::Offline] {
            let answer = ask(&case, &case.new, phase);
            if phase == Phase::Validate || !answer.allowed {
                prop_assert!(answer.patch.is_empty());
            }
        }
    }

    #[test]
    fn what_mutation_left_validation_does_not_want_changed(case in case()) {
        let mutated = ask(&case, &case.new, Phase::Mutate);
        prop_assume!(mutated.allowed);
        let object = patched(&case.new, &mutated);
        prop_assert_eq!(ask(&case, &object, Phase::Validate).unpatched, Vec::<Op>::new());
    }

    #[test]
    fn unknown_fields_and_every_order_survive(case in case()) {
        let object = patched(&case.new, &ask(&case, &case.new, Phase::Offline));
        prop_assert_eq!(&object["spec"]["laterField"], &case.new["spec"]["laterField"]);
        prop_assert_eq!(&object["later"], &case.new["later"]);
        let order = |object: &Value| -> Vec<Value> {
            groups(object).iter().map(|group| group["groupName"].clone()).collect()
        };
        prop_assert_eq!(order(&object), order(&case.new));
        for list in ["containers", "volumes", "containers/0/env"] {
            let at = format!("/spec/headGroupSpec/template/spec/{list}");
            // A marked container that stands first is taken out beside KubeRay.
            let containers = names(&case.new, "/spec/headGroupSpec/template/spec/containers");
            if containers.first() == Some(&"autoscaler") {
                continue;
            }
            let before: Vec<&str> = names(&case.new, &at)
                .into_iter()
                .filter(|name| !["autoscaler", "RAY_enable_autoscaler_v2"].contains(name))
                .collect();
            prop_assert!(is_subsequence(&before, &names(&object, &at)), "{at}");
        }
        for (before, after) in groups(&case.new).iter().zip(groups(&object)) {
            prop_assert_eq!(&before["template"], &after["template"]);
            prop_assert_eq!(&before["laterField"], &after["laterField"]);
        }
    }

    #[test]
    fn a_group_that_the_request_did_not_touch_stays_byte_for_byte(case in case()) {
        let object = patched(&case.new, &ask(&case, &case.new, Phase::Offline));
        for (index, before) in groups(&case.new).iter().enumerate() {
            let same_name = |group: &&Value| group["groupName"] == before["groupName"];
            let twins = groups(&case.new).iter().filter(same_name).count();
            let stored: Vec<&Value> = groups(&case.old).iter().filter(same_name).collect();
            if twins == 1 && stored.len() == 1 && stored[0] == before {
                prop_assert_eq!(before.to_string(), groups(&object)[index].to_string());
            }
        }
    }

    #[test]
    fn a_new_cluster_that_goes_through_keeps_its_bounds(case in case()) {
        prop_assume!(case.old.is_null());
        let answer = ask(&case, &case.new, Phase::Offline);
        prop_assume!(answer.allowed);
        for group in groups(&patched(&case.new, &answer)) {
            let count = |key: &str, default: i64| match &group[key] {
                Value::Null => Some(default),
                // What is no int32 is the schema's to refuse.
                value => value.as_i64().filter(|number| i32::try_from(*number).is_ok()),
            };
            let (min, max) = (count("minReplicas", 0), count("maxReplicas", i64::from(i32::MAX)));
            if let (Some(min), Some(max), Some(count)) = (min, max, count("replicas", 0)) {
                prop_assert!(min <= count && count <= max, "{group}");
            }
        }
    }

    #[test]
    fn the_autoscaler_is_never_refused_a_count(
        case in case(),
        counts in prop::collection::vec(-3_i64..20, 4),
    ) {
        prop_assume!(!case.old.is_null());
        let mut object = case.old.clone();
        for (group, count) in object["spec"]["workerGroupSpecs"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .zip(counts)
        {
            group["replicas"] = json!(count);
        }
        let case = Case { user: case.autoscaler(), field_manager: "python-requests".into(), ..case };
        for phase in [Phase::Mutate, Phase::Validate, Phase::Offline] {
            let answer = ask(&case, &object, phase);
            prop_assert!(answer.allowed, "{:?}", answer.findings);
        }
    }

    #[test]
    fn audit_mode_neither_denies_nor_patches(case in case()) {
        let mut settings = settings(&case);
        settings.mode = raywarden::admission::Mode::Audit;
        let request = Review::of_manifest(
            raywarden::model::Operation::Create, "alice", "team-a", case.new.clone(), None,
        );
        let request = Review { manifest: false, ..request };
        let answer = review(&settings, &PolicySet::default(), Phase::Offline, &request);
        prop_assert!(answer.allowed && answer.patch.is_empty());
    }

    #[test]
    fn defaults_are_given_once_and_never_over_what_is_said(case in case(), policies in giving()) {
        let ask = |object: &Value| ask_under(&case, object, Phase::Offline, &policies);
        let first = ask(&case.new);
        let object = patched(&case.new, &first);
        let second = ask(&object);
        prop_assert_eq!(&second.patch, &Vec::<Op>::new());
        for key in ["enableInTreeAutoscaling", "autoscalerOptions"] {
            let (before, after) = (&case.new["spec"][key], &object["spec"][key]);
            match before {
                Value::Null => {}
                Value::Object(said) => {
                    for (key, value) in said.iter().filter(|(_, value)| !value.is_null()) {
                        // Missing halves of the resources, and lists, are filled up.
                        if value.is_string() || value.is_number() {
                            prop_assert_eq!(value, &after[key]);
                        }
                    }
                }
                said => prop_assert_eq!(said, after),
            }
        }
        if !case.old.is_null() || !first.actor.is_person() {
            prop_assert_eq!(object, patched(&case.new, &ask_under(
                &case, &case.new, Phase::Offline, &[],
            )));
        }
    }

    #[test]
    fn a_default_never_turns_a_write_into_a_refused_one(case in case(), policies in giving()) {
        let plain = ask(&case, &case.new, Phase::Offline);
        let given = ask_under(&case, &case.new, Phase::Offline, &policies);
        prop_assert!(given.allowed || !plain.allowed, "{:?}", given.findings);
    }

    #[test]
    fn no_json_panics(new in arbitrary_json(), old in arbitrary_json(), update in any::<bool>()) {
        for kind in ["RayCluster", "RayJob", "RayService", "RayCronJob"] {
            for group in ["ray.io", "distributed-compute.dominodatalab.com"] {
                let request = json!({
                    "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                    "request": {
                        "uid": "1",
                        "kind": {"group": group, "version": "v1", "kind": kind},
                        "operation": if update { "UPDATE" } else { "CREATE" },
                        "object": new, "oldObject": old,
                    },
                });
                let mut request = Review::from_value(request).expect("a well-formed review");
                for manifest in [false, true] {
                    request.manifest = manifest;
                    let answer = review(
                        &Settings::default(), &PolicySet::default(), Phase::Offline, &request,
                    );
                    if let Some(object) = &request.object {
                        patched(object, &answer);
                    }
                }
            }
        }
    }

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Review::parse(&body);
    }
}
