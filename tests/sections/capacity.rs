//! Ceilings, bounds and resources beyond one write of one new cluster: old faults, namespaces, Domino.

use std::sync::Arc;

use raywarden::admission::{Answer, Phase, PolicySet, Settings};
use raywarden::dialect::Dialect;
use raywarden::model::Severity;
use raywarden::policy::{Policy, Usage};
use serde_json::{Value, json};

use super::world::{self, SECTIONS, Write, object, set};

fn container(name: &str) -> Value {
    let size = json!({"cpu": "1", "memory": "1Gi"});
    json!({"name": name, "image": "registry.example/ray:2.52.0",
           "resources": {"limits": size, "requests": size}})
}

fn template(name: &str) -> Value {
    json!({"spec": {"initContainers": [container("fetch")], "containers": [container(name)]}})
}

fn group(name: &str) -> Value {
    json!({"groupName": name, "replicas": 1, "minReplicas": 1, "maxReplicas": 4, "numOfHosts": 1,
           "rayStartParams": {}, "template": template("ray-worker")})
}

/// A sound spec: two groups of at most four Pods of one CPU and 1Gi.
fn spec() -> Value {
    json!({
        "rayVersion": "2.52.0", "enableInTreeAutoscaling": true,
        "headGroupSpec": {"rayStartParams": {}, "template": template("ray-head")},
        "workerGroupSpecs": [group("small"), group("large")],
    })
}

fn cluster(spec: &Value) -> Value {
    object("RayCluster", "spec", spec)
}

fn compile(spec: &Value) -> Result<Policy, Vec<String>> {
    let object = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
        "metadata": {"name": "example"}, "spec": spec,
    });
    let flaws = Policy::compile(&object);
    flaws.map_err(|flaws| flaws.iter().map(|it| format!("{}: {}", it.at, it.message)).collect())
}

/// The policy alone; it refuses.
fn policies(spec: &Value) -> PolicySet {
    world::policy(&spec.to_string())
}

fn ask(policies: &PolicySet, old: Option<&Value>, new: &Value) -> Answer {
    Write { old: old.cloned(), ..Write::by_alice(policies) }.ask(Phase::Validate, new)
}

/// Rules and places of what the policy finds, and the weights.
fn found(answer: &Answer) -> Vec<(String, String)> {
    let findings = answer.findings.iter().filter(|finding| finding.policy.is_some());
    findings.map(|finding| (finding.rule.to_string(), finding.at.to_string())).collect()
}

#[test]
fn a_cluster_above_a_ceiling_may_come_down_and_may_not_rise() {
    let ceilings = json!({"replicas": 4, "cpu": "4"});
    let policies =
        policies(&json!({"ceilings": {"perGroup": ceilings, "perCluster": {"replicas": 6}}}));
    let with = |max: i64, cpu: &str| {
        let mut spec = spec();
        set(&mut spec, "workerGroupSpecs[0].maxReplicas", json!(max));
        let at = "workerGroupSpecs[0].template.spec.containers[0].resources.requests.cpu";
        set(&mut spec, at, json!(cpu));
        cluster(&spec)
    };
    let stored = with(10, "1");
    for (what, new, allowed) in [
        ("lowered, still above", with(8, "1"), true),
        ("within all of them", with(2, "1"), true),
        ("raised", with(11, "1"), false),
        ("fewer workers of more CPU", with(9, "2"), false),
        ("fewer workers, no more CPU", with(5, "2"), true),
    ] {
        assert_eq!(ask(&policies, Some(&stored), &new).allowed, allowed, "{what}");
    }
    assert!(!ask(&policies, None, &stored).allowed);

    let mut stopped = stored.clone();
    stopped["spec"]["enableInTreeAutoscaling"] = false.into();
    stopped["spec"]["workerGroupSpecs"][0]["replicas"] = 9.into();
    assert!(ask(&policies, Some(&stored), &stopped).allowed, "9 workers that stay, of 10");
    let mut renamed = with(9, "1");
    renamed["spec"]["workerGroupSpecs"][0]["groupName"] = "other".into();
    assert!(!ask(&policies, Some(&stored), &renamed).allowed, "another group has no history");

    let mut edited = stored.clone();
    edited["spec"]["headGroupSpec"]["rayStartParams"]["dashboard-host"] = "0.0.0.0".into();
    let answer = ask(&policies, Some(&stored), &edited);
    assert!(answer.allowed);
    let warned = answer.findings.iter().filter(|it| it.severity == Severity::Warn);
    assert_eq!(warned.filter(|it| it.policy.is_some()).count(), 3, "all that is broken is told");

    let mut leaving = with(99, "9");
    leaving["metadata"]["deletionTimestamp"] = "2027-01-01T00:00:00Z".into();
    assert!(ask(&policies, Some(&stored), &leaving).allowed);
    let mut reported = stored.clone();
    reported["status"] = json!({"desiredWorkerReplicas": 10});
    assert!(ask(&policies, Some(&stored), &reported).allowed);
}

