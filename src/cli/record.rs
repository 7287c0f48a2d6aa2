//! What is kept of an object once it is judged: its name, where it stands, and its findings.
//!
//! `review` and `audit` make records, and the writers of [`super::report`] read them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::manifest::Page;
use crate::admission::wire::group_version;
use crate::dialect;
use crate::model::{Finding, Pointer, RuleId, Severity};
use crate::page::Cluster;
pub(super) use crate::plan::audit::Line;
use crate::plan::audit::ObjectKey;

/// One object.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// API group and version.
    pub(super) api_version: String,
    /// Kind.
    pub(super) kind: String,
    /// Namespace.
    pub(super) namespace: String,
    /// Name; empty where the API server makes one up.
    pub(super) name: String,
    /// Where it was read; `None` in a cluster.
    pub(super) place: Option<Place>,
    /// What the rules say, and counts.
    pub(super) lines: Vec<Line>,
    /// What they say too, and what was known before: of no account.
    pub(super) known: Vec<Line>,
    /// The policies that it is under, where policies were given.
    pub(super) policies: Vec<Arc<str>>,
    /// What a page tells of it, where one is made.
    pub(super) page: Option<Arc<Cluster>>,
}

/// Where an object stands in a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The file's name.
    pub(super) file: Arc<str>,
    /// Number of the object's first line.
    pub(super) line: usize,
    /// Where its findings stand, by field.
    spans: HashMap<String, Span>,
}

/// A part of a file: line and column, from 1, of its beginning and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it begins.
    pub(super) start: (usize, usize),
    /// Where it ends.
    pub(super) end: (usize, usize),
}

impl Place {
    /// The place of the object at `base` of `page`, with those of its findings.
    pub(super) fn of<'a>(
        page: &Page<'_>,
        base: &Pointer,
        line: usize,
        findings: impl Iterator<Item = &'a Finding>,
    ) -> Self {
        let span = |finding: &Finding| {
            let by_name = finding.rule == RuleId::UNKNOWN_FIELD;
            let target = page.target(base, &finding.at, by_name)?;
            let (start, end) = (target.start, target.end);
            let span = Span { start: (start.line, start.column), end: (end.line, end.column) };
            Some((finding.at.to_string(), span))
        };
        Self { file: page.file.into(), line, spans: findings.filter_map(span).collect() }
    }

    /// Where a field stands.
    pub(super) fn span(&self, field: &str) -> Option<Span> {
        self.spans.get(field).copied()
    }
}

impl Record {
    /// The heaviest of its findings that count.
    pub(super) fn weight(&self) -> Option<Severity> {
        self.lines.iter().map(|line| line.severity).max()
    }

    /// Which object it is about.
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey {
            group: group_version(&self.api_version).0.to_owned(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// `Kind namespace/name`.
    pub(super) fn title(&self) -> String {
        let Self { kind, namespace, name, .. } = self;
        let name = if name.is_empty() { "(generated name)" } else { name };
        match namespace.as_str() {
            "" => format!("{kind} {name}"),
            namespace => format!("{kind} {namespace}/{name}"),
        }
    }

    /// Its path at an API server, without a slash before it.
    pub(super) fn path(&self) -> String {
        let Self { api_version, kind, namespace, name, .. } = self;
        let (group, _) = group_version(api_version);
        let plural = dialect::kinds()
            .find_map(|(g, k, plural, _)| (g == group && k == kind).then_some(plural))
            .unwrap_or(kind);
        format!("apis/{api_version}/namespaces/{namespace}/{plural}/{name}")
    }

    /// The entry of audit's JSON report.
    pub(super) fn to_json(&self) -> Value {
        let list = |lines: &[Line]| lines.iter().map(Line::to_json).collect::<Vec<_>>();
        let mut entry = json!({
            "object": {
                "apiVersion": self.api_version,
                "kind": self.kind,
                "namespace": self.namespace,
                "name": self.name,
            },
            "findings": list(&self.lines),
        });
        if let Value::Object(members) = &mut entry {
            if let Some(Place { file, line, .. }) = &self.place {
                members.insert("source".to_owned(), json!({"file": &**file, "line": line}));
            }
            if !self.known.is_empty() {
                members.insert("known".to_owned(), json!(list(&self.known)));
            }
            if !self.policies.is_empty() {
                let names: Vec<&str> = self.policies.iter().map(|name| &**name).collect();
                members.insert("policies".to_owned(), json!(names));
            }
        }
        entry
    }
}
