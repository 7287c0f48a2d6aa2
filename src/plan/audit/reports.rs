//! The reports that an audit writes: our own, and the one that other tools read.
//!
//! Input: whose report it is, what was found, and the stored report if there is one. Output: what to
//! write, or nothing where it says the same already. There is one report for each object that has, or
//! had, a finding: it goes with its object, and one that changes rewrites no other. An object without
//! findings has a report only where it had one before.
//!
//! `PolicyReport` of wgpolicyk8s.io and `Report` of openreports.io are of one shape.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{Counts, Found};
use super::{Identity, Line, ObjectKey, kept};
use crate::admission::wire::group_version;
use crate::dialect::{self, Dialect, OURS};
use crate::model::{RuleId, Severity};
use crate::plan::object::owners_of;
use crate::plan::pod::{CLUSTER, CREATED_BY, OURSELVES};
use crate::plan::report;

/// Who speaks in reports of other tools, and the policy of rules that hold without one.
const SOURCE: &str = "raywarden";

/// The longest name of an object.
const MOST_NAME: usize = 253;

/// A kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `RayClusterReport`.
    Own,
    /// `PolicyReport`, of wgpolicyk8s.io.
    WgPolicy,
    /// `Report`, of openreports.io.
    OpenReports,
}

/// The object that a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

impl Whose {
    /// A stored object.
    pub fn of(object: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
        let metadata = |key| text(object.get("metadata").and_then(|it| it.get(key)));
        Self {
            api_version: text(object.get("apiVersion")),
            kind: text(object.get("kind")),
            namespace: metadata("namespace"),
            name: metadata("name"),
            uid: metadata("uid"),
        }
    }

    /// Which object it is.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            group: group_version(&self.api_version).0.to_owned(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    fn is_raycluster(&self) -> bool {
        dialect::of(group_version(&self.api_version).0, &self.kind) == Some(Dialect::RayCluster)
    }
}

impl Form {
    /// Every form, our own first: it is the one that dates are read from.
    pub const ALL: [Self; 3] = [Self::Own, Self::WgPolicy, Self::OpenReports];

    /// API group, version, kind and plural.
    pub const fn resource(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Own => (OURS, report::VERSION, report::KIND, report::PLURAL),
            Self::WgPolicy => ("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports"),
            Self::OpenReports => ("openreports.io", "v1alpha1", "Report", "reports"),
        }
    }

    /// The name of an object's report. A RayCluster's bears its name; the others have a dot, which no
    /// RayCluster has.
    pub fn name(self, whose: &Whose) -> String {
        if self != Self::Own {
            return format!("{SOURCE}-{}", whose.uid);
        }
        if whose.is_raycluster() {
            return whose.name.clone();
        }
        let group = group_version(&whose.api_version).0.split('.').next().unwrap_or_default();
        let full = format!("{}.{group}.{}", whose.kind.to_lowercase(), whose.name);
        full.chars().take(MOST_NAME).collect()
    }

    /// When findings were first seen, by a stored report.
    pub fn dates(self, stored: &Value) -> HashMap<Identity, Timestamp> {
        if self == Self::Own {
            return kept::dates(stored.get(kept::MEMBER));
        }
        let results = stored.get("results").and_then(Value::as_array);
        results.into_iter().flatten().filter_map(dated).collect()
    }

    /// What to write into the report, as a merge patch of it; `None` where nothing changes. The
    /// findings are dated.
    pub fn change(self, stored: Option<&Value>, whose: &Whose, found: &Found) -> Option<Value> {
        if self == Self::Own {
            let stored = stored.and_then(|stored| stored.get(kept::MEMBER));
            return Some(json!({kept::MEMBER: kept::change(stored, found)?}));
        }
        if stored.is_none() && found.lines.is_empty() {
            return None;
        }
        let Counts { deny, warn, audit } = found.counts;
        let wanted = json!({
            "scope": {
                "apiVersion": whose.api_version,
                "kind": whose.kind,
                "namespace": whose.namespace,
                "name": whose.name,
                "uid": whose.uid,
            },
            "summary": {"pass": 0, "fail": deny, "warn": warn + audit, "error": 0, "skip": 0},
            "results": found.lines.iter().map(result).collect::<Vec<_>>(),
        });
        let same =
            |(key, value): (&String, &Value)| stored.and_then(|it| it.get(key)) == Some(value);
        let all_the_same = wanted.as_object().is_some_and(|wanted| wanted.iter().all(same));
        (!all_the_same).then_some(wanted)
    }

    /// The whole report, to be created with what [`Form::change`] says.
    pub fn object(self, whose: &Whose, change: Value) -> Value {
        let (group, version, kind, _) = self.resource();
        let mut labels = json!({CREATED_BY: OURSELVES});
        if let (true, Value::Object(labels)) = (whose.is_raycluster(), &mut labels) {
            labels.insert(CLUSTER.to_owned(), json!(whose.name));
        }
        let mut object = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": kind,
            "metadata": {
                "name": self.name(whose),
                "namespace": whose.namespace,
                "labels": labels,
                "ownerReferences": owners_of(&whose.api_version, &whose.kind, &whose.name, &whose.uid),
            },
        });
        if let (Value::Object(object), Value::Object(change)) = (&mut object, change) {
            object.extend(change);
        }
        object
    }
}

