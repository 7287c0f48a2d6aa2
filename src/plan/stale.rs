//! Lists of victims that have outlived their victims.
//!
//! An autoscaler that died in between leaves its list behind, and its successor waits for Pods that
//! are long gone. After a while in which none of the named Pods exists the list is cleared, by a patch
//! that tests what it was planned from: a victim named meanwhile is never lost.

use serde_json::{Value, json};

use super::{Action, Memory, Observed, Plan, Subject, Terms};
use crate::model::Group;
use crate::model::template::{list, text};

/// The victims that a group names.
pub fn named<'a>(group: &Group<'a>) -> Vec<&'a str> {
    let strategy = group.raw.get("scaleStrategy").unwrap_or(&Value::Null);
    list(strategy, "workersToDelete").iter().filter_map(Value::as_str).collect()
}

/// The matter under which it is remembered since when a group's list is stale.
pub fn matter(group: &str) -> String {
    format!("stale/{group}")
}

/// Whether a group names victims, none of which exists.
pub fn is_stale(group: &Group<'_>, observed: &Observed<'_>) -> bool {
    let named = named(group);
    !named.is_empty() && !observed.pods.iter().any(|pod| named.contains(&pod.name.as_str()))
}

/// Clears what is stale for long enough.
pub fn clear(subject: &Subject<'_>, observed: &Observed<'_>, terms: &Terms, plan: &mut Plan) {
    for (index, group) in subject.view.groups.iter().enumerate() {
        if !is_stale(group, observed) {
            continue;
        }
        let wait = left(observed.memory, &matter(group.label()), observed, terms.stale_after);
        if wait.is_zero() {
            plan.actions.push(Action::Patch {
                what: format!(
                    "cleared workersToDelete of group {}: none of its Pods exists",
                    group.label()
                ),
                operations: patch(subject, index, group),
            });
        } else {
            plan.again_in(wait);
        }
    }
}

/// How long a matter has still to last.
pub fn left(
    memory: &Memory,
    matter: &str,
    observed: &Observed<'_>,
    lasts: std::time::Duration,
) -> std::time::Duration {
    let since = memory.since.get(matter).copied().unwrap_or(observed.now);
    let so_far = observed.now.duration_since(since).unsigned_abs();
    lasts.saturating_sub(so_far)
}

fn patch(subject: &Subject<'_>, index: usize, group: &Group<'_>) -> Vec<Value> {
    let at = |rest: &str| format!("/spec/workerGroupSpecs/{index}/{rest}");
    let strategy = group.raw.get("scaleStrategy").cloned().unwrap_or(Value::Null);
    vec![
        subject.tests_uid(),
        json!({"op": "test", "path": at("groupName"), "value": text(group.raw, "groupName")}),
        json!({"op": "test", "path": at("scaleStrategy"), "value": strategy}),
        json!({"op": "replace", "path": at("scaleStrategy/workersToDelete"), "value": []}),
    ]
}
