//! The Pods that come and go together: one Pod, or all hosts of a replica.

use std::collections::BTreeMap;

use crate::plan::pod::Pod;

/// The Pods of one replica.
#[derive(Clone, Debug)]
pub(super) struct Unit<'a> {
    /// Its Pods, terminating ones included.
    pub(super) pods: Vec<&'a Pod>,
    /// The replica's rank.
    pub(super) index: Option<u32>,
    /// The replica's name, where it has several hosts.
    pub(super) replica: Option<&'a str>,
}

/// The members of a group by replica. A Pod of a group of several hosts that names no replica stands
/// alone: it was made before the group had several hosts, or by somebody else.
pub(super) fn units<'a>(members: &[&'a Pod], hosts: u32) -> Vec<Unit<'a>> {
    let mut whole: BTreeMap<&str, Unit<'a>> = BTreeMap::new();
    let mut alone = Vec::new();
    for pod in members {
        match pod.replica.as_deref().filter(|_| hosts > 1) {
            Some(replica) => {
                let unit = Unit { pods: Vec::new(), index: pod.index, replica: Some(replica) };
                whole.entry(replica).or_insert(unit).pods.push(pod);
            }
            None => alone.push(Unit { pods: vec![*pod], index: pod.index, replica: None }),
        }
    }
    whole.into_values().chain(alone).collect()
}

impl<'a> Unit<'a> {
    /// Pods that are not on their way out yet.
    pub(super) fn remaining(&self) -> impl Iterator<Item = &'a Pod> + use<'a, '_> {
        self.pods.iter().copied().filter(|pod| !pod.terminating)
    }

    /// Whether one of its Pods is on its way out.
    pub(super) fn is_leaving(&self) -> bool {
        self.pods.iter().any(|pod| pod.terminating)
    }

    /// Whether every host has its Pod.
    pub(super) fn is_whole(&self, hosts: u32) -> bool {
        self.pods.len() == usize::try_from(hosts).unwrap_or(usize::MAX)
            && (hosts == 1 || self.replica.is_some())
    }

    /// Whether it is known which hosts are missing.
    pub(super) fn is_countable(&self) -> bool {
        self.replica.is_some()
            && self.index.is_some()
            && self.pods.iter().all(|it| it.host.is_some())
    }

    /// The attempt that it was made with.
    pub(super) fn attempt(&self) -> u64 {
        self.pods.iter().map(|pod| pod.attempt).min().unwrap_or(0)
    }

    /// The order in which surplus goes: unscheduled, not ready, youngest; the name settles a tie.
    pub(super) fn rank(&self) -> (bool, bool, std::cmp::Reverse<&'a str>, &'a str) {
        let scheduled = self.pods.iter().all(|pod| pod.scheduled);
        let ready = self.pods.iter().all(|pod| pod.is_ready());
        let created = self.pods.iter().map(|pod| pod.created.as_str()).max().unwrap_or("");
        let name = self.pods.first().map_or("", |pod| pod.name.as_str());
        (scheduled, ready, std::cmp::Reverse(created), name)
    }
}
