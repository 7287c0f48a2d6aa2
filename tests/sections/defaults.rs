//! What new clusters get that say nothing of autoscaling.

use std::collections::BTreeSet;

use raywarden::admission::{Answer, Mode, Phase, PolicySet, Settings};
use raywarden::model::{NodeManager, Severity};
use serde_json::{Value, json};

use super::world::{Write, object, patched, policies, policy, set, sound};

const OPT_OUT: &str = "autoscaling: {defaults: {enable: OptOut, version: v2, \
                       upscalingMode: Conservative, idleTimeoutSeconds: 300}}";

fn new() -> Value {
    object("RayCluster", "spec", &sound())
}

fn given(object: &Value) -> Value {
    let spec = &object["spec"];
    let options = &spec["autoscalerOptions"];
    json!([
        spec["enableInTreeAutoscaling"],
        options["version"],
        options["upscalingMode"],
        options["idleTimeoutSeconds"],
    ])
}

fn nothing() -> Value {
    json!([null, null, null, null])
}

fn after(policies: &PolicySet, object: &Value) -> (Answer, Value) {
    let answer = Write::standalone(policies).ask(Phase::Offline, object);
    let stored = patched(object, &answer);
    (answer, stored)
}

#[test]
fn a_new_cluster_that_says_nothing_scales_and_gets_its_sidecar_in_the_same_review() {
    let policies = policy(OPT_OUT);
    for manager in [NodeManager::Raywarden, NodeManager::KubeRay] {
        let mut write = Write::by_alice(&policies);
        write.settings.node_manager = Some(manager);
        let answer = write.ask(Phase::Offline, &new());
        let stored = patched(&new(), &answer);
        assert_eq!(given(&stored), json!([true, "v2", "Conservative", 300]));
        let head = &stored["spec"]["headGroupSpec"]["template"]["spec"];
        let injected = head["containers"].as_array().expect("a list").len() == 3;
        assert_eq!(injected, manager == NodeManager::Raywarden);
        let resources = &stored["spec"]["autoscalerOptions"]["resources"];
        assert_eq!(resources.is_null(), manager == NodeManager::Raywarden);
        // The person is told once, and asked again there is nothing left to do.
        let told: Vec<_> =
            answer.findings.iter().map(|it| (it.severity, it.at.to_string())).collect();
        assert_eq!(told, [(Severity::Warn, "spec.enableInTreeAutoscaling".to_owned())]);
        let again = write.ask(Phase::Offline, &stored);
        assert!(again.patch.is_empty() && again.findings.is_empty(), "{again:?}");
        assert_eq!(again.allowed, answer.allowed);
    }
}

#[test]
fn what_is_said_is_never_changed() {
    let policies = policy(OPT_OUT);
    let mut off = new();
    off["spec"]["enableInTreeAutoscaling"] = json!(false);
    assert!(after(&policies, &off).0.patch.is_empty());
    let mut on = new();
    on["spec"]["enableInTreeAutoscaling"] = json!(true);
    on["spec"]["autoscalerOptions"] = json!({"version": "v1", "idleTimeoutSeconds": 90});
    let (answer, stored) = after(&policies, &on);
    assert_eq!(given(&stored), json!([true, "v1", "Conservative", 90]));
    assert!(answer.findings.is_empty(), "{:?}", answer.findings);
    // The variable says the version too.
    let env = json!([{"name": "RAY_enable_autoscaler_v2", "value": "0"}]);
    set(&mut on, "spec.headGroupSpec.template.spec.containers[0].env", env);
    set(&mut on, "spec.autoscalerOptions", Value::Null);
    assert_eq!(given(&after(&policies, &on).1), json!([true, null, "Conservative", 300]));
}

