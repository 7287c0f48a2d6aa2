//! The object itself.
//!
//! Input: the [`View`]. Output: the links `cluster` and `spec`.

use serde_json::Value;

use super::facts::{line, text_at};
use super::{Link, View};
use crate::dialect::kuberay::{managed_elsewhere, queue_managed};
use crate::model::{Finding, RuleId, Severity};

/// Rules about what Ray's autoscaler stops on, for all groups, whatever else is right.
const FATAL: [RuleId; 6] = [
    RuleId::NO_GROUPS,
    RuleId::NO_CPU,
    RuleId::WHOLE_NUMBER,
    RuleId::QUOTING,
    RuleId::TOKEN,
    RuleId::MULTI_HOST,
];

/// Whether anybody is meant to run it at all.
pub(super) fn object(view: &View<'_>) -> Link {
    let cluster = &view.cluster;
    let leaving = text_at(cluster.metadata, "deletionTimestamp");
    if !leaving.is_empty() {
        let what = format!("is being deleted, since {}", view.ago(leaving));
        let holds = cluster.metadata.get("finalizers").and_then(Value::as_array);
        let holds: Vec<&str> = holds.into_iter().flatten().filter_map(Value::as_str).collect();
        let fix = if holds.is_empty() {
            "wait until it is gone and apply it again".to_owned()
        } else {
            format!("its finalizers hold it: {}", holds.join(", "))
        };
        return Link::blocked(what, fix);
    }
    let is_set = |key: &str| cluster.spec.get(key) == Some(&Value::Bool(true));
    if is_set("suspend") {
        let fix = if queue_managed(cluster) {
            "its queue decides when it may run: kubectl get workloads".to_owned()
        } else {
            format!("set spec.suspend to false, unless somebody paused {} on purpose", cluster.name)
        };
        return Link::blocked("is suspended (spec.suspend)", fix);
    }
    if is_set("idleSuspend") {
        return Link::blocked(
            "was suspended because it was idle (spec.idleSuspend)",
            "set spec.idleSuspend to false; spec.idleTerminationOptions says when that happens",
        );
    }
    if managed_elsewhere(cluster) {
        let by = text_at(cluster.spec, "managedBy");
        return Link::blocked(
            format!(
                "is run by {by} (spec.managedBy), not by a controller of this Kubernetes cluster"
            ),
            "look for its Pods where that controller puts them",
        );
    }
    let made = view.ago(text_at(cluster.metadata, "creationTimestamp"));
    let autoscaling = if cluster.autoscaling { "on" } else { "off" };
    Link::ok(format!("made {made} ago; autoscaling is {autoscaling}"))
}

/// Whether what is written can work.
pub(super) fn spec(view: &View<'_>) -> Link {
    let spoken = view.facts.findings.iter().filter(|it| it.severity != Severity::Note);
    let (stops, rest): (Vec<&Finding>, Vec<&Finding>) = spoken.partition(|it| stops(view, it));
    if let Some(first) = stops.first() {
        let more = stops.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let what = format!("{}: {}{more} [{}]", first.at, line(&first.found), first.rule);
        return Link::blocked(what, format!("{}; raywarden explain {}", first.fix, first.rule));
    }
    if rest.is_empty() {
        return Link::ok("nothing in it stops KubeRay or Ray");
    }
    let mut rules: Vec<&str> = rest.iter().map(|finding| finding.rule.as_str()).collect();
    rules.dedup();
    Link::ok(format!("nothing in it stops KubeRay or Ray; worth a look: {}", rules.join(", ")))
}

/// Whether nothing can work before this is mended. Counts outside of their bounds are no such thing:
/// node managers clamp them.
fn stops(view: &View<'_>, finding: &Finding) -> bool {
    const CLAMPED: [RuleId; 4] = [RuleId::ABOVE_MAX, RuleId::BELOW_MIN, RuleId::CAP, RuleId::ZERO];
    let refused = finding.severity == Severity::Deny && !CLAMPED.contains(&finding.rule);
    refused || (view.cluster.autoscaling && FATAL.contains(&finding.rule))
}
