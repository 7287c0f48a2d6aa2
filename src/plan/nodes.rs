//! Services, head and workers: what is to be done so that they follow the spec.
//!
//! The head comes first, and no worker is made beside a head that is missing. New Pods bear an attempt
//! that is later than every one that was seen to go, and later than the last change of the status before
//! the cluster was first looked at, so that names stay new after a restart of the controller too.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::build;
use super::condition::{
    Condition, REPLICAS_ABOVE_MAX, STUCK_TERMINATING, WORKERS_UNSCHEDULABLE, is_true,
};
use super::head::Head;
use super::pod::{NodeType, Phase, Pod};
use super::workers::{Why, Wish, has_ended, is_member, moves};
use super::{
    Action, Observed, Plan, Subject, Terms, auth, group, head, names, recreate, services, stale,
    step,
};
use crate::model::names::HEAD_GROUP;
use crate::model::template::{member, text};

/// The annotation that keeps a head that has gone from being made again.
const NO_NEW_HEAD: &str = "ray.io/disable-provisioned-head-restart";

/// Services and the Secret of the token.
pub(super) fn services(
    subject: &Subject<'_>,
    observed: &Observed<'_>,
    terms: &Terms,
    secret: &str,
    plan: &mut Plan,
) {
    let plot = subject.plot(terms);
    let token = auth::secret_name(&subject.view).map(|_| auth::secret(&plot, secret));
    let wanted = token.into_iter().chain(services::wanted(&plot));
    plan.actions.extend(wanted.filter_map(|it| step::step(it, observed.existing, subject.uid)));
}

/// Deletes every Pod of the cluster, the head last: while it stands, it says what it was built from.
pub(super) fn take_away(subject: &Subject<'_>, observed: &Observed<'_>, why: Why) -> Vec<Action> {
    let mut pods: Vec<&Pod> = observed
        .pods
        .iter()
        .filter(|pod| pod.is_node_of(subject.uid))
        .filter(|pod| !pod.terminating)
        .collect();
    pods.sort_by_key(|pod| pod.node_type == NodeType::Head);
    pods.into_iter().map(|pod| Action::delete(pod, why)).collect()
}

/// Head and workers of a cluster that runs.
pub(super) fn run(subject: &Subject<'_>, observed: &Observed<'_>, terms: &Terms, plan: &mut Plan) {
    let plot = subject.plot(terms);
    plan.conditions.extend(notes(subject, observed, terms));
    if outdated(subject, observed) {
        plan.actions.extend(take_away(subject, observed, Why::Recreate));
        return;
    }
    let ray = subject.view.ray_container().and_then(|ray| ray.name());
    match head::judge(subject.uid, observed.pods, ray) {
        Head::Missing if may_make_head(subject) => {
            let attempt = attempt(subject, observed, HEAD_GROUP);
            let used = |name: &str| observed.pods.iter().any(|pod| pod.name == name);
            let free =
                |attempt: &u64| !used(&names::head(subject.view.name, subject.uid, *attempt));
            let attempt = (attempt..).take(64).find(free).unwrap_or(attempt);
            let name = names::head(subject.view.name, subject.uid, attempt);
            plan.actions.push(Action::CreatePod(build::head(&plot, &name, attempt)));
        }
        Head::Stands { extra, .. } => {
            plan.actions.extend(extra.into_iter().map(|pod| Action::delete(pod, Why::SecondHead)));
        }
        Head::Goes(pod, why) => {
            plan.actions.push(Action::delete(pod, why));
            return;
        }
        Head::Missing | Head::Leaving => return,
    }
    for group in &subject.view.groups {
        workers(subject, group, observed, terms, plan);
    }
    orphans(subject, observed, terms, plan);
    stale::clear(subject, observed, terms, plan);
}

fn may_make_head(subject: &Subject<'_>) -> bool {
    let was_provisioned = is_true(subject.status, super::condition::PROVISIONED);
    !(was_provisioned && subject.view.annotation(NO_NEW_HEAD) == Some("true"))
}

/// Whether the head was built from another spec and the user wants the cluster rebuilt then.
fn outdated(subject: &Subject<'_>, observed: &Observed<'_>) -> bool {
    let strategy = member(subject.view.spec, "upgradeStrategy");
    if strategy.and_then(|strategy| text(strategy, "type")) != Some("Recreate") {
        return false;
    }
    let now = recreate::hash(observed.cluster);
    let heads = head::heads(subject.uid, observed.pods);
    let mut built =
        heads.iter().filter(|pod| !pod.terminating).filter_map(|pod| pod.hash.as_deref());
    built.any(|hash| !hash.is_empty() && hash != now)
}

