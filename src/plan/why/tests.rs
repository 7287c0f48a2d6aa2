use std::time::Duration;

use serde_json::{Value, json};

use super::super::joined::{Answer, Demand, RayNode};
use super::*;
use crate::model::{Finding, Pointer, RuleId};

const UID: &str = "u-1";

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// An autoscaled cluster of one group: 2 replicas, 1 to 5.
fn cluster() -> Value {
    json!({
        "metadata": {"name": "lab", "namespace": "team-a", "uid": UID, "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "enableInTreeAutoscaling": true,
            "workerGroupSpecs": [{"groupName": "small", "replicas": 2, "minReplicas": 1, "maxReplicas": 5}],
        },
        "status": {"observedGeneration": 3},
    })
}

fn pod(name: &str, kind: &str, status: &Value) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": name, "creationTimestamp": "2026-01-01T00:40:00Z",
            "labels": {"ray.io/node-type": kind, "ray.io/group": if kind == "head" { "headgroup" } else { "small" }},
            "ownerReferences": [{"uid": UID, "controller": true}],
        },
        "spec": {"containers": [{"name": "ray"}, {"name": "autoscaler"}]},
        "status": status,
    })
}

fn ready(ip: &str) -> Value {
    let running = |name: &str| json!({"name": name, "state": {"running": {}}, "restartCount": 0});
    json!({
        "phase": "Running", "podIP": ip,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:41:00Z"}],
        "containerStatuses": [running("ray"), running("autoscaler")],
    })
}

fn head() -> Value {
    pod("lab-head", "head", &ready("10.0.0.1"))
}

fn worker(number: u8) -> Value {
    pod(&format!("lab-small-{number}"), "worker", &ready(&format!("10.0.1.{number}")))
}

fn pending(number: u8, created: &str, message: &str) -> Value {
    let condition = json!({"type": "PodScheduled", "status": "False", "message": message});
    let status = json!({"phase": "Pending", "conditions": [condition]});
    let mut pod = pod(&format!("lab-small-{number}"), "worker", &status);
    pod["metadata"]["creationTimestamp"] = json!(created);
    pod
}

fn nodes(count: u8) -> Answer {
    let node = |n| RayNode { ip: format!("10.0.1.{n}"), alive: true, ..RayNode::default() };
    Answer::Known((1..=count).map(node).collect())
}

fn waiting_for(line: &str) -> Demand {
    Demand { pending: vec![line.to_owned()], ..Demand::default() }
}

fn gap(right: &str) -> Gap {
    Gap { what: format!("unknown: grant {right}"), fix: format!("create a role for {right}") }
}

/// A healthy cluster whose two workers have joined, to be spoilt by each test.
fn healthy(cluster: &Value) -> Facts<'_> {
    Facts {
        cluster,
        findings: &[],
        pods: Ok([head(), worker(1), worker(2)].iter().map(Seen::read).collect()),
        events: Ok(Vec::new()),
        nodes: nodes(2),
        dashboard_fix: "ask the dashboard".to_owned(),
        demand: Some(Demand::default()),
        threshold: Duration::from_mins(2),
    }
}

fn with_pods<'a>(cluster: &'a Value, pods: &[Value]) -> Facts<'a> {
    Facts { pods: Ok(pods.iter().map(Seen::read).collect()), ..healthy(cluster) }
}

/// The link that decides: name, state, text.
#[track_caller]
fn decides(facts: &Facts<'_>) -> (&'static str, State, String, String) {
    let chain = chain(facts, now()).unwrap();
    assert_eq!(chain.links.iter().map(|link| link.name).collect::<Vec<_>>(), LINKS);
    let link = chain.decides().unwrap_or_else(|| panic!("nothing decides: {chain:#?}"));
    (link.name, link.state, link.what.clone(), link.fix.clone())
}

