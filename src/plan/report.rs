//! What a cluster's report says: joined nodes, stuck Pods, the autoscaler's health, the dashboard.
//!
//! Input: the Pods, what the dashboard answered, and the time. Output: a `RayClusterReport`, and the
//! CRD that holds it, with room for the clamps that admission notes there and for what audits find. It
//! names moments, never ages, so that it changes only when something happened. Lists are capped.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::Subject;
use super::audit::kept;
use super::joined::{self, Answer, Autoscaler, Demand, Joined, Want};
use super::object::owners;
use super::pod::{CLUSTER, CREATED_BY, OURSELVES, Phase, Pod};
use crate::dialect::OURS;
use crate::schema::{Own, column};

/// The version of the report.
pub const VERSION: &str = "v1alpha1";

/// Its kind.
pub const KIND: &str = "RayClusterReport";

/// Its plural name.
pub const PLURAL: &str = "rayclusterreports";

/// The longest list of Pods.
pub const MOST_PODS: usize = 20;

/// The longest list of groups.
const MOST_GROUPS: usize = 100;

/// Words by which the kubelet says that a container does not get going.
const STUCK: [&str; 6] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
];

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Every Pod that carries the cluster's label.
    pub pods: &'a [Pod],
    /// What the dashboard answered.
    pub answer: &'a Answer,
    /// `ADDRESS:PORT` of the dashboard; empty where no head runs.
    pub dashboard: &'a str,
    /// For how long a ready Pod may lack its node.
    pub threshold: Duration,
    /// For how long past its grace period a Pod may be terminating.
    pub stuck_after: Duration,
    /// What waits for resources; `None` where the dashboard does not say.
    pub demand: Option<&'a Demand>,
    /// What waited, though there was room, when it was looked at last.
    pub waited: Option<&'a Want>,
    /// For how long something may wait though there is room.
    pub acts_within: Duration,
    /// The moment.
    pub now: Timestamp,
}

/// What a look at a cluster gives.
#[derive(Clone, Debug)]
pub struct Look {
    /// The report.
    pub report: Value,
    /// What became of the workers.
    pub joined: Joined,
    /// What waits though there is room.
    pub want: Option<Want>,
    /// Why the autoscaler seems to do nothing; `None` where it does not.
    pub idles: Option<String>,
}

/// The report of a cluster, and what it was made from.
pub fn report(subject: &Subject<'_>, facts: &Facts<'_>) -> Look {
    let joined = joined::joined(subject.uid, facts.pods, facts.answer, facts.threshold, facts.now);
    let groups: Vec<Value> = joined.groups.iter().take(MOST_GROUPS).map(group).collect();
    let sum = |of: fn(&joined::GroupJoined) -> usize| joined.groups.iter().map(of).sum::<usize>();
    let autoscaling = subject.view.autoscaling;
    let health = joined::autoscaler(subject.uid, facts.pods, autoscaling, facts.now);
    let want = facts
        .demand
        .and_then(|demand| joined::want(&subject.view, &joined, demand, facts.waited, facts.now));
    let idles = want.as_ref().filter(|_| runs(&health)).and_then(|it| idles(it, facts));
    let (state, message) = match &idles {
        Some(why) => ("NotOperating", why.clone()),
        None => health_words(&health),
    };
    let unknown = joined.unknown.as_deref().unwrap_or("");
    let report = json!({
        "dashboard": {
            "address": facts.dashboard,
            "state": if unknown.is_empty() { "Answers" } else { "Unknown" },
            "message": unknown,
        },
        "workers": {
            "joined": joined.joined(),
            "starting": sum(|group| group.starting),
            "notJoined": sum(|group| group.not_joined.len()),
            "unknown": sum(|group| group.unknown),
        },
        "groups": groups,
        "stuckPods": stuck(subject.uid, facts),
        "autoscaler": {"state": state, "message": message},
    });
    let object = json!({
        "apiVersion": format!("{OURS}/{VERSION}"),
        "kind": KIND,
        "metadata": {
            "name": subject.view.name,
            "namespace": subject.namespace,
            "labels": {CLUSTER: subject.view.name, CREATED_BY: OURSELVES},
            "ownerReferences": owners(subject.view.name, subject.uid),
        },
        "report": report,
    });
    Look { report: object, joined, want, idles }
}