#[test]
fn a_group_that_comes_back_from_no_maximum_is_let_through() {
    let policies = policies(&json!({"ceilings": {"perGroup": {"pods": 4}}}));
    let with = |max: Value| {
        let mut spec = spec();
        set(&mut spec, "workerGroupSpecs[1].maxReplicas", max);
        cluster(&spec)
    };
    let unbounded = with(Value::Null);
    let answer = ask(&policies, None, &unbounded);
    let cause = answer.findings.iter().find(|it| it.policy.is_some()).expect("a finding");
    assert_eq!(
        cause.cause(),
        "group \"large\" may reach unbounded Pods; allowed: at most 4 Pods; lower maxReplicas or \
         numOfHosts [raywarden policy/group-ceiling, policy example]"
    );
    assert!(ask(&policies, Some(&unbounded), &with(json!(1000))).allowed);
    assert!(!ask(&policies, Some(&with(json!(1000))), &unbounded).allowed);
}

#[test]
fn without_autoscaling_the_wanted_count_is_what_counts() {
    let policies = policies(&json!({"ceilings": {"perGroup": {"replicas": 2}}}));
    let mut fixed = spec();
    set(&mut fixed, "enableInTreeAutoscaling", json!(false));
    assert!(found(&ask(&policies, None, &cluster(&fixed))).is_empty());
    set(&mut fixed, "workerGroupSpecs[1].replicas", json!(3));
    let told = found(&ask(&policies, None, &cluster(&fixed)));
    assert_eq!(told[0].1, "spec.workerGroupSpecs[1].replicas");
}

#[test]
fn what_ray_is_told_is_not_what_pods_request() {
    let policies = policies(&json!({"ceilings": {"perGroup": {"cpu": 4, "gpus": 0}}}));
    let mut told = spec();
    set(
        &mut told,
        "workerGroupSpecs[0].rayStartParams",
        json!({"num-cpus": "64", "num-gpus": "8"}),
    );
    set(&mut told, "workerGroupSpecs[1].resources", json!({"CPU": "64", "GPU": "8"}));
    assert!(found(&ask(&policies, None, &cluster(&told))).is_empty());
}

#[test]
fn dominos_clusters_have_ceilings_of_replicas_and_pods() {
    let domino = json!({
        "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a"},
        "spec": {"autoscaling": {"minReplicas": 3, "maxReplicas": 5}, "worker": {"replicas": 3}},
    });
    let told = |policy: Value| found(&ask(&policies(&policy), None, &domino));
    let max = ("policy/group-ceiling".to_owned(), "spec.autoscaling.maxReplicas".to_owned());
    assert_eq!(told(json!({"ceilings": {"perGroup": {"replicas": 4}}})), [max]);
    let all = ("policy/cluster-ceiling".to_owned(), "spec.worker".to_owned());
    assert_eq!(told(json!({"ceilings": {"perCluster": {"pods": 5}}})), [all]);
    assert_eq!(told(json!({"ceilings": {"perCluster": {"pods": 6, "cpu": 0}}})), []);
    let min = ("policy/minimum-ceiling".to_owned(), "spec.autoscaling.minReplicas".to_owned());
    assert_eq!(told(json!({"bounds": {"requireMaximum": true, "minimumAtMost": 2}})), [min]);
}

