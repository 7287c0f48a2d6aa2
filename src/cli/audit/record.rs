//! All that one audit found.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::problem::Problem;
use super::super::record::{Line, Place, Record};
use super::Rules;
use crate::admission::Review;
use crate::model::{Finding, Severity};
use crate::page::Cluster;
use crate::plan::audit::found::Counts;
use crate::plan::audit::{self, Identity, ObjectKey};

/// All objects of one audit.
#[derive(Debug, Default)]
pub(in crate::cli) struct Records {
    /// Judged objects, in the order in which they came.
    pub(in crate::cli) objects: Vec<Record>,
    /// The policies that were asked, by name.
    pub(in crate::cli) policies: Vec<Arc<str>>,
    /// Objects on their way out, which no rule is asked about.
    pub(in crate::cli) leaving: usize,
    /// Objects of other kinds, in files.
    pub(in crate::cli) others: usize,
    /// Groups and resources that the server does not serve.
    pub(in crate::cli) absent: Vec<String>,
    /// What could not be read.
    pub(in crate::cli) problems: Vec<Problem>,
    /// Groups and kinds of which not every object could be read.
    pub(in crate::cli) unread: Vec<(String, String)>,
    /// Findings that an earlier report holds too, and that are of no account.
    pub(in crate::cli) known: usize,
    /// Findings of an earlier report that are no longer there.
    pub(in crate::cli) gone: Vec<Gone>,
    /// Findings that were first seen too long ago to count.
    pub(in crate::cli) older: usize,
    /// Findings that count and of which no report says when they were first seen.
    pub(in crate::cli) undated: usize,
    /// Whether what a page tells is kept of each object.
    pub(super) drawn: bool,
    /// The API server that was asked; empty for files.
    pub(super) server: String,
}

/// What a policy would do to what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Effect {
    /// Objects that it is about.
    pub(in crate::cli) about: usize,
    /// Those of them that break it, by their heaviest finding.
    pub(in crate::cli) breaking: Counts,
}

/// A finding that is no longer there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Gone {
    /// The object, which may be gone too.
    pub(in crate::cli) object: ObjectKey,
    /// What it was.
    pub(in crate::cli) finding: Identity,
}

/// How far the records reached at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    objects: usize,
    leaving: usize,
}

impl Records {
    /// Judges an object of a cluster as if somebody created it today.
    pub(super) fn judge(&mut self, rules: &Rules, object: Value) {
        self.judge_placed(rules, audit::question("", object, false), |_| None);
    }

    /// The same with what is asked, and where the object and its findings stand.
    pub(super) fn judge_placed(
        &mut self,
        rules: &Rules,
        request: Review,
        place: impl FnOnce(&mut dyn Iterator<Item = &Finding>) -> Option<Place>,
    ) {
        let Some(answer) = audit::answer(&rules.settings, &rules.policies, &request) else {
            self.leaving += 1;
            return;
        };
        let object = request.object.as_ref().unwrap_or(&Value::Null);
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let mut lines = audit::lines(&request, &answer);
        // All of them stay till the report is written: no room is kept for what never comes.
        lines.shrink_to_fit();
        for line in &mut lines {
            line.field.shrink_to_fit();
            line.message.shrink_to_fit();
        }
        let mut policies = audit::about(&rules.policies, &request);
        policies.shrink_to_fit();
        self.objects.push(Record {
            api_version: text("apiVersion"),
            kind: text("kind"),
            place: place(&mut answer.spoken()),
            lines,
            policies,
            page: self.drawn.then(|| Arc::new(Cluster::judged(&request, &answer))),
            namespace: request.namespace,
            name: request.name.unwrap_or_default(),
            ..Record::default()
        });
    }

