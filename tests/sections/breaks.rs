//! Every way to break a rule, one place at a time.

#[path = "breaks/capacity.rs"]
mod capacity;
#[path = "breaks/cel.rs"]
mod cel;
#[path = "breaks/cluster.rs"]
mod cluster;
#[path = "breaks/containers.rs"]
mod containers;
#[path = "breaks/pods.rs"]
mod pods;

use serde_json::Value;

use super::world::{object, set, sound};

/// A field path and what is set there; null takes it out.
pub(super) type Change = (String, Value);

/// One way to break a sound object, and the places that are to be found.
///
/// Paths that begin with `metadata` or `spec` are those of the object; all others lie in the cluster's
/// spec, wherever the kind keeps it. The empty path is that spec.
#[derive(Clone)]
pub(super) struct Break {
    pub(super) rule: &'static str,
    /// The spec of the policy, as YAML.
    pub(super) policy: String,
    /// What makes the object sound under that policy.
    pub(super) given: Vec<Change>,
    pub(super) changes: Vec<Change>,
    /// None where the change is no matter of the rule.
    pub(super) places: Vec<String>,
    /// The one kind that has such a place; all of them without it.
    pub(super) kind: Option<&'static str>,
    /// It is about what changes, so that no new object breaks it.
    pub(super) compares: bool,
    /// Raywarden makes the Pods.
    pub(super) standalone: bool,
}

impl Break {
    fn new(rule: &'static str, policy: impl Into<String>) -> Self {
        Self {
            rule,
            policy: policy.into(),
            given: Vec::new(),
            changes: Vec::new(),
            places: Vec::new(),
            kind: None,
            compares: false,
            standalone: false,
        }
    }

    fn given(mut self, (path, value): (impl Into<String>, Value)) -> Self {
        self.given.push((path.into(), value));
        self
    }

    fn all_given(mut self, changes: &[Change]) -> Self {
        self.given.extend_from_slice(changes);
        self
    }

    fn set(mut self, path: impl Into<String>, value: Value) -> Self {
        self.changes.push((path.into(), value));
        self
    }

    fn found(mut self, place: impl Into<String>) -> Self {
        self.places.push(place.into());
        self
    }

    /// A change that is found at its own path.
    fn broken(self, path: impl Into<String>, value: Value) -> Self {
        let path = path.into();
        self.set(path.clone(), value).found(path)
    }

    fn only_in(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    fn comparing(self) -> Self {
        Self { compares: true, ..self }
    }

    fn standalone(self) -> Self {
        Self { standalone: true, ..self }
    }

    /// The sound object of a kind, and the broken one.
    pub(super) fn objects(&self, kind: &str, at: &str) -> [Value; 2] {
        let mut kept = object(kind, at, &sound());
        for (path, value) in &self.given {
            set(&mut kept, &absolute(at, path), value.clone());
        }
        let mut broken = kept.clone();
        for (path, value) in &self.changes {
            set(&mut broken, &absolute(at, path), value.clone());
        }
        [kept, broken]
    }

    /// The places in an object whose cluster's spec stands at `at`.
    pub(super) fn places(&self, at: &str) -> Vec<String> {
        self.places.iter().map(|place| absolute(at, place)).collect()
    }
}

/// The path in an object whose cluster's spec stands at `at`.
pub(super) fn absolute(at: &str, path: &str) -> String {
    match path.split(['.', '[']).next() {
        Some("metadata" | "spec") => path.to_owned(),
        Some("") | None => at.to_owned(),
        Some(_) => format!("{at}.{path}"),
    }
}

/// All of them.
pub(super) fn breaks() -> Vec<Break> {
    [capacity::breaks(), cel::breaks(), cluster::breaks(), containers::breaks(), pods::breaks()]
        .concat()
}