#[test]
fn a_pods_own_request_stands_for_those_of_its_containers() {
    let policies = policies(&json!({"resources": {"requests": ["cpu", "ephemeral-storage"]}}));
    let mut whole = spec();
    set(&mut whole, "enableInTreeAutoscaling", json!(false));
    for at in SECTIONS {
        let pod = json!({"requests": {"cpu": "4", "ephemeral-storage": "1Gi"}});
        set(&mut whole, &format!("{at}.template.spec.resources"), pod);
        for container in ["containers[0]", "initContainers[0]"] {
            let resources = format!("{at}.template.spec.{container}.resources");
            set(&mut whole, &resources, Value::Null);
        }
    }
    let told = found(&ask(&policies, None, &cluster(&whole)));
    assert_eq!(told.len(), 6, "storage is no matter of a whole Pod: {told:?}");
    assert!(told.iter().all(|(_, at)| at.ends_with("requests[ephemeral-storage]")), "{told:?}");
}

#[test]
fn the_other_clusters_of_a_namespace_count_and_nobody_is_refused() {
    let mut policies =
        policies(&json!({"ceilings": {"perNamespace": {"replicas": 10, "gpus": 0}}}));
    assert!(policies.needs_usage());
    assert!(!PolicySet::default().needs_usage());
    assert!(found(&ask(&policies, None, &cluster(&spec()))).is_empty());
    let mut usage = Usage::default();
    let mut other = cluster(&spec());
    other["metadata"]["name"] = "other".into();
    let gpus =
        "spec.workerGroupSpecs[0].template.spec.containers[0].resources.limits[nvidia.com/gpu]";
    set(&mut other, gpus, json!(1));
    let ray = Dialect::RayCluster;
    usage.insert(&Settings::default(), ray, "team-a", &other);
    usage.insert(&Settings::default(), ray, "team-a", &cluster(&spec()));
    policies.usage = Arc::new(usage);
    let answer = ask(&policies, None, &cluster(&spec()));
    let told: Vec<_> = answer.findings.iter().filter(|it| it.policy.is_some()).collect();
    assert!(answer.allowed && told.len() == 1 && told[0].severity == Severity::Warn);
    assert_eq!(
        told[0].message(),
        "the clusters of namespace team-a may reach 16 replicas, this one 8 replicas; allowed: at most \
         10 replicas; lower the bounds of this cluster or of another, or delete one"
    );
}

#[test]
fn what_is_wrong_with_a_policy_is_told_with_its_place() {
    for (spec, flaw) in [
        (json!({"ceilings": {}}), "spec.ceilings: sets no ceiling"),
        (json!({"ceilings": {"perGroup": {}}}), "spec.ceilings.perGroup: sets no ceiling"),
        (
            json!({"ceilings": {"perGroup": {"replicas": -1}}}),
            "spec.ceilings.perGroup.replicas: -1 is neg",
        ),
        (
            json!({"ceilings": {"perCluster": {"cpu": "-1"}}}),
            "spec.ceilings.perCluster.cpu: \"-1\" is no amount",
        ),
        (
            json!({"ceilings": {"perCluster": {"cpu": 1, "resources": {"cpu": 2}}}}),
            "spec.ceilings.perCluster.resources[cpu]: cpu has a field of its own",
        ),
        (
            json!({"ceilings": {"perNamespace": {"cpu": 1, "enforcement": "deny"}}}),
            "spec.ceilings.perNamespace.enforcement: deny is not possible: two writes at one time",
        ),
        (json!({"bounds": {}}), "spec.bounds: asks for nothing"),
        (json!({"bounds": {"minimumAtMost": -2}}), "spec.bounds.minimumAtMost: -2 is negative"),
        (json!({"resources": {"requests": []}}), "spec.resources: asks for nothing"),
        (
            json!({"resources": {"limits": ["cpu", "cpu"]}}),
            "spec.resources.limits[1]: \"cpu\" stands here twice",
        ),
        (json!({"gpus": {"resources": ["x/y"]}}), "spec.gpus: asks for nothing"),
        (json!({"gpus": {"agree": true, "resources": [""]}}), "spec.gpus.resources[0]: is empty"),
        (json!({"images": {}}), "spec.images.allowed: allows any image"),
        (
            json!({"images": {"allowed": ["a/*", "a/*"]}}),
            "spec.images.allowed[1]: \"a/*\" stands here twice",
        ),
    ] {
        let flaws = compile(&spec).expect_err("a flaw");
        assert!(flaws.len() == 1 && flaws[0].starts_with(flaw), "{spec}: {flaws:?}");
    }
}
