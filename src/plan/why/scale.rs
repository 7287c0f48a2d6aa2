//! Demand, bounds, and `replicas` against the Pods that were made.
//!
//! Input: the [`View`]. Output: the links `demand`, `caps` and `replicas`.

use serde_json::Value;

use super::facts::{count, line, text_at};
use super::{Event, Link, State, View};
use crate::dialect::kuberay::queue_managed;
use crate::model::cluster::UNBOUNDED;
use crate::model::template::{list, text};
use crate::model::{Group, RuleId};
use crate::plan::joined::{Answer, Demand};

/// Conditions with which a node manager says that it makes no Pods.
const REFUSALS: [&str; 4] =
    ["ReplicaFailure", "ForeignNodeManager", "UnsupportedField", "RBACConflict"];

/// Lines of demand that are shown.
const SHOWN: usize = 4;

/// What waits for resources.
pub(super) fn demand(view: &View<'_>) -> Link {
    if !view.cluster.autoscaling {
        return Link::ok("autoscaling is off: replicas is what somebody writes, whatever waits");
    }
    match (&view.facts.demand, &view.facts.nodes) {
        (Some(demand), _) => Link::ok(in_words(demand)),
        (None, Answer::Known(_)) => Link::ok("the dashboard does not say what waits"),
        (None, Answer::Unknown(why)) => {
            Link::new(State::Unknown, why.as_str(), view.facts.dashboard_fix.as_str())
        }
    }
}

fn in_words(demand: &Demand) -> String {
    let listed = |lines: &[String]| {
        let shown: Vec<&str> = lines.iter().map(String::as_str).take(SHOWN).collect();
        let more = lines.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", shown.join(", "))
    };
    let mut words = match demand.pending.as_slice() {
        [] => "nothing waits for resources".to_owned(),
        lines => format!("waiting for resources: {}", listed(lines)),
    };
    if !demand.requested.is_empty() {
        words = format!("{words}; asked for, and perhaps there: {}", listed(&demand.requested));
    }
    words
}

/// A group's figures, as a node manager reads them.
struct Size<'a> {
    name: &'a str,
    replicas: i64,
    min: i64,
    max: i64,
    hosts: i64,
    suspended: bool,
}

impl<'a> Size<'a> {
    fn of(group: &Group<'a>) -> Option<Self> {
        let bounds = group.bounds()?;
        Some(Self {
            name: group.label(),
            replicas: group.replicas.count.number().unwrap_or(bounds.min),
            min: bounds.min,
            max: bounds.max,
            hosts: group.hosts()?,
            suspended: group.raw.get("suspend") == Some(&Value::Bool(true)),
        })
    }

    /// Pods that a node manager makes. Source: KubeRay's `GetWorkerGroupDesiredReplicas`.
    fn pods(&self) -> usize {
        if self.suspended {
            return 0;
        }
        let replicas = self.replicas.max(self.min).min(self.max);
        usize::try_from(replicas.saturating_mul(self.hosts)).unwrap_or(0)
    }

    const fn is_fixed(&self) -> bool {
        self.min >= self.max
    }

    const fn is_full(&self) -> bool {
        self.replicas >= self.max
    }

    fn in_words(&self) -> String {
        let Self { name, replicas, min, max, .. } = self;
        match *max {
            UNBOUNDED => format!("{name} {replicas} ({min} and more)"),
            _ => format!("{name} {replicas} ({min} to {max})"),
        }
    }
}

fn sizes<'a>(view: &View<'a>) -> Vec<Size<'a>> {
    view.cluster.groups.iter().filter_map(Size::of).collect()
}

/// Whether bounds leave room to grow.
pub(super) fn caps(view: &View<'_>) -> Link {
    let sizes = sizes(view);
    let words: Vec<String> = sizes.iter().map(Size::in_words).collect();
    let mut what = if words.is_empty() { "no group".to_owned() } else { words.join(", ") };
    if text(view.cluster.options(), "upscalingMode") == Some("Conservative") {
        what.push_str("; upscalingMode Conservative: in small steps");
    }
    if let Some(cap) = view.facts.findings.iter().find(|it| it.rule == RuleId::CAP) {
        what = format!("{what}; {} ({})", cap.found, cap.allowed);
    }
    let demand = view.facts.demand.as_ref();
    let waits = demand.map(|it| !it.pending.is_empty());
    let requests = demand.is_some_and(|it| !it.requested.is_empty());
    if !view.cluster.autoscaling || (waits == Some(false) && !requests) {
        return Link::ok(what);
    }
    let growing: Vec<&Size<'_>> =
        sizes.iter().filter(|it| !it.is_fixed() && !it.suspended).collect();
    let full: Vec<&str> = growing.iter().filter(|it| it.is_full()).map(|it| it.name).collect();
    let names = full.join(", ");
    if growing.is_empty() && waits == Some(true) {
        return Link::blocked(
            format!("{what}: no group may grow"),
            "raise maxReplicas of a group that fits what waits",
        );
    }
    if full.is_empty() {
        return Link::ok(what);
    }
    let what = format!("{what}: {names} cannot grow, maxReplicas is reached");
    // What was requested stays listed once it is there, so alone it proves no want.
    if waits == Some(false) {
        return Link::waiting(
            what,
            format!("raise maxReplicas of {names} if what was asked for is not there"),
        );
    }
    if full.len() == growing.len() {
        return Link::blocked(what, format!("raise maxReplicas of {names}, or ask for less"));
    }
    Link::waiting(what, format!("raise maxReplicas of {names} if what waits fits no other group"))
}

