//! What a scale writes and answers.

use serde_json::{Value, json};

use super::identity::{ADA, EVE, ROOT, key_of};
use super::old::{self, mended, refuses};
use super::support::wait::wait_until;
use super::world::{MERGE, NAMESPACE, OWNER, SOON, WORLD, counts, manifest};

#[test]
fn scaling_to_five_gives_five_workers_minimum_five_maximum_six() {
    WORLD.cluster("ray-five", ADA);
    for prefix in ["/raycluster", "/rayclusterscaler"] {
        let body = json!({"cluster_name": "ray-five", "replicas": 5}).to_string();
        let answer = WORLD.api.send("ada", "POST", &format!("{prefix}/scale"), &body);
        assert_eq!(counts(&answer.ok()), (5, 5, 6));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let read = WORLD.api.get("ada", &format!("{prefix}/ray-five"));
        assert_eq!(counts(&read.ok()), (5, 5, 6));
    }
    assert_eq!(WORLD.counts("ray-five"), (5, 5, 6));
}

#[test]
fn d06_nobody_raises_workers_or_maximum_above_the_ceiling() {
    let (_proxy, api) = WORLD.proxied(&["--scale-ceiling", "8"]);
    let object = WORLD.cluster("ray-ceiling", ADA);
    let mut raised = object;
    raised["spec"]["autoscaling"] = json!({"minReplicas": 500, "maxReplicas": 501});
    let answer = api.scale("ada", "ray-ceiling", 500);
    mended(&answer, &old::json(200, &raised), &|it| refuses(it, 422, "above_ceiling"));
    assert!(answer.body.contains("at most 8"), "{}", answer.body);
    assert!(refuses(&api.scale("root", "ray-ceiling", 9), 422, "above_ceiling"));
    assert_eq!(WORLD.counts("ray-ceiling"), (1, 1, 10));
    assert_eq!(counts(&api.scale("ada", "ray-ceiling", 8).ok()), (8, 8, 8));
    api.send("ada", "POST", "/raycluster/restore", r#"{"cluster_name":"ray-ceiling"}"#).ok();
    let capped = api.patch("ada", "ray-ceiling", &json!({"replicas": 9})).ok();
    assert_eq!((&capped["effective_replicas"], &capped["capped"]), (&json!(8), &json!(true)));
    assert_eq!(WORLD.counts("ray-ceiling"), (8, 8, 10));
}

/// No webhook is registered here, so that whatever refuses is the API itself.
#[test]
fn a_scale_that_breaks_a_policy_is_refused_before_it_is_written_in_the_policys_words() {
    let mut object = manifest("ray-budget", ADA);
    object["metadata"]["labels"]["budget"] = json!("small");
    let stored = WORLD.create("rayclusters", &object);
    let policy = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
        "metadata": {"name": "small-budget"},
        "spec": {
            "enforcement": "deny", "ceilings": {"perGroup": {"replicas": 12}},
            "match": {"objectSelector": {"matchLabels": {"budget": "small"}}},
        },
    });
    WORLD.plane.apply_yaml(&policy.to_string());
    let refused = wait_until(SOON, "the policy holds", || {
        let answer = WORLD.api.scale("ada", "ray-budget", 20);
        if answer.status == 200 {
            WORLD.merge("rayclusters", "ray-budget", "", &stored_spec(&stored));
            return None;
        }
        Some(answer)
    });
    assert!(refuses(&refused, 422, "refused"), "{refused:?}");
    for part in ["policy small-budget", "spec.autoscaling.maxReplicas", "12"] {
        assert!(refused.body.contains(part), "{part} is not in {}", refused.body);
    }
    let before = WORLD.find("rayclusters", "ray-budget").expect("a cluster");
    assert!(refuses(&WORLD.api.scale("ada", "ray-budget", 12), 422, "refused"), "it would be 13");
    let after = WORLD.find("rayclusters", "ray-budget").expect("a cluster");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    assert_eq!(counts(&WORLD.api.scale("ada", "ray-budget", 11).ok()), (11, 11, 12));
    let later = WORLD.api.patch("ada", "ray-budget", &json!({"replicas": 5})).ok();
    assert_eq!(later["effective_replicas"], 5);
}

/// What brings the spec of an object back, its annotations gone.
fn stored_spec(stored: &Value) -> Value {
    json!({"spec": stored["spec"], "metadata": {"annotations": null}})
}

