//! What is to be done about the head Pod.
//!
//! Input: the Pods of the cluster. Output: [`Head`]. A new head is made only when no Pod object of an
//! old one is left: two heads would split the cluster. Of several the oldest stays.

use serde_json::Value;

use super::pod::{NodeType, Pod};
use super::workers::{Why, has_ended};
use crate::model::names::{SIDECAR, TOKEN_FOLDER};
use crate::model::template::{list, text};

/// What is to be done about the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// There is none: make one.
    Missing,
    /// It stands; younger ones, if any, go.
    Stands {
        /// The head.
        pod: &'a Pod,
        /// Younger ones.
        extra: Vec<&'a Pod>,
    },
    /// It has to go.
    Goes(&'a Pod, Why),
    /// It is on its way out; nothing is made before it is gone.
    Leaving,
}

/// The heads of a cluster, oldest first.
pub fn heads<'a>(uid: &str, pods: &'a [Pod]) -> Vec<&'a Pod> {
    let mut heads: Vec<&Pod> =
        pods.iter().filter(|pod| pod.belongs_to(uid) && pod.node_type == NodeType::Head).collect();
    heads.sort_by(|one, other| (&one.created, &one.name).cmp(&(&other.created, &other.name)));
    heads
}

/// The account whose own `automountServiceAccountToken` decides whether the autoscaler in a head Pod
/// that is to be made has a token; `None` where the Pod decides it, or no autoscaler is in it.
pub fn token_of(pod: &Value) -> Option<&str> {
    let spec = pod.get("spec")?;
    let sidecar = list(spec, "containers").iter().find(|it| text(it, "name") == Some(SIDECAR))?;
    let mounts = list(sidecar, "volumeMounts");
    let given = mounts.iter().any(|mount| {
        text(mount, "mountPath").is_some_and(|at| at.trim_end_matches('/') == TOKEN_FOLDER)
    });
    let says = spec.get("automountServiceAccountToken").is_some_and(|it| !it.is_null());
    text(spec, "serviceAccountName").filter(|_| !given && !says)
}

/// What is to be done about the head.
pub fn judge<'a>(uid: &str, pods: &'a [Pod], ray_container: Option<&str>) -> Head<'a> {
    let heads = heads(uid, pods);
    let Some(first) = heads.first() else { return Head::Missing };
    let mut staying = heads.iter().copied().filter(|pod| !pod.terminating);
    let Some(oldest) = staying.next() else { return Head::Leaving };
    if has_ended(oldest, ray_container) {
        return Head::Goes(oldest, Why::Ended);
    }
    // One that leaves holds the place of the head; what was made beside it is one too many.
    if first.terminating {
        return Head::Goes(oldest, Why::SecondHead);
    }
    Head::Stands { pod: oldest, extra: staying.collect() }
}