/// Whether the Pods that `replicas` asks for were made.
pub(super) fn replicas(view: &View<'_>) -> Link {
    if let Err(gap) = &view.facts.pods {
        return Link::unknown(gap);
    }
    let sizes = sizes(view);
    let made = |name: &str| view.workers().filter(|seen| seen.pod.group == name).count();
    let figures: Vec<(&str, usize, usize)> =
        sizes.iter().map(|size| (size.name, made(size.name), size.pods())).collect();
    let part = |(name, made, wanted): &(&str, usize, usize)| {
        format!("{name} has {made} of {}", count(*wanted, "Pod"))
    };
    let parts: Vec<String> = figures.iter().map(part).collect();
    let what = if parts.is_empty() { "no group".to_owned() } else { parts.join(", ") };
    if figures.iter().any(|(_, made, wanted)| made < wanted) {
        return missing(view, &what);
    }
    if let Some(suspended) = sizes.iter().find(|size| size.suspended) {
        return Link::waiting(
            format!("{what}; {} is suspended", suspended.name),
            format!("take suspend out of {} if it should run", suspended.name),
        );
    }
    match figures.iter().find(|(_, made, wanted)| made > wanted) {
        Some((name, ..)) => surplus(view, name, &what),
        None => Link::ok(what),
    }
}

/// Pods that were not made, and why.
fn missing(view: &View<'_>, what: &str) -> Link {
    let status = view.facts.cluster.get("status");
    let generation = |value: Option<&Value>, key| value.and_then(|it| it.get(key)?.as_i64());
    let seen = generation(status, "observedGeneration");
    let written = generation(Some(view.cluster.metadata), "generation");
    if let Some(why) = view.refusal() {
        return Link::blocked(format!("{what}: {why}"), view.refusal_fix());
    }
    if let Err(gap) = &view.facts.events {
        return Link::new(State::Unknown, format!("{what}; why: {}", gap.what), gap.fix.as_str());
    }
    if status.is_none() {
        return Link::blocked(
            format!("{what}, and no status: nobody makes Pods for this cluster"),
            "run a node manager that watches this namespace: the KubeRay operator, or raywarden with \
             --node-manager raywarden",
        );
    }
    if seen < written && seen.is_some() {
        return Link::waiting(
            format!("{what}; the node manager has not seen the last change yet"),
            "if that lasts, look whether it runs, and read its log",
        );
    }
    Link::waiting(
        format!("{what}; nothing says why"),
        "if that lasts, look whether the node manager runs, and read its log",
    )
}

/// Pods that are too many.
fn surplus(view: &View<'_>, group: &str, what: &str) -> Link {
    let group = view.cluster.groups.iter().find(|it| it.name == Some(group));
    let strategy = group.and_then(|it| it.raw.get("scaleStrategy")).unwrap_or(&Value::Null);
    let named = list(strategy, "workersToDelete").iter().filter_map(Value::as_str);
    let named: Vec<&str> = named.collect();
    let waits = view.workers().any(|seen| named.contains(&seen.pod.name.as_str()));
    if waits {
        return Link::waiting(
            format!(
                "{what}; workersToDelete names Pods that are still there, and until they are gone the \
                     autoscaler adds nothing"
            ),
            "if that lasts, look whether the node manager runs",
        );
    }
    if view.cluster.autoscaling {
        return Link::waiting(
            format!(
                "{what}; with autoscaling on, only Pods that workersToDelete names are taken away"
            ),
            "the autoscaler names them once they are idle",
        );
    }
    Link::waiting(format!("{what}: some go away"), "")
}

impl View<'_> {
    /// Why Pods are refused: the node manager's condition, else its newest warning that is of a kind
    /// to keep Pods from being made. Other warnings come with every reconcile of a sound cluster.
    pub(super) fn refusal(&self) -> Option<String> {
        let status = self.facts.cluster.get("status").unwrap_or(&Value::Null);
        let is_refusal = |it: &&Value| {
            text(it, "status") == Some("True")
                && text(it, "type").is_some_and(|it| REFUSALS.contains(&it))
        };
        if let Some(failure) = list(status, "conditions").iter().find(is_refusal) {
            let message = text_at(failure, "message");
            let said = if message.is_empty() { text_at(failure, "reason") } else { message };
            return Some(line(said));
        }
        let events = self.facts.events.as_ref().map_or(&[][..], Vec::as_slice);
        let newest = events.iter().filter(|it| keeps_pods_away(it)).max_by_key(|it| &it.last)?;
        Some(format!("{}: {} ({} ago)", newest.reason, newest.message, self.ago(&newest.last)))
    }

    /// What to do about a refusal.
    pub(super) fn refusal_fix(&self) -> String {
        let said = self.refusal().unwrap_or_default().to_ascii_lowercase();
        let namespace = self.namespace;
        if said.contains("quota") {
            format!(
                "ask for more quota, or for less (kubectl describe resourcequota -n {namespace})"
            )
        } else if said.contains("limitrange") || said.contains("per container is") {
            format!(
                "keep within the namespace's limits (kubectl describe limitrange -n {namespace})"
            )
        } else if said.contains("podsecurity") {
            format!("meet the Pod security level of namespace {namespace}, or ask for another")
        } else if queue_managed(&self.cluster) {
            format!(
                "kubectl get workloads -n {namespace}, and kubectl describe raycluster {}",
                self.cluster.name
            )
        } else {
            format!(
                "mend what it names (kubectl describe raycluster {} -n {namespace})",
                self.cluster.name
            )
        }
    }
}

/// Source: the events of KubeRay's cluster controller. Its deletions that fail, and its advice about
/// restart policies, keep no Pod from being made.
fn keeps_pods_away(event: &Event) -> bool {
    let reason = event.reason.as_str();
    let kind = reason.starts_with("FailedToCreate")
        || reason.starts_with("Invalid")
        || reason.ends_with("NotFound");
    event.warning && (kind || event.message.contains("exceeded quota"))
}
