//! Counts that the writer did not mean: the live ones stay.
//!
//! `kubectl apply` of a file without `replicas` writes the CRD's default 0 over what the autoscaler
//! chose, because the list of groups is replaced as a whole. And a cluster may hand its counts to the
//! autoscaler for good, whatever Git says.

use serde_json::Value;

use crate::model::template::entry;
use crate::model::{Actor, Change, Count, Edit, Finding, RuleId};

/// Annotation that hands the counts to the autoscaler, with the value `autoscaler`.
pub const REPLICAS_ANNOTATION: &str = "raywarden.io/replicas";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const CLIENT_SIDE_APPLY: &str = "kubectl-client-side-apply";

/// The live counts of groups whose incoming counts were not meant.
pub fn carry(change: &Change<'_>) -> (Vec<Edit>, Vec<Finding>) {
    let (mut edits, mut findings) = (Vec::new(), Vec::new());
    let Some(old) = change.old else {
        return (edits, findings);
    };
    if !change.new.autoscaling {
        return (edits, findings);
    }
    let opted_in = old.annotation(REPLICAS_ANNOTATION) == Some("autoscaler")
        && !matches!(change.actor, Actor::Autoscaler { .. } | Actor::Ourselves);
    let applied = (!opted_in && change.field_manager == Some(CLIENT_SIDE_APPLY))
        .then(|| applied_groups(change))
        .flatten();
    if !opted_in && applied.is_none() {
        return (edits, findings);
    }
    for pair in change.pairs() {
        let (Some(live), Some(name)) = (pair.old, pair.new.name) else {
            continue;
        };
        let written = pair.new.replicas.count;
        let Some(count) = live.replicas.count.number() else {
            continue;
        };
        let omitted = counts_as_nothing(written, change.actor)
            && count > 0
            && applied.as_ref().is_some_and(|groups| leaves_out_replicas(groups, name));
        if !(opted_in || omitted) {
            continue;
        }
        if opted_in && written != live.replicas.count {
            findings.push(kept(&pair.new.replicas.at, written, count));
        }
        edits.push(Edit::set(pair.new.replicas.at.clone(), count));
        let strategy = live.raw.get("scaleStrategy").filter(|strategy| !strategy.is_null());
        if let Some(strategy) = strategy {
            edits.push(Edit::set(pair.new.at.at("scaleStrategy"), strategy.clone()));
        } else if opted_in {
            edits.push(Edit { at: pair.new.at.at("scaleStrategy"), value: None });
        }
    }
    (edits, findings)
}

/// Whether it may stand for a count that was left out. A machine's negative is no more than 0; a
/// person is told that it is wrong.
fn counts_as_nothing(written: Count, actor: Actor) -> bool {
    match written {
        Count::Absent => true,
        Count::Number(number) => number == 0 || (number < 0 && !actor.is_person()),
        Count::Odd => false,
    }
}

fn kept(at: &crate::model::Pointer, written: Count, live: i64) -> Finding {
    let written = match written {
        Count::Number(number) => number.to_string(),
        Count::Absent => "nothing".to_owned(),
        Count::Odd => "an unreadable value".to_owned(),
    };
    Finding::warn(
        RuleId::KEPT,
        at.clone(),
        format!("{written} written, {live} kept: this cluster's counts belong to the autoscaler"),
        "",
        format!("remove the annotation {REPLICAS_ANNOTATION} to set them by hand"),
    )
}

/// The worker groups of the last applied file. The whole annotation is read: it is a few kilobytes
/// of JSON that kubectl itself wrote.
fn applied_groups(change: &Change<'_>) -> Option<Vec<Value>> {
    let text = change.new.annotation(LAST_APPLIED)?;
    let mut applied: Value = serde_json::from_str(text).ok()?;
    match applied.get_mut("spec")?.get_mut("workerGroupSpecs")?.take() {
        Value::Array(groups) => Some(groups),
        _ => None,
    }
}

fn leaves_out_replicas(groups: &[Value], name: &str) -> bool {
    entry(groups, "groupName", name).is_some_and(|group| group.get("replicas").is_none())
}
