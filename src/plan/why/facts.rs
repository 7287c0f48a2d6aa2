//! What is known of a cluster, as plain values.
//!
//! Input: stored objects. Output: [`Facts`]. What could not be read is a [`Gap`], with the right that
//! is missing.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::super::joined::{Answer, Demand};
use super::super::pod::{ContainerState, NodeType, Pod, container_state};
use crate::model::Finding;
use crate::model::template::{list, text};

/// Something that could not be seen, and what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What, and why not.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// What the chain is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The RayCluster.
    pub cluster: &'a Value,
    /// What the rules say of it.
    pub findings: &'a [Finding],
    /// Pods with its label.
    pub pods: Result<Vec<Seen>, Gap>,
    /// Events about it.
    pub events: Result<Vec<Event>, Gap>,
    /// What the dashboard says of its nodes.
    pub nodes: Answer,
    /// What helps where the dashboard says nothing.
    pub dashboard_fix: String,
    /// What asks for resources; `None` where the dashboard does not say.
    pub demand: Option<Demand>,
    /// How long a Pod may be ready without being a Ray node.
    pub threshold: Duration,
}

/// A Pod, and what only a look at a stuck one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The Pod.
    pub pod: Pod,
    /// Its scheduling gates.
    pub gates: Vec<String>,
    /// Its init containers.
    pub init: Vec<ContainerState>,
    /// Why it as a whole ended, such as `Evicted: ...`; empty where nothing is said.
    pub ended: String,
}

impl Seen {
    /// Reads a stored Pod.
    pub fn read(pod: &Value) -> Self {
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let status = pod.get("status").unwrap_or(&Value::Null);
        let names = |key: &str| {
            let names = list(spec, key).iter().filter_map(|it| text(it, "name"));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let statuses = list(status, "initContainerStatuses");
        let init = names("initContainers").into_iter().map(|name| {
            let found = statuses.iter().find(|it| text(it, "name") == Some(name.as_str()));
            container_state(&name, found.unwrap_or(&Value::Null))
        });
        let parts = [text_at(status, "reason"), text_at(status, "message")];
        Self {
            pod: Pod::read(pod),
            gates: names("schedulingGates"),
            init: init.collect(),
            ended: parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": "),
        }
    }
}

/// The head among Pods of one cluster; the new one, where the old one is on its way out.
pub fn head<'a>(pods: impl IntoIterator<Item = &'a Seen>) -> Option<&'a Seen> {
    let heads = pods.into_iter().filter(|seen| seen.pod.node_type == NodeType::Head);
    heads.min_by_key(|seen| seen.pod.terminating)
}

/// An event about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// It is a warning.
    pub warning: bool,
    /// Its one word.
    pub reason: String,
    /// Its sentence.
    pub message: String,
    /// When it was last seen, RFC 3339: sorts as text. Empty where nothing is said.
    pub last: String,
}

impl Event {
    /// Reads a stored event, whichever of the two APIs it was written by.
    pub fn read(event: &Value) -> Self {
        let at = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or("");
        let times = [
            at("/series/lastObservedTime"),
            at("/lastTimestamp"),
            at("/eventTime"),
            at("/metadata/creationTimestamp"),
        ];
        Self {
            warning: at("/type") == "Warning",
            reason: at("/reason").to_owned(),
            message: line(at("/message")),
            last: times.into_iter().find(|it| !it.is_empty()).unwrap_or("").to_owned(),
        }
    }
}

/// The member `key` as text, empty where there is none.
pub(super) fn text_at<'a>(value: &'a Value, key: &str) -> &'a str {
    text(value, key).unwrap_or("")
}

/// One line of a message, of bounded length.
pub(super) fn line(message: &str) -> String {
    const LIMIT: usize = 300;
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LIMIT) {
        line.truncate(end);
        line.push_str("...");
    }
    line.trim_end_matches('.').to_owned()
}

/// The time since then, as people say it.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    match now.as_second().saturating_sub(since.as_second()).max(0) {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// `1 Pod`, `2 Pods`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
