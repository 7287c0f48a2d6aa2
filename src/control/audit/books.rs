//! What an audit remembers of each object: what it found, in short.
//!
//! Enough to see that nothing changed, and to count findings; never their words.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::super::index::Key;
use crate::dialect::RAY;
use crate::model::{RuleId, Severity};
use crate::plan::audit::ObjectKey;
use crate::plan::audit::found::{Counts, Found};
use crate::plan::audit::reports::Whose;

/// An object and what was found of it.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) whose: Whose,
    pub(super) found: Found,
}

/// A rule and a weight.
pub(in crate::control) type Kind = (Option<RuleId>, Severity);

#[derive(Clone, Debug, Default)]
struct Entry {
    print: u64,
    kinds: Vec<Kind>,
}

/// The objects that have findings.
#[derive(Debug, Default)]
pub(super) struct Books(HashMap<ObjectKey, Entry>);

impl Books {
    /// Everything was judged.
    pub(super) fn begin_anew(&mut self, judged: &[Judged]) {
        self.0.clear();
        for each in judged {
            self.note(each);
        }
    }

    /// One object was judged.
    pub(super) fn note(&mut self, judged: &Judged) {
        let key = judged.whose.key();
        if judged.found.lines.is_empty() {
            self.0.remove(&key);
            return;
        }
        let kinds = judged.found.lines.iter().map(|line| (line.rule, line.severity)).collect();
        self.0.insert(key, Entry { print: print(judged), kinds });
    }

    /// Whether something else was found than the last time.
    pub(super) fn is_news(&self, judged: &Judged) -> bool {
        match self.0.get(&judged.whose.key()) {
            Some(entry) => entry.print != print(judged),
            None => !judged.found.lines.is_empty(),
        }
    }

    /// A RayCluster is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        let (group, kind) = (RAY.to_owned(), "RayCluster".to_owned());
        let (namespace, name) = (key.namespace.clone(), key.name.clone());
        self.0.remove(&ObjectKey { group, kind, namespace, name });
    }

    /// How many findings there are of each rule and weight.
    pub(super) fn findings(&self) -> HashMap<Kind, usize> {
        let mut counts = HashMap::new();
        for kind in self.0.values().flat_map(|entry| &entry.kinds) {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }

    /// The same by weight alone.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let kinds = self.0.values().flat_map(|entry| &entry.kinds);
        kinds.for_each(|(_, severity)| counts.add(*severity));
        counts
    }
}

/// The same for the same findings of the same object.
fn print(judged: &Judged) -> u64 {
    let mut hash = DefaultHasher::new();
    judged.whose.uid.hash(&mut hash);
    judged.found.lines.hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::audit::Line;

    fn judged(message: Option<&str>) -> Judged {
        let line = |message: &str| Line {
            severity: Severity::Deny,
            rule: Some(RuleId::MIN_MAX),
            policy: None,
            field: "spec".to_owned(),
            message: message.to_owned(),
            first_seen: None,
        };
        let whose = Whose::of(&json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {"namespace": "lab", "name": "one", "uid": "u"},
        }));
        Judged { whose, found: Found::of(message.map(line).into_iter().collect()) }
    }

    #[test]
    fn only_what_is_found_anew_is_news() {
        let mut books = Books::default();
        assert!(!books.is_news(&judged(None)));
        assert!(books.is_news(&judged(Some("x"))));
        books.note(&judged(Some("x")));
        assert!(!books.is_news(&judged(Some("x"))) && books.is_news(&judged(Some("y"))));
        assert!(books.is_news(&judged(None)), "a finding that is mended is news");
        books.note(&judged(None));
        assert!(!books.is_news(&judged(None)));
    }

    #[test]
    fn findings_are_counted_by_rule_and_weight() {
        let mut books = Books::default();
        books.begin_anew(&[judged(Some("x"))]);
        let kind = (Some(RuleId::MIN_MAX), Severity::Deny);
        assert_eq!(books.findings(), HashMap::from([(kind, 1)]));
        assert_eq!(books.counts().deny, 1);
        books.forget(&Key { namespace: "lab".to_owned(), name: "one".to_owned() });
        assert!(books.findings().is_empty());
    }
}
