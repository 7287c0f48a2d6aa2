//! How Ray's autoscaler fares, from the container of that name in the head Pod.
//!
//! Input: the Pods, whether autoscaling is on, and the time. Output: [`Autoscaler`].

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::super::pod::{ContainerState, NodeType, Pod};
use crate::model::names::SIDECAR;

/// How long a restarted container must have held to count as steady. The kubelet too forgets its
/// back-off after ten minutes.
const STEADY: Duration = Duration::from_mins(10);

/// How often the container must have been restarted before a running one counts as unsteady.
const OFTEN: i64 = 3;

const OUT_OF_MEMORY: &str = "OOMKilled";

/// The state of a cluster's autoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Autoscaler {
    /// Autoscaling is off: none is wanted.
    Off,
    /// There is no head Pod.
    NoHead,
    /// Autoscaling is on, and the head Pod has no such container: it was built before, or its builder
    /// put none in.
    Absent,
    /// It runs.
    Running {
        /// How often it was restarted.
        restarts: i64,
        /// How it ended the last time; empty where it never did.
        last: String,
    },
    /// It runs just now, and ended several times, the last time a moment ago.
    Unsteady {
        /// How often it was restarted.
        restarts: i64,
        /// How it ended the last time.
        last: String,
    },
    /// It was killed for want of memory, and does not run or has hardly begun again.
    OutOfMemory {
        /// It runs just now.
        running: bool,
        /// How often it was restarted.
        restarts: i64,
    },
    /// It ends again and again.
    CrashLooping {
        /// How often it was restarted.
        restarts: i64,
        /// How it ended the last time.
        last: String,
    },
    /// It has not begun.
    Waiting {
        /// The kubelet's word, such as `ImagePullBackOff`; empty where nothing is said yet.
        reason: String,
        /// What was said beside it.
        message: String,
    },
    /// It ended and nobody starts it again.
    Ended {
        /// How.
        reason: String,
    },
}

/// The state of the autoscaler of the cluster `uid`.
pub fn autoscaler(uid: &str, pods: &[Pod], autoscaling: bool, now: Timestamp) -> Autoscaler {
    if !autoscaling {
        return Autoscaler::Off;
    }
    let is_head = |pod: &&Pod| pod.belongs_to(uid) && pod.node_type == NodeType::Head;
    // The new head first, where the old one is on its way out.
    let Some(head) = pods.iter().filter(is_head).min_by_key(|pod| pod.terminating) else {
        return Autoscaler::NoHead;
    };
    head.container(SIDECAR).map_or(Autoscaler::Absent, |it| of_container(head, it, now))
}

fn of_container(head: &Pod, container: &ContainerState, now: Timestamp) -> Autoscaler {
    let ContainerState { running, restarts, .. } = *container;
    let last = container.last_reason.clone();
    if running && is_steady(head, restarts, now) {
        return Autoscaler::Running { restarts, last };
    }
    if container.reason == OUT_OF_MEMORY || last == OUT_OF_MEMORY {
        return Autoscaler::OutOfMemory { running, restarts };
    }
    if running && restarts >= OFTEN {
        return Autoscaler::Unsteady { restarts, last };
    }
    if running {
        return Autoscaler::Running { restarts, last };
    }
    let reason = container.reason.clone();
    if reason == "CrashLoopBackOff" || (container.terminated && !head.never_restarts) {
        let last = if container.terminated { reason } else { last };
        return Autoscaler::CrashLooping { restarts, last };
    }
    if container.terminated {
        return Autoscaler::Ended { reason };
    }
    Autoscaler::Waiting { reason, message: container.message.clone() }
}

/// Whether it holds. A Pod is ready while all its containers run, so it is ready since the last of
/// them was started.
fn is_steady(head: &Pod, restarts: i64, now: Timestamp) -> bool {
    let since: Option<Timestamp> = head.ready_since.parse().ok();
    let safe = since.and_then(|since| since.checked_add(STEADY).ok());
    restarts == 0 || safe.is_some_and(|safe| safe < now)
}
