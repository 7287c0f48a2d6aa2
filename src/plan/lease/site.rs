//! The cluster that leases are for: whether a lease stands a chance there, and one group's next step.

use serde_json::Value;

use super::hold::{Counts, Field, Ground, Kept, Mover, Stand};
use super::kept::{ANNOTATION, Entries, Entry, parse, text};
use super::{
    BEGINS, CLUSTER_GONE, CLUSTER_REPLACED, CONTESTED, EXPIRED, GROUP_UNCLEAR, HELD, HELD_AGAIN,
    HELD_BY_ANOTHER, Lease, NO_CLUSTER, NO_GROUP, NO_REQUESTER, Observed, PARENT_DECIDES, Phase,
    Said, UNTIL_UNREADABLE, Verdict, ZERO_WORKERS,
};
use crate::dialect::kuberay::parent;
use crate::dialect::{Dialect, Parent};
use crate::model::template::member;
use crate::model::{Cluster, Count, Draft, Group, Pointer, guard, template};
use crate::plan::pod::{NodeType, Pod};

/// A cluster that is there and stays.
pub(super) struct Site<'a> {
    object: &'a Value,
    view: Cluster<'a>,
    uid: &'a str,
    dialect: Dialect,
    pods: &'a [Pod],
}

/// What becomes of one group.
pub(super) struct Step<'a> {
    group: String,
    before: Option<&'a Entry>,
    counts: Option<Counts>,
    entry: Option<Entry>,
    /// The UID of the lease whose requester has to be asked about first.
    pub(super) needs: Option<&'a str>,
    /// A status has to be written first.
    pub(super) binds: bool,
    /// A maximum is on its way down.
    pub(super) shrinks: bool,
    /// In words.
    pub(super) what: Vec<String>,
    /// What the leases of the group say.
    pub(super) said: Vec<Said>,
}

impl Step<'_> {
    /// What is kept of the group after it.
    pub(super) fn kept(&self) -> Option<(String, Entry)> {
        Some((self.group.clone(), self.entry.clone()?))
    }

    fn touches(&self) -> bool {
        self.counts.is_some() || self.entry.as_ref() != self.before
    }
}

fn say(lease: &Lease, phase: Phase, reason: &str, message: impl Into<String>) -> Said {
    Said {
        lease: lease.uid.clone(),
        phase,
        reason: reason.to_owned(),
        message: message.into(),
        cluster: None,
    }
}

/// The group in whose line a lease stands; otherwise what it says instead.
pub(super) fn standing(
    lease: &Lease,
    site: Option<&Site<'_>>,
    observed: &Observed<'_>,
) -> Result<String, Said> {
    let refused = |reason, message: &str| Err(Said::refused(lease, reason, message));
    if let (Some((Phase::Refused, reason)), true) = (lease.said(), lease.is_current()) {
        return refused(reason, template::text(&lease.status, "message").unwrap_or(""));
    }
    let Some(until) = lease.until else {
        return refused(UNTIL_UNREADABLE, "spec.until is no time that can be read");
    };
    if until <= observed.now {
        let message =
            format!("over since {until}: what it changed and nobody else did is given back");
        return Err(say(lease, Phase::Ended, EXPIRED, message));
    }
    let Some(site) = site else {
        if lease.bound_to().is_some() {
            return Err(say(lease, Phase::Ended, CLUSTER_GONE, "its cluster is gone"));
        }
        let message = format!("there is no cluster {} here yet", lease.cluster);
        return Err(say(lease, Phase::Pending, NO_CLUSTER, message));
    };
    if lease.bound_to().is_some_and(|uid| uid != site.uid) {
        let message = "its cluster is gone, and another one has that name now: make a new lease";
        return Err(say(lease, Phase::Ended, CLUSTER_REPLACED, message));
    }
    if lease.requester.is_none() {
        let message = "spec.requester is not recorded, so nobody's right can be looked at: the \
                       webhook was away when this lease was made. Make it again";
        return refused(NO_REQUESTER, message);
    }
    if let Some(Verdict::Refused { reason, message }) = observed.verdicts.get(&lease.uid) {
        return refused(reason, message);
    }
    site.line(lease)
}

