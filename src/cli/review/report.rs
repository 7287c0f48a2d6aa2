//! The forms of a report: how each object is written, what stands before, between and behind.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::paint::Paint;
use super::super::problem::Problem;
use super::super::record::{Line, Place, Record};
use super::super::report::{junit, sarif};
use super::judge::Judged;
use super::text;
use crate::admission::wire;
use crate::model::{Finding, Op, Severity};

/// A form of report.
pub(super) enum Report {
    /// For people.
    Text { paint: Box<Paint>, quiet: bool },
    /// An array, one entry per object.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// `JUnit` XML.
    Junit,
    /// What the webhook would answer.
    Admission,
}

/// What one document added to the report.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What is written; `None` where this form says nothing about it.
    pub(super) text: Option<String>,
    /// What could not be read, or should be known.
    pub(super) problem: Option<Problem>,
    /// The object was judged; whether it was allowed, patched, and how many warnings it got.
    verdict: Option<(bool, bool, usize)>,
    /// It was an object of another kind.
    other: bool,
}

impl Part {
    pub(super) fn problem(problem: Problem) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }

    pub(super) fn skipped() -> Self {
        Self { other: true, ..Self::default() }
    }
}

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) objects: usize,
    pub(super) denied: usize,
    pub(super) patched: usize,
    pub(super) warnings: usize,
    pub(super) skipped: usize,
    /// Inputs without an answer.
    pub(super) errors: usize,
    /// Parts of the report that were written.
    pub(super) written: usize,
}

impl Summary {
    pub(super) fn count(&mut self, part: &Part) {
        self.skipped += usize::from(part.other);
        self.errors += usize::from(part.problem.as_ref().is_some_and(Problem::is_error));
        if let Some((allowed, patched, warnings)) = part.verdict {
            self.objects += 1;
            self.denied += usize::from(!allowed);
            self.patched += usize::from(patched);
            self.warnings += warnings;
        }
    }

    /// There was nothing to judge, which is no success.
    pub(super) fn nothing_of_ours(&self, paths: &[PathBuf]) -> Problem {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let message = match self.skipped {
            0 => "holds no object at all".to_owned(),
            skipped => format!("holds no object of a Ray kind ({skipped} of other kinds)"),
        };
        Problem::error(names.join(", "), message).help(
            "raywarden reviews RayCluster, RayJob, RayService, RayCronJob, RayClusterPolicy and AdmissionReview",
        )
    }
}

impl Report {
    /// What stands before the first object.
    pub(super) fn opening(&self) -> String {
        match self {
            Self::Text { .. } | Self::Admission => String::new(),
            Self::Json => "[".to_owned(),
            Self::Sarif => sarif::opening(),
            Self::Junit => junit::opening("review"),
        }
    }

    /// What stands between two objects.
    pub(super) const fn separator(&self) -> &'static str {
        match self {
            Self::Json => ",\n",
            Self::Sarif => sarif::SEPARATOR,
            Self::Text { .. } | Self::Junit | Self::Admission => "",
        }
    }

    /// What stands behind the last object.
    pub(super) fn closing(&self, summary: &Summary, problems: &[Problem]) -> String {
        match self {
            Self::Text { paint, .. } => text::closing(summary, paint),
            Self::Json => "]\n".to_owned(),
            Self::Sarif => sarif::closing(problems),
            Self::Junit => junit::closing(problems),
            Self::Admission => String::new(),
        }
    }

    /// One object.
    pub(super) fn part(&self, judged: &Judged<'_>) -> Part {
        let answer = &judged.answer;
        let text = match self {
            Self::Text { paint, quiet } => text::object(judged, paint, *quiet),
            Self::Json => Some(entry(judged).to_string()),
            Self::Sarif => sarif::results(&record(judged)),
            Self::Junit => Some(junit::case(&record(judged), Severity::Deny)),
            Self::Admission => Some(format!("{}\n", wire::response(&judged.review.uid, answer))),
        };
        let warned = told(judged).filter(|(finding, denied)| !denied && !is_quiet(finding)).count();
        let patched = !answer.patch.is_empty();
        Part { text, verdict: Some((answer.allowed, patched, warned)), ..Part::default() }
    }
}

/// The findings that somebody is told of, and whether each refuses.
pub(super) fn told<'a>(judged: &'a Judged<'_>) -> impl Iterator<Item = (&'a Finding, bool)> {
    let answer = &judged.answer;
    answer.spoken().map(|finding| (finding, finding.severity == Severity::Deny && !answer.audited))
}

/// Whether it is for reports alone: a policy that only audits asks for it.
pub(super) fn is_quiet(finding: &Finding) -> bool {
    finding.severity == Severity::Audit
}

/// Stands before what audit mode let through.
pub(super) fn would(finding: &Finding, refuses: bool) -> &'static str {
    if finding.severity == Severity::Deny && !refuses { "would deny: " } else { "" }
}

/// An object as the reports for machines read it. In audit mode what would have been denied is a
/// warning.
fn record(judged: &Judged<'_>) -> Record {
    let line = |(finding, refuses): (&Finding, bool)| {
        let would = would(finding, refuses);
        Line {
            severity: if would.is_empty() { finding.severity } else { Severity::Warn },
            rule: Some(finding.rule),
            policy: finding.policy.clone(),
            field: finding.at.to_string(),
            message: format!("{would}{}", finding.message()),
            first_seen: None,
        }
    };
    let findings = told(judged).map(|(finding, _)| finding);
    Record {
        kind: judged.review.subject().kind,
        namespace: judged.review.namespace.clone(),
        name: judged.review.subject().name,
        place: Some(Place::of(judged.page, &judged.base, judged.line, findings)),
        lines: told(judged).map(line).collect(),
        ..Record::default()
    }
}

/// An object as the JSON report has it. In audit mode what would have been denied is a warning.
fn entry(judged: &Judged<'_>) -> Value {
    let answer = &judged.answer;
    let line = |finding: &Finding, denied: bool| {
        let message = format!("{}{}", would(finding, denied), finding.message());
        let mut line = json!({
            "field": finding.at.to_string(), "message": message, "rule": finding.rule.as_str(),
        });
        if let (Some(policy), Value::Object(members)) = (&finding.policy, &mut line) {
            members.insert("policy".to_owned(), json!(&**policy));
        }
        line
    };
    let list = |wanted: fn(&Finding, bool) -> bool| -> Vec<Value> {
        told(judged)
            .filter(|(finding, denied)| wanted(finding, *denied))
            .map(|(finding, denied)| line(finding, denied))
            .collect()
    };
    let object = judged.object();
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or("");
    let subject = judged.review.subject();
    json!({
        "object": {
            "apiVersion": text("apiVersion"),
            "kind": subject.kind,
            "namespace": judged.review.namespace,
            "name": subject.name,
        },
        "source": {"file": judged.page.file, "line": judged.line},
        "operation": judged.review.operation.as_str(),
        "allowed": answer.allowed,
        "causes": list(|_, denied| denied),
        "warnings": list(|finding, denied| !denied && !is_quiet(finding)),
        "audited": list(|finding, _| is_quiet(finding)),
        "patch": answer.patch.iter().map(Op::to_json).collect::<Vec<_>>(),
        "auditAnnotations": answer.audit_annotations,
    })
}
