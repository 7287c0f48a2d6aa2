//! SARIF 2.1.0, as code scanning reads it: one result per finding, at its place in the file.

use serde_json::{Value, json};

use super::super::problem::Problem;
use super::judge::Judged;
use super::report::{is_quiet, told};
use crate::model::{Finding, Severity};
use crate::policy::rules::catalogue;

/// Everything up to the first result.
pub(super) fn opening() -> String {
    let rules: Vec<Value> = catalogue()
        .map(|rule| {
            let level = if rule.severity == Severity::Deny { "error" } else { "warning" };
            json!({
                "id": rule.id.as_str(),
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.fix},
                "defaultConfiguration": {"level": level},
            })
        })
        .collect();
    let driver = json!({
        "name": "raywarden",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": rules,
    });
    format!(
        "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\
         \"runs\":[{{\"tool\":{{\"driver\":{driver}}},\"columnKind\":\"unicodeCodePoints\",\
         \"results\":[\n"
    )
}

/// The results of one object.
pub(super) fn results(judged: &Judged<'_>) -> Option<String> {
    let results: Vec<String> =
        told(judged).map(|(finding, denied)| result(finding, denied, judged).to_string()).collect();
    (!results.is_empty()).then(|| results.join(",\n"))
}

fn result(finding: &Finding, denied: bool, judged: &Judged<'_>) -> Value {
    let region = match judged.target(finding) {
        Some(target) => json!({
            "startLine": target.start.line,
            "startColumn": target.start.column,
            "endLine": target.end.line,
            "endColumn": target.end.column,
        }),
        None => json!({"startLine": judged.line}),
    };
    let level = if is_quiet(finding) { "note" } else { "warning" };
    json!({
        "ruleId": finding.rule.as_str(),
        "level": if denied { "error" } else { level },
        "message": {"text": format!("{}: {}: {}", judged.name(), finding.at, finding.message())},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": judged.page.file},
                "region": region,
            },
            "logicalLocations": [{"fullyQualifiedName": finding.at.to_string()}],
        }],
    })
}

/// Everything behind the last result: what could not be read is a notification.
pub(super) fn closing(problems: &[Problem]) -> String {
    let notifications: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let level = if problem.is_error() { "error" } else { "warning" };
            json!({"level": level, "message": {"text": problem.line()}})
        })
        .collect();
    let invocation = json!([{
        "executionSuccessful": !problems.iter().any(Problem::is_error),
        "toolExecutionNotifications": notifications,
    }]);
    format!("],\"invocations\":{invocation}}}]}}\n")
}
