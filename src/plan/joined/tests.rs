use serde_json::{Value, json};

use super::*;

const UID: &str = "u-1";
const NOW: &str = "2026-01-01T01:00:00Z";
const THRESHOLD: Duration = Duration::from_mins(2);

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A ready worker, with members of its metadata, spec and status laid over.
fn worker(name: &str, ip: &str, ready_since: &str) -> Pod {
    read(
        name,
        "worker",
        &json!({
            "phase": "Running", "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ready_since}],
        }),
    )
}

fn read(name: &str, node_type: &str, status: &Value) -> Pod {
    Pod::read(&json!({
        "metadata": {
            "name": name, "uid": format!("uid-{name}"),
            "labels": {"ray.io/node-type": node_type, "ray.io/group": "small"},
            "ownerReferences": [{"uid": UID, "controller": true}],
        },
        "spec": {"containers": [{"name": "ray"}, {"name": "autoscaler"}]},
        "status": status,
    }))
}

fn node(ip: &str, alive: bool) -> RayNode {
    let said = if alive { "" } else { "missed too many heartbeats" };
    RayNode { ip: ip.to_owned(), alive, said: said.to_owned(), ..RayNode::default() }
}

const LONG_AGO: &str = "2026-01-01T00:00:00Z";

fn group(pods: &[Pod], nodes: Vec<RayNode>) -> GroupJoined {
    let joined = joined(UID, pods, &Answer::Known(nodes), THRESHOLD, now());
    assert_eq!(joined.unknown, None);
    assert!(joined.groups.len() < 2);
    joined.groups.into_iter().next().unwrap_or_default()
}

#[test]
fn a_pod_with_a_living_node_of_its_address_has_joined() {
    let pods = [worker("a", "10.0.0.1", LONG_AGO), worker("b", "10.0.0.2", LONG_AGO)];
    let group = group(&pods, vec![node("10.0.0.1", true), node("10.0.0.9", true)]);
    assert_eq!((group.joined, group.starting, group.unknown), (1, 0, 0));
    assert_eq!(group.not_joined.len(), 1);
    assert_eq!(group.not_joined[0].pod, "b");
    assert_eq!(group.not_joined[0].ready_since, LONG_AGO.parse().unwrap());
}

#[test]
fn a_dead_node_does_not_count_and_its_last_words_are_kept() {
    let pods = [worker("a", "10.0.0.1", LONG_AGO)];
    let group = group(&pods, vec![node("10.0.0.1", false)]);
    assert_eq!(group.joined, 0);
    assert_eq!(group.not_joined[0].said, "missed too many heartbeats");
}

#[test]
fn a_pod_gets_the_threshold_to_join() {
    for (since, strays) in [
        ("2026-01-01T00:57:59Z", 1),
        ("2026-01-01T00:58:00Z", 0),
        ("2026-01-01T02:00:00Z", 0),
        ("", 0),
    ] {
        let group = group(&[worker("a", "10.0.0.1", since)], vec![]);
        assert_eq!((group.not_joined.len(), group.starting), (strays, 1 - strays), "{since}");
    }
}

#[test]
fn without_an_answer_every_pod_is_unknown_and_none_is_absent() {
    let pods = [worker("a", "10.0.0.1", LONG_AGO), worker("b", "", LONG_AGO)];
    let answer = Answer::Unknown("no answer within 3 s".to_owned());
    let joined = joined(UID, &pods, &answer, THRESHOLD, now());
    assert_eq!(joined.unknown.as_deref(), Some("no answer within 3 s"));
    assert_eq!(joined.groups[0].unknown, 2);
    assert_eq!((joined.joined(), joined.strays().count()), (0, 0));
}

#[test]
fn pods_of_another_owner_terminating_ones_and_heads_do_not_count() {
    let mut foreign = worker("foreign", "10.0.0.1", LONG_AGO);
    foreign.owner = "u-2".to_owned();
    let mut leaving = worker("leaving", "10.0.0.2", LONG_AGO);
    leaving.terminating = true;
    let head = read("head", "head", &json!({}));
    let nodes = vec![node("10.0.0.1", true), node("10.0.0.2", true)];
    let joined = joined(UID, &[foreign, leaving, head], &Answer::Known(nodes), THRESHOLD, now());
    assert!(joined.groups.is_empty());
}

