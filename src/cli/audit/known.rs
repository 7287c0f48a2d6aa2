//! What an earlier audit found, so that only what is new counts.
//!
//! Input: a JSON report of an earlier run. Output: findings of the records that it holds too are set
//! aside, and those that are no longer there are named. Findings that were set aside in the earlier
//! run are known as well, so that each report can be the next one's baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::record::{Gone, Records};
use crate::admission::wire::group_version;
use crate::plan::audit::{Identity, ObjectKey};

/// The findings of an earlier report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline(BTreeMap<ObjectKey, BTreeSet<Identity>>);

#[derive(Deserialize)]
struct Entry {
    object: Object,
    findings: Vec<Finding>,
    #[serde(default)]
    known: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Finding {
    rule: Option<String>,
    policy: Option<String>,
    field: String,
}

impl Baseline {
    /// Reads the report of a file.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let text =
            std::fs::read(file).with_context(|| format!("failed to read --baseline {shown}"))?;
        Self::parse(&text).with_context(|| {
            format!(
                "--baseline {shown} is no JSON report of an audit; make one with: raywarden audit \
                 --output json > {shown}"
            )
        })
    }

    fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let entries: Vec<Entry> = serde_json::from_slice(text)?;
        let identity = |Finding { rule, policy, field }| Identity {
            rule: rule.unwrap_or_default(),
            policy: policy.unwrap_or_default(),
            field,
        };
        let mut known: BTreeMap<ObjectKey, BTreeSet<Identity>> = BTreeMap::new();
        for Entry { object, findings, known: before } in entries {
            let Object { api_version, kind, namespace, name } = object;
            let group = group_version(&api_version).0.to_owned();
            let key = ObjectKey { group, kind, namespace, name };
            known.entry(key).or_default().extend(findings.into_iter().chain(before).map(identity));
        }
        Ok(Self(known))
    }

    /// Sets aside what is known, and tells what is gone: only of what was looked at.
    pub(super) fn set_aside(mut self, records: &mut Records, namespace: Option<&str>) {
        let mut still = BTreeSet::new();
        records.known = records.set_aside(|object, line| {
            let identity = line.identity();
            let known = self.0.get(object).is_some_and(|it| it.contains(&identity));
            if known {
                still.insert((object.clone(), identity));
            }
            known
        });
        let unread = std::mem::take(&mut records.unread);
        self.0.retain(|object, _| {
            let looked_at = namespace.is_none_or(|it| it == object.namespace);
            looked_at && !unread.iter().any(|(g, k)| *g == object.group && *k == object.kind)
        });
        records.unread = unread;
        let gone = self.0.into_iter().flat_map(|(object, findings)| {
            findings.into_iter().map(move |finding| (object.clone(), finding))
        });
        let gone = gone.filter(|it| !still.contains(it));
        records.gone = gone.map(|(object, finding)| Gone { object, finding }).collect();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::record::{Line, Record};
    use super::*;
    use crate::model::{RuleId, Severity};

    fn line(rule: RuleId, message: &str) -> Line {
        Line {
            severity: Severity::Deny,
            rule: Some(rule),
            policy: None,
            field: "spec.x".to_owned(),
            message: message.to_owned(),
            first_seen: None,
        }
    }

    fn records(lines: &[(&str, Vec<Line>)]) -> Records {
        let record = |(name, lines): &(&str, Vec<Line>)| Record {
            api_version: "ray.io/v1".to_owned(),
            kind: "RayCluster".to_owned(),
            namespace: "team-a".to_owned(),
            name: (*name).to_owned(),
            lines: lines.clone(),
            ..Record::default()
        };
        Records { objects: lines.iter().map(record).collect(), ..Records::default() }
    }

    fn report(records: &Records) -> Vec<u8> {
        let entries: Vec<_> = records.objects.iter().map(Record::to_json).collect();
        json!(entries).to_string().into_bytes()
    }

    fn against(baseline: &Records, now: &mut Records, namespace: Option<&str>) {
        Baseline::parse(&report(baseline)).unwrap().set_aside(now, namespace);
    }

    #[test]
    fn what_an_earlier_report_holds_is_of_no_account_whatever_its_values() {
        let before = records(&[("a", vec![line(RuleId::MIN_MAX, "5 > 3")]), ("b", vec![])]);
        let mut now = records(&[
            ("a", vec![line(RuleId::MIN_MAX, "6 > 3"), line(RuleId::HOSTS, "0")]),
            ("b", vec![line(RuleId::MIN_MAX, "5 > 3")]),
        ]);
        against(&before, &mut now, None);
        assert_eq!((now.known, now.gone.len()), (1, 0));
        assert_eq!(now.objects[0].lines, [line(RuleId::HOSTS, "0")]);
        assert_eq!(now.objects[1].lines.len(), 1);
    }

    #[test]
    fn what_was_set_aside_once_is_known_in_the_next_run_too() {
        let first = records(&[("a", vec![line(RuleId::MIN_MAX, "x")])]);
        let mut second = records(&[("a", vec![line(RuleId::MIN_MAX, "x")])]);
        against(&first, &mut second, None);
        assert!(second.objects[0].lines.is_empty());
        let mut third = records(&[("a", vec![line(RuleId::MIN_MAX, "x")])]);
        against(&second, &mut third, None);
        assert_eq!(third.known, 1);
        assert!(!third.reach(Severity::Audit));
    }

    #[test]
    fn what_is_gone_is_named_where_it_was_looked_at() {
        let before = records(&[("a", vec![line(RuleId::MIN_MAX, "x")]), ("b", vec![])]);
        let mut now = records(&[("a", vec![])]);
        against(&before, &mut now, None);
        assert_eq!(now.gone.len(), 1);
        assert_eq!(now.gone[0].object.name, "a");
        let mut elsewhere = records(&[]);
        against(&before, &mut elsewhere, Some("team-b"));
        assert!(elsewhere.gone.is_empty());
        let mut unread = records(&[]);
        unread.unread.push(("ray.io".to_owned(), "RayCluster".to_owned()));
        against(&before, &mut unread, None);
        assert!(unread.gone.is_empty());
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_place() {
        for text in ["", "{}", "[{}]", r#"[{"object": {}, "allowed": true}]"#, "[1]", "\u{feff}[]"]
        {
            let said = Baseline::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains("line 1 column"), "{text}: {said}");
        }
        let other = r#"[{"object": {"apiVersion": "v1", "kind": "K", "namespace": "n", "name": "m"},
            "allowed": true}]"#;
        let said = Baseline::parse(other.as_bytes()).unwrap_err().to_string();
        assert!(said.contains("missing field `findings`"), "{said}");
    }
}