#[track_caller]
fn stopped(facts: &Facts<'_>, at: &str, words: &[&str]) {
    let (name, state, what, fix) = decides(facts);
    assert_eq!((name, state), (at, State::Blocked), "{what}");
    let said = format!("{what} | {fix}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(!fix.is_empty(), "no way out of {what}");
}

#[test]
fn nothing_stops_a_healthy_cluster() {
    let cluster = cluster();
    let chain = chain(&healthy(&cluster), now()).unwrap();
    assert_eq!(chain.decides(), None, "{chain:#?}");
    assert!(chain.links.iter().all(|link| link.fix.is_empty()));
}

#[test]
fn the_first_link_that_is_blocked_decides_however_many_follow() {
    let mut cluster = cluster();
    cluster["spec"]["suspend"] = json!(true);
    stopped(&with_pods(&cluster, &[]), "cluster", &["spec.suspend"]);
    cluster["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:50:00Z");
    stopped(&with_pods(&cluster, &[]), "cluster", &["being deleted, since 10 min"]);
}

#[test]
fn a_group_at_its_maximum_stops_demand_and_nothing_without_demand() {
    let mut cluster = cluster();
    cluster["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(2);
    let asking = Facts { demand: Some(waiting_for("{'CPU': 1.0}: 4")), ..healthy(&cluster) };
    stopped(
        &asking,
        "caps",
        &["small 2 (1 to 2)", "maxReplicas is reached", "raise maxReplicas of small"],
    );
    let quiet = healthy(&cluster);
    assert_eq!(chain(&quiet, now()).unwrap().decides(), None);
    let unseen = Facts { demand: None, ..healthy(&cluster) };
    stopped(&unseen, "caps", &["small"]);
    cluster["spec"]["enableInTreeAutoscaling"] = json!(false);
    assert_eq!(chain(&healthy(&cluster), now()).unwrap().decides(), None);
}

#[test]
fn what_was_requested_may_be_there_and_proves_no_want() {
    let mut cluster = cluster();
    cluster["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(2);
    let requested = vec!["{'CPU': 1.0}: 2 from request_resources()".to_owned()];
    let demand = Some(Demand { requested, ..Demand::default() });
    let (name, state, what, _) = decides(&Facts { demand, ..healthy(&cluster) });
    assert_eq!((name, state), ("caps", State::Waiting), "{what}");
}

#[test]
fn a_full_group_beside_one_with_room_is_worth_a_look_and_no_more() {
    let mut cluster = cluster();
    cluster["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(2);
    let other = json!({"groupName": "gpu", "replicas": 0, "minReplicas": 0, "maxReplicas": 3});
    cluster["spec"]["workerGroupSpecs"].as_array_mut().unwrap().push(other);
    let facts = Facts { demand: Some(waiting_for("{'GPU': 1.0}: 1")), ..healthy(&cluster) };
    let (name, state, what, _) = decides(&facts);
    assert_eq!((name, state), ("caps", State::Waiting), "{what}");
}

#[test]
fn unschedulable_pods_are_counted_with_the_oldest_age_and_what_the_scheduler_says() {
    let mut cluster = cluster();
    cluster["spec"]["workerGroupSpecs"][0]["replicas"] = json!(3);
    let message = "0/3 nodes are available: 3 Insufficient cpu.";
    let pods = [
        head(),
        worker(1),
        pending(2, "2026-01-01T00:50:00Z", message),
        pending(3, "2026-01-01T00:55:00Z", message),
    ];
    let facts = Facts { nodes: nodes(1), ..with_pods(&cluster, &pods) };
    stopped(
        &facts,
        "pods",
        &[
            "1 of 3 workers ready",
            "2 unschedulable",
            "oldest for 10 min",
            "lab-small-2",
            "3 Insufficient cpu",
            "add nodes that fit",
        ],
    );
}

#[test]
fn each_thing_that_holds_a_pod_is_named_with_its_own_way_out() {
    let cluster = cluster();
    let waiting = |reason: &str, message: &str| {
        json!({"phase": "Pending", "containerStatuses": [{"name": "ray", "restartCount": 4,
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {"terminated": {"reason": "Error"}}}]})
    };
    let killed = json!({"phase": "Running", "containerStatuses": [{"name": "ray", "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled"}}}]});
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory."});
    for (status, words) in [
        (
            waiting("ImagePullBackOff", "no such tag"),
            ["without their image", "no such tag", "pull secret"],
        ),
        (
            waiting("CrashLoopBackOff", "back-off"),
            ["crash-looping", "4 restarts, last Error", "--previous"],
        ),
        (
            waiting("CreateContainerConfigError", "secret x not found"),
            ["secret x not found", "Secret", "not to be started"],
        ),
        (killed, ["out of memory", "OOMKilled", "limits.memory"]),
        (evicted, ["ended", "Evicted: low on memory", "describe pod"]),
    ] {
        let pods = [head(), worker(1), pod("lab-small-2", "worker", &status)];
        stopped(&with_pods(&cluster, &pods), "pods", &words);
    }
    let mut gated = pod("lab-small-2", "worker", &json!({"phase": "Pending"}));
    gated["spec"]["schedulingGates"] = json!([{"name": "kueue.x-k8s.io/admission"}]);
    let facts = with_pods(&cluster, &[head(), worker(1), gated]);
    stopped(&facts, "pods", &["scheduling gates", "kueue.x-k8s.io/admission", "get workloads"]);
}

#[test]
fn an_init_container_that_waits_for_the_head_stops_only_after_a_while() {
    let cluster = cluster();
    let mut waits = pod(
        "lab-small-2",
        "worker",
        &json!({"phase": "Pending",
        "initContainerStatuses": [{"name": "wait-gcs-ready", "state": {"running": {}}}]}),
    );
    waits["spec"]["initContainers"] = json!([{"name": "wait-gcs-ready"}]);
    let old = with_pods(&cluster, &[head(), worker(1), waits.clone()]);
    stopped(&old, "pods", &["wait-gcs-ready", "NetworkPolicies"]);
    waits["metadata"]["creationTimestamp"] = json!("2026-01-01T00:59:00Z");
    let fresh = Facts { nodes: nodes(1), ..with_pods(&cluster, &[head(), worker(1), waits]) };
    assert_eq!(decides(&fresh).1, State::Waiting);
}

#[test]
fn pods_that_were_not_made_are_explained_by_condition_then_by_event() {
    let mut cluster = cluster();
    let event = |reason: &str, last: &str| Event {
        warning: true,
        reason: reason.to_owned(),
        message: "pods is forbidden: exceeded quota: small".to_owned(),
        last: last.to_owned(),
    };
    let events = vec![
        event("FailedToCreateHeadPod", "2026-01-01T00:10:00Z"),
        event("FailedToCreateWorkerPod", "2026-01-01T00:59:00Z"),
        Event { warning: false, ..event("Normal", "2026-01-01T00:59:30Z") },
    ];
    let facts = Facts { events: Ok(events), ..with_pods(&cluster, &[head(), worker(1)]) };
    stopped(
        &facts,
        "replicas",
        &["small has 1 of 2 Pods", "FailedToCreateWorkerPod", "60 s ago", "resourcequota"],
    );
    cluster["status"]["conditions"] =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
    let facts = with_pods(&cluster, &[head(), worker(1)]);
    stopped(&facts, "replicas", &["violates PodSecurity", "Pod security level"]);
}

#[test]
fn a_warning_that_keeps_no_pod_away_explains_nothing() {
    let cluster = cluster();
    let event = |reason: &str| Event {
        warning: true,
        reason: reason.to_owned(),
        message: "whatever".to_owned(),
        last: "2026-01-01T00:59:00Z".to_owned(),
    };
    for (reason, state) in [
        ("FailedToDeleteWorkerPod", State::Waiting),
        ("InvalidRayClusterSpec", State::Blocked),
        ("AutoscalerServiceAccountNotFound", State::Blocked),
    ] {
        let facts = Facts {
            events: Ok(vec![event(reason)]),
            nodes: nodes(1),
            ..with_pods(&cluster, &[head(), worker(1)])
        };
        assert_eq!((decides(&facts).0, decides(&facts).1), ("replicas", state), "{reason}");
    }
}

#[test]
fn pods_that_were_not_made_for_no_known_reason_are_waited_for() {
    let mut cluster = cluster();
    let facts = Facts { nodes: nodes(1), ..with_pods(&cluster, &[head(), worker(1)]) };
    assert_eq!(decides(&facts).1, State::Waiting);
    let blind = Facts { events: Err(gap("list on events")), ..facts.clone() };
    let (name, state, what, _) = decides(&blind);
    assert_eq!((name, state), ("replicas", State::Unknown));
    assert!(what.contains("grant list on events"), "{what}");
    cluster["status"]["observedGeneration"] = json!(2);
    let facts = Facts { nodes: nodes(1), ..with_pods(&cluster, &[head(), worker(1)]) };
    assert!(decides(&facts).2.contains("not seen the last change"));
}

#[test]
fn a_cluster_that_nobody_looks_at_says_so_at_its_head() {
    let mut cluster = cluster();
    cluster.as_object_mut().unwrap().remove("status");
    stopped(&with_pods(&cluster, &[]), "head", &["nobody has looked", "node manager"]);
    cluster["metadata"]["creationTimestamp"] = json!("2026-01-01T00:59:50Z");
    cluster["status"] = json!({"observedGeneration": 3});
    let facts = with_pods(&cluster, &[]);
    assert_eq!(chain(&facts, now()).unwrap().links[2].state, State::Waiting);
}

#[test]
fn a_worker_that_runs_and_never_joined_is_named() {
    let cluster = cluster();
    let facts = Facts { nodes: nodes(1), ..healthy(&cluster) };
    stopped(&facts, "joined", &["1 of 2 workers joined", "lab-small-2", "oldest for 19 min"]);
}

#[test]
fn a_dashboard_that_says_nothing_leaves_the_workers_unknown() {
    let cluster = cluster();
    let nodes = Answer::Unknown("unknown: grant get on pods/proxy".to_owned());
    let facts = Facts { nodes, demand: None, ..healthy(&cluster) };
    let (name, state, what, fix) = decides(&facts);
    assert_eq!((name, state), ("demand", State::Unknown));
    assert!(what.contains("grant get on pods/proxy") && fix == "ask the dashboard");
    assert_eq!(chain(&facts, now()).unwrap().links[8].state, State::Unknown);
}

#[test]
fn without_the_pods_everything_that_hangs_on_them_is_unknown() {
    let cluster = cluster();
    let facts = Facts { pods: Err(gap("list on pods")), ..healthy(&cluster) };
    let chain = chain(&facts, now()).unwrap();
    for name in ["head", "autoscaler", "replicas", "pods", "joined"] {
        let link = chain.links.iter().find(|link| link.name == name).unwrap();
        assert_eq!(link.state, State::Unknown, "{name}");
        assert!(link.what.contains("grant list on pods"), "{name}: {}", link.what);
    }
}

#[test]
fn pods_of_an_older_cluster_of_this_name_do_not_count() {
    let mut cluster = cluster();
    cluster["metadata"]["uid"] = json!("u-2");
    stopped(&healthy(&cluster), "head", &["no head Pod"]);
}

#[test]
fn a_sick_autoscaler_stops_before_the_counts_that_it_should_write() {
    let cluster = cluster();
    let sick = |state: Value| {
        let mut head = head();
        head["status"]["conditions"][0]["status"] = json!("False");
        head["status"]["containerStatuses"][1] = state;
        head
    };
    let killed = sick(json!({"name": "autoscaler", "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled"}}}));
    let words = ["OOMKilled", "7 restarts", "autoscalerOptions.resources.limits.memory"];
    stopped(&with_pods(&cluster, &[killed, worker(1), worker(2)]), "autoscaler", &words);
    let mut none = head();
    none["spec"]["containers"].as_array_mut().unwrap().pop();
    stopped(
        &with_pods(&cluster, &[none, worker(1), worker(2)]),
        "autoscaler",
        &["no container autoscaler"],
    );
}

