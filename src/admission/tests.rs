use serde_json::{Value, json};

use super::*;
use crate::model::NodeManager;

fn cluster() -> Value {
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a"},
        "spec": {
            "enableInTreeAutoscaling": true,
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [
                {"name": "ray-head", "image": "x:1", "resources": {"limits": {"cpu": "1"}}}]}}},
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": 1, "minReplicas": 0, "maxReplicas": 5,
                "template": {"spec": {"containers": [
                    {"name": "w", "image": "x:1", "resources": {"limits": {"cpu": "1"}}}]}},
            }],
        },
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(list) => list.push(value),
        _ => panic!("no parent at {parent}"),
    }
    object
}

fn request(old: Option<&Value>, new: &Value, user: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "7", "name": "lab", "namespace": "team-a",
            "kind": {"group": "ray.io", "version": "v1", "kind": "RayCluster"},
            "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": user}, "object": new, "oldObject": old,
        },
    })
}

fn ask_as(settings: &Settings, old: Option<&Value>, new: &Value, user: &str) -> Answer {
    let parsed = Review::from_value(request(old, new, user)).unwrap();
    review(settings, &PolicySet::default(), Phase::Offline, &parsed)
}

fn ask(old: Option<&Value>, new: &Value) -> Answer {
    ask_as(&Settings::default(), old, new, "alice")
}

fn audit() -> Settings {
    Settings { mode: Mode::Audit, ..Settings::default() }
}

#[test]
fn what_is_no_matter_of_ours_passes_before_the_spec_is_read() {
    let odd = json!({"metadata": {"deletionTimestamp": "now"}, "spec": 7});
    assert_eq!(ask(None, &odd).passed, Some(Why::Deleting));
    let old = cluster();
    let labelled = with(old.clone(), "/metadata/labels", json!({"a": "b"}));
    assert_eq!(ask(Some(&old), &labelled).passed, Some(Why::MetadataOnly));
    let freed = with(old.clone(), "/metadata/finalizers", json!(["x"]));
    assert_eq!(ask(Some(&old), &freed).passed, Some(Why::Bookkeeping));
    let status = with(old.clone(), "/status", json!({"state": "ready"}));
    assert_eq!(ask(Some(&old), &status).passed, Some(Why::Unchanged));
    assert_eq!(ask(Some(&old), &with(old.clone(), "/spec/suspend", json!(true))).passed, None);
}

