//! Which workers have really become Ray nodes, and how the autoscaler fares.
//!
//! Input: the Pods, what the head's dashboard answered, and the time. Output: [`Joined`], group by
//! group, [`Autoscaler`], and [`Want`], what waits though there is room.
//!
//! Invariants: only Pods of the cluster's UID count. Without an answer every Pod is unknown, never
//! absent: while a head restarts no worker appears to have joined, and acting on that would empty
//! the cluster. A dead node is nobody's node, and one node stands for one Pod.

mod autoscaler;
mod want;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::pod::{NodeType, Pod};
pub use autoscaler::{Autoscaler, autoscaler};
pub use want::{Want, want};

/// A node as the head sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RayNode {
    /// Ray's own id of it.
    pub id: String,
    /// Its address.
    pub ip: String,
    /// `RAY_CLOUD_INSTANCE_ID`, which is the Pod's name; empty where it was not asked for.
    pub instance: String,
    /// The group that it says it is of; empty where it says none.
    pub group: String,
    /// It is the head.
    pub head: bool,
    /// It is alive. Dead ones stay listed for a while.
    pub alive: bool,
    /// Why it is dead.
    pub said: String,
}

/// What a dashboard answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every node that it knows.
    Known(Vec<RayNode>),
    /// Nothing to go by, and why.
    Unknown(String),
}

/// What asks for resources, line by line as the dashboard lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Tasks, actors and placement groups that wait.
    pub pending: Vec<String>,
    /// What `request_resources` asked for. It stays listed once it is there.
    pub requested: Vec<String>,
}

/// What became of the workers of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Groups that have Pods, by name.
    pub groups: Vec<GroupJoined>,
    /// Why nothing is known; `None` where the dashboard answered.
    pub unknown: Option<String>,
}

/// What became of the workers of one group, terminating ones left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupJoined {
    /// The group.
    pub group: String,
    /// Pods with a node that is alive.
    pub joined: usize,
    /// Pods that are not ready, or not for long: it is too early to tell.
    pub starting: usize,
    /// Pods ready for longer than the threshold, without a node.
    pub not_joined: Vec<Stray>,
    /// Pods of which nothing is known.
    pub unknown: usize,
}

/// A Pod that is ready and no Ray node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The Pod.
    pub pod: String,
    /// Since when it is ready.
    pub ready_since: Timestamp,
    /// What Ray said of a dead node of this Pod; empty where there was none.
    pub said: String,
}

impl Joined {
    /// All Pods with a node that is alive.
    pub fn joined(&self) -> usize {
        self.groups.iter().map(|group| group.joined).sum()
    }

    /// All Pods that should have joined and have not.
    pub fn strays(&self) -> impl Iterator<Item = &Stray> {
        self.groups.iter().flat_map(|group| &group.not_joined)
    }
}

/// Matches the workers of the cluster `uid` with nodes. A Pod that is ready for longer than
/// `threshold` and has no node has not joined.
pub fn joined(
    uid: &str,
    pods: &[Pod],
    answer: &Answer,
    threshold: Duration,
    now: Timestamp,
) -> Joined {
    let mut groups: BTreeMap<&str, GroupJoined> = BTreeMap::new();
    let unknown = match answer {
        Answer::Known(nodes) => {
            for (pod, joined) in workers(uid, pods, nodes) {
                let group = groups.entry(&pod.group).or_default();
                match (joined, overdue(pod, threshold, now)) {
                    (true, _) => group.joined += 1,
                    (false, None) => group.starting += 1,
                    (false, Some(ready_since)) => group.not_joined.push(Stray {
                        pod: pod.name.clone(),
                        ready_since,
                        said: last_words(pod, nodes),
                    }),
                }
            }
            None
        }
        Answer::Unknown(why) => {
            for pod in pods.iter().filter(|pod| is_worker_of(pod, uid)) {
                groups.entry(&pod.group).or_default().unknown += 1;
            }
            Some(why.clone())
        }
    };
    let named =
        |(name, group): (&str, GroupJoined)| GroupJoined { group: name.to_owned(), ..group };
    Joined { groups: groups.into_iter().map(named).collect(), unknown }
}

/// The workers of the cluster `uid` by name, each with whether a node that is alive is its own.
pub fn workers<'a>(uid: &str, pods: &'a [Pod], nodes: &[RayNode]) -> Vec<(&'a Pod, bool)> {
    let mut workers: Vec<&Pod> = pods.iter().filter(|pod| is_worker_of(pod, uid)).collect();
    workers.sort_by(|a, b| a.name.cmp(&b.name));
    let owned = owned(&workers, nodes);
    workers.into_iter().zip(owned).collect()
}

fn is_worker_of(pod: &Pod, uid: &str) -> bool {
    pod.belongs_to(uid) && pod.node_type == NodeType::Worker && !pod.terminating
}

/// For each worker whether a node that is alive is its own. Names decide before addresses: Pods on
/// the network of their host share one.
fn owned(workers: &[&Pod], nodes: &[RayNode]) -> Vec<bool> {
    let mut free: Vec<&RayNode> = nodes.iter().filter(|node| node.alive && !node.head).collect();
    let mut take = |fits: &dyn Fn(&RayNode) -> bool| {
        let found = free.iter().position(|node| fits(node));
        found.map(|index| free.swap_remove(index)).is_some()
    };
    let mut owned: Vec<bool> =
        workers.iter().map(|pod| take(&|node| is_named_after(node, pod))).collect();
    for (pod, owned) in workers.iter().zip(&mut owned) {
        *owned = *owned || take(&|node| !pod.ip.is_empty() && node.ip == pod.ip);
    }
    owned
}

fn is_named_after(node: &RayNode, pod: &Pod) -> bool {
    !node.instance.is_empty() && node.instance == pod.name
}

/// Since when a Pod is ready, where that is longer ago than the threshold.
fn overdue(pod: &Pod, threshold: Duration, now: Timestamp) -> Option<Timestamp> {
    // A time that cannot be read is no evidence.
    let since: Timestamp = pod.ready_since.parse().ok().filter(|_| pod.is_ready())?;
    let limit = since.checked_add(threshold).ok()?;
    (limit < now).then_some(since)
}

/// What was said of dead nodes of this Pod; the last one that said anything.
fn last_words(pod: &Pod, nodes: &[RayNode]) -> String {
    let was_its = |node: &&RayNode| {
        let there = !pod.ip.is_empty() && node.ip == pod.ip;
        !node.alive && !node.said.is_empty() && (is_named_after(node, pod) || there)
    };
    nodes.iter().rfind(was_its).map(|node| node.said.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