#[test]
fn clusters_that_somebody_else_answers_for_are_left_alone() {
    let policies = policy(OPT_OUT);
    let owner = |kind: &str| json!([{"apiVersion": "ray.io/v1", "kind": kind, "name": "p", "uid": "1", "controller": true}]);
    let rows = [
        ("metadata.ownerReferences", owner("RayJob")),
        ("metadata.ownerReferences", owner("RayService")),
        ("metadata.labels", json!({"kueue.x-k8s.io/queue-name": "q"})),
        ("metadata.labels", json!({"ray.io/gang-scheduling-enabled": "true"})),
        ("metadata.labels", json!({"volcano.sh/queue-name": "q"})),
        ("metadata.labels", json!({"yunikorn.apache.org/app-id": "a"})),
        ("metadata.labels", json!({"kai.scheduler/queue": "q"})),
        ("metadata.annotations", json!({"raywarden.io/inject": "disabled"})),
        ("spec.managedBy", json!("kueue.x-k8s.io/multikueue")),
        ("spec.workerGroupSpecs", json!([])),
    ];
    for (path, value) in rows {
        let mut object = new();
        set(&mut object, path, value);
        let (_, stored) = after(&policies, &object);
        assert_eq!(given(&stored), nothing(), "{path}: {object}");
    }
    for (kind, at) in [("RayJob", "spec.rayClusterSpec"), ("RayService", "spec.rayClusterConfig")] {
        assert!(after(&policies, &object(kind, at, &sound())).0.patch.is_empty());
    }
}

#[test]
fn a_sidecar_of_an_earlier_day_does_not_keep_a_default_away_wherever_it_stands() {
    let policies = policy(OPT_OUT);
    let expected = after(&policies, &new()).1;
    let leftover = json!({
        "name": "autoscaler", "image": "registry.example/ray:2.9.0",
        "env": [{"name": "RAYWARDEN_MANAGED", "value": "true"}],
    });
    let containers = "/spec/headGroupSpec/template/spec/containers";
    let places = new().pointer(containers).and_then(Value::as_array).map_or(0, Vec::len);
    assert!(places > 1);
    for place in 0..=places {
        let mut exported = new();
        let list = exported.pointer_mut(containers).and_then(Value::as_array_mut);
        list.expect("a list").insert(place, leftover.clone());
        let (answer, stored) = after(&policies, &exported);
        assert!(answer.allowed, "{:?}", answer.findings);
        assert_eq!(stored, expected, "at {place}");
        assert!(after(&policies, &stored).0.patch.is_empty(), "at {place}");
    }
}

#[test]
fn neither_updates_nor_machines_get_anything() {
    let policies = policy(OPT_OUT);
    let mut next = new();
    set(&mut next, "spec.workerGroupSpecs[0].replicas", json!(2));
    let update = Write { old: Some(new()), ..Write::standalone(&policies) };
    assert_eq!(given(&patched(&next, &update.ask(Phase::Offline, &next))), nothing());
    for user in ["kuberay-system:kuberay-operator", "kueue-system:kueue-controller-manager"] {
        let user = format!("system:serviceaccount:{user}");
        let machine = Write { user: &user, ..Write::standalone(&policies) };
        assert_eq!(given(&patched(&new(), &machine.ask(Phase::Offline, &new()))), nothing());
    }
    // What is validated is final.
    assert!(Write::standalone(&policies).ask(Phase::Validate, &new()).unpatched.is_empty());
}

#[test]
fn a_policy_that_audits_says_what_it_would_set_and_sets_nothing() {
    let policies = policies(&[("example", OPT_OUT)]);
    let (answer, stored) = after(&policies, &new());
    assert_eq!(given(&stored), nothing());
    let told: Vec<String> =
        answer.findings.iter().map(|it| format!("{}: {}", it.at, it.found)).collect();
    let would = |key: &str, value: &str| {
        format!("spec.{key}: nothing is said: the policy would set {value}")
    };
    assert_eq!(
        told,
        [
            would("enableInTreeAutoscaling", "true"),
            would("autoscalerOptions.version", "\"v2\""),
            would("autoscalerOptions.upscalingMode", "\"Conservative\""),
            would("autoscalerOptions.idleTimeoutSeconds", "300"),
        ]
    );
    assert!(answer.findings.iter().all(|it| it.severity == Severity::Audit));
    assert!(answer.audit_annotations["audited"].contains("policy/autoscaling"));
}

