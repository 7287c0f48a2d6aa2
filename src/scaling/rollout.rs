//! How far a `StatefulSet` of a cluster has come.
//!
//! Input: the cluster, the `StatefulSet` of head or workers, its Pods. Output: a [`Rollout`]. Invariants:
//! a healthy set at rest is done; nothing is done before the operator has taken over what the cluster
//! wants, nor while the head is the one that a restart was to remove.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::head::{Pod, Progress};
use super::{Fault, tier};
use crate::model::Pointer;
use crate::model::template::{NULL, text};

/// Which nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The head.
    Head,
    /// The workers.
    Worker,
}

impl Node {
    /// Reads a part of a path.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "head" => Ok(Self::Head),
            "worker" => Ok(Self::Worker),
            _ => Err(Fault::bad("the node type is head or worker")),
        }
    }

    /// As it stands in paths, labels and names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Worker => "worker",
        }
    }

    /// The `StatefulSet` of a cluster's nodes.
    pub fn set(self, cluster: &str) -> String {
        format!("{cluster}-ray-{}", self.as_str())
    }

    /// The selector of their Pods.
    pub fn selector(self, cluster: &str) -> String {
        format!(
            "app.kubernetes.io/name=ray,app.kubernetes.io/instance={cluster},\
             app.kubernetes.io/component={}",
            self.as_str()
        )
    }
}

/// What `restart_status` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Pods that the cluster wants.
    pub desired: i64,
    /// Pods in phase Running.
    pub running: i64,
    /// Pods that are ready.
    pub ready: i64,
    /// When the oldest Pod was made.
    pub oldest: Option<Timestamp>,
    /// Whether every Pod is newer than what was asked about.
    pub restarted: bool,
    /// How it stands.
    pub state: State,
}

/// How it stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no `StatefulSet` yet.
    Absent,
    /// The operator has not taken over what the cluster wants.
    Waiting,
    /// The head of before is still there.
    NotRestarted,
    /// Pods are being made, replaced or removed.
    Rolling,
    /// Everything is as wanted. Clients wait for exactly this word.
    Done,
}

impl State {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "statefulset_not_found",
            Self::Waiting => "waiting_for_operator",
            Self::NotRestarted => "not_restarted",
            Self::Rolling => "restarting",
            Self::Done => "restarted_and_ready_counts_ok",
        }
    }
}

impl Rollout {
    /// Judges what was read at `now`; `since` is what the caller asks about.
    pub fn of(
        node: Node,
        cluster: &Value,
        set: Option<&Value>,
        pods: &[Value],
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let owned = |pod: &&Value| set.is_some_and(|set| owner(pod) == Some(uid(set)));
        let pods: Vec<Pod> = pods.iter().filter(owned).map(Pod::read).collect();
        let count = |test: fn(&Pod) -> bool| {
            i64::try_from(pods.iter().filter(|pod| test(pod)).count()).unwrap_or(i64::MAX)
        };
        let desired = match node {
            Node::Head => 1,
            Node::Worker => number(cluster, &["spec", "worker", "replicas"]).unwrap_or(1),
        };
        let (running, ready) = (count(|pod| pod.running), count(|pod| pod.ready));
        let oldest = pods.iter().filter_map(|pod| pod.created).min();
        let replaced = match node {
            Node::Head => Progress::of(cluster, pods.first(), since, now).restarted,
            Node::Worker => since.is_none_or(|since| oldest.is_none_or(|oldest| oldest > since)),
        };
        let state = match set {
            None => State::Absent,
            Some(set) if !is_taken_over(node, cluster, set, desired) => State::Waiting,
            Some(_) if node == Node::Head && !replaced => State::NotRestarted,
            Some(set) => {
                let all = i64::try_from(pods.len()).unwrap_or(i64::MAX) == desired;
                let settled = all && ready == desired && is_settled(set, desired);
                if settled { State::Done } else { State::Rolling }
            }
        };
        Self { desired, running, ready, oldest, restarted: replaced, state }
    }
}

fn uid(object: &Value) -> &str {
    object.get("metadata").and_then(|it| text(it, "uid")).unwrap_or("")
}

/// The UID of the controller.
fn owner(object: &Value) -> Option<&str> {
    let owners = Pointer::of(["metadata", "ownerReferences"]);
    let owner = owners.list(object).iter().find(|it| it.get("controller") == Some(&true.into()))?;
    text(owner, "uid")
}

