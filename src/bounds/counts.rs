//! The ordered table about counts and bounds, a group at a time.

use crate::model::change::Pair;
use crate::model::cluster::UNBOUNDED;
use crate::model::{Bounds, Change, Count, Edit, Finding, Group, Numeral, RuleId, Severity};

/// Raises counts to the minimum and clamps them to the maximum, in groups that the request touched.
pub fn mend(change: &Change<'_>) -> (Vec<Edit>, Vec<Finding>) {
    let (mut edits, mut findings) = (Vec::new(), Vec::new());
    if !change.new.traits.patchable {
        return (edits, findings);
    }
    for pair in change.pairs().iter().filter(|pair| pair.touched()) {
        let Some(target) = target(change, pair) else {
            continue;
        };
        findings.extend(told(change, pair.new, target));
        edits.push(Edit::set(pair.new.replicas.at.clone(), target));
    }
    (edits, findings)
}

/// A count that was lowered to its maximum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// The group.
    pub group: String,
    /// What was written.
    pub asked: i64,
    /// What is stored.
    pub allowed: i64,
}

/// Which of `edits`, made by [`mend()`], lowered a count.
pub fn clamps(change: &Change<'_>, edits: &[Edit]) -> Vec<Clamp> {
    let clamp = |group: &Group<'_>| {
        let asked = group.replicas.count.number()?;
        let edit = edits.iter().find(|edit| edit.at == group.replicas.at)?;
        let allowed = edit.value.as_ref()?.as_i64().filter(|allowed| *allowed < asked)?;
        Some(Clamp { group: group.label().to_owned(), asked, allowed })
    };
    change.new.groups.iter().filter_map(clamp).collect()
}

/// The count that shall stand instead of the one that stands there.
fn target(change: &Change<'_>, pair: &Pair<'_>) -> Option<i64> {
    let group = pair.new;
    let written = match group.replicas.count {
        Count::Odd => return None,
        Count::Absent => 0,
        Count::Number(written) if written < 0 && change.actor.is_person() => return None,
        Count::Number(written) => written,
    };
    let Some(Bounds { min, max }) = group.bounds() else {
        return (written < 0).then_some(0);
    };
    if min > max {
        return None;
    }
    if written > max {
        return clamped(change, pair, written, max);
    }
    let unchanged_fault = old_breaks(pair.old, below_min) && !changed(pair, &[REPLICAS, LOWER]);
    (written < min && !unchanged_fault).then_some(min.max(0))
}

/// Where a count above the maximum goes; `None` where it stays.
fn clamped(change: &Change<'_>, pair: &Pair<'_>, written: i64, max: i64) -> Option<i64> {
    if change.refuses_above_max() {
        return None;
    }
    let live = pair.old.and_then(|old| old.replicas.count.number());
    let was_above = old_breaks(pair.old, above_max);
    if was_above && !changed(pair, &[REPLICAS, UPPER]) {
        return None;
    }
    // The autoscaler chooses the victims: under it a count never falls below what runs.
    let floor = if change.new.autoscaling || was_above { live.unwrap_or(max) } else { max };
    let target = max.max(floor.min(written)).max(0);
    (target != written).then_some(target)
}

/// What a person is told of a count that was changed. A raise of 0, null or nothing is silent where
/// zero is the default and so cannot be told from silence.
fn told(change: &Change<'_>, group: &Group<'_>, target: i64) -> Option<Finding> {
    let Bounds { min, max } = group.bounds()?;
    let at = group.replicas.at.clone();
    let written = group.replicas.count.number()?;
    if written > target {
        let fix = if target > max {
            "raise maxReplicas, or let the autoscaler scale down first".to_owned()
        } else {
            format!("write at most {max} or raise maxReplicas")
        };
        let found = format!("{written} set to {target}: above maxReplicas");
        return Some(Finding::warn(RuleId::ABOVE_MAX, at, found, format!("at most {max}"), fix));
    }
    (written != 0 || change.new.traits.zero_is_said).then(|| {
        let found = format!("{written} set to {target}: below minReplicas");
        let fix = format!("write at least {min} or lower minReplicas");
        Finding::warn(RuleId::BELOW_MIN, at, found, format!("at least {min}"), fix)
    })
}

