//! What is kept of an object once it is judged: its name and its findings.

use serde_json::{Value, json};

use super::Rules;
use crate::admission::wording::change_line;
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
    /// Kinds that the server does not serve.
    pub(super) absent: Vec<&'static str>,
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
}

fn record(request: &Review, answer: &Answer) -> Record {
    let spoken = answer.findings.iter().filter(|finding| finding.severity != Severity::Note);
    let mut lines: Vec<Line> = spoken
        .map(|finding| Line {
            severity: finding.severity,
            rule: Some(finding.rule),
            field: finding.at.to_string(),
            message: finding.message(),
        })
        .collect();
    let object = request.object.as_ref().unwrap_or(&Value::Null);
    // Only counts: an object from before the sidecar was injected is sound as it is.
    let counts = answer.unpatched.iter().filter(|op| op.at().to_string().ends_with("replicas"));
    lines.extend(counts.map(|op| Line {
        severity: Severity::Warn,
        rule: None,
        field: op.at().to_string(),
        message: format!("a write would change {}", change_line(op, op.at().get(object))),
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
                "severity": if line.severity == Severity::Deny { "deny" } else { "warn" },
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