fn workers(
    subject: &Subject<'_>,
    group: &crate::model::Group<'_>,
    observed: &Observed<'_>,
    terms: &Terms,
    plan: &mut Plan,
) {
    let demand = group::demand(group);
    let Ok(hosts @ 1..) = u32::try_from(demand.hosts) else { return };
    let name = group.label();
    if group::is_suspended(group) {
        // With autoscaling on this is a contradiction, and nothing is taken away on its account.
        if !subject.view.autoscaling {
            let members = observed.pods.iter().filter(|pod| is_member(pod, subject.uid, name));
            let going = members.filter(|pod| !pod.terminating);
            plan.actions.extend(going.map(|pod| Action::delete(pod, Why::Suspended)));
        }
        return;
    }
    let ray = group.template().ray_container().and_then(|ray| ray.name());
    let wish = Wish {
        cluster: subject.view.name,
        uid: subject.uid,
        group: name,
        replicas: usize::try_from(demand.replicas).unwrap_or(0),
        hosts,
        named: stale::named(group),
        unwanted: &observed.memory.unwanted,
        trims: !subject.view.autoscaling,
        waits_for_gone: terms.waits_for_gone,
        ray_container: ray,
        attempt: attempt(subject, observed, name),
    };
    let moves = moves(&wish, observed.pods);
    plan.actions.extend(moves.delete.into_iter().map(|(pod, why)| Action::delete(pod, why)));
    let pods = moves.create.iter().map(|seat| build::worker(&subject.plot(terms), group, seat));
    plan.actions.extend(pods.map(Action::CreatePod));
    let new =
        |stranger: &&str| !observed.memory.since.contains_key(&stranger_matter(name, stranger));
    plan.actions.extend(moves.strangers.into_iter().filter(new).map(|stranger| Action::Tell {
        reason: "ForeignWorkerToDelete",
        note: format!("group {name}: {stranger} is no worker of this group, so it stays"),
    }));
    if moves.unfinished {
        plan.again_in(std::time::Duration::from_secs(1));
    }
}

/// The attempt of a new Pod of a group: the floor, or what is later than all attempts that were seen
/// to end.
fn attempt(subject: &Subject<'_>, observed: &Observed<'_>, group: &str) -> u64 {
    let base = observed.memory.floor.unwrap_or_else(|| floor(subject));
    base.max(observed.memory.attempts.get(group).copied().unwrap_or(0))
}

/// The lowest attempt by what is stored: seconds from the cluster's creation to the end of the one in
/// which its status changed last; 0 before it has one.
pub fn floor(subject: &Subject<'_>) -> u64 {
    let time = |value: &Value, key| text(value, key).and_then(|it| it.parse::<Timestamp>().ok());
    let created = time(subject.view.metadata, "creationTimestamp");
    let changed = time(subject.status, "lastUpdateTime");
    created.zip(changed).map_or(0, |(created, changed)| {
        u64::try_from(changed.duration_since(created).as_secs()).unwrap_or(0).saturating_add(1)
    })
}

/// Deletes workers whose group is no longer in the spec, after a while.
fn orphans(subject: &Subject<'_>, observed: &Observed<'_>, terms: &Terms, plan: &mut Plan) {
    let known = |pod: &Pod| subject.view.groups.iter().any(|group| group.label() == pod.group);
    let orphans: Vec<&Pod> = observed
        .pods
        .iter()
        .filter(|pod| pod.belongs_to(subject.uid) && pod.node_type == NodeType::Worker)
        .filter(|pod| !pod.terminating && !known(pod))
        .collect();
    for pod in orphans {
        let wait =
            stale::left(observed.memory, &gone_matter(&pod.group), observed, terms.orphan_grace);
        if wait.is_zero() {
            plan.actions.push(Action::delete(pod, Why::GroupGone));
        } else {
            plan.again_in(wait);
        }
    }
}

/// The matter under which it is remembered since when a group is gone from the spec.
pub fn gone_matter(group: &str) -> String {
    format!("gone/{group}")
}

/// The matter under which it is remembered that a stranger among the victims was told of.
fn stranger_matter(group: &str, name: &str) -> String {
    format!("stranger/{group}/{name}")
}