#[test]
fn a_denial_carries_every_cause_and_each_stands_alone() {
    let group = "/spec/workerGroupSpecs/0";
    let bad = with(cluster(), &format!("{group}/numOfHosts"), json!(0));
    let bad = with(bad, &format!("{group}/minReplicas"), json!(9));
    let answer = wire::response("7", &ask(None, &bad));
    let status = &answer["response"]["status"];
    assert_eq!(status["code"], 422);
    assert_eq!(status["reason"], "Invalid");
    assert_eq!(status["details"]["kind"], "RayCluster");
    assert_eq!(status["details"]["name"], "lab");
    let causes = status["details"]["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 2);
    for cause in causes {
        let message = cause["message"].as_str().unwrap();
        assert!(message.contains("; allowed: ") && message.contains("[raywarden "), "{message}");
        assert!(status["message"].as_str().unwrap().contains(message));
    }
    assert!(answer["response"].get("patch").is_none());
}

#[test]
fn warnings_are_grouped_by_rule_bounded_and_plain_ascii() {
    let mut bad = cluster();
    let group = bad["spec"]["workerGroupSpecs"][0].clone();
    let groups: Vec<Value> = (0..40)
        .map(|index| {
            let mut group = group.clone();
            group["groupName"] = json!(format!("g{index}"));
            group["rayStartParams"] = json!({"num-cpus": "zwölf ".repeat(80), "resources": "x"});
            group["maxReplicas"] = Value::Null;
            group["idleTimeoutSeconds"] = json!(3);
            group["numOfHosts"] = json!(2);
            group
        })
        .collect();
    bad["spec"]["workerGroupSpecs"] = json!(groups);
    bad["spec"]["autoscalerOptions"] = json!({"version": "v2", "image": "ray:2.1.0"});
    bad["spec"]["headGroupSpec"]["rayStartParams"] = json!({"port": "1"});
    let spec = &mut bad["spec"]["headGroupSpec"]["template"]["spec"];
    spec["hostNetwork"] = json!(true);
    spec["automountServiceAccountToken"] = json!(false);
    spec["serviceAccountName"] = json!("7up");
    spec["containers"][0]["args"] = json!(["ray start --head"]);
    spec["containers"][0]["image"] = json!("ray:2.2.0");
    spec["containers"][0]["volumeMounts"] = json!([{"name": "a", "mountPath": "/tmp/ray/"}]);
    let answer = ask(None, &bad);
    let warnings = wording::warnings(&answer);
    assert_eq!(warnings.len(), wording::MOST_WARNINGS);
    assert!(warnings[9].starts_with("and "), "{warnings:?}");
    for warning in &warnings {
        assert!(warning.len() <= wording::LONGEST_WARNING, "{warning}");
        assert!(warning.chars().all(|c| (' '..='~').contains(&c)), "{warning}");
    }
    assert!(warnings.iter().any(|warning| warning.contains("(and 39 more)")), "{warnings:?}");
}

#[test]
fn audit_mode_says_what_it_would_have_done_and_does_nothing() {
    let settings = Settings { node_manager: Some(NodeManager::Raywarden), ..audit() };
    let bad = with(cluster(), "/spec/workerGroupSpecs/0/minReplicas", json!(3));
    let answer = ask_as(&settings, None, &bad, "alice");
    assert!(answer.allowed && answer.patch.is_empty());
    let warnings = wording::warnings(&answer);
    let said = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(said("would set spec.workerGroupSpecs[0].replicas to 3"), "{warnings:?}");
    assert!(said("would inject the autoscaler sidecar"), "{warnings:?}");
    assert!(answer.audit_annotations.contains_key("would-set"));

    let denied = with(cluster(), "/spec/workerGroupSpecs/0/maxReplicas", json!(-1));
    let answer = ask_as(&settings, None, &denied, "alice");
    let warnings = wording::warnings(&answer);
    assert!(warnings.iter().any(|warning| warning.starts_with("would deny: ")), "{warnings:?}");
    assert!(answer.audit_annotations["would-deny"].contains("bounds/negative"));
}

#[test]
fn what_an_apply_left_out_is_kept_in_the_first_review_whatever_a_machine_writes_for_it() {
    let applied = json!({"spec": {"workerGroupSpecs": [{"groupName": "small"}]}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    let live = with(cluster(), "/metadata/annotations", annotations);
    let live = with(live, "/spec/workerGroupSpecs/0/replicas", json!(4));
    let apply = |new: &Value, user: &str| {
        let mut body = request(Some(&live), new, user);
        body["request"]["options"] = json!({"fieldManager": "kubectl-client-side-apply"});
        let review = Review::from_value(body).unwrap();
        super::review(&Settings::default(), &PolicySet::default(), Phase::Offline, &review)
    };
    let own = "system:serviceaccount:team-a:lab";
    for (user, written, kept) in [
        ("alice", Value::Null, true),
        ("alice", json!(0), true),
        ("alice", json!(-1), false),
        ("alice", json!(1), false),
        (own, json!(0), true),
        (own, json!(-1), true),
        (own, json!(1), false),
    ] {
        let new = with(live.clone(), "/spec/workerGroupSpecs/0/replicas", written.clone());
        let answer = apply(&new, user);
        let kept = kept.then(|| json!(4));
        let set = answer.patch.iter().find_map(|op| match op {
            Op::Add { value, .. } | Op::Replace { value, .. } => Some(value.clone()),
            Op::Remove { .. } => None,
        });
        assert_eq!(set, kept, "{user} writes {written}: {answer:?}");
        assert_eq!(answer.allowed, written != json!(-1) || user == own);
    }
}

#[test]
fn machines_get_no_warnings_but_the_audit_log_gets_the_facts() {
    let old = cluster();
    let new = with(old.clone(), "/spec/workerGroupSpecs/0/replicas", json!(9));
    let answer = ask_as(&Settings::default(), Some(&old), &new, "system:serviceaccount:team-a:lab");
    assert_eq!(answer.actor, Actor::Autoscaler { own: true });
    assert!(wording::warnings(&answer).is_empty());
    assert!(answer.audit_annotations["noted"].contains("bounds/replicas-above-max"));
}

#[test]
fn what_a_machine_wrote_above_the_maximum_is_handed_on_and_what_a_person_wrote_is_not() {
    let old = cluster();
    let mut new = with(old.clone(), "/spec/workerGroupSpecs/0/replicas", json!(9));
    let max = new["spec"]["workerGroupSpecs"][0]["maxReplicas"].as_i64().unwrap();
    let machine = "system:serviceaccount:team-a:lab";
    let answer = ask_as(&Settings::default(), Some(&old), &new, machine);
    let group = new["spec"]["workerGroupSpecs"][0]["groupName"].as_str().unwrap().to_owned();
    assert_eq!(answer.clamps, [Clamp { group, asked: 9, allowed: max }]);
    assert!(ask_as(&Settings::default(), Some(&old), &new, "alice").clamps.is_empty());
    assert!(ask_as(&audit(), Some(&old), &new, machine).clamps.is_empty(), "nothing was lowered");
    new["spec"]["workerGroupSpecs"][0]["replicas"] = json!(max);
    assert!(ask_as(&Settings::default(), Some(&old), &new, machine).clamps.is_empty());
}

#[test]
fn validation_alone_says_what_mutation_would_still_have_changed() {
    let below = with(cluster(), "/spec/workerGroupSpecs/0/minReplicas", json!(3));
    let parsed = Review::from_value(request(None, &below, "alice")).unwrap();
    let answer = review(&Settings::default(), &PolicySet::default(), Phase::Validate, &parsed);
    assert!(answer.allowed && answer.patch.is_empty());
    let warnings = wording::warnings(&answer);
    let set = "would set spec.workerGroupSpecs[0].replicas to 3";
    assert!(warnings.iter().any(|warning| warning.contains(set)), "{warnings:?}");
}

#[test]
fn a_strict_policy_refuses_what_foretells_a_failure() {
    let bad = with(cluster(), "/spec/workerGroupSpecs", json!([]));
    let parsed = Review::from_value(request(None, &bad, "alice")).unwrap();
    let ask = |strict| {
        review(
            &Settings::default(),
            &PolicySet { strict, ..PolicySet::default() },
            Phase::Validate,
            &parsed,
        )
        .allowed
    };
    assert!(ask(false) && !ask(true));
}

#[test]
fn the_autoscaler_may_end_an_idle_cluster_where_its_ray_can() {
    let own = "system:serviceaccount:team-a:lab";
    for (version, allowed) in [("2.60.0", true), ("2.52.0", false)] {
        let old = with(cluster(), "/spec/rayVersion", json!(version));
        let new = with(old.clone(), "/spec/idleSuspend", json!(true));
        assert_eq!(
            ask_as(&Settings::default(), Some(&old), &new, own).allowed,
            allowed,
            "{version}"
        );
    }
}

#[test]
fn the_scale_subresource_is_judged_by_its_number_alone() {
    let scale = |replicas: i64, user: &str| {
        let request = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "7", "operation": "UPDATE", "subResource": "scale",
                "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "resource": {"group": "distributed-compute.dominodatalab.com",
                             "version": "v1alpha1", "resource": "rayclusters"},
                "userInfo": {"username": user},
                "object": {"kind": "Scale", "spec": {"replicas": replicas}},
            },
        });
        let settings = Settings { scale_ceiling: Some(10), ..Settings::default() };
        let parsed = Review::from_value(request).unwrap();
        review(&settings, &PolicySet::default(), Phase::Validate, &parsed)
    };
    let hpa = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    assert!(!scale(-1, "alice").allowed);
    assert!(!scale(11, "alice").allowed);
    assert!(scale(11, hpa).allowed && scale(0, hpa).findings.is_empty());
    assert_eq!(scale(0, "alice").warnings().count(), 1);
    assert!(scale(10, "alice").findings.is_empty());
}

#[test]
fn every_body_that_is_no_review_says_what_is_wrong_with_it() {
    for (body, part) in [
        ("{", "not JSON"),
        ("[]", "kind must be AdmissionReview"),
        (r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#, "apiVersion"),
        (r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#, "request must be"),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}}"#,
            "request.uid",
        ),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1"}}"#,
            "request.operation",
        ),
    ] {
        let error = Review::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn thousands_of_faults_give_a_bounded_denial() {
    let mut bad = cluster();
    let mut group = bad["spec"]["workerGroupSpecs"][0].clone();
    group["numOfHosts"] = json!(0);
    bad["spec"]["workerGroupSpecs"] = Value::Array(vec![group; 5000]);
    let answer = wire::response("7", &ask(None, &bad));
    let status = &answer["response"]["status"];
    assert_eq!(status["details"]["causes"].as_array().map(Vec::len), Some(100));
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with("more: raywarden review -f FILE shows all of them"), "{message}");
    assert!(message.len() < 50_000);
}