#[test]
fn d15_zero_workers_are_refused_on_every_route_with_the_way_out() {
    WORLD.cluster("ray-zero", ADA);
    let documented = WORLD.api.scale("ada", "ray-zero", 0);
    mended(&documented, &old::html(500), &|it| refuses(it, 422, "zero_workers"));
    let later = WORLD.api.patch("ada", "ray-zero", &json!({"replicas": 0}));
    mended(&later, &old::json(200, &json!({"effective_replicas": 0})), &|it| {
        refuses(it, 422, "zero_workers") && it.body.contains("suspend")
    });
    assert_eq!(WORLD.counts("ray-zero"), (1, 1, 10));
}

#[test]
fn d16_d39_the_bounds_of_before_are_kept_and_come_back() {
    let mut object = manifest("ray-kept", ADA);
    object["spec"]["autoscaling"] = json!({"maxReplicas": 12, "averageCPUUtilization": 70});
    WORLD.create("rayclusters", &object);
    assert_eq!(counts(&WORLD.api.scale("ada", "ray-kept", 9).ok()), (9, 9, 10));
    assert_eq!(counts(&WORLD.api.scale("ada", "ray-kept", 3).ok()), (3, 3, 4));
    let body = r#"{"cluster_name": "ray-kept"}"#;
    let back = WORLD.api.send("ada", "POST", "/raycluster/restore", body);
    // There was no way back: the bounds were lost with the first scale.
    mended(&back, &old::html(404), &|it| it.status == 200);
    let back = back.json();
    let first = json!({"maxReplicas": 12, "averageCPUUtilization": 70});
    assert_eq!(back["spec"]["autoscaling"], first);
    assert_eq!(back["metadata"].get("annotations"), None);
    let path = "/ddl_cluster_scaler/restore/rayclusters/ray-kept";
    let again = WORLD.api.send("ada", "PATCH", path, "").ok();
    assert_eq!(again["metadata"]["resourceVersion"], back["metadata"]["resourceVersion"]);
    assert!(refuses(&WORLD.api.send("eve", "PATCH", path, ""), 403, "unauthorized"));
}

#[test]
fn d20_the_minimum_goes_with_the_count_so_that_no_autoscaler_undoes_it() {
    WORLD.cluster("ray-minimum", ADA);
    let up = WORLD.api.patch("ada", "ray-minimum", &json!({"replicas": 6}));
    let mut old = manifest("ray-minimum", ADA);
    old["spec"]["worker"]["replicas"] = 6.into();
    let check = |it: &super::support::request::Answer| counts(&it.json()["object"]).1 == 6;
    mended(&up, &old::json(200, &json!({"object": old})), &check);
    assert_eq!(WORLD.counts("ray-minimum"), (6, 6, 10));
    WORLD.api.patch("ada", "ray-minimum", &json!({"replicas": 2})).ok();
    assert_eq!(WORLD.counts("ray-minimum"), (2, 2, 10));
}

#[test]
fn what_exceeds_the_maximum_is_capped_and_said_to_be() {
    WORLD.cluster("ray-capped", ADA);
    let said = WORLD.api.patch("ada", "ray-capped", &json!({"replicas": 40})).ok();
    let wanted = json!({
        "kind": "rayclusters", "name": "ray-capped", "requested_replicas": 40,
        "effective_replicas": 10, "maxReplicas": 10, "capped": true, "worker_hw_tier_id": null,
    });
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(&said[key], value, "{key}");
    }
    assert_eq!(counts(&said["object"]), (10, 10, 10));
}

#[test]
fn d41_a_scale_answers_with_the_times_that_clients_poll_by() {
    WORLD.cluster("ray-times", ADA);
    let answer = WORLD.api.patch("ada", "ray-times", &json!({"replicas": 2}));
    mended(&answer, &old::json(200, &json!({"effective_replicas": 2})), &|it| {
        let said = it.json();
        let time = said["started_at"].as_str().unwrap_or("");
        time.len() == 20 && time.ends_with('Z') && said["restarted_ts"] == time
    });
}

#[test]
fn d37_without_autoscaling_there_is_nothing_to_scale_within() {
    let mut object = manifest("ray-fixed", ADA);
    object["spec"].as_object_mut().expect("a spec").remove("autoscaling");
    WORLD.create("rayclusters", &object);
    let answer = WORLD.api.scale("ada", "ray-fixed", 5);
    mended(&answer, &old::text(404, "Autoscaling is not enabled"), &|it| {
        refuses(it, 409, "not_scalable")
    });
    let later = WORLD.api.patch("ada", "ray-fixed", &json!({"replicas": 5}));
    assert!(refuses(&later, 409, "not_scalable"));
}

