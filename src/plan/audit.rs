//! What an audit says of an object that is stored.
//!
//! Input: an object, judged as if somebody created it today. Output: [`Line`]s in words, the same for
//! the command line, for reports in the cluster and for the page. What makes two lines the same
//! finding is [`Identity`]: the rule, who asks for it, and the place. Values that move, such as a
//! count, make no new finding.

pub mod found;
pub mod kept;
pub mod reports;

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::admission::wording::{change, is_injection};
use crate::admission::{Answer, Phase, PolicySet, Review, Settings, Why, review};
use crate::dialect;
use crate::model::{Operation, RuleId, Severity};
use crate::policy::Usage;

/// Who an audit asks for: a person that creates the object.
const AUDITOR: &str = "auditor";

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Its weight.
    pub severity: Severity,
    /// The rule; `None` for what mutation would change.
    pub rule: Option<RuleId>,
    /// The administrator's policy that asks for it.
    pub policy: Option<Arc<str>>,
    /// Where.
    pub field: String,
    /// What.
    pub message: String,
    /// When a report first held it; `None` where none does.
    pub first_seen: Option<Timestamp>,
}

/// Which object a finding is about; the version of its API plays no part.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What makes two lines of one object the same finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The rule; empty for what mutation would change.
    pub rule: String,
    /// The policy; empty where the rule holds without one.
    pub policy: String,
    /// Where.
    pub field: String,
}

impl Identity {
    /// Of a finding as reports hold it.
    pub fn of(finding: &Value) -> Self {
        let text = |key| finding.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        Self { rule: text("rule"), policy: text("policy"), field: text("field") }
    }
}

impl Line {
    /// What tells it from other findings of its object.
    pub fn identity(&self) -> Identity {
        Identity {
            rule: self.rule.map_or("", RuleId::as_str).to_owned(),
            policy: self.policy.as_deref().unwrap_or("").to_owned(),
            field: self.field.clone(),
        }
    }

    /// The finding as reports hold it; what is not known is left out, but for the rule.
    pub fn to_json(&self) -> Value {
        let mut line = json!({
            "severity": self.severity.as_str(),
            "rule": self.rule.map(RuleId::as_str),
            "field": self.field,
            "message": self.message,
        });
        if let Value::Object(members) = &mut line {
            let policy = self.policy.as_deref().map(|policy| ("policy".to_owned(), json!(policy)));
            let time = self.first_seen.map(|it| ("firstSeen".to_owned(), json!(it.to_string())));
            members.extend(policy.into_iter().chain(time));
        }
        line
    }
}

/// When the findings were first seen, of those that are dated.
pub fn first_seen(lines: &[Line]) -> HashMap<Identity, Timestamp> {
    lines.iter().filter_map(|line| Some((line.identity(), line.first_seen?))).collect()
}

/// The question that an audit asks of an object: may somebody create it today?
pub fn question(namespace: &str, object: Value, manifest: bool) -> Review {
    let request = Review::of_manifest(Operation::Create, AUDITOR, namespace, object, None);
    Review { manifest, ..request }
}

/// The answer; `None` for an object on its way out, which no rule is asked about.
pub fn answer(settings: &Settings, policies: &PolicySet, request: &Review) -> Option<Answer> {
    let phase = if request.manifest { Phase::Offline } else { Phase::Validate };
    let answer = review(settings, policies, phase, request);
    (answer.passed != Some(Why::Deleting)).then_some(answer)
}

/// Takes the object of a question into what its namespace may reach.
pub fn count(usage: &mut Usage, settings: &Settings, request: &Review) {
    let Some(object) = &request.object else { return };
    if let Some(dialect) = dialect::of(&request.kind.group, &request.kind.kind) {
        usage.insert(settings, dialect, &request.namespace, object);
    }
}

/// The policies that are about the object, whether or not it breaks them.
pub fn about(policies: &PolicySet, request: &Review) -> Vec<Arc<str>> {
    let Some(object) = &request.object else { return Vec::new() };
    let dialect = dialect::of(&request.kind.group, &request.kind.kind);
    let cluster = dialect.and_then(|dialect| dialect.view(object));
    let asked = request.request(object, None);
    cluster.map(|cluster| policies.about(&asked, &cluster)).unwrap_or_default()
}

/// What the rules say, then which counts the next write would change.
pub fn lines(request: &Review, answer: &Answer) -> Vec<Line> {
    let said = answer.spoken().map(|finding| Line {
        severity: finding.severity,
        rule: Some(finding.rule),
        policy: finding.policy.clone(),
        field: finding.at.to_string(),
        message: finding.message(),
        first_seen: None,
    });
    let object = request.object.as_ref().unwrap_or(&Value::Null);
    // Only counts: an injection is derived once, so no write gives an object that is there already
    // what a new one would get.
    let counts = answer.unpatched.iter().filter(|op| !is_injection(op));
    let changes = counts.map(|op| Line {
        severity: Severity::Warn,
        rule: None,
        policy: None,
        field: op.at().to_string(),
        message: format!("the next write changes it: {}", change(op, op.at().get(object))),
        first_seen: None,
    });
    said.chain(changes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored cluster of one group, of a RayJob where `metadata` says so.
    fn cluster(replicas: i64, max: i64, metadata: &Value) -> Value {
        let template = json!({"spec": {"containers": [{"name": "ray", "image": "x"}]}});
        let mut object = json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": metadata,
            "spec": {
                "headGroupSpec": {"rayStartParams": {}, "template": template},
                "workerGroupSpecs": [{
                    "groupName": "small", "replicas": replicas, "minReplicas": 1,
                    "maxReplicas": max, "rayStartParams": {}, "template": template,
                }],
            },
        });
        object["metadata"]["name"] = json!("lab");
        object["metadata"]["namespace"] = json!("team-a");
        object
    }

    fn judged(object: Value) -> Option<Vec<Line>> {
        let request = question("", object, false);
        let answer = answer(&Settings::default(), &PolicySet::default(), &request)?;
        Some(lines(&request, &answer))
    }

    #[test]
    fn a_sound_object_has_no_lines_and_one_on_its_way_out_is_not_asked_about() {
        assert_eq!(judged(cluster(2, 5, &json!({}))), Some(Vec::new()));
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]});
        assert_eq!(judged(cluster(9, 5, &leaving)), None);
    }

    #[test]
    fn what_a_write_would_change_weighs_as_a_warning_and_says_from_what_to_what() {
        let owner = json!({
            "labels": {"ray.io/originated-from-crd": "RayJob", "ray.io/originated-from-cr-name": "j"},
            "ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "j",
                "uid": "u", "controller": true}],
        });
        let lines = judged(cluster(9, 5, &owner)).unwrap();
        let change = lines.iter().find(|line| line.rule.is_none()).unwrap();
        assert_eq!(change.severity, Severity::Warn);
        assert_eq!(change.field, "spec.workerGroupSpecs[0].replicas");
        assert_eq!(change.message, "the next write changes it: 9 -> 5");
    }

    #[test]
    fn a_value_that_moves_makes_no_new_finding() {
        let one = judged(cluster(9, 5, &json!({}))).unwrap();
        let other = judged(cluster(8, 5, &json!({}))).unwrap();
        assert_ne!(one[0].message, other[0].message);
        assert_eq!(one[0].identity(), other[0].identity());
        assert_eq!(Identity::of(&one[0].to_json()), one[0].identity());
    }
}
