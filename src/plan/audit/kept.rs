//! The findings that a `RayClusterReport` holds, and since when.
//!
//! Input: what the stored report holds, what an audit says, and the moment. Output: the part of the
//! report that is the audit's, or nothing where it would say the same. A finding keeps the moment at
//! which it was first seen for as long as every audit finds it. The list is capped, and what is left
//! out is counted.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Identity, Line, ObjectKey};
use crate::admission::wire::group_version;
use crate::model::Severity;

/// The member of the report that is the audit's.
pub const MEMBER: &str = "audit";

/// The longest list of findings.
pub const MOST_FINDINGS: usize = 50;

/// The longest message that is kept.
const MOST_WORDS: usize = 1024;

/// How many findings of each weight there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To refuse.
    pub deny: usize,
    /// To warn.
    pub warn: usize,
    /// For reports alone.
    pub audit: usize,
}

impl Counts {
    /// One more.
    pub const fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Deny => self.deny += 1,
            Severity::Warn => self.warn += 1,
            Severity::Audit | Severity::Note => self.audit += 1,
        }
    }

    /// Of these lines.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Self {
        let mut counts = Self::default();
        lines.into_iter().for_each(|line| counts.add(line.severity));
        counts
    }

    /// All of them.
    pub const fn all(self) -> usize {
        self.deny + self.warn + self.audit
    }
}

