//! The autoscaler's own health, and which workers joined Ray.
//!
//! Input: the [`View`]. Output: the links `autoscaler` and `joined`.

use super::facts::{count, line};
use super::{Link, State, View};
use crate::model::names::SIDECAR;
use crate::plan::joined::{self, Answer, Autoscaler, Joined};
use crate::plan::pod::Pod;

fn pods(view: &View<'_>) -> Vec<Pod> {
    view.own.iter().map(|seen| seen.pod.clone()).collect()
}

/// The state of the cluster's autoscaler.
pub(super) fn health(view: &View<'_>) -> Autoscaler {
    joined::autoscaler(view.uid, &pods(view), view.cluster.autoscaling, view.now)
}

/// Which workers joined.
pub(super) fn joined(view: &View<'_>) -> Joined {
    let facts = view.facts;
    joined::joined(view.uid, &pods(view), &facts.nodes, facts.threshold, view.now)
}

/// How the autoscaler fares.
pub(super) fn autoscaler(view: &View<'_>, health: &Autoscaler) -> Link {
    if let (Err(gap), true) = (&view.facts.pods, view.cluster.autoscaling) {
        return Link::unknown(gap);
    }
    let head = view.head().map_or("HEAD", |head| head.pod.name.as_str());
    let namespace = view.namespace;
    let logs = format!("read its last words: kubectl logs {head} -n {namespace} -c {SIDECAR}");
    let times = |restarts: &i64| count(usize::try_from(*restarts).unwrap_or_default(), "restart");
    match health {
        Autoscaler::Off => Link::ok("autoscaling is off: none is wanted"),
        Autoscaler::NoHead => Link::waiting("waits for a head Pod", ""),
        Autoscaler::Absent => Link::blocked(
            format!("autoscaling is on, and the head Pod {head} has no container {SIDECAR}"),
            format!(
                "the head was built before autoscaling was on; its node manager builds another once \
                     it is gone, with everything on it: kubectl delete pod {head} -n {namespace}"
            ),
        ),
        Autoscaler::Running { restarts: 0, .. } => Link::ok("runs, never restarted"),
        Autoscaler::Running { restarts, last } => {
            let last = if last.is_empty() { String::new() } else { format!(", last {last}") };
            Link::ok(format!("runs; {}{last}", times(restarts)))
        }
        Autoscaler::Unsteady { restarts, last } => Link::blocked(
            format!("runs just now and keeps ending: {}, last {last}", times(restarts)),
            format!("{logs} --previous"),
        ),
        Autoscaler::OutOfMemory { restarts, .. } => Link::blocked(
            format!("was killed for want of memory (OOMKilled): {}", times(restarts)),
            "raise spec.autoscalerOptions.resources.limits.memory (and requests); a head that runs keeps \
             its old limits until it is built anew",
        ),
        Autoscaler::CrashLooping { restarts, last } => Link::blocked(
            format!("ends again and again: {}, last {last}", times(restarts)),
            format!("{logs} --previous"),
        ),
        Autoscaler::Ended { reason } => Link::blocked(
            format!("ended ({reason}), and nobody starts it again"),
            format!("{logs}; the node manager builds another head once this Pod is gone"),
        ),
        Autoscaler::Waiting { reason, message } => waiting(reason, message, head, namespace),
    }
}

fn waiting(reason: &str, message: &str, head: &str, namespace: &str) -> Link {
    if matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
        return Link::waiting("has not begun yet", "");
    }
    let said = if message.is_empty() { String::new() } else { format!(": {}", line(message)) };
    Link::blocked(
        format!("cannot begin: {reason}{said}"),
        format!(
            "mend what it names (spec.autoscalerOptions; kubectl describe pod {head} -n {namespace})"
        ),
    )
}

/// Whether workers that run are Ray nodes.
pub(super) fn link(view: &View<'_>, joined: &Joined) -> Link {
    if let Err(gap) = &view.facts.pods {
        return Link::unknown(gap);
    }
    let all = view.workers().count();
    if all == 0 {
        return Link::ok("there are no workers to join");
    }
    if let Answer::Unknown(why) = &view.facts.nodes {
        let fix = view.facts.dashboard_fix.as_str();
        return Link::new(State::Unknown, why.as_str(), fix);
    }
    let what = format!("{} of {} joined Ray", joined.joined(), count(all, "worker"));
    let Some(first) = joined.strays().min_by_key(|stray| stray.ready_since) else {
        if joined.joined() == all {
            return Link::ok(what);
        }
        return Link::waiting(format!("{what}; the others are not ready, or not for long"), "");
    };
    let strays = joined.strays().count();
    let said = if first.said.is_empty() {
        String::new()
    } else {
        format!("; Ray says: {}", line(&first.said))
    };
    let age = super::facts::age(first.ready_since, view.now);
    Link::blocked(
        format!(
            "{what}; {} ready and no Ray node, the oldest for {age} ({}{said})",
            count(strays, "Pod"),
            first.pod
        ),
        format!(
            "read kubectl logs {} -n {}; usual causes: another Ray version than the head, a \
                 NetworkPolicy, a raylet that ended; once you know, delete the Pod and the node manager \
                 makes another",
            first.pod, view.namespace
        ),
    )
}
