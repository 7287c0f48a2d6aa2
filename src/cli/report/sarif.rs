//! SARIF 2.1.0, as code scanning reads it: one result per finding, at its place in the file, or at
//! the object's path at the API server.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::super::problem::Problem;
use super::super::record::{Line, Record, Span};
use crate::model::names::hex;
use crate::model::{RuleId, Severity};
use crate::policy::rules::catalogue;

/// Stands between two objects.
pub(in crate::cli) const SEPARATOR: &str = ",\n";

/// Everything up to the first result.
pub(in crate::cli) fn opening() -> String {
    let rules: Vec<Value> = catalogue()
        .map(|rule| {
            json!({
                "id": rule.id.as_str(),
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.fix},
                "defaultConfiguration": {"level": level(rule.severity)},
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

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Deny => "error",
        Severity::Warn => "warning",
        Severity::Audit | Severity::Note => "note",
    }
}

/// The results of one object.
pub(in crate::cli) fn results(record: &Record) -> Option<String> {
    let results: Vec<String> =
        record.lines.iter().map(|line| result(line, record).to_string()).collect();
    (!results.is_empty()).then(|| results.join(SEPARATOR))
}

fn result(line: &Line, record: &Record) -> Value {
    let (file, region) = match &record.place {
        Some(place) => (place.file.to_string(), region(place.span(&line.field), place.line)),
        None => (record.path(), region(None, 1)),
    };
    let rule = line.rule.map(|rule| ("ruleId".to_owned(), json!(rule.as_str())));
    let policy = line.policy.as_deref().map(|it| ("properties".to_owned(), json!({"policy": it})));
    let mut result: Map<String, Value> = rule.into_iter().collect();
    let said = format!("{}: {}: {}", record.title(), line.field, line.message);
    result.extend([
        ("level".to_owned(), json!(level(line.severity))),
        ("message".to_owned(), json!({"text": said})),
        (
            "locations".to_owned(),
            json!([{
                "physicalLocation": {"artifactLocation": {"uri": file}, "region": region},
                "logicalLocations": [{"fullyQualifiedName": line.field}],
            }]),
        ),
        ("partialFingerprints".to_owned(), json!({"raywarden/v1": fingerprint(line, record)})),
    ]);
    result.extend(policy);
    Value::Object(result)
}

fn region(span: Option<Span>, line: usize) -> Value {
    span.map_or_else(
        || json!({"startLine": line}),
        |span| {
            json!({
                "startLine": span.start.0,
                "startColumn": span.start.1,
                "endLine": span.end.0,
                "endColumn": span.end.1,
            })
        },
    )
}

/// The same for the same finding of the same object, wherever it stands and whatever its values are.
fn fingerprint(line: &Line, record: &Record) -> String {
    let policy = line.policy.as_deref().unwrap_or("");
    let rule = line.rule.map_or("", RuleId::as_str);
    let all = [&record.title(), rule, policy, &line.field].join("\n");
    hex(Sha256::digest(all.as_bytes()).get(..16).unwrap_or_default())
}

/// Everything behind the last result: what could not be read is a notification.
pub(in crate::cli) fn closing(problems: &[Problem]) -> String {
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
