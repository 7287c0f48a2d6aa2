//! The restart of a head.
//!
//! Before the head Pod goes, its UID is written into an annotation of the cluster: whichever replica of
//! ours is asked later, and whatever clocks say, a head is new when its UID is another one. Input: the
//! cluster, its head Pod, the time. Output: the next [`Step`], or how far a restart has come.
//! Invariants: while a restart is under way another call joins it and removes nothing; a Pod is removed
//! only by the UID that was seen.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::change::{guarded, not_deleted, note};
use super::tier::Tier;
use super::{Code, Fault};
use crate::model::template::{list, text};
use crate::model::{Draft, Pointer};

/// The annotation.
pub const ANNOTATION: &str = "raywarden.io/head-restart";

/// What a head Pod gets to end by itself.
pub const GRACE_SECONDS: u32 = 20;

/// After this time a restart that did not end is given up on: the next call begins another one.
const PATIENCE: Duration = Duration::from_mins(5);

/// The Pod of a cluster's head.
pub fn pod_name(cluster: &str) -> String {
    format!("{cluster}-ray-head-0")
}

/// A Pod as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its UID.
    pub uid: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Whether its phase is Running.
    pub running: bool,
    /// Whether its condition Ready is true.
    pub ready: bool,
}

impl Pod {
    /// Reads a Pod.
    pub fn read(pod: &Value) -> Self {
        let metadata = pod.get("metadata").unwrap_or(&Value::Null);
        let status = pod.get("status").unwrap_or(&Value::Null);
        let terminating = metadata.get("deletionTimestamp").is_some_and(|at| !at.is_null());
        let ready = list(status, "conditions")
            .iter()
            .any(|it| text(it, "type") == Some("Ready") && text(it, "status") == Some("True"));
        Self {
            uid: text(metadata, "uid").unwrap_or("").to_owned(),
            created: text(metadata, "creationTimestamp").and_then(|at| at.parse().ok()),
            terminating,
            running: text(status, "phase") == Some("Running") && !terminating,
            ready: ready && !terminating,
        }
    }

    /// The head of this cluster, of which it bears the labels; a stranger of that name is none.
    pub fn head_of(cluster: &str, pod: &Value) -> Option<Self> {
        let labels = pod.get("metadata")?.get("labels")?;
        let is = |key: &str, value: &str| text(labels, key) == Some(value);
        let ours = is("app.kubernetes.io/name", "ray")
            && is("app.kubernetes.io/instance", cluster)
            && is("app.kubernetes.io/component", "head");
        ours.then(|| Self::read(pod))
    }
}

/// A restart that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The head Pod of before.
    pub uid: String,
    /// When, in whole seconds.
    pub started_at: Timestamp,
    /// Whether the operator replaces the Pod, because its template changed.
    pub by_rollout: bool,
}

