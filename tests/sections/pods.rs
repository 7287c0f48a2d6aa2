//! Pod Security: what is enough, what the injected sidecar gets, and old faults.

use serde_json::{Value, json};

use super::world::{
    CONTAINERS, SECTIONS, Write, object, only, patched, policy, said, scaling, set, sound,
};
use raywarden::admission::{Mode, Phase};

#[test]
fn a_context_of_the_pod_alone_and_one_of_the_containers_alone_are_both_enough() {
    let policies = policy("podSecurity: {level: restricted}");
    let mut spec = sound();
    for section in SECTIONS {
        set(&mut spec, &format!("{section}.template.spec.securityContext"), Value::Null);
        for container in CONTAINERS {
            let context = format!("{section}.template.spec.{container}.securityContext");
            set(&mut spec, &format!("{context}.runAsNonRoot"), json!(true));
            set(&mut spec, &format!("{context}.seccompProfile"), json!({"type": "Localhost"}));
        }
    }
    assert_eq!(said(&policies, &object("RayCluster", "spec", &spec)), only("", &[]));
}

#[test]
fn the_injected_sidecar_passes_the_restricted_level_with_the_context_of_its_head() {
    let policies = policy("podSecurity: {level: restricted}\nsidecar: {podSecurity: restricted}");
    let new = object("RayCluster", "spec", &scaling());
    for write in [Write::standalone(&policies), Write::by_alice(&policies)] {
        let answer = write.ask(Phase::Offline, &new);
        assert!(answer.allowed && !answer.patch.is_empty(), "{:?}", answer.findings);
        let stored = patched(&new, &answer);
        assert_eq!(write.said(Phase::Validate, &stored), only("", &[]));
    }
    let write = Write::standalone(&policies);
    let stored = patched(&new, &write.ask(Phase::Offline, &new));
    let sidecar = &stored["spec"]["headGroupSpec"]["template"]["spec"]["containers"][2];
    assert_eq!(sidecar["name"], "autoscaler");
    // A sidecar that somebody loosens afterwards is found where it stands.
    let mut loose = stored.clone();
    let context = "spec.headGroupSpec.template.spec.containers[2].securityContext.privileged";
    set(&mut loose, context, json!(true));
    let write = Write { old: Some(stored), ..write };
    let found = write.said(Phase::Validate, &loose);
    let rules = ["policy/pod-security", "policy/sidecar"];
    assert_eq!(found, rules.map(|rule| format!("{rule} at {context}")).into());
}

#[test]
fn a_sidecar_that_mutation_would_have_replaced_is_judged_where_nothing_is_patched_any_more() {
    let policies = policy("podSecurity: {level: baseline}");
    let new = object("RayCluster", "spec", &scaling());
    let mut write = Write::standalone(&policies);
    let mut loose = patched(&new, &write.ask(Phase::Offline, &new));
    let context = "spec.headGroupSpec.template.spec.containers[2].securityContext.privileged";
    set(&mut loose, context, json!(true));
    let found = only("policy/pod-security", &[context.to_owned()]);
    assert_eq!(write.said(Phase::Validate, &loose), found);
    let answer = write.ask(Phase::Offline, &loose);
    assert!(answer.allowed, "{:?}", answer.findings);
    assert_eq!(write.said(Phase::Validate, &patched(&loose, &answer)), only("", &[]));
    write.settings.mode = Mode::Audit;
    assert_eq!(write.said(Phase::Validate, &loose), only("", &[]));
}

#[test]
fn an_old_fault_warns_and_a_new_one_refuses() {
    let policies = policy("podSecurity: {level: baseline}");
    let mut stored = sound();
    set(&mut stored, "headGroupSpec.template.spec.hostPID", json!(true));
    let mut next = stored.clone();
    set(&mut next, "workerGroupSpecs[0].replicas", json!(2));
    let write =
        Write { old: Some(object("RayCluster", "spec", &stored)), ..Write::by_alice(&policies) };
    assert!(write.ask(Phase::Validate, &object("RayCluster", "spec", &next)).allowed);
    set(&mut next, "headGroupSpec.template.spec.hostIPC", json!(true));
    let answer = write.ask(Phase::Validate, &object("RayCluster", "spec", &next));
    let refused: Vec<String> = answer.denials().map(|finding| finding.at.to_string()).collect();
    assert_eq!(refused, ["spec.headGroupSpec.template.spec.hostIPC"]);
}
