//! One entry of the page: a judged object, what its status says, and what its report adds.
//!
//! Input: the request that an audit made of an object, the answer, and the `RayClusterReport` where
//! there is one. Output: a [`Cluster`]. Workers are counted in Pods. A count that neither status nor
//! report holds stays unknown.

use std::collections::{HashMap, HashSet};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{Cluster, Finding, Group, Workers};
use crate::admission::{Answer, GroupKind, Review};
use crate::dialect;
use crate::model::{self, RuleId};
use crate::plan::audit::{Identity, Line, first_seen, lines};
use crate::plan::report::MOST_PODS;
use crate::scaling::workers::{GroupBounds, desired, is_suspended};

impl Cluster {
    /// Of a judged object.
    pub fn judged(request: &Review, answer: &Answer) -> Self {
        let none = Value::Null;
        let object = request.object.as_ref().unwrap_or(&none);
        let text = |pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned()
        };
        let GroupKind { group, kind, .. } = GroupKind::of(object);
        let mut cluster = Self {
            namespace: request.namespace.clone(),
            name: request.name.clone().unwrap_or_else(|| text("/metadata/generateName")),
            uid: text("/metadata/uid"),
            findings: findings(request, answer),
            ..Self::default()
        };
        let dialect = dialect::of(&group, &kind);
        (cluster.group, cluster.kind) = (group, kind);
        if let Some(view) = dialect.and_then(|dialect| dialect.view(object)) {
            cluster.template = !view.traits.patchable;
            cluster.autoscaling = view.autoscaling;
            cluster.suspended = is_suspended(view.spec);
            cluster.groups = view.groups.iter().map(|it| group_of(&view, it)).collect();
            cluster.workers.desired = cluster.groups.iter().map(|it| it.workers.desired).sum();
            if view.traits.ray && !cluster.template {
                cluster.workers.live = available(object);
            }
        }
        cluster
    }

    /// The same with what a `RayClusterReport` says, where it is about this very object.
    pub fn told(&mut self, report: &Value) {
        let owners = report.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owns = |owner: &Value| owner.get("uid").and_then(Value::as_str) == Some(&self.uid);
        if self.uid.is_empty() || !owners.into_iter().flatten().any(owns) {
            return;
        }
        self.observed(report.get("report").unwrap_or(&Value::Null));
    }

    /// The same with what the controller found when it looked last.
    pub fn observed(&mut self, report: &Value) {
        let Some(workers) = report.get("workers") else { return };
        let answers = report.pointer("/dashboard/state").and_then(Value::as_str) == Some("Answers");
        let all: Option<i64> = ["joined", "starting", "notJoined", "unknown"]
            .map(|key| workers.get(key).and_then(Value::as_i64))
            .into_iter()
            .sum();
        self.workers.live = all.or(self.workers.live);
        if answers {
            self.workers.joined = workers.get("joined").and_then(Value::as_i64);
        }
        let none = Vec::new();
        let groups = report.get("groups").and_then(Value::as_array).unwrap_or(&none);
        for group in &mut self.groups {
            let named =
                |it: &&Value| it.get("name").and_then(Value::as_str) == Some(group.name.as_str());
            match groups.iter().find(named) {
                Some(told) => {
                    let count = |key: &str| told.get(key).and_then(Value::as_i64);
                    group.workers.live = live(told);
                    group.workers.joined = if answers { count("joined") } else { None };
                }
                // A report names every group that has Pods, up to a number of them.
                None if groups.iter().filter_map(live).sum::<i64>() == all.unwrap_or(-1) => {
                    group.workers.live = Some(0);
                    group.workers.joined = answers.then_some(0);
                }
                None => {}
            }
        }
    }

    /// Keeps the findings that count, with their dates.
    pub fn keep(&mut self, lines: &[Line]) {
        let count: HashSet<Identity> = lines.iter().map(Line::identity).collect();
        self.findings.retain(|finding| count.contains(&finding.identity()));
        self.date(&first_seen(lines));
    }

    /// Gives findings the moment at which they were first seen.
    pub fn date(&mut self, dates: &HashMap<Identity, Timestamp>) {
        for finding in &mut self.findings {
            if let Some(since) = dates.get(&finding.identity()) {
                finding.since = since.to_string();
            }
        }
    }
}

impl Finding {
    /// What tells it from other findings of its object.
    fn identity(&self) -> Identity {
        let Self { rule, policy, field, .. } = self;
        Identity { rule: (*rule).to_owned(), policy: policy.clone(), field: field.clone() }
    }
}

/// Live workers of a group of a report; `None` where the list of those that did not join is cut.
fn live(group: &Value) -> Option<i64> {
    let strays = group.get("notJoined").and_then(Value::as_array).map_or(0, Vec::len);
    let strays = i64::try_from(strays).ok().filter(|_| strays < MOST_PODS)?;
    let counts = ["joined", "starting", "unknown"].map(|key| group.get(key)?.as_i64());
    counts.into_iter().chain([Some(strays)]).sum()
}

fn group_of(cluster: &model::Cluster<'_>, group: &model::Group<'_>) -> Group {
    let GroupBounds { name, replicas, min_replicas: min, max_replicas: max } =
        GroupBounds::of(group);
    let workers = Workers { desired: desired(cluster, group), ..Workers::default() };
    Group { name, min, replicas, max, hosts: group.hosts().unwrap_or(1).max(1), workers }
}

/// Workers that run, as the status of a RayCluster tells it. A zero is left out there, so that it is
/// known only of a status that somebody has written.
fn available(object: &Value) -> Option<i64> {
    let status = object.get("status")?;
    let count = status.get("availableWorkerReplicas").and_then(Value::as_i64);
    let written =
        ["lastUpdateTime", "observedGeneration"].iter().any(|key| status.get(*key).is_some());
    count.or_else(|| written.then_some(0))
}

fn findings(request: &Review, answer: &Answer) -> Vec<Finding> {
    let lines = lines(request, answer);
    let mut said = answer.spoken();
    let finding = |line: Line| {
        // What the rules say comes first, in this order.
        let parts = line.rule.and_then(|_| said.next());
        let (found, allowed, fix) = match parts {
            Some(it) => (it.found.clone(), it.allowed.clone(), it.fix.clone()),
            None => (line.message, String::new(), String::new()),
        };
        Finding {
            weight: line.severity,
            rule: line.rule.map_or("", RuleId::as_str),
            policy: line.policy.as_deref().unwrap_or("").to_owned(),
            field: line.field,
            found,
            allowed,
            fix,
            since: String::new(),
        }
    };
    lines.into_iter().map(finding).collect()
}