impl Restart {
    /// The restart that the cluster remembers.
    pub fn of(object: &Value) -> Option<Self> {
        let text = note(ANNOTATION).get(object)?.as_str()?.to_owned();
        let json: Value = serde_json::from_str(&text).ok()?;
        Some(Self {
            uid: json.get("uid")?.as_str()?.to_owned(),
            started_at: json.get("startedAt")?.as_str()?.parse().ok()?,
            by_rollout: json.get("byRollout").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    fn to_text(&self) -> String {
        let Self { uid, started_at, by_rollout } = self;
        json!({"uid": uid, "startedAt": started_at.to_string(), "byRollout": by_rollout})
            .to_string()
    }

    /// Whether it is still under way.
    pub fn is_under_way(&self, head: Option<&Pod>, now: Timestamp) -> bool {
        let over = head.is_some_and(|head| head.uid != self.uid && head.ready);
        !over && now.duration_since(self.started_at).unsigned_abs() < PATIENCE
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Remember, with this patch; then remove the Pod, unless a rollout does.
    Begin {
        /// JSON Patch, tests first.
        operations: Vec<Value>,
        /// What is remembered.
        restart: Restart,
    },
    /// One is under way; where its Pod was never removed, remove it.
    Join(Restart),
}

/// Begins a restart, on another tier where one is given, or joins the one under way.
pub fn step(
    object: &Value,
    head: Option<&Pod>,
    tier: Option<&Tier>,
    now: Timestamp,
) -> Result<Step, Fault> {
    not_deleted(object)?;
    let before = Restart::of(object);
    let mut draft = Draft::new(object);
    if let Some(tier) = tier {
        let at = Pointer::of(["spec", "head"]);
        draft.apply(tier.edits(&at, at.get(object).unwrap_or(&Value::Null)));
    }
    let by_rollout = !draft.ops().is_empty();
    if let Some(restart) = before.filter(|it| !by_rollout && it.is_under_way(head, now)) {
        return Ok(Step::Join(restart));
    }
    let head = head.ok_or_else(|| {
        Fault::new(
            Code::NotFound,
            "this cluster has no head Pod at the moment: the operator is about to make one",
        )
    })?;
    let started_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let restart = Restart { uid: head.uid.clone(), started_at, by_rollout };
    draft.set(&note(ANNOTATION), restart.to_text().into());
    let operations = guarded(object, &[note(ANNOTATION)], &draft);
    Ok(Step::Begin { operations, restart })
}

/// How far a restart has come, as `restart_head_status` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The head is another one than before.
    pub restarted: bool,
    /// It is ready.
    pub ready: bool,
}

impl Progress {
    /// Where the cluster remembers a restart of that time or later, the UID decides. Otherwise a head
    /// counts as new that was made after `since`, never in the same second. Who names no time hears of
    /// a restart only as long as somebody might wait for it: a head at rest is not waited for for ever.
    pub fn of(
        object: &Value,
        head: Option<&Pod>,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let restart = Restart::of(object).filter(|it| match since {
            Some(since) => since <= it.started_at,
            None => it.is_under_way(head, now),
        });
        let restarted = head.is_some_and(|head| match (&restart, since) {
            (Some(restart), _) => head.uid != restart.uid,
            (None, Some(since)) => head.created.is_some_and(|created| created > since),
            (None, None) => true,
        });
        Self { restarted, ready: head.is_some_and(|head| head.ready) }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match (self.restarted, self.ready) {
            (false, _) => "not_restarted",
            (true, false) => "restarted_but_not_ready",
            (true, true) => "restarted_and_ready",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_760_000_000 + second).unwrap()
    }

    fn pod(uid: &str, ready: bool) -> Pod {
        let created = Some(at(-100));
        Pod { uid: uid.to_owned(), created, terminating: false, running: ready, ready }
    }

    fn cluster() -> Value {
        json!({"metadata": {"name": "ray-1", "uid": "u1"}, "spec": {"head": {}}})
    }

    fn remembered(uid: &str, second: i64) -> Value {
        let restart = Restart { uid: uid.to_owned(), started_at: at(second), by_rollout: false };
        let mut object = cluster();
        object["metadata"]["annotations"] = json!({ANNOTATION: restart.to_text()});
        assert_eq!(Restart::of(&object), Some(restart));
        object
    }

    #[test]
    fn the_first_call_remembers_the_pod_and_the_second_one_joins() {
        let step_of =
            |object: &Value, head: Option<&Pod>, now| step(object, head, None, now).unwrap();
        let Step::Begin { operations, restart } =
            step_of(&cluster(), Some(&pod("p1", true)), at(0))
        else {
            panic!("nothing is under way");
        };
        assert_eq!(
            (restart.uid.as_str(), restart.started_at, restart.by_rollout),
            ("p1", at(0), false)
        );
        assert_eq!(operations[0]["value"], "u1");
        let object = remembered("p1", 0);
        for head in [Some(pod("p1", true)), None, Some(pod("p2", false))] {
            assert!(
                matches!(step_of(&object, head.as_ref(), at(30)), Step::Join(it) if it == restart)
            );
        }
        let over = step_of(&object, Some(&pod("p2", true)), at(30));
        assert!(matches!(over, Step::Begin { restart, .. } if restart.uid == "p2"));
        let given_up = step_of(&object, Some(&pod("p2", false)), at(400));
        assert!(matches!(given_up, Step::Begin { .. }));
    }

    #[test]
    fn a_cluster_without_a_head_has_nothing_to_restart() {
        assert_eq!(step(&cluster(), None, None, at(0)).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn a_head_is_new_when_its_uid_is_whatever_the_clocks_say() {
        let mut new = pod("p2", true);
        for (second, since) in [(0, 0), (0, -30)] {
            let object = remembered("p1", second);
            let of =
                |head: Option<&Pod>| Progress::of(&object, head, Some(at(since)), at(9)).as_str();
            assert_eq!(of(Some(&pod("p1", true))), "not_restarted");
            assert_eq!(of(None), "not_restarted");
            assert_eq!(of(Some(&pod("p2", false))), "restarted_but_not_ready");
            assert_eq!(of(Some(&new)), "restarted_and_ready");
        }
        new.created = Some(at(5));
        let plain = |since| Progress::of(&cluster(), Some(&new), Some(at(since)), at(9)).as_str();
        assert_eq!(plain(4), "restarted_and_ready");
        assert_eq!(plain(5), "not_restarted", "the same second proves nothing");
    }

    #[test]
    fn a_restart_that_never_came_is_forgotten_by_those_who_name_no_time() {
        let object = remembered("p1", 0);
        let head = pod("p1", true);
        let of = |since, now| Progress::of(&object, Some(&head), since, at(now)).restarted;
        assert!(!of(None, 30) && of(None, 3_600));
        assert!(!of(Some(at(0)), 3_600), "who asks about this very restart is told the truth");
    }

    #[test]
    fn a_pod_of_that_name_without_the_labels_is_no_head() {
        let labels = |instance: &str| {
            json!({"metadata": {"uid": "p1", "labels": {
                "app.kubernetes.io/name": "ray", "app.kubernetes.io/component": "head",
                "app.kubernetes.io/instance": instance}}})
        };
        assert!(Pod::head_of("ray-1", &labels("ray-1")).is_some());
        assert!(Pod::head_of("ray-1", &labels("ray-2")).is_none());
        assert!(Pod::head_of("ray-1", &json!({"metadata": {"uid": "p1"}})).is_none());
    }
}