/// What the bounds of each group, and groups that went away, give to say.
pub(super) fn judge(change: &Change<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in change.pairs() {
        let touched = pair.touched();
        let mut group = negatives(change, &pair);
        group.extend(contradiction(change, &pair));
        group.extend(hosts(change, &pair));
        group.extend(position(change, &pair, touched));
        if !touched {
            // An untouched group is never refused.
            group = group.into_iter().map(|finding| finding.with(Severity::Warn)).collect();
        }
        group.extend(unbounded(change, &pair));
        findings.extend(group);
    }
    findings.extend(removed(change));
    findings
}

fn negatives(change: &Change<'_>, pair: &Pair<'_>) -> Vec<Finding> {
    type Field = fn(&Group<'_>) -> Numeral;
    let fields: [(Field, &str); 3] = [
        (|group| group.replicas.clone(), "replicas"),
        (|group| group.min.clone(), "minReplicas"),
        (|group| group.max.clone(), "maxReplicas"),
    ];
    let negative = |numeral: &Numeral| numeral.count.number().is_some_and(|number| number < 0);
    let mut findings = Vec::new();
    for (field, name) in fields {
        let numeral = field(pair.new);
        let Some(number) = numeral.count.number().filter(|number| *number < 0) else {
            continue;
        };
        if name == "replicas" && !change.actor.is_person() {
            continue;
        }
        let before = pair.old.map(field);
        let finding = Finding::deny(
            RuleId::NEGATIVE,
            numeral.at.clone(),
            format!("{name} is {number}"),
            format!("0 to {UNBOUNDED}"),
            format!("write 0 or more, or leave {name} out"),
        );
        let same = before.as_ref().is_some_and(|before| before.count == numeral.count);
        findings.push(change.ratchet(finding, before.as_ref().is_some_and(negative), !same));
    }
    findings
}

fn contradiction(change: &Change<'_>, pair: &Pair<'_>) -> Option<Finding> {
    let Bounds { min, max } = pair.new.bounds().filter(contradicts)?;
    let finding = Finding::deny(
        RuleId::MIN_MAX,
        pair.new.max.at.clone(),
        format!("maxReplicas is {max}, below minReplicas {min}"),
        format!("at least {min}"),
        format!("raise maxReplicas to {min} or lower minReplicas to {max}"),
    );
    let before = pair.old.and_then(Group::bounds).is_some_and(|bounds| contradicts(&bounds));
    Some(change.ratchet(finding, before, changed(pair, &[LOWER, UPPER])))
}

/// Negative bounds have a rule of their own.
fn contradicts(bounds: &Bounds) -> bool {
    bounds.min > bounds.max && bounds.min >= 0 && bounds.max >= 0
}

fn hosts(change: &Change<'_>, pair: &Pair<'_>) -> Option<Finding> {
    let broken = |group: &Group<'_>| group.hosts().is_some_and(|hosts| hosts < 1);
    let hosts = pair.new.hosts().filter(|hosts| *hosts < 1)?;
    let finding = Finding::deny(
        RuleId::HOSTS,
        pair.new.hosts.at.clone(),
        format!("numOfHosts is {hosts}"),
        "1 or more Pods a replica",
        "write 1, or leave numOfHosts out",
    );
    Some(change.ratchet(finding, pair.old.is_some_and(broken), changed(pair, &[HOSTS])))
}

/// Where `replicas` stands between its bounds, and where it came from.
fn position(change: &Change<'_>, pair: &Pair<'_>, touched: bool) -> Option<Finding> {
    let group = pair.new;
    let bounds = group.bounds().filter(|bounds| bounds.min <= bounds.max)?;
    let count = group.replicas.count.number().filter(|count| *count >= 0)?;
    if count > bounds.max && bounds.max >= 0 {
        return Some(above(change, pair, count, bounds.max));
    }
    if count < bounds.min && !change.new.traits.patchable {
        return (count != 0).then(|| embedded_below_min(group, count, bounds.min));
    }
    let asked = change.requested.groups.get(pair.index).map(|group| group.replicas.count);
    let live = pair.old.and_then(|old| old.replicas.count.number())?;
    let lowered = touched
        && change.new.autoscaling
        && change.actor.is_person()
        && count < live
        && asked == Some(group.replicas.count);
    lowered.then(|| {
        Finding::warn(
            RuleId::LOWERED,
            group.replicas.at.clone(),
            format!("lowered from {live} to {count} by hand while autoscaling is on"),
            "",
            format!(
                "the autoscaler puts it back; leave replicas to it (GitOps: ignore \
                 /spec/workerGroupSpecs/*/replicas, or annotate {}: autoscaler), or lower maxReplicas",
                super::REPLICAS_ANNOTATION
            ),
        )
    })
}

fn above(change: &Change<'_>, pair: &Pair<'_>, count: i64, max: i64) -> Finding {
    let at = pair.new.replicas.at.clone();
    let found = format!("replicas is {count}, above maxReplicas {max}");
    if change.refuses_above_max() {
        let fix = format!("lower replicas to {max} or raise maxReplicas to {count}");
        return Finding::deny(RuleId::ABOVE_MAX, at, found, format!("at most {max}"), fix);
    }
    let fix = if change.new.autoscaling {
        "the autoscaler takes the surplus workers down".to_owned()
    } else {
        format!("lower replicas to {max} or raise maxReplicas to {count}")
    };
    Finding::warn(RuleId::ABOVE_MAX, at, found, format!("at most {max}"), fix)
}

fn embedded_below_min(group: &Group<'_>, count: i64, min: i64) -> Finding {
    Finding::warn(
        RuleId::BELOW_MIN,
        group.replicas.at.clone(),
        format!("replicas is {count}, below minReplicas {min}"),
        format!("at least {min}"),
        format!("the RayCluster made from it starts with {min}"),
    )
}

fn unbounded(change: &Change<'_>, pair: &Pair<'_>) -> Option<Finding> {
    let group = pair.new;
    let said = changed(pair, &[UPPER]) || pair.old.is_none();
    let max = group.bounds().filter(|_| said)?.max;
    let at = group.max.at.clone();
    let cap = change.settings.max_replicas_cap.filter(|cap| max > *cap);
    match cap {
        Some(cap) => {
            let found = if group.is_unbounded() {
                "no maxReplicas: unbounded".to_owned()
            } else {
                format!("maxReplicas is {max}")
            };
            let fix = format!("write maxReplicas: {cap} or less");
            let allowed = format!("at most {cap}, the installation's cap");
            let finding = Finding::deny(RuleId::CAP, at, found, allowed, fix);
            let refuses = change.actor.is_person() && !group.is_unbounded();
            Some(if refuses { finding } else { finding.with(Severity::Warn) })
        }
        None => group.is_unbounded().then(|| {
            Finding::warn(
                RuleId::UNBOUNDED,
                at,
                "no maxReplicas: the group is unbounded",
                "",
                "write the most workers that you are ready to pay for",
            )
        }),
    }
}

/// Groups that were taken out or renamed while they had workers.
fn removed(change: &Change<'_>) -> Vec<Finding> {
    let Some(old) = change.old.filter(|_| change.actor.is_person()) else {
        return Vec::new();
    };
    let kept = old.matched(Some(change.new));
    let gone = old.groups.iter().zip(kept).filter(|(_, kept)| kept.is_none());
    gone.filter_map(|(group, _)| {
        let count = group.replicas.count.number().filter(|count| *count > 0)?;
        let name = group.label();
        let finding = Finding::warn(
            RuleId::GROUP_REMOVED,
            change.new.at.at("workerGroupSpecs"),
            format!("group \"{name}\" goes away with {count} replicas; its Pods stay and the autoscaler fails on them"),
            "a group whose replicas are 0",
            format!("set minReplicas and replicas of \"{name}\" to 0, wait for its Pods to go, then take it out"),
        );
        Some(change.strictly(finding))
    })
    .collect()
}

type Field = for<'a, 'b> fn(&'a Group<'b>) -> Count;

const REPLICAS: Field = |group| group.replicas.count;
const LOWER: Field = |group| group.min.count;
const UPPER: Field = |group| group.max.count;
const HOSTS: Field = |group| group.hosts.count;

/// Whether the request changed one of these fields.
fn changed(pair: &Pair<'_>, fields: &[Field]) -> bool {
    pair.old.is_none_or(|old| fields.iter().any(|field| field(pair.new) != field(old)))
}

fn old_breaks(old: Option<&Group<'_>>, broken: fn(i64, Bounds) -> bool) -> bool {
    old.is_some_and(|old| {
        let count = old.replicas.count.number();
        count.zip(old.bounds()).is_some_and(|(count, bounds)| broken(count, bounds))
    })
}

const fn above_max(count: i64, bounds: Bounds) -> bool {
    count > bounds.max
}

const fn below_min(count: i64, bounds: Bounds) -> bool {
    count < bounds.min
}
