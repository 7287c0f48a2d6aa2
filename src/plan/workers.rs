//! Which worker Pods of a group are made and which are deleted.
//!
//! Input: what is asked of the group, and the Pods that the cluster has. Output: [`Moves`]. Only Pods
//! that belong to this cluster's UID, are workers and are of this group are counted or deleted. A
//! terminating Pod is neither live nor a victim. With autoscaling on only named or broken Pods go:
//! the autoscaler chooses its own victims. Where a replica has several hosts, it comes and goes whole.

mod unit;

use std::collections::BTreeSet;

use self::unit::{Unit, units};
use super::build::Seat;
use super::names;
use super::pod::{NodeType, Phase, Pod};

/// The most replicas that one plan adds to a group; the rest follows in the next.
const MOST_AT_ONCE: usize = 500;

/// What is asked of a group.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The cluster's UID.
    pub uid: &'a str,
    /// The group's name.
    pub group: &'a str,
    /// Replicas, within bounds.
    pub replicas: usize,
    /// Pods of one replica, at least one.
    pub hosts: u32,
    /// `scaleStrategy.workersToDelete`.
    pub named: Vec<&'a str>,
    /// Pods that a policy wants to see replaced.
    pub unwanted: &'a [String],
    /// Surplus is deleted: nobody else chooses the victims.
    pub trims: bool,
    /// A terminating Pod holds its place and its index till it is gone.
    pub waits_for_gone: bool,
    /// The container that runs Ray, by the template.
    pub ray_container: Option<&'a str>,
    /// The attempt that new Pods are made with.
    pub attempt: u64,
}

/// Why a Pod is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It stands in `workersToDelete`, or shares its replica with one that does.
    Named,
    /// It has ended, or Ray in it has and is not started again.
    Ended,
    /// It shares its replica with a Pod that has gone.
    Incomplete,
    /// It never joined Ray, and a policy wants it replaced.
    NotJoined,
    /// More run than are asked for.
    Surplus,
    /// Its group is no longer in the spec.
    GroupGone,
    /// The cluster or its group is suspended.
    Suspended,
    /// The spec changed and `upgradeStrategy` is `Recreate`.
    Recreate,
    /// There is an older head.
    SecondHead,
    /// The cluster is being deleted, and its head has to be gone before the clean-up.
    Deleted,
}

impl Why {
    /// The words of Events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named in workersToDelete",
            Self::Ended => "ended",
            Self::Incomplete => "its replica is incomplete",
            Self::NotJoined => "did not join Ray",
            Self::Surplus => "more than asked for",
            Self::GroupGone => "its group is no longer in the spec",
            Self::Suspended => "suspended",
            Self::Recreate => "the spec changed",
            Self::SecondHead => "there is an older head",
            Self::Deleted => "the cluster is being deleted",
        }
    }
}

/// What is to be done about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves<'a> {
    /// Pods to delete, first victim first.
    pub delete: Vec<(&'a Pod, Why)>,
    /// Pods to make.
    pub create: Vec<Seat>,
    /// Names of `workersToDelete` that are Pods, but none of this group.
    pub strangers: Vec<&'a str>,
    /// There is more to make than one plan does.
    pub unfinished: bool,
}

/// Whether a Pod is a worker of this cluster and group.
pub fn is_member(pod: &Pod, uid: &str, group: &str) -> bool {
    pod.belongs_to(uid) && pod.node_type == NodeType::Worker && pod.group == group
}

/// Whether a Pod has come to its end: it will never be a Ray node again.
/// Source: KubeRay's rule for unhealthy Pods.
pub fn has_ended(pod: &Pod, ray_container: Option<&str>) -> bool {
    let ray = ray_container
        .and_then(|name| pod.container(name))
        .or_else(|| pod.containers.first())
        .is_some_and(|container| container.terminated);
    match pod.phase {
        Phase::Failed | Phase::Succeeded => true,
        Phase::Running => pod.never_restarts && ray,
        Phase::Pending | Phase::Unknown => false,
    }
}