const fn runs(health: &Autoscaler) -> bool {
    matches!(health, Autoscaler::Running { .. } | Autoscaler::Unsteady { .. })
}

/// What is said of an autoscaler that runs, once something waits for too long though there is room.
fn idles(want: &Want, facts: &Facts<'_>) -> Option<String> {
    let Want { what, group, since, .. } = want;
    let overdue = since.checked_add(facts.acts_within).ok()? < facts.now;
    overdue.then(|| {
        format!(
            "waiting since {since} though group {group} has room, and no count moved: {what}; it needs \
             DNS and the API server (egress in a NetworkPolicy of the head), and its log says more"
        )
    })
}

fn group(group: &joined::GroupJoined) -> Value {
    let stray = |stray: &joined::Stray| json!({"pod": stray.pod, "readySince": stray.ready_since.to_string(), "message": stray.said});
    let strays: Vec<Value> = group.not_joined.iter().take(MOST_PODS).map(stray).collect();
    json!({
        "name": group.group,
        "joined": group.joined,
        "starting": group.starting,
        "unknown": group.unknown,
        "notJoined": strays,
    })
}

/// Pods that do not get going, or do not go.
fn stuck(uid: &str, facts: &Facts<'_>) -> Vec<Value> {
    let mut pods: Vec<&Pod> = facts.pods.iter().filter(|pod| pod.belongs_to(uid)).collect();
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    let entries = pods.into_iter().filter_map(|pod| {
        let (reason, message) = why_stuck(pod, facts)?;
        Some(json!({"pod": pod.name, "created": pod.created, "reason": reason, "message": message}))
    });
    entries.take(MOST_PODS).collect()
}

fn why_stuck<'a>(pod: &'a Pod, facts: &Facts<'_>) -> Option<(&'a str, String)> {
    if pod.terminating {
        let by: Timestamp = pod.gone_by.parse().ok()?;
        let over = by.checked_add(facts.stuck_after).ok()? < facts.now;
        let message = format!("its grace period ended at {by}; look at its node and finalizers");
        return over.then_some(("Terminating", message));
    }
    if !pod.unschedulable.is_empty() {
        return Some(("Unschedulable", pod.unschedulable.clone()));
    }
    let waiting = pod.containers.iter().find(|it| STUCK.contains(&it.reason.as_str()));
    if let Some(container) = waiting {
        let message = format!("container {}: {}", container.name, container.message);
        return Some((&container.reason, message));
    }
    (pod.phase == Phase::Failed).then(|| ("Failed", String::new()))
}

fn health_words(health: &Autoscaler) -> (&'static str, String) {
    let restarted = |restarts: &i64, last: &str| {
        if *restarts == 0 {
            String::new()
        } else {
            format!("restarted {restarts} times, last: {last}")
        }
    };
    match health {
        Autoscaler::Off => ("Off", String::new()),
        Autoscaler::NoHead => ("NoHead", String::new()),
        Autoscaler::Absent => {
            ("Absent", "the head was built without it; delete the head Pod".to_owned())
        }
        // Counts of a container that holds are no news.
        Autoscaler::Running { .. } => ("Running", String::new()),
        Autoscaler::Unsteady { restarts, last } => ("Unsteady", restarted(restarts, last)),
        Autoscaler::OutOfMemory { restarts, .. } => {
            let advice = "raise autoscalerOptions.resources.limits.memory";
            ("OOMKilled", format!("restarted {restarts} times; {advice}"))
        }
        Autoscaler::CrashLooping { restarts, last } => ("CrashLooping", restarted(restarts, last)),
        Autoscaler::Waiting { reason, message } => {
            ("Waiting", format!("{reason} {message}").trim().to_owned())
        }
        Autoscaler::Ended { reason } => ("Ended", reason.clone()),
    }
}