    /// Takes the lines that `known` says so of out of account; how many they are.
    pub(super) fn set_aside(&mut self, mut known: impl FnMut(&ObjectKey, &Line) -> bool) -> usize {
        let mut count = 0;
        for record in self.objects.iter_mut().filter(|record| !record.lines.is_empty()) {
            let key = record.key();
            let lines = std::mem::take(&mut record.lines).into_iter();
            let (aside, rest): (Vec<_>, Vec<_>) = lines.partition(|line| known(&key, line));
            record.lines = rest;
            count += aside.len();
            record.known.extend(aside);
        }
        count
    }

    /// What each policy would do to what is there.
    pub(super) fn by_policy(&self) -> BTreeMap<&str, Effect> {
        let mut effects: BTreeMap<&str, Effect> =
            self.policies.iter().map(|name| (&**name, Effect::default())).collect();
        for record in &self.objects {
            for name in &record.policies {
                let effect = effects.entry(name).or_default();
                effect.about += 1;
                // What was known before breaks the policy all the same.
                let lines = record.lines.iter().chain(&record.known);
                let its = lines.filter(|line| line.policy.as_ref() == Some(name));
                if let Some(heaviest) = its.map(|line| line.severity).max() {
                    effect.breaking.add(heaviest);
                }
            }
        }
        effects
    }

    /// How far the records reach.
    pub(super) fn mark(&self) -> Mark {
        Mark { objects: self.objects.len(), leaving: self.leaving }
    }

    /// Objects that came since `mark`.
    pub(super) fn since(&self, mark: Mark) -> usize {
        self.objects.len() - mark.objects + self.leaving - mark.leaving
    }

    /// Drops what came since `mark`, because it will come again.
    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.objects.truncate(mark.objects);
        self.leaving = mark.leaving;
    }

    /// Whether there was nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.leaving == 0 && self.others == 0
    }

    /// Whether everything could be read.
    pub(super) fn is_complete(&self) -> bool {
        !self.problems.iter().any(Problem::is_error)
    }

    /// Whether a finding of that weight, or a heavier one, counts.
    pub(super) fn reach(&self, floor: Severity) -> bool {
        self.objects.iter().any(|record| record.weight() >= Some(floor))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::{PolicySet, Settings};

    fn judged(max: i64, metadata: &Value) -> Records {
        let rules = Rules { settings: Settings::default(), policies: PolicySet::default() };
        let template = json!({"spec": {"containers": [{"name": "ray", "image": "x"}]}});
        let mut object = json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": metadata,
            "spec": {
                "headGroupSpec": {"rayStartParams": {}, "template": template},
                "workerGroupSpecs": [{
                    "groupName": "small", "replicas": 2, "minReplicas": 1,
                    "maxReplicas": max, "rayStartParams": {}, "template": template,
                }],
            },
        });
        object["metadata"]["name"] = json!("lab");
        object["metadata"]["namespace"] = json!("team-a");
        let mut records = Records::default();
        records.judge(&rules, object);
        records
    }

    #[test]
    fn a_sound_object_has_no_lines_and_is_kept() {
        let records = judged(5, &json!({}));
        assert_eq!(records.objects[0].weight(), None);
        assert_eq!(records.objects[0].to_json()["findings"], json!([]));
        assert_eq!(records.objects[0].to_json()["object"]["namespace"], "team-a");
        assert!(!records.reach(Severity::Audit) && judged(0, &json!({})).reach(Severity::Deny));
    }

    #[test]
    fn an_object_on_its_way_out_is_counted_and_not_judged() {
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]});
        let records = judged(0, &leaving);
        assert_eq!((records.objects.len(), records.leaving), (0, 1));
        assert!(!records.is_empty());
    }

    #[test]
    fn a_list_begun_anew_counts_nothing_twice() {
        let mut records = judged(5, &json!({}));
        let mark = records.mark();
        records.objects.extend(judged(5, &json!({})).objects);
        records.leaving += 1;
        assert_eq!(records.since(mark), 2);
        records.forget_since(mark);
        assert_eq!((records.since(mark), records.objects.len()), (0, 1));
    }
}