#[test]
fn an_autoscaler_that_sees_demand_and_does_nothing_is_pointed_at() {
    let cluster = cluster();
    let facts = Facts { demand: Some(waiting_for("{'GPU': 1.0}: 1")), ..healthy(&cluster) };
    let (name, state, what, fix) = decides(&facts);
    assert_eq!((name, state), ("autoscaler", State::Waiting));
    assert!(what.contains("no count moves") && fix.contains("kubectl logs lab-head -n team-a"));
}

#[test]
fn what_rays_autoscaler_stops_on_is_found_in_the_spec() {
    let cluster = cluster();
    let finding =
        |rule| [Finding::warn(rule, Pointer::of(["spec"]), "no CPU figure", "one", "set cpu")];
    let fatal = finding(RuleId::NO_CPU);
    let facts = Facts { findings: &fatal, ..healthy(&cluster) };
    stopped(&facts, "spec", &["no CPU figure", "autoscaler/no-cpu", "raywarden explain"]);
    let mild = finding(RuleId::IDLE_SHORT);
    let facts = Facts { findings: &mild, ..healthy(&cluster) };
    let link = chain(&facts, now()).unwrap().links.remove(1);
    assert!(link.state == State::Ok && link.what.contains("idle-timeout-short"), "{link:?}");
}