#[test]
fn d35_every_change_leaves_a_line_of_audit_and_an_event() {
    let object = WORLD.cluster("ray-audited", ADA);
    let id = ("X-Request-Id".to_owned(), "audit-me-1".to_owned());
    let body = r#"{"cluster_name": "ray-audited", "replicas": 4}"#;
    let headers = [key_of("root.audited"), id];
    let answer = WORLD.api.call("POST", "/raycluster/scale", &headers, body);
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("audit-me-1")));
    let line = |it: &Value| it["request_id"] == "audit-me-1";
    let audit = wait_until(SOON, "the line", || WORLD.api.lines("audit").into_iter().find(line));
    let wanted = json!({
        "who": ROOT, "name": "root", "admin": true, "what": "scale", "namespace": NAMESPACE,
        "cluster": "ray-audited", "uid": object["metadata"]["uid"],
        "from": "1 [1..10]", "to": "4 [4..5]",
    });
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(&audit[key], value, "{key} of {audit}");
    }
    let event = wait_until(SOON, "the Event", || {
        WORLD.list("events", "").into_iter().find(|it| it["regarding"]["name"] == "ray-audited")
    });
    assert_eq!(event["reason"], "Scaled");
    assert_eq!(event["regarding"]["uid"], object["metadata"]["uid"]);
    let note = event["note"].as_str().expect("a note");
    assert!(note.contains(ROOT) && note.contains("1 [1..10] to 4 [4..5]"), "{note}");
}

#[test]
fn what_stands_as_wanted_is_answered_and_not_written() {
    WORLD.cluster("ray-still", ADA);
    let first = WORLD.api.scale("ada", "ray-still", 5).ok();
    let again = WORLD.api.scale("ada", "ray-still", 5).ok();
    assert_eq!(first["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"]);
}

#[test]
fn a_cluster_that_is_being_deleted_is_left_alone() {
    let mut object = manifest("ray-going", ADA);
    object["metadata"]["finalizers"] = json!(["distributed-compute.dominodatalab.com/finalizer"]);
    WORLD.create("rayclusters", &object);
    WORLD.delete("rayclusters", "ray-going");
    let answer = WORLD.api.scale("ada", "ray-going", 5);
    assert!(refuses(&answer, 409, "conflict"), "{answer:?}");
    WORLD.merge("rayclusters", "ray-going", "", &json!({"metadata": {"finalizers": null}}));
}

#[test]
fn a_rule_of_the_cluster_that_refuses_is_told_in_its_own_words() {
    let policy = |kind: &str, name: &str, spec: Value| {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        });
        WORLD.plane.apply_yaml(&object.to_string());
    };
    let rules = json!([{"apiGroups": ["distributed-compute.dominodatalab.com"],
        "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["rayclusters"]}]);
    policy(
        "ValidatingAdmissionPolicy",
        "no-sevens",
        json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": "object.metadata.name != 'ray-seven' || object.spec.worker.replicas != 7",
                             "message": "seven is not for us"}],
        }),
    );
    policy(
        "ValidatingAdmissionPolicyBinding",
        "no-sevens",
        json!({
            "policyName": "no-sevens", "validationActions": ["Deny"],
        }),
    );
    let mut object = manifest("ray-seven", ADA);
    object["metadata"]["labels"][OWNER] = EVE.into();
    WORLD.create("rayclusters", &object);
    let dry = "/apis/distributed-compute.dominodatalab.com/v1alpha1/namespaces/domino-compute/rayclusters/ray-seven?dryRun=All";
    wait_until(SOON, "the policy holds", || {
        let seven = json!({"spec": {"worker": {"replicas": 7}}});
        (WORLD.call("PATCH", dry, MERGE, &seven).0 == 422).then_some(())
    });
    let answer = WORLD.api.scale("eve", "ray-seven", 7);
    assert!(refuses(&answer, 422, "refused"), "{answer:?}");
    assert!(answer.body.contains("seven is not for us"), "{}", answer.body);
    assert_eq!(counts(&WORLD.api.scale("eve", "ray-seven", 6).ok()), (6, 6, 7));
}
