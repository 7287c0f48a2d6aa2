//! One log line per review: who asked for what, and what was said. No object, no credential.

use std::time::Duration;

use crate::admission::{Answer, Phase, Review};
use crate::model::{Finding, RuleId};

/// Writes the line. Texts of the request go in as plain fields, which every form escapes: a name
/// with a line break in it does not forge a second line.
pub(super) fn log(phase: Phase, review: &Review, answer: &Answer, took: Duration) {
    let subject = review.subject();
    tracing::info!(
        target: "decision",
        uid = review.uid.as_str(),
        phase = phase.as_str(),
        group = subject.group.as_str(),
        kind = subject.kind.as_str(),
        sub_resource = review.sub_resource.as_deref(),
        namespace = review.namespace.as_str(),
        name = subject.name.as_str(),
        operation = review.operation.as_str(),
        user = review.user.as_str(),
        actor = answer.actor.as_str(),
        dry_run = review.dry_run,
        audit = answer.audited,
        allowed = answer.allowed,
        passed = answer.passed.map(crate::admission::Why::as_str),
        denials = rules(answer.denials()),
        warnings = rules(answer.warnings()),
        patch_ops = answer.patch.len(),
        micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "reviewed"
    );
}

/// Every rule once, in the order of the findings.
fn rules<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let mut ids: Vec<RuleId> = Vec::new();
    for finding in findings {
        if !ids.contains(&finding.rule) {
            ids.push(finding.rule);
        }
    }
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(",")
}
