//! The findings that a `RayClusterReport` holds, and since when.
//!
//! Input: what the stored report holds, and what an audit found. Output: the part of the report that
//! is the audit's, or nothing where it would say the same.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{Found, MOST_FINDINGS};
use super::{Identity, Line, ObjectKey};
use crate::admission::wire::group_version;

/// The member of the report that is the audit's.
pub const MEMBER: &str = "audit";

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

/// The audit's part of a report; `None` where it would say what is stored already, or nothing to a
/// report that never said anything.
pub fn change(stored: Option<&Value>, found: &Found) -> Option<Value> {
    if found.lines.is_empty() && stored.is_none() {
        return None;
    }
    let Found { lines, counts, left_out, .. } = found;
    let audit = json!({
        "deny": counts.deny,
        "warn": counts.warn,
        "audit": counts.audit,
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
    use super::*;

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