/// One Pod of each group that never joined, the longest ready one: what a policy may replace. Nothing
/// where the dashboard did not answer.
pub fn replaceable(joined: &Joined) -> Vec<String> {
    let first = |group: &joined::GroupJoined| {
        group
            .not_joined
            .iter()
            .min_by_key(|stray| (stray.ready_since, &stray.pod))
            .map(|it| it.pod.clone())
    };
    joined.groups.iter().filter_map(first).collect()
}

/// The CRD of the report.
pub fn definition() -> Value {
    let text = || json!({"type": "string"});
    let count = || json!({"type": "integer", "format": "int32", "minimum": 0});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let list = |most: usize, properties: Value| json!({"type": "array", "maxItems": most, "items": object(properties)});
    let stray = json!({"pod": text(), "readySince": {"type": "string", "format": "date-time"}, "message": text()});
    let groups = json!({
        "name": text(), "joined": count(), "starting": count(), "unknown": count(),
        "notJoined": list(MOST_PODS, stray),
    });
    let stuck = json!({"pod": text(), "created": {"type": "string", "format": "date-time"}, "reason": text(), "message": text()});
    let report = object(json!({
        "dashboard": object(json!({"address": text(), "state": {"type": "string", "enum": ["Answers", "Unknown"]}, "message": text()})),
        "workers": object(json!({"joined": count(), "starting": count(), "notJoined": count(), "unknown": count()})),
        "groups": list(MOST_GROUPS, groups),
        "stuckPods": list(MOST_PODS, stuck),
        "autoscaler": object(json!({"state": text(), "message": text()})),
    }));
    let clamp = object(json!({
        "asked": {"type": "integer", "format": "int64"}, "allowed": {"type": "integer", "format": "int64"},
        "by": text(), "time": {"type": "string", "format": "date-time"},
    }));
    let clamps =
        json!({"type": "object", "maxProperties": MOST_GROUPS, "additionalProperties": clamp});
    let schema = object(json!({
        "apiVersion": text(), "kind": text(), "metadata": {"type": "object"}, "report": report,
        "clamps": clamps, "audit": kept::schema(),
    }));
    Own {
        kind: KIND,
        plural: PLURAL,
        singular: PLURAL.trim_end_matches('s'),
        short: "rcr",
        scope: "Namespaced",
        version: VERSION,
        status: false,
        columns: vec![
            column("joined", "integer", ".report.workers.joined"),
            column("not joined", "integer", ".report.workers.notJoined"),
            column("autoscaler", "string", ".report.autoscaler.state"),
            column("dashboard", "string", ".report.dashboard.address"),
            column("refused", "integer", ".audit.deny"),
            column("warned", "integer", ".audit.warn"),
            column("age", "date", ".metadata.creationTimestamp"),
        ],
        schema,
    }
    .crd()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::joined::RayNode;

    fn cluster() -> Value {
        json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {"name": "lab", "namespace": "ns", "uid": "u"},
            "spec": {"headGroupSpec": {"template": {"spec": {"containers": [{"name": "ray"}]}}}},
        })
    }

    fn worker(name: &str, ip: &str) -> Pod {
        Pod::read(&json!({
            "metadata": {
                "name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"ray.io/node-type": "worker", "ray.io/group": "pool"},
                "ownerReferences": [{"controller": true, "uid": "u"}],
            },
            "status": {
                "phase": "Running", "podIP": ip,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}],
            },
        }))
    }

    fn made(pods: &[Pod], answer: &Answer, now: &str) -> (Value, Joined) {
        let look = look(&cluster(), pods, answer, None, None, now);
        (look.report, look.joined)
    }

    fn look(
        object: &Value,
        pods: &[Pod],
        answer: &Answer,
        demand: Option<&Demand>,
        waited: Option<&Want>,
        now: &str,
    ) -> Look {
        let subject = Subject::of(object).unwrap();
        let facts = Facts {
            pods,
            answer,
            dashboard: "10.0.0.1:8265",
            threshold: Duration::from_mins(2),
            stuck_after: Duration::from_mins(1),
            demand,
            waited,
            acts_within: Duration::from_mins(5),
            now: now.parse().unwrap(),
        };
        report(&subject, &facts)
    }

    #[test]
    fn a_ready_pod_without_a_node_is_named_and_may_be_replaced() {
        let pods = [worker("a", "10.0.0.5"), worker("b", "10.0.0.6")];
        let alive = RayNode { ip: "10.0.0.5".into(), alive: true, ..RayNode::default() };
        let answer = Answer::Known(vec![alive]);
        let (said, joined) = made(&pods, &answer, "2026-01-01T01:00:00Z");
        assert_eq!(said["report"]["workers"]["joined"], 1);
        assert_eq!(said["report"]["groups"][0]["notJoined"][0]["pod"], "b");
        assert_eq!(replaceable(&joined), ["b"]);
        let (later, _) = made(&pods, &answer, "2026-01-01T05:00:00Z");
        assert_eq!(said, later, "time alone changes nothing");
    }

    #[test]
    fn a_head_that_does_not_answer_makes_every_worker_unknown_and_none_replaceable() {
        let pods = [worker("a", "10.0.0.5")];
        let answer = Answer::Unknown("no answer within 3 s".to_owned());
        let (said, joined) = made(&pods, &answer, "2026-01-01T01:00:00Z");
        assert_eq!(said["report"]["workers"]["unknown"], 1);
        assert_eq!(said["report"]["dashboard"]["state"], "Unknown");
        assert!(replaceable(&joined).is_empty());
    }

    #[test]
    fn an_autoscaler_that_runs_and_lets_something_wait_though_there_is_room_is_not_operating() {
        let mut object = cluster();
        let ray = json!({"name": "ray", "resources": {"limits": {"cpu": 1}}});
        object["spec"]["enableInTreeAutoscaling"] = json!(true);
        object["spec"]["workerGroupSpecs"] = json!([{
            "groupName": "pool", "replicas": 0, "minReplicas": 0, "maxReplicas": 3,
            "template": {"spec": {"containers": [ray]}},
        }]);
        let head = Pod::read(&json!({
            "metadata": {
                "name": "h", "uid": "h", "labels": {"ray.io/node-type": "head"},
                "ownerReferences": [{"controller": true, "uid": "u"}],
            },
            "spec": {"containers": [{"name": "autoscaler"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "autoscaler", "state": {"running": {}}, "restartCount": 0},
            ]},
        }));
        let (pods, answer) = ([head], Answer::Known(Vec::new()));
        let line = "{'CPU': 1.0}: 2+ pending tasks/actors".to_owned();
        let demand = Demand { pending: vec![line], ..Demand::default() };
        let at = |waited: Option<&Want>, now: &str| {
            look(&object, &pods, &answer, Some(&demand), waited, now)
        };
        let first = at(None, "2026-01-01T00:00:00Z");
        assert_eq!(first.report["report"]["autoscaler"]["state"], "Running");
        let still = at(first.want.as_ref(), "2026-01-01T00:04:00Z");
        assert!(still.idles.is_none());
        let late = at(still.want.as_ref(), "2026-01-01T00:06:00Z");
        let said = &late.report["report"]["autoscaler"];
        assert_eq!(said["state"], "NotOperating", "{said}");
        assert!(said["message"].as_str().unwrap().contains("egress"), "{said}");
        let later = at(late.want.as_ref(), "2026-01-01T09:00:00Z");
        assert_eq!(later.report, late.report, "time alone changes nothing");
    }

    #[test]
    fn pods_that_do_not_get_going_are_listed_with_their_reason_and_the_list_is_capped() {
        let mut stuck: Vec<Pod> = (0..30).map(|n| worker(&format!("p{n:02}"), "")).collect();
        for pod in &mut stuck {
            pod.unschedulable = "0/3 nodes are available".to_owned();
        }
        let (said, _) = made(&stuck, &Answer::Unknown("x".into()), "2026-01-01T01:00:00Z");
        let list = said["report"]["stuckPods"].as_array().unwrap();
        assert_eq!(list.len(), MOST_PODS);
        assert_eq!(list[0]["reason"], "Unschedulable");
    }
}