impl<'a> Site<'a> {
    pub(super) fn of(observed: &Observed<'a>) -> Option<Self> {
        let object = observed.cluster?;
        let view = observed.dialect.view(object)?;
        let uid = template::text(view.metadata, "uid")?;
        let stays = member(view.metadata, "deletionTimestamp").is_none();
        stays.then_some(Self { object, view, uid, dialect: observed.dialect, pods: observed.pods })
    }

    /// What the annotation keeps.
    pub(super) fn entries(&self) -> Entries {
        self.view.annotation(ANNOTATION).map(parse).unwrap_or_default()
    }

    fn line(&self, lease: &Lease) -> Result<String, Said> {
        let refused = |reason, message: String| Err(Said::refused(lease, reason, &message));
        let bound = |said: Said| Said { cluster: Some(self.uid.to_owned()), ..said };
        if let Some((Parent::RayService, name)) = parent(&self.view) {
            let message = format!(
                "RayService {name} made this cluster and writes its counts back: scale the RayService"
            );
            return refused(PARENT_DECIDES, message);
        }
        if self.dialect == Dialect::Domino {
            if lease.replicas == 0 {
                let message = "Domino's clusters are not scaled to 0 workers: stop the workspace";
                return refused(ZERO_WORKERS, message.to_owned());
            }
            if lease.group.is_some() {
                let message = "Domino's clusters have one group: leave spec.group out";
                return refused(GROUP_UNCLEAR, message.to_owned());
            }
        }
        let group = match (&lease.group, self.view.groups.as_slice()) {
            (Some(name), groups) => groups.iter().find(|it| it.name == Some(name.as_str())),
            (None, [] | [_]) => self.view.groups.first(),
            (None, groups) => {
                let names: Vec<&str> = groups.iter().map(Group::label).collect();
                let message = format!("spec.group is needed: one of {}", names.join(", "));
                return refused(GROUP_UNCLEAR, message);
            }
        };
        let message = match group {
            None => format!(
                "the cluster has no group {} yet",
                lease.group.as_deref().unwrap_or("of workers")
            ),
            Some(group) if counts_of(group).is_none() => {
                format!("the counts of group {} cannot be read", group.label())
            }
            Some(group) => return Ok(group.label().to_owned()),
        };
        Err(bound(say(lease, Phase::Pending, NO_GROUP, message)))
    }

