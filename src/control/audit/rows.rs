//! What the audit page tells of kinds that no watch shows, as the last audit of everything found them.
//!
//! Input: requests and answers of an audit, and when findings were first seen. Output: rows of the
//! page. Invariant: rows are kept and no objects, and of both rows and findings a bounded number.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::books::Judged;
use crate::admission::{Answer, Review};
use crate::clock;
use crate::dialect::{self, Dialect};
use crate::page::Cluster;
use crate::plan::audit::first_seen;

/// The most rows that are kept.
const MOST_ROWS: usize = 10_000;

/// The most findings that are kept, of all rows together.
const MOST_FINDINGS: usize = 20_000;

/// Objects of kinds other than RayCluster, as they were found.
#[derive(Debug, Default)]
pub(in crate::control) struct Others {
    /// When; `None`: not yet.
    pub(in crate::control) made: Option<Timestamp>,
    /// The kinds that there are.
    pub(in crate::control) kinds: Vec<Dialect>,
    /// One row for each object.
    pub(in crate::control) clusters: Vec<Arc<Cluster>>,
    /// What is not among them, and why.
    pub(in crate::control) notes: Vec<String>,
}

/// The same on its way.
#[derive(Default)]
pub(super) struct Rows {
    made: Timestamp,
    kinds: Vec<Dialect>,
    clusters: Vec<Cluster>,
    by_uid: HashMap<String, usize>,
    findings: usize,
    full: bool,
    notes: Vec<String>,
}

impl Rows {
    /// None yet; objects are read from now on.
    pub(super) fn begun() -> Self {
        Self { made: clock::now(), ..Self::default() }
    }

    /// A kind is about to be audited.
    pub(super) fn begin(&mut self, kind: Dialect) {
        self.kinds.push(kind);
    }

    /// Not every object of a kind could be read.
    pub(super) fn unread(&mut self, kind: Dialect) {
        self.notes.push(format!(
            "some or all {}, which could not be listed: the controller's log says why",
            kind.called()
        ));
    }

    /// Keeps a row of an object, unless a watch shows it.
    pub(super) fn keep(&mut self, request: &Review, answer: &Answer) {
        if self.full
            || dialect::of(&request.kind.group, &request.kind.kind) == Some(Dialect::RayCluster)
        {
            return;
        }
        let cluster = Cluster::judged(request, answer);
        self.findings += cluster.findings.len();
        if self.clusters.len() >= MOST_ROWS || self.findings > MOST_FINDINGS {
            self.full = true;
            self.notes.push(format!(
                "objects of other kinds than RayCluster after the first {MOST_ROWS}, or after \
                 {MOST_FINDINGS} findings (raywarden audit has all)"
            ));
            return;
        }
        self.by_uid.insert(cluster.uid.clone(), self.clusters.len());
        self.clusters.push(cluster);
    }

    /// Gives the findings of an object their dates.
    pub(super) fn date(&mut self, judged: &Judged) {
        let row = self.by_uid.get(&judged.whose.uid).and_then(|at| self.clusters.get_mut(*at));
        if let Some(row) = row {
            row.date(&first_seen(&judged.found.lines));
        }
    }

    /// What there is to show.
    pub(super) fn done(self) -> Others {
        let Self { made, kinds, clusters, notes, .. } = self;
        let clusters = clusters.into_iter().map(Arc::new).collect();
        Others { made: Some(made), kinds, clusters, notes }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admission::{PolicySet, Settings};
    use crate::plan::audit::found::Found;
    use crate::plan::audit::reports::Whose;
    use crate::plan::audit::{answer, lines, question};

    fn object(kind: &str, uid: &str) -> Value {
        let template = json!({"spec": {"containers": [{"name": "ray", "image": "x"}]}});
        let group = json!({"groupName": "small", "replicas": 1, "minReplicas": 3, "maxReplicas": 1,
                           "rayStartParams": {}, "template": template});
        let cluster = json!({"headGroupSpec": {"rayStartParams": {}, "template": template},
                             "workerGroupSpecs": [group]});
        let spec = if kind == "RayCluster" { cluster } else { json!({"rayClusterSpec": cluster}) };
        json!({"apiVersion": "ray.io/v1", "kind": kind, "spec": spec,
               "metadata": {"namespace": "lab", "name": uid, "uid": uid}})
    }

    fn kept(rows: &mut Rows, object: Value) -> Judged {
        let whose = Whose::of(&object);
        let request = question("", object, false);
        let answer = answer(&Settings::default(), &PolicySet::default(), &request).unwrap();
        rows.keep(&request, &answer);
        Judged { whose, found: Found::of(lines(&request, &answer)) }
    }

    #[test]
    fn rows_are_of_kinds_that_no_watch_shows_and_their_findings_bear_dates() {
        let mut rows = Rows::default();
        kept(&mut rows, object("RayCluster", "watched"));
        let mut job = kept(&mut rows, object("RayJob", "job"));
        job.found.date(&HashMap::new(), "2026-01-01T00:00:00Z".parse().unwrap());
        rows.date(&job);
        let others = rows.done();
        let names: Vec<&str> = others.clusters.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["job"]);
        let findings = &others.clusters[0].findings;
        assert!(!findings.is_empty());
        assert!(findings.iter().all(|it| it.since == "2026-01-01T00:00:00Z"), "{findings:?}");
    }

    #[test]
    fn more_rows_than_there_is_room_for_are_left_out_and_it_is_said_once() {
        let mut rows = Rows { findings: MOST_FINDINGS, ..Rows::default() };
        kept(&mut rows, object("RayJob", "one"));
        kept(&mut rows, object("RayJob", "two"));
        let others = rows.done();
        assert!(others.clusters.is_empty());
        assert_eq!(others.notes.len(), 1, "{:?}", others.notes);
    }
}