#[test]
fn surplus_pods_wait_for_their_names() {
    let mut cluster = cluster();
    cluster["spec"]["workerGroupSpecs"][0]["replicas"] = json!(1);
    assert!(decides(&healthy(&cluster)).2.contains("only Pods that workersToDelete names"));
    cluster["spec"]["workerGroupSpecs"][0]["scaleStrategy"] =
        json!({"workersToDelete": ["lab-small-2"]});
    assert!(decides(&healthy(&cluster)).2.contains("until they are gone"));
}

#[test]
fn events_of_both_apis_and_ages_are_read() {
    let old = json!({"type": "Warning", "reason": "R", "message": "a\nb.", "lastTimestamp": "2026-01-01T00:00:00Z"});
    let event = Event::read(&old);
    assert_eq!((event.message.as_str(), event.last.as_str()), ("a b", "2026-01-01T00:00:00Z"));
    let new = json!({"eventTime": "2026-01-01T00:00:00.000000Z", "lastTimestamp": null});
    assert_eq!(Event::read(&new).last, "2026-01-01T00:00:00.000000Z");
    for (since, words) in [
        ("2026-01-01T00:59:59Z", "1 s"),
        ("2026-01-01T00:58:00Z", "2 min"),
        ("2025-12-31T20:00:00Z", "5 h"),
        ("2025-12-01T00:00:00Z", "31 d"),
        ("2026-01-02T00:00:00Z", "0 s"),
    ] {
        assert_eq!(facts::age(since.parse().unwrap(), now()), words);
    }
}