fn number(object: &Value, path: &[&'static str]) -> Option<i64> {
    Pointer::root().join(path).get(object)?.as_i64()
}

/// Whether the operator has written count and tier into the `StatefulSet`, and Kubernetes has seen that.
fn is_taken_over(node: Node, cluster: &Value, set: &Value, desired: i64) -> bool {
    let label = |object: &Value, path: &[&'static str]| {
        let place = Pointer::root().join(path).at(tier::LABEL);
        place.get(object).unwrap_or(NULL).as_str().map(str::to_owned)
    };
    let wanted = label(cluster, &["spec", node.as_str(), "labels"]);
    let has = label(set, &["spec", "template", "metadata", "labels"]);
    number(set, &["spec", "replicas"]).unwrap_or(1) == desired
        && wanted.is_none_or(|wanted| has.is_some_and(|has| has == wanted))
        && number(set, &["status", "observedGeneration"])
            >= number(set, &["metadata", "generation"])
}

fn is_settled(set: &Value, desired: i64) -> bool {
    // Kubernetes leaves zeros out.
    let count = |key: &'static str| number(set, &["status", key]).unwrap_or(0);
    let revision =
        |key: &'static str| Pointer::of(["status", key]).get(set).unwrap_or(NULL).as_str();
    count("replicas") == desired
        && count("readyReplicas") == desired
        && (count("updatedReplicas") == desired
            || revision("currentRevision") == revision("updateRevision"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2025-10-02T09:31:00Z".parse().unwrap()
    }

    fn cluster(replicas: i64) -> Value {
        json!({"metadata": {"name": "ray-1", "uid": "u1"}, "spec": {"worker": {"replicas": replicas}}})
    }

    fn set(wanted: i64, ready: i64) -> Value {
        json!({
            "metadata": {"uid": "s1", "generation": 3}, "spec": {"replicas": wanted},
            "status": {"observedGeneration": 3, "replicas": wanted, "readyReplicas": ready, "updatedReplicas": wanted},
        })
    }

    fn pods(count: usize, ready: usize, owner: &str) -> Vec<Value> {
        let pod = |index| {
            let ready = if index < ready { "True" } else { "False" };
            json!({
                "metadata": {"uid": format!("p{index}"), "creationTimestamp": "2025-10-02T09:30:00Z",
                             "ownerReferences": [{"uid": owner, "controller": true}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        (0..count).map(pod).collect()
    }

    fn state(cluster: &Value, set: &Value, pods: &[Value]) -> State {
        Rollout::of(Node::Worker, cluster, Some(set), pods, None, now()).state
    }

    #[test]
    fn healthy_workers_at_rest_are_done_without_any_restart() {
        let rollout = Rollout::of(
            Node::Worker,
            &cluster(2),
            Some(&set(2, 2)),
            &pods(2, 2, "s1"),
            None,
            now(),
        );
        assert_eq!(rollout.state.as_str(), "restarted_and_ready_counts_ok");
        assert_eq!((rollout.desired, rollout.running, rollout.ready), (2, 2, 2));
        assert!(rollout.restarted);
    }

    #[test]
    fn right_after_a_scale_nothing_is_done_before_the_operator_has_acted() {
        assert_eq!(state(&cluster(5), &set(2, 2), &pods(2, 2, "s1")), State::Waiting);
        let mut unseen = set(5, 2);
        unseen["metadata"]["generation"] = 4.into();
        assert_eq!(state(&cluster(5), &unseen, &pods(2, 2, "s1")), State::Waiting);
        assert_eq!(state(&cluster(5), &set(5, 2), &pods(5, 2, "s1")), State::Rolling);
        assert_eq!(state(&cluster(5), &set(5, 5), &pods(5, 5, "s1")), State::Done);
    }

    #[test]
    fn pods_on_their_way_out_or_of_another_set_do_not_count() {
        let mut leaving = pods(3, 3, "s1");
        leaving[2]["metadata"]["deletionTimestamp"] = "2025-10-02T09:31:00Z".into();
        assert_eq!(state(&cluster(2), &set(2, 2), &leaving), State::Rolling);
        assert_eq!(state(&cluster(2), &set(2, 2), &pods(2, 2, "other")), State::Rolling);
        assert_eq!(state(&cluster(0), &set(0, 0), &[]), State::Done);
    }

    #[test]
    fn a_new_tier_is_done_only_when_the_operator_has_written_it() {
        let mut cluster = cluster(1);
        cluster["spec"]["worker"]["labels"] = json!({tier::LABEL: "big"});
        let mut set = set(1, 1);
        assert_eq!(state(&cluster, &set, &pods(1, 1, "s1")), State::Waiting);
        set["spec"]["template"] = json!({"metadata": {"labels": {tier::LABEL: "big"}}});
        assert_eq!(state(&cluster, &set, &pods(1, 1, "s1")), State::Done);
        set["status"]["updatedReplicas"] = 0.into();
        set["status"]["currentRevision"] = "a".into();
        set["status"]["updateRevision"] = "b".into();
        assert_eq!(state(&cluster, &set, &pods(1, 1, "s1")), State::Rolling);
    }

    #[test]
    fn a_head_is_not_done_while_it_is_the_one_that_was_to_go() {
        let note = json!({"uid": "p0", "startedAt": "2025-10-02T09:30:00Z"}).to_string();
        let mut cluster = cluster(1);
        cluster["metadata"]["annotations"] = json!({super::super::head::ANNOTATION: note});
        let of = |pods: &[Value]| {
            Rollout::of(Node::Head, &cluster, Some(&set(1, 1)), pods, None, now()).state
        };
        assert_eq!(of(&pods(1, 1, "s1")), State::NotRestarted);
        let mut new = pods(1, 1, "s1");
        new[0]["metadata"]["uid"] = "p9".into();
        assert_eq!(of(&new), State::Done);
    }

    #[test]
    fn a_missing_set_is_said_and_wants_what_the_cluster_wants() {
        let rollout = Rollout::of(Node::Worker, &cluster(4), None, &[], None, now());
        assert_eq!((rollout.state, rollout.desired, rollout.ready), (State::Absent, 4, 0));
    }
}
