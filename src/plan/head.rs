//! What is to be done about the head Pod.
//!
//! Input: the Pods of the cluster. Output: [`Head`]. A new head is made only when no Pod object of an
//! old one is left: two heads would split the cluster. Of several the oldest stays.

use super::pod::{NodeType, Pod};
use super::workers::{Why, has_ended};

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