/// The object that a report is about: its owner.
pub fn subject(report: &Value) -> Option<ObjectKey> {
    let metadata = report.get("metadata")?;
    let owners = metadata.get("ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|it| it.get("controller") == Some(&Value::Bool(true)))?;
    let text = |from: &Value, key: &str| from.get(key)?.as_str().map(str::to_owned);
    let api_version = text(owner, "apiVersion")?;
    Some(ObjectKey {
        group: group_version(&api_version).0.to_owned(),
        kind: text(owner, "kind")?,
        namespace: text(metadata, "namespace")?,
        name: text(owner, "name")?,
    })
}

/// When each finding of a report was first seen; `audit` is the report's [`MEMBER`].
pub fn dates(audit: Option<&Value>) -> HashMap<Identity, Timestamp> {
    let findings = audit.and_then(|audit| audit.get("findings")).and_then(Value::as_array);
    let date = |finding: &Value| {
        let time = finding.get("firstSeen")?.as_str()?.parse().ok()?;
        Some((Identity::of(finding), time))
    };
    findings.into_iter().flatten().filter_map(date).collect()
}

/// Gives each line the moment at which it was first seen: the stored one, else `now`.
pub fn date(lines: &mut [Line], stored: Option<&Value>, now: Timestamp) {
    let dates = dates(stored);
    for line in lines {
        line.first_seen = Some(dates.get(&line.identity()).copied().unwrap_or(now));
    }
}

/// The heaviest first, and of those that are left out as many as have to be.
pub fn capped(mut lines: Vec<Line>) -> (Vec<Line>, usize) {
    lines.sort_by(|one, other| {
        let order = |line: &Line| (std::cmp::Reverse(line.severity), line.identity());
        order(one).cmp(&order(other))
    });
    let left_out = lines.len().saturating_sub(MOST_FINDINGS);
    lines.truncate(MOST_FINDINGS);
    for line in &mut lines {
        if line.message.chars().count() > MOST_WORDS {
            line.message = line.message.chars().take(MOST_WORDS - 3).chain("...".chars()).collect();
        }
    }
    (lines, left_out)
}

/// The audit's part of a report, from dated lines; `None` where it says what is stored already.
pub fn change(
    stored: Option<&Value>,
    lines: &[Line],
    left_out: usize,
    all: Counts,
) -> Option<Value> {
    if lines.is_empty() && stored.is_none() {
        return None;
    }
    let audit = json!({
        "deny": all.deny,
        "warn": all.warn,
        "audit": all.audit,
        "findings": lines.iter().map(to_json).collect::<Vec<_>>(),
        "leftOut": left_out,
    });
    (stored != Some(&audit)).then_some(audit)
}

/// A finding as the report holds it, which has no room for a null.
fn to_json(line: &Line) -> Value {
    let mut finding = line.to_json();
    if let Value::Object(members) = &mut finding {
        members.retain(|_, value| !value.is_null());
    }
    finding
}

/// The part of the CRD that holds it.
pub fn schema() -> Value {
    let text = || json!({"type": "string"});
    let count = || json!({"type": "integer", "format": "int32", "minimum": 0});
    let finding = json!({
        "severity": {"type": "string", "enum": ["deny", "warn", "audit"]},
        "rule": text(), "policy": text(), "field": text(), "message": text(),
        "firstSeen": {"type": "string", "format": "date-time"},
    });
    let findings = json!({
        "type": "array", "maxItems": MOST_FINDINGS,
        "items": {"type": "object", "properties": finding},
    });
    json!({"type": "object", "properties": {
        "deny": count(), "warn": count(), "audit": count(), "findings": findings, "leftOut": count(),
    }})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::RuleId;

    fn line(severity: Severity, field: &str, message: &str) -> Line {
        Line {
            severity,
            rule: Some(RuleId::MIN_MAX),
            policy: None,
            field: field.to_owned(),
            message: message.to_owned(),
            first_seen: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// One audit over what the one before stored.
    fn audit(stored: Option<&Value>, mut lines: Vec<Line>, now: &str) -> Option<Value> {
        let all = Counts::of(&lines);
        date(&mut lines, stored, at(now));
        let (lines, left_out) = capped(lines);
        change(stored, &lines, left_out, all)
    }

    #[test]
    fn a_finding_keeps_its_moment_for_as_long_as_it_lasts() {
        let (one, two) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let first = audit(None, vec![line(Severity::Deny, "a", "5 > 3")], one).unwrap();
        assert_eq!(first["findings"][0]["firstSeen"], one);
        let again = audit(Some(&first), vec![line(Severity::Deny, "a", "5 > 3")], two);
        assert_eq!(again, None, "time alone changes nothing");
        let both = vec![line(Severity::Deny, "a", "6 > 3"), line(Severity::Warn, "b", "x")];
        let second = audit(Some(&first), both, two).unwrap();
        assert_eq!(
            second["findings"][0]["firstSeen"], one,
            "a value that moves is the same finding"
        );
        assert_eq!(second["findings"][1]["firstSeen"], two);
        let mended = audit(Some(&second), vec![], two).unwrap();
        assert_eq!(mended["findings"], json!([]));
        assert_eq!(audit(Some(&mended), vec![], two), None);
        let back = audit(Some(&mended), vec![line(Severity::Deny, "a", "5 > 3")], two).unwrap();
        assert_eq!(back["findings"][0]["firstSeen"], two);
    }

    #[test]
    fn a_cluster_that_never_had_a_finding_is_not_written_of() {
        assert_eq!(audit(None, vec![], "2026-01-01T00:00:00Z"), None);
    }

    #[test]
    fn the_list_is_capped_the_heaviest_stay_and_the_rest_is_counted() {
        let mut lines: Vec<Line> =
            (0..60).map(|n| line(Severity::Warn, &format!("w{n:02}"), &"x".repeat(5000))).collect();
        lines.push(line(Severity::Audit, "a", "x"));
        lines.push(line(Severity::Deny, "z", "x"));
        let audit = audit(None, lines, "2026-01-01T00:00:00Z").unwrap();
        let findings = audit["findings"].as_array().unwrap();
        assert_eq!((findings.len(), &audit["leftOut"]), (MOST_FINDINGS, &json!(12)));
        assert_eq!(
            (&audit["deny"], &audit["warn"], &audit["audit"]),
            (&json!(1), &json!(60), &json!(1))
        );
        assert_eq!(findings[0]["field"], "z");
        assert!(audit.to_string().len() < 100_000);
    }

    #[test]
    fn the_same_place_under_two_policies_is_two_findings() {
        let policy =
            |name: &str| Line { policy: Some(Arc::from(name)), ..line(Severity::Deny, "a", "x") };
        let stored = audit(None, vec![policy("p")], "2026-01-01T00:00:00Z").unwrap();
        let both =
            audit(Some(&stored), vec![policy("p"), policy("q")], "2026-01-02T00:00:00Z").unwrap();
        assert_eq!(both["findings"][0]["firstSeen"], "2026-01-01T00:00:00Z");
        assert_eq!(both["findings"][1]["firstSeen"], "2026-01-02T00:00:00Z");
    }

    #[test]
    fn a_report_is_about_its_owner() {
        let owner =
            json!({"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "j", "controller": true});
        let report = json!({"metadata": {"namespace": "n", "ownerReferences": [owner]}});
        let subject = subject(&report).unwrap();
        assert_eq!((subject.kind.as_str(), subject.name.as_str()), ("RayJob", "j"));
        assert_eq!(super::subject(&json!({"metadata": {"namespace": "n"}})), None);
    }
}