    fn group(&self, name: &str) -> Option<&Group<'a>> {
        self.view.groups.iter().find(|group| group.label() == name)
    }

    fn ground(&self, group: &Group<'_>) -> Option<Ground> {
        let counts = counts_of(group)?;
        let mover = match (self.view.autoscaling, self.dialect) {
            (true, _) => Mover::Ray,
            (false, Dialect::Domino) if group.bounded => Mover::Horizontal,
            (false, _) => Mover::Nobody,
        };
        let hosts = group.hosts().unwrap_or(1).max(1);
        let runs = |pod: &&Pod| {
            pod.owner == self.uid
                && pod.node_type == NodeType::Worker
                && pod.group == group.label()
                && !pod.terminating
        };
        let pods = i64::try_from(self.pods.iter().filter(runs).count()).unwrap_or(i64::MAX);
        let present = ((pods + hosts - 1) / hosts).max(counts.replicas.unwrap_or(0));
        let Group { bounded, min_default, .. } = *group;
        Some(Ground { counts, mover, bounded, min_default, present })
    }

    /// One group's next step. `turn`: the leases that stand in its line, in order.
    pub(super) fn step<'b>(
        &self,
        name: &str,
        before: Option<&'b Entry>,
        turn: &[&'b Lease],
        observed: &Observed<'_>,
    ) -> Step<'b> {
        let mut step = Step {
            group: name.to_owned(),
            before,
            counts: None,
            entry: None,
            needs: None,
            binds: false,
            shrinks: false,
            what: Vec::new(),
            said: Vec::new(),
        };
        // What is kept of a group that is gone, or cannot be read, is of no use to anybody.
        let Some(ground) = self.group(name).and_then(|group| self.ground(group)) else {
            return step;
        };
        let holds = |lease: &&&Lease| before.is_some_and(|entry| entry.uid == lease.uid);
        let Some(holder) = turn.iter().find(holds).or_else(|| turn.first()).copied() else {
            release(&mut step, ground, before);
            return step;
        };
        match before.filter(|entry| entry.uid == holder.uid) {
            Some(entry) => hold(&mut step, ground, holder, entry),
            None => self.begin(&mut step, ground, holder, before),
        }
        let allowed = observed.verdicts.get(&holder.uid) == Some(&Verdict::Allowed);
        if step.needs.is_some() && allowed {
            step.needs = None;
        }
        let until = holder.until.map(|until| until.to_string()).unwrap_or_default();
        for other in turn.iter().filter(|other| other.uid != holder.uid) {
            let message = format!(
                "lease {} holds group {name} until {until}; this one takes over when it ends",
                holder.name
            );
            step.said.push(say(other, Phase::Pending, HELD_BY_ANOTHER, message));
        }
        for said in &mut step.said {
            said.cluster = Some(self.uid.to_owned());
        }
        step
    }

    /// A lease whose turn it is takes the group over, from whoever held it.
    fn begin<'b>(
        &self,
        step: &mut Step<'b>,
        ground: Ground,
        lease: &'b Lease,
        before: Option<&'b Entry>,
    ) {
        // It held the group, and whoever took the annotation away wrote over it.
        let lost = lease.said().filter(|_| lease.bound_to() == Some(self.uid));
        let again = match lost {
            Some((Phase::Contested, _) | (Phase::Active, HELD_AGAIN)) => {
                release(step, ground, before);
                step.said.push(contested(lease, &[]));
                return;
            }
            Some((Phase::Active, _)) => true,
            _ => false,
        };
        if lease.bound_to().is_none() {
            release(step, ground, before);
            step.binds = true;
            let message = format!("group {} is about to be held", step.group);
            step.said.push(say(lease, Phase::Pending, BEGINS, message));
            return;
        }
        let (freed, left) = ground.give_back(before.map_or(&Kept::new(), |entry| &entry.kept));
        let freed = Ground { counts: freed, ..ground };
        let (counts, kept) = freed.take(lease.replicas, &left);
        if let Some(entry) = before {
            step.what.push(format!("lease {} of group {} is over", entry.lease, step.group));
        }
        let entry = Entry { lease: lease.name.clone(), uid: lease.uid.clone(), kept, again };
        holds(step, ground.counts, counts, lease, entry);
        step.needs = Some(&lease.uid);
    }

    /// The cluster after some steps; other groups keep what is kept `before`.
    pub(super) fn changed(&self, steps: &[Step<'_>], before: &Entries) -> Draft<'a> {
        let mut draft = Draft::new(self.object);
        let mut entries = before.clone();
        for step in steps {
            match &step.entry {
                Some(entry) => entries.insert(step.group.clone(), entry.clone()),
                None => entries.remove(&step.group),
            };
            let (Some(group), Some(counts)) = (self.group(&step.group), step.counts) else {
                continue;
            };
            for field in Field::ALL {
                match counts.get(field) {
                    Some(count) => draft.set(place(group, field), count.into()),
                    None => draft.remove(place(group, field)),
                }
            }
        }
        if entries != *before {
            match text(&entries) {
                Some(text) => draft.set(&note(), text.into()),
                None => draft.remove(&note()),
            }
        }
        draft
    }

    /// The patch that takes every step, behind tests of what it was planned from.
    pub(super) fn guarded(&self, steps: &[Step<'_>], before: &Entries) -> Vec<Value> {
        let draft = self.changed(steps, before);
        let mut places = vec![note()];
        let touched = steps.iter().filter(|step| step.touches());
        for group in touched.filter_map(|step| self.group(&step.group)) {
            if self.view.traits.ray {
                places.push(group.at.at("groupName"));
            }
            places.extend(Field::ALL.map(|field| place(group, field).clone()));
        }
        guard::guarded(self.object, &places, draft.ops())
    }
}

/// A lease that holds its group goes on.
fn hold<'b>(step: &mut Step<'b>, ground: Ground, lease: &'b Lease, entry: &Entry) {
    let stand = ground.stand(lease.replicas, &entry.kept);
    if stand == Stand::Changed && entry.again {
        step.entry = Some(entry.clone());
        step.said.push(contested(lease, &ground.changed(lease.replicas, &entry.kept)));
        return;
    }
    if stand == Stand::Suits {
        return holds(step, ground.counts, ground.counts, lease, entry.clone());
    }
    let (counts, kept) = ground.again(lease.replicas, &entry.kept);
    let again = entry.again || stand == Stand::Changed;
    holds(step, ground.counts, counts, lease, Entry { kept, again, ..entry.clone() });
    step.needs = Some(&lease.uid);
}

fn holds(step: &mut Step<'_>, from: Counts, to: Counts, lease: &Lease, entry: Entry) {
    let Lease { name, replicas, until, .. } = lease;
    let until = until.map(|until| until.to_string()).unwrap_or_default();
    let (reason, once_more) = if entry.again {
        (HELD_AGAIN, "; another writer changed it, and it was written once more")
    } else {
        (HELD, "")
    };
    let message = format!("group {} is held at {replicas} until {until}{once_more}", step.group);
    step.said.push(say(lease, Phase::Active, reason, message));
    if from != to || step.before != Some(&entry) {
        let differences = differences(from, to);
        step.what
            .push(format!("lease {name} holds group {} at {replicas}{differences}", step.group));
    }
    step.counts = (from != to).then_some(to);
    step.entry = Some(entry);
}

/// What a lease that is over had changed goes back.
fn release(step: &mut Step<'_>, ground: Ground, before: Option<&Entry>) {
    let Some(entry) = before else { return };
    let (counts, left) = ground.give_back(&entry.kept);
    let differences = differences(ground.counts, counts);
    step.counts = (counts != ground.counts).then_some(counts);
    step.shrinks = !left.is_empty();
    step.entry = step.shrinks.then(|| Entry { kept: left, ..entry.clone() });
    if step.touches() {
        step.what
            .push(format!("lease {} of group {} is over{differences}", entry.lease, step.group));
    }
}

fn contested(lease: &Lease, fields: &[Field]) -> Said {
    let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    let what = if names.is_empty() { "what it wrote".to_owned() } else { names.join(", ") };
    let message = format!(
        "another writer changed {what} again after it had been written once more, so nothing more is \
         written. Agree with that writer, then make a new lease"
    );
    say(lease, Phase::Contested, CONTESTED, message)
}

/// The counts of a group; `None` where one of them is no number.
fn counts_of(group: &Group<'_>) -> Option<Counts> {
    let read = |count: Count| match count {
        Count::Absent => Some(None),
        Count::Number(number) => Some(Some(number)),
        Count::Odd => None,
    };
    Some(Counts {
        replicas: read(group.replicas.count)?,
        min: read(group.min.count)?,
        max: read(group.max.count)?,
    })
}

const fn place<'g>(group: &'g Group<'_>, field: Field) -> &'g Pointer {
    match field {
        Field::Replicas => &group.replicas.at,
        Field::Min => &group.min.at,
        Field::Max => &group.max.at,
    }
}

fn note() -> Pointer {
    Pointer::of(["metadata", "annotations", ANNOTATION])
}

fn differences(from: Counts, to: Counts) -> String {
    let word = |count: Option<i64>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let changes: Vec<String> = Field::ALL
        .into_iter()
        .filter(|field| from.get(*field) != to.get(*field))
        .map(|field| {
            format!("{} {} -> {}", field.as_str(), word(from.get(field)), word(to.get(field)))
        })
        .collect();
    if changes.is_empty() { String::new() } else { format!(": {}", changes.join(", ")) }
}