#[test]
fn an_installation_that_audits_says_what_it_would_set_and_sets_nothing() {
    let policies = policy(OPT_OUT);
    let settings = Settings {
        mode: Mode::Audit,
        node_manager: Some(NodeManager::Raywarden),
        ..Settings::default()
    };
    let write = Write { settings, ..Write::by_alice(&policies) };
    let answer = write.ask(Phase::Mutate, &new());
    assert!(answer.patch.is_empty());
    let would: BTreeSet<String> = answer.unpatched.iter().map(|op| op.at().to_string()).collect();
    assert!(would.contains("spec.enableInTreeAutoscaling"), "{would:?}");
}

#[test]
fn the_first_policy_by_name_that_says_a_key_wins() {
    let b =
        "{enforcement: warn, autoscaling: {defaults: {enable: OptOut, idleTimeoutSeconds: 100}}}";
    let a = "{enforcement: warn, autoscaling: {defaults: {version: v2, idleTimeoutSeconds: 200}}}";
    let c = "{enforcement: deny, autoscaling: {defaults: {version: v1, upscalingMode: Default}}}";
    // One that only audits wins nothing.
    let trial = "{autoscaling: {defaults: {idleTimeoutSeconds: 999}}}";
    let expected = json!([true, "v2", "Default", 200]);
    for order in [["b", "a", "c"], ["c", "b", "a"]] {
        let specs = order.map(|name| {
            (
                name,
                if name == "a" {
                    a
                } else if name == "b" {
                    b
                } else {
                    c
                },
            )
        });
        let all = [&specs[..], &[("0-trial", trial)]].concat();
        assert_eq!(given(&after(&policies(&all), &new()).1), expected, "{order:?}");
    }
}

#[test]
fn only_what_a_policy_matches_and_does_not_except_gets_its_defaults() {
    let elsewhere = format!("match: {{namespaces: [other]}}\n{OPT_OUT}");
    assert_eq!(given(&after(&policy(&elsewhere), &new()).1), nothing());
    let excepted = format!(
        "exceptions: [{{owner: o, reason: r, expires: '2999-01-01T00:00:00Z', names: [lab]}}]\n{OPT_OUT}"
    );
    assert_eq!(given(&after(&policy(&excepted), &new()).1), nothing());
}

#[test]
fn nothing_is_given_that_would_have_the_cluster_refused() {
    let policies = policy(OPT_OUT);
    // v2 does not go with another restart policy.
    let mut object = new();
    set(&mut object, "spec.workerGroupSpecs[0].template.spec.restartPolicy", json!("Always"));
    let (answer, stored) = after(&policies, &object);
    assert!(answer.allowed, "{:?}", answer.findings);
    assert_eq!(given(&stored), json!([true, null, "Conservative", 300]));
    let held = answer.findings.iter().find(|it| it.severity == Severity::Audit);
    assert!(held.expect("it is told").found.contains("kuberay/restart-policy"));
    // A container of that name is the user's own.
    let mut object = new();
    set(&mut object, "spec.headGroupSpec.template.spec.containers[1].name", json!("autoscaler"));
    let (answer, stored) = after(&policies, &object);
    assert!(answer.allowed, "{:?}", answer.findings);
    assert_eq!(given(&stored), nothing());
    // Another policy forbids it.
    let forbids = "{enforcement: deny, autoscaling: {mode: Forbidden}}";
    let gives = format!("enforcement: deny\n{OPT_OUT}");
    let (answer, stored) = after(&super::world::policies(&[("a", &gives), ("b", forbids)]), &new());
    assert!(answer.allowed, "{:?}", answer.findings);
    assert_eq!(given(&stored), nothing());
}