/// The matters that hold at this moment, so that it can be remembered since when.
pub fn matters(subject: &Subject<'_>, observed: &Observed<'_>) -> Vec<String> {
    let groups = &subject.view.groups;
    let stale = groups.iter().filter(|group| stale::is_stale(group, observed));
    let stale = stale.map(|group| stale::matter(group.label()));
    let known = |pod: &&Pod| !groups.iter().any(|group| group.label() == pod.group);
    let workers = observed.pods.iter().filter(|pod| pod.belongs_to(subject.uid));
    let gone = workers.filter(|pod| pod.node_type == NodeType::Worker).filter(known);
    let told = groups.iter().flat_map(|group| {
        stale::named(group).into_iter().map(|name| stranger_matter(group.label(), name))
    });
    stale.chain(gone.map(|pod| gone_matter(&pod.group))).chain(told).collect()
}

/// What people should know about the Pods.
fn notes(subject: &Subject<'_>, observed: &Observed<'_>, terms: &Terms) -> Vec<Condition> {
    let mine = || observed.pods.iter().filter(|pod| pod.belongs_to(subject.uid));
    let mut notes = Vec::new();
    let waiting: Vec<&Pod> = mine()
        .filter(|pod| pod.node_type == NodeType::Worker && !pod.unschedulable.is_empty())
        .collect();
    if let Some(oldest) = waiting.iter().min_by_key(|pod| &pod.created) {
        notes.push(Condition::holds(
            WORKERS_UNSCHEDULABLE,
            "Unschedulable",
            format!(
                "{} worker Pods wait for a node, the oldest since {}: {}",
                waiting.len(),
                oldest.created,
                oldest.unschedulable
            ),
        ));
    }
    let is_stuck = |pod: &&Pod| {
        let gone_by = pod.gone_by.parse::<Timestamp>().ok();
        gone_by
            .is_some_and(|by| observed.now.duration_since(by).as_secs() > secs(terms.stuck_after))
    };
    let stuck: Vec<&str> = mine().filter(is_stuck).map(|pod| pod.name.as_str()).collect();
    if !stuck.is_empty() {
        let message = format!(
            "terminating past their grace period: {}; look at their node and finalizers",
            stuck.join(", ")
        );
        notes.push(Condition::holds(STUCK_TERMINATING, "GracePeriodOver", message));
    }
    notes.extend(above_max(subject, observed));
    notes
}

fn above_max(subject: &Subject<'_>, observed: &Observed<'_>) -> Option<Condition> {
    if !subject.view.autoscaling {
        return None;
    }
    let above = |group: &crate::model::Group<'_>| {
        let max = group.bounds()?.max;
        let hosts = group.hosts()?.max(1);
        let is_live = |pod: &&Pod| is_member(pod, subject.uid, group.label()) && !pod.terminating;
        let live = observed.pods.iter().filter(is_live).filter(|pod| !has_ended(pod, None)).count();
        let live = i64::try_from(live).ok()? / hosts;
        let asked = group.replicas.count.number().unwrap_or(0).max(live);
        (asked > max).then(|| format!("group {}: {asked} replicas, maximum {max}", group.label()))
    };
    let parts: Vec<String> = subject.view.groups.iter().filter_map(above).collect();
    (!parts.is_empty()).then(|| {
        let message = format!("{}; the autoscaler takes idle workers away", parts.join("; "));
        Condition::holds(REPLICAS_ABOVE_MAX, "WaitsForAutoscaler", message)
    })
}

fn secs(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Whether nothing of the cluster runs any more.
pub fn is_empty(uid: &str, pods: &[Pod]) -> bool {
    !pods.iter().any(|pod| pod.is_node_of(uid))
}

/// Whether a Pod runs, and is ready where readiness is known.
pub fn is_running(pod: &Pod) -> bool {
    pod.phase == Phase::Running && pod.ready != Some(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Memory;

    #[test]
    fn the_floor_is_later_than_the_status_and_stays_once_it_is_remembered() {
        let at = |changed: &Value, memory: &Memory| {
            let cluster = json!({
                "metadata": {"name": "lab", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {}, "status": {"lastUpdateTime": changed},
            });
            let now = Timestamp::UNIX_EPOCH;
            let observed = Observed { cluster: &cluster, pods: &[], existing: &[], memory, now };
            attempt(&Subject::of(&cluster).unwrap(), &observed, "pool")
        };
        let new = Memory::default();
        assert_eq!(at(&Value::Null, &new), 0);
        assert_eq!(at(&json!("2026-01-01T00:00:00Z"), &new), 1, "in the second of its creation");
        assert_eq!(at(&json!("2026-01-01T00:01:00Z"), &new), 61);
        let mut known = Memory { floor: Some(1), ..Memory::default() };
        assert_eq!(at(&json!("2026-01-01T00:01:00Z"), &known), 1);
        known.attempts.insert("pool".to_owned(), 4);
        assert_eq!(at(&json!("2026-01-01T00:01:00Z"), &known), 4);
    }
}