/// What is to be done about a group, given every Pod that carries the cluster's label.
pub fn moves<'a>(wish: &Wish<'a>, pods: &'a [Pod]) -> Moves<'a> {
    let members: Vec<&Pod> =
        pods.iter().filter(|pod| is_member(pod, wish.uid, wish.group)).collect();
    let mut moves = Moves { strangers: strangers(wish, pods, &members), ..Moves::default() };
    let mut live = Vec::new();
    let mut going = Vec::new();
    let mut partial = Vec::new();
    for unit in units(&members, wish.hosts) {
        match fate(&unit, wish) {
            Fate::Stays => live.push(unit),
            Fate::Grows => partial.push(unit),
            Fate::Goes(why) => {
                moves.delete.extend(unit.remaining().map(|pod| (pod, why)));
                going.push(unit);
            }
            Fate::Leaving => going.push(unit),
        }
    }
    let present = live.len() + partial.len();
    if present > wish.replicas && wish.trims {
        let mut victims: Vec<&Unit<'a>> = live.iter().chain(&partial).collect();
        victims.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let surplus = victims.into_iter().take(present - wish.replicas);
        moves.delete.extend(surplus.flat_map(Unit::remaining).map(|pod| (pod, Why::Surplus)));
        return moves;
    }
    moves.create.extend(partial.iter().flat_map(|unit| rest(unit, wish)));
    let kept = if wish.waits_for_gone { going.as_slice() } else { &[] };
    let missing = wish.replicas.saturating_sub(present + kept.len());
    moves.unfinished = missing > MOST_AT_ONCE;
    let holders = live.iter().chain(&partial).chain(kept);
    let taken: BTreeSet<u32> = holders.filter_map(|unit| unit.index).collect();
    let used: BTreeSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let free = (0..).filter(|index| !taken.contains(index)).take(missing.min(MOST_AT_ONCE));
    moves.create.extend(free.flat_map(|index| seats(wish, index, &used)));
    moves
}

/// What becomes of a unit.
enum Fate {
    /// It stays as it is.
    Stays,
    /// It was made by half, and the rest follows.
    Grows,
    /// What is left of it is deleted.
    Goes(Why),
    /// All of it is on its way out.
    Leaving,
}

fn fate(unit: &Unit<'_>, wish: &Wish<'_>) -> Fate {
    if unit.remaining().next().is_none() {
        return Fate::Leaving;
    }
    let any = |names: &dyn Fn(&str) -> bool| unit.pods.iter().any(|pod| names(&pod.name));
    if any(&|name| wish.named.contains(&name)) {
        return Fate::Goes(Why::Named);
    }
    // A host that is missing and named was deleted on that account; it never comes back.
    if rest(unit, wish).iter().any(|seat| wish.named.contains(&seat.name.as_str())) {
        return Fate::Goes(Why::Named);
    }
    if unit.pods.iter().any(|pod| has_ended(pod, wish.ray_container)) {
        return Fate::Goes(Why::Ended);
    }
    if unit.is_leaving() {
        return Fate::Goes(Why::Incomplete);
    }
    if !unit.is_whole(wish.hosts) {
        // A Pod of this attempt has never been retired, so what is missing was never made.
        return if unit.attempt() >= wish.attempt && unit.is_countable() {
            Fate::Grows
        } else {
            Fate::Goes(Why::Incomplete)
        };
    }
    if any(&|name| wish.unwanted.iter().any(|unwanted| unwanted == name)) {
        return Fate::Goes(Why::NotJoined);
    }
    Fate::Stays
}

/// The seats of a new replica. An attempt whose name is taken, by whatever Pod, or named as a victim is
/// passed over.
fn seats(wish: &Wish<'_>, index: u32, used: &BTreeSet<&str>) -> Vec<Seat> {
    let names = |attempt: u64| {
        let name = |host| names::worker(wish.cluster, wish.uid, wish.group, (index, host), attempt);
        (0..wish.hosts).map(name).collect::<Vec<_>>()
    };
    // A victim's name is used up, whether or not its Pod is still there.
    let is_used = |name: &str| used.contains(name) || wish.named.contains(&name);
    let is_free = |attempt: &u64| !names(*attempt).iter().any(|name| is_used(name));
    let attempt = (wish.attempt..).take(64).find(is_free).unwrap_or(wish.attempt);
    let replica = (wish.hosts > 1).then(|| names::replica(wish.uid, wish.group, index, attempt));
    (0..wish.hosts)
        .zip(names(attempt))
        .map(|(host, name)| Seat { name, attempt, index, replica: replica.clone(), host })
        .collect()
}

/// The seats that are still empty in a replica that was made by half.
fn rest(unit: &Unit<'_>, wish: &Wish<'_>) -> Vec<Seat> {
    let Some(index) = unit.index.filter(|_| unit.replica.is_some()) else { return Vec::new() };
    let attempt = unit.attempt();
    let seat = |host| Seat {
        name: names::worker(wish.cluster, wish.uid, wish.group, (index, host), attempt),
        attempt,
        index,
        replica: unit.replica.map(str::to_owned),
        host,
    };
    let taken: BTreeSet<u32> = unit.pods.iter().filter_map(|pod| pod.host).collect();
    (0..wish.hosts).filter(|host| !taken.contains(host)).map(seat).collect()
}

/// Named Pods that exist and are none of this group: another cluster's, the head, or no Ray node at
/// all. Names of no Pod are nothing to speak of.
fn strangers<'a>(wish: &Wish<'a>, pods: &[Pod], members: &[&Pod]) -> Vec<&'a str> {
    let is_member = |name: &str| members.iter().any(|pod| pod.name == name);
    let exists = |name: &str| pods.iter().any(|pod| pod.name == name);
    wish.named.iter().copied().filter(|name| exists(name) && !is_member(name)).collect()
}

#[cfg(test)]
mod tests;