#[test]
fn pods_that_share_an_address_need_a_node_each_and_names_decide_first() {
    let pods = [worker("a", "10.0.0.1", LONG_AGO), worker("b", "10.0.0.1", LONG_AGO)];
    let named = RayNode { instance: "b".to_owned(), ..node("10.0.0.1", true) };
    let group_of_one = group(&pods, vec![named.clone()]);
    assert_eq!(group_of_one.not_joined.iter().map(|it| it.pod.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(group(&pods, vec![named, node("10.0.0.1", true)]).joined, 2);
}

#[test]
fn a_pod_without_an_address_matches_no_node_without_one() {
    let group = group(&[worker("a", "", LONG_AGO)], vec![node("", true)]);
    assert_eq!(group.joined, 0);
}

#[test]
fn a_heads_own_node_stands_for_no_worker() {
    let head = RayNode { head: true, ..node("10.0.0.1", true) };
    assert_eq!(group(&[worker("a", "10.0.0.1", LONG_AGO)], vec![head]).joined, 0);
}

/// The state of a head's sidecar, ready since then.
fn health(ready_since: &str, container: &Value) -> Autoscaler {
    let mut container = container.clone();
    container["name"] = json!("autoscaler");
    let head = read(
        "head",
        "head",
        &json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ready_since}],
            "containerStatuses": [container, {"name": "ray", "state": {"running": {}}}],
        }),
    );
    autoscaler(UID, &[head], true, now())
}

#[test]
fn a_steady_autoscaler_runs_whatever_became_of_it_before() {
    let killed = json!({"terminated": {"reason": "OOMKilled"}});
    let state = json!({"state": {"running": {}}, "lastState": killed, "restartCount": 9});
    let wanted = Autoscaler::Running { restarts: 9, last: "OOMKilled".to_owned() };
    assert_eq!(health(LONG_AGO, &state), wanted);
}

#[test]
fn memory_is_named_whether_it_runs_again_or_not() {
    let killed = json!({"terminated": {"reason": "OOMKilled"}});
    let moment = "2026-01-01T00:59:00Z";
    let again = json!({"state": {"running": {}}, "lastState": killed, "restartCount": 1});
    assert_eq!(health(moment, &again), Autoscaler::OutOfMemory { running: true, restarts: 1 });
    let waits = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": killed,
        "restartCount": 4});
    assert_eq!(health(moment, &waits), Autoscaler::OutOfMemory { running: false, restarts: 4 });
    let ended = json!({"state": killed});
    assert_eq!(health(moment, &ended), Autoscaler::OutOfMemory { running: false, restarts: 0 });
}

#[test]
fn a_container_that_ends_again_and_again_loops_even_while_it_runs() {
    let error = json!({"terminated": {"reason": "Error"}});
    let moment = "2026-01-01T00:59:00Z";
    let loops = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": error,
        "restartCount": 5});
    let wanted = Autoscaler::CrashLooping { restarts: 5, last: "Error".to_owned() };
    assert_eq!(health(moment, &loops), wanted);
    let runs = json!({"state": {"running": {}}, "lastState": error, "restartCount": 5});
    let wanted = Autoscaler::Unsteady { restarts: 5, last: "Error".to_owned() };
    assert_eq!(health(moment, &runs), wanted);
    let once = json!({"state": {"running": {}}, "lastState": error, "restartCount": 1});
    let wanted = Autoscaler::Running { restarts: 1, last: "Error".to_owned() };
    assert_eq!(health(moment, &once), wanted);
}

#[test]
fn a_container_that_waits_says_for_what() {
    let state =
        json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}});
    let wanted = Autoscaler::Waiting {
        reason: "ImagePullBackOff".to_owned(),
        message: "no such tag".to_owned(),
    };
    assert_eq!(health(LONG_AGO, &state), wanted);
}

#[test]
fn an_autoscaler_may_be_unwanted_headless_or_absent() {
    let mut head = read("head", "head", &json!({}));
    assert_eq!(autoscaler(UID, &[], false, now()), Autoscaler::Off);
    assert_eq!(autoscaler(UID, &[], true, now()), Autoscaler::NoHead);
    assert_eq!(autoscaler("u-2", std::slice::from_ref(&head), true, now()), Autoscaler::NoHead);
    head.containers.pop();
    assert_eq!(autoscaler(UID, std::slice::from_ref(&head), true, now()), Autoscaler::Absent);
    head.never_restarts = true;
    head.containers = read(
        "x",
        "head",
        &json!({"containerStatuses": [{"name": "autoscaler",
        "state": {"terminated": {"reason": "Error"}}}]}),
    )
    .containers;
    let wanted = Autoscaler::Ended { reason: "Error".to_owned() };
    assert_eq!(autoscaler(UID, &[head], true, now()), wanted);
}
