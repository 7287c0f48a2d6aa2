//! What is kept of an object once it is judged: its name and its findings.

use serde_json::{Value, json};

use super::Rules;
use crate::admission::wording::{change, is_injection};
use crate::admission::{Answer, Phase, Review, Why, review};
use crate::model::{Operation, RuleId, Severity};

/// All objects of one audit.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Judged objects, in the order in which they came.
    pub(super) objects: Vec<Record>,
    /// Objects on their way out, which no rule is asked about.
    pub(super) leaving: usize,
    /// Objects of other kinds, in files.
    pub(super) others: usize,
    /// Groups and resources that the server does not serve.
    pub(super) absent: Vec<String>,
}

/// How far the records reached at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    objects: usize,
    leaving: usize,
}

/// One object.
#[derive(Debug)]
pub(super) struct Record {
    /// API group and version.
    pub(super) api_version: String,
    /// Kind.
    pub(super) kind: String,
    /// Namespace.
    pub(super) namespace: String,
    /// Name.
    pub(super) name: String,
    /// What the rules say.
    pub(super) lines: Vec<Line>,
}

/// One finding.
#[derive(Debug)]
pub(super) struct Line {
    /// Its weight.
    pub(super) severity: Severity,
    /// The rule; `None` for what mutation would change.
    pub(super) rule: Option<RuleId>,
    /// Where.
    pub(super) field: String,
    /// What.
    pub(super) message: String,
}

impl Records {
    /// Judges an object as if somebody created it today; `manifest` where it comes from a file.
    pub(super) fn judge(&mut self, rules: &Rules, namespace: &str, object: Value, manifest: bool) {
        let request = Review::of_manifest(Operation::Create, "auditor", namespace, object, None);
        let request = Review { manifest, ..request };
        let phase = if manifest { Phase::Offline } else { Phase::Validate };
        let answer = review(&rules.settings, &rules.policies, phase, &request);
        if answer.passed == Some(Why::Deleting) {
            self.leaving += 1;
            return;
        }
        self.objects.push(record(&request, &answer));
    }

    /// How far the records reach.
    pub(super) fn mark(&self) -> Mark {
        Mark { objects: self.objects.len(), leaving: self.leaving }
    }

    /// Objects that came since `mark`.
    pub(super) fn since(&self, mark: Mark) -> usize {
        self.objects.len() - mark.objects + self.leaving - mark.leaving
    }

    /// Drops what came since `mark`, because it will come again.
    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.objects.truncate(mark.objects);
        self.leaving = mark.leaving;
    }

    /// Whether there was nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.leaving == 0 && self.others == 0
    }
}

fn record(request: &Review, answer: &Answer) -> Record {
    let mut lines: Vec<Line> = answer
        .spoken()
        .map(|finding| Line {
            severity: finding.severity,
            rule: Some(finding.rule),
            field: finding.at.to_string(),
            message: finding.message(),
        })
        .collect();
    let object = request.object.as_ref().unwrap_or(&Value::Null);
    // Only counts: an injection is derived once, so no write gives an object that is there already
    // what a new one would get.
    let counts = answer.unpatched.iter().filter(|op| !is_injection(op));
    lines.extend(counts.map(|op| {
        let message = format!("the next write changes it: {}", change(op, op.at().get(object)));
        Line { severity: Severity::Warn, rule: None, field: op.at().to_string(), message }
    }));
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    Record {
        api_version: text("apiVersion"),
        kind: text("kind"),
        namespace: request.namespace.clone(),
        name: request.name.clone().unwrap_or_default(),
        lines,
    }
}

impl Record {
    /// The heaviest of its findings.
    pub(super) fn weight(&self) -> Option<Severity> {
        self.lines.iter().map(|line| line.severity).max()
    }

    /// The entry of the JSON report.
    pub(super) fn to_json(&self) -> Value {
        let finding = |line: &Line| {
            json!({
                "severity": line.severity.as_str(),
                "rule": line.rule.map(RuleId::as_str),
                "field": line.field,
                "message": line.message,
            })
        };
        json!({
            "object": {
                "apiVersion": self.api_version,
                "kind": self.kind,
                "namespace": self.namespace,
                "name": self.name,
            },
            "findings": self.lines.iter().map(finding).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::{PolicySet, Settings};

    fn judged(object: Value) -> Records {
        let rules = Rules { settings: Settings::default(), policies: PolicySet::default() };
        let mut records = Records::default();
        records.judge(&rules, "", object, false);
        records
    }

    /// A stored cluster of one group, of a RayJob where `owner` is one.
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

    #[test]
    fn a_sound_object_has_no_lines_and_is_kept() {
        let records = judged(cluster(2, 5, &json!({})));
        assert_eq!(records.objects[0].weight(), None);
        assert_eq!(records.objects[0].to_json()["findings"], json!([]));
        assert_eq!(records.objects[0].to_json()["object"]["namespace"], "team-a");
    }

    #[test]
    fn an_object_on_its_way_out_is_counted_and_not_judged() {
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]});
        let records = judged(cluster(9, 5, &leaving));
        assert_eq!((records.objects.len(), records.leaving), (0, 1));
        assert!(!records.is_empty());
    }

    #[test]
    fn what_a_write_would_change_weighs_as_a_warning_and_says_from_what_to_what() {
        let owner = json!({
            "labels": {"ray.io/originated-from-crd": "RayJob", "ray.io/originated-from-cr-name": "j"},
            "ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "j",
                "uid": "u", "controller": true}],
        });
        let records = judged(cluster(9, 5, &owner));
        let change = records.objects[0].lines.iter().find(|line| line.rule.is_none()).unwrap();
        assert_eq!(change.severity, Severity::Warn);
        assert_eq!(change.field, "spec.workerGroupSpecs[0].replicas");
        assert_eq!(change.message, "the next write changes it: 9 -> 5");
    }

    #[test]
    fn a_list_begun_anew_counts_nothing_twice() {
        let mut records = judged(cluster(2, 5, &json!({})));
        let mark = records.mark();
        records.objects.extend(judged(cluster(2, 5, &json!({}))).objects);
        records.leaving += 1;
        assert_eq!(records.since(mark), 2);
        records.forget_since(mark);
        assert_eq!((records.since(mark), records.objects.len()), (0, 1));
    }
}