/// A finding as other tools read it.
fn result(line: &Line) -> Value {
    let (result, severity, scored) = match line.severity {
        Severity::Deny => ("fail", "high", true),
        Severity::Warn => ("warn", "medium", false),
        Severity::Audit | Severity::Note => ("warn", "low", false),
    };
    let first_seen = line.first_seen.unwrap_or_default();
    json!({
        "source": SOURCE,
        "policy": line.policy.as_deref().unwrap_or(SOURCE),
        "rule": line.rule.map_or("", RuleId::as_str),
        "category": "Ray",
        "result": result,
        "severity": severity,
        "scored": scored,
        "message": format!("{}: {}", line.field, line.message),
        "timestamp": {"seconds": first_seen.as_second(), "nanos": 0},
        "properties": {"field": line.field},
    })
}

/// The identity and the date of a result that we wrote.
fn dated(result: &Value) -> Option<(Identity, Timestamp)> {
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let policy = text(result, "policy").filter(|policy| policy != SOURCE);
    let identity = Identity {
        rule: text(result, "rule")?,
        policy: policy.unwrap_or_default(),
        field: text(result.get("properties")?, "field")?,
    };
    let seconds = result.get("timestamp")?.get("seconds")?.as_i64()?;
    Some((identity, Timestamp::from_second(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn whose(kind: &str) -> Whose {
        Whose::of(&json!({
            "apiVersion": "ray.io/v1", "kind": kind,
            "metadata": {"namespace": "team-a", "name": "lab", "uid": "u-1"},
        }))
    }

    fn found(lines: &[(Severity, Option<&str>)]) -> Found {
        let line = |(severity, policy): &(Severity, Option<&str>)| Line {
            severity: *severity,
            rule: Some(RuleId::MIN_MAX),
            policy: policy.map(Arc::from),
            field: "spec.x".to_owned(),
            message: "5 > 3".to_owned(),
            first_seen: None,
        };
        let mut found = Found::of(lines.iter().map(line).collect());
        found.date(&HashMap::new(), "2026-01-01T00:00:00Z".parse().unwrap());
        found
    }

    #[test]
    fn each_form_says_the_same_and_writes_only_what_changes() {
        let found = found(&[(Severity::Deny, Some("budget")), (Severity::Audit, None)]);
        for form in Form::ALL {
            let whose = whose("RayCluster");
            let change = form.change(None, &whose, &found).unwrap();
            let stored = form.object(&whose, change);
            assert_eq!(kept::subject(&stored), Some(whose.key()));
            assert_eq!(form.change(Some(&stored), &whose, &found), None);
            let dates = form.dates(&stored);
            for line in &found.lines {
                assert_eq!(dates.get(&line.identity()).copied(), line.first_seen, "{form:?}");
            }
            let mended = form.change(Some(&stored), &whose, &Found::default()).unwrap();
            let mended = form.object(&whose, mended);
            assert_eq!(form.change(Some(&mended), &whose, &Found::default()), None);
            assert_eq!(form.change(None, &whose, &Found::default()), None);
        }
    }

    #[test]
    fn other_tools_read_fails_and_warnings_with_their_policies() {
        let lines =
            [(Severity::Deny, Some("budget")), (Severity::Warn, None), (Severity::Audit, None)];
        let report = Form::WgPolicy.change(None, &whose("RayCluster"), &found(&lines)).unwrap();
        assert_eq!(
            (&report["summary"]["fail"], &report["summary"]["warn"]),
            (&json!(1), &json!(2))
        );
        let results = report["results"].as_array().unwrap();
        let words =
            |at: usize| ["policy", "result", "severity"].map(|key| results[at][key].clone());
        assert_eq!(words(0), ["budget", "fail", "high"]);
        assert_eq!(words(1), ["raywarden", "warn", "medium"]);
        assert_eq!(words(2), ["raywarden", "warn", "low"]);
        assert_eq!(results[0]["message"], "spec.x: 5 > 3");
        assert_eq!(results[0]["timestamp"]["seconds"], 1_767_225_600);
    }

    #[test]
    fn reports_of_other_kinds_never_bear_the_name_of_a_raycluster() {
        assert_eq!(Form::Own.name(&whose("RayCluster")), "lab");
        assert_eq!(Form::Own.name(&whose("RayJob")), "rayjob.ray.lab");
        let domino = Whose {
            api_version: "distributed-compute.dominodatalab.com/v1alpha1".to_owned(),
            ..whose("RayCluster")
        };
        assert_eq!(Form::Own.name(&domino), "raycluster.distributed-compute.lab");
        assert_eq!(Form::OpenReports.name(&domino), "raywarden-u-1");
    }
}
