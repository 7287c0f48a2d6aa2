//! Sidecar, queue and autoscaling: machines, old faults, and the fix that is told.

use serde_json::{Value, json};

use super::world::{QUEUE, Write, object, only, policy, said, scaling, set, sound};
use raywarden::admission::Phase;
use raywarden::model::Severity;

#[test]
fn a_sidecar_that_says_nothing_is_judged_by_what_it_gets() {
    let policies = policy("sidecar: {podSecurity: restricted}");
    let mut spec = scaling();
    // A stored cluster of KubeRay's has none; a RayJob's child gets the head's.
    let stored = object("RayCluster", "spec", &spec);
    let mut next = stored.clone();
    set(&mut next, "spec.workerGroupSpecs[0].replicas", json!(2));
    let write = Write { old: Some(stored), ..Write::by_alice(&policies) };
    assert_eq!(write.said(Phase::Validate, &next).len(), 2);
    let job = |spec: &Value| said(&policies, &object("RayJob", "spec.rayClusterSpec", spec));
    assert_eq!(job(&spec), only("", &[]));
    set(&mut spec, "headGroupSpec.template.spec.containers[0].securityContext", Value::Null);
    assert_eq!(job(&spec).len(), 2);
}

fn queued(queue: &str) -> Value {
    let mut object = object("RayCluster", "spec", &sound());
    object["metadata"]["labels"] = json!({QUEUE: queue});
    object
}

#[test]
fn a_machine_may_change_the_queue_and_it_is_noted() {
    let policies = policy("queue: {immutable: true}");
    let write = Write {
        user: "system:serviceaccount:kueue-system:kueue-controller-manager",
        old: Some(queued("a")),
        ..Write::by_alice(&policies)
    };
    let answer = write.ask(Phase::Validate, &queued("b"));
    assert!(answer.allowed);
    assert_eq!(answer.findings.len(), 1);
    assert_eq!(answer.findings[0].severity, Severity::Note);
}

#[test]
fn a_refusal_of_the_mode_says_how_to_write_it_instead() {
    let fix = |policies: &str, on: bool, labels: Value| {
        let mut object = object("RayCluster", "spec", &sound());
        object["spec"]["enableInTreeAutoscaling"] = json!(on);
        object["metadata"]["labels"] = labels;
        let policies = policy(policies);
        let answer = Write::by_alice(&policies).ask(Phase::Validate, &object);
        answer.denials().next().expect("it is refused").message()
    };
    let forbidden = fix("autoscaling: {mode: Forbidden}", true, Value::Null);
    assert!(forbidden.contains("replicas of each group"), "{forbidden}");
    let required = fix("autoscaling: {mode: Required}", false, json!({QUEUE: "a"}));
    assert!(required.contains("kueue.x-k8s.io/elastic-job"), "{required}");
}

#[test]
fn a_long_idle_time_may_be_lowered_and_not_raised() {
    let policies = policy("autoscaling: {idleTimeoutSeconds: {max: 600}}");
    let of = |seconds: i64| {
        let mut spec = scaling();
        set(&mut spec, "autoscalerOptions", json!({"idleTimeoutSeconds": seconds}));
        object("RayCluster", "spec", &spec)
    };
    let write = Write { old: Some(of(900)), ..Write::by_alice(&policies) };
    assert!(write.ask(Phase::Validate, &of(800)).allowed);
    assert!(!write.ask(Phase::Validate, &of(1000)).allowed);
}
