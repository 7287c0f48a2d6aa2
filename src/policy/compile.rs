//! From what an administrator wrote to rules, or to everything that is wrong with it.
//!
//! Input: the object as the API server stores it, or as a file holds it. Output: a [`Policy`], or
//! flaws, each with its place. Sections are read one by one, so that one bad section hides no other.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::cel;
use super::defaults::Defaults;
use super::matching::{Globs, Matcher};
use super::sections::{
    Check, auth, autoscaling, bounds, ceilings, exposure, gpus, images, labels, pod_security,
    queue, resources, service_accounts, sidecar,
};
use super::spec::{Enforcement, ExceptionSpec, MatchSpec, PolicySpec};
use crate::dialect;
use crate::model::Pointer;
use crate::model::finding::quoted;

/// The kind that is compiled here, of the group `raywarden.io`.
pub const KIND: &str = "RayClusterPolicy";

/// A policy, ready to be asked.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) name: Arc<str>,
    pub(super) matcher: Matcher,
    pub(super) rules: Vec<Rule>,
    pub(super) exceptions: Vec<Exception>,
    /// What new clusters get that say nothing.
    pub(super) defaults: Option<Defaults>,
}

/// One rule of a policy.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) enforcement: Enforcement,
    pub(super) check: Check,
}

/// Who may break a policy, and until when.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) owner: String,
    pub(super) reason: String,
    pub(super) expires: String,
    /// Unix time in seconds.
    pub(super) until: i64,
    pub(super) namespaces: Globs,
    pub(super) names: Globs,
    pub(super) rules: Vec<String>,
}

/// Something that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where in the object.
    pub at: Pointer,
    /// What was found, what is allowed, how to mend it.
    pub message: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl Flaw {
    /// All of them in one line.
    pub fn listed(flaws: &[Self]) -> String {
        flaws.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// What is read and what went wrong on the way.
pub(super) struct Reader<'a> {
    spec: &'a Map<String, Value>,
    usual: Enforcement,
    flaws: Vec<Flaw>,
}

/// The place of the spec.
pub(super) fn at() -> Pointer {
    Pointer::of(["spec"])
}

impl Policy {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is about namespaces with certain labels.
    pub(super) fn reads_namespaces(&self) -> bool {
        self.matcher.reads_namespaces()
    }

    /// Whether it has a ceiling for namespaces.
    pub(super) fn needs_usage(&self) -> bool {
        self.rules.iter().any(|rule| rule.check.reads_usage())
    }

    /// The first moment after `since` at which an exception ends, in Unix seconds.
    pub fn next_end(&self, since: i64) -> Option<i64> {
        self.exceptions.iter().map(|exception| exception.until).filter(|end| *end > since).min()
    }

    /// Compiles a `RayClusterPolicy`.
    pub fn compile(object: &Value) -> Result<Self, Vec<Flaw>> {
        let flaw = |at, message: &str| vec![Flaw { at, message: message.to_owned() }];
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(flaw(Pointer::of(["metadata", "name"]), "a policy needs a name"));
        };
        let Some(spec) = object.get("spec").and_then(Value::as_object) else {
            return Err(flaw(at(), "a policy needs a spec, an object"));
        };
        let mut reader = Reader { spec, usual: Enforcement::default(), flaws: Vec::new() };
        let policy = reader.policy(name);
        if reader.flaws.is_empty() { Ok(policy) } else { Err(reader.flaws) }
    }
}

impl Reader<'_> {
    /// Notes a flaw.
    pub(super) fn flaw(&mut self, at: Pointer, message: impl Into<String>) {
        self.flaws.push(Flaw { at, message: message.into() });
    }

    /// What a rule of the policy does that says nothing else.
    pub(super) const fn usual(&self) -> Enforcement {
        self.usual
    }

    /// Notes a negative count.
    pub(super) fn not_negative(&mut self, at: Pointer, count: i64) {
        if count < 0 {
            self.flaw(at, format!("{count} is negative; write 0 or more"));
        }
    }

    /// Notes empty and repeated entries of a list.
    pub(super) fn distinct(&mut self, at: &Pointer, entries: &[String]) {
        for (index, _) in entries.iter().enumerate().filter(|(_, entry)| entry.trim().is_empty()) {
            self.flaw(at.at(index), "is empty; write something, or take it out");
        }
        self.twice(at, entries.iter().enumerate().filter(|(_, entry)| !entry.trim().is_empty()));
    }

    /// Entries of a list that stand there already.
    pub(super) fn twice<'e, T: PartialEq + Debug + 'e>(
        &mut self,
        at: &Pointer,
        entries: impl Iterator<Item = (usize, &'e T)>,
    ) {
        let mut seen = Vec::new();
        for (index, entry) in entries {
            if seen.contains(&entry) {
                self.flaw(at.at(index), format!("{entry:?} stands here twice; take one out"));
            } else {
                seen.push(entry);
            }
        }
    }

    /// Reads one section; what is wrong with it is noted.
    fn section<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.spec.get(key).filter(|value| !value.is_null())?;
        match serde_path_to_error::deserialize(value) {
            Ok(section) => Some(section),
            Err(error) => {
                let place = place(at().at(key), error.path());
                self.flaw(place, error.inner().to_string());
                None
            }
        }
    }

    fn policy(&mut self, name: &str) -> Policy {
        self.unknown();
        let usual: Enforcement = self.section("enforcement").unwrap_or_default();
        self.usual = usual;
        let mut rules = Vec::new();
        let mut rule = |enforcement: Option<Enforcement>, check: Check| {
            rules.push(Rule { enforcement: enforcement.unwrap_or(usual), check });
        };
        if let Some(section) = self.section("ceilings") {
            ceilings::compile(section, self, &mut rule);
        }
        if let Some(section) = self.section("bounds") {
            bounds::compile(&section, self, &mut rule);
        }
        if let Some(section) = self.section("resources") {
            resources::compile(section, self, &mut rule);
        }
        if let Some(section) = self.section("gpus") {
            gpus::compile(&section, self, &mut rule);
        }
        if let Some(section) = self.section("images") {
            images::compile(&section, self, &mut rule);
        }
        if let Some(section) = self.section("labels") {
            labels::compile(section, self, &mut rule);
        }
        if let Some(section) = self.section("serviceAccounts") {
            service_accounts::compile(&section, self, &mut rule);
        }
        if let Some(section) = self.section("podSecurity") {
            pod_security::compile(&section, &mut rule);
        }
        if let Some(section) = self.section("sidecar") {
            sidecar::compile(section, self, &mut rule);
        }
        if let Some(section) = self.section("auth") {
            auth::compile(&section, self, &mut rule);
        }
        if let Some(section) = self.section("exposure") {
            exposure::compile(section, self, &mut rule);
        }
        if let Some(section) = self.section("queue") {
            queue::compile(&section, self, &mut rule);
        }
        let autoscaling = self.section("autoscaling");
        let defaults =
            autoscaling.and_then(|section| autoscaling::compile(section, usual, self, &mut rule));
        if let Some(specs) = self.section("rules") {
            cel::compile(specs, name, self, &mut rule);
        }
        if rules.is_empty() && defaults.is_none() && self.flaws.is_empty() {
            self.flaw(
                at(),
                "a policy without a section or rule asks for nothing; write one of them",
            );
        }
        let exceptions: Vec<ExceptionSpec> = self.section("exceptions").unwrap_or_default();
        Policy {
            name: name.into(),
            matcher: self.matcher(),
            rules,
            defaults,
            exceptions: exceptions
                .into_iter()
                .enumerate()
                .filter_map(|(index, spec)| self.exception(index, spec))
                .collect(),
        }
    }

    fn matcher(&mut self) -> Matcher {
        let spec: MatchSpec = self.section("match").unwrap_or_default();
        let known: BTreeSet<&str> = dialect::kinds().map(|(_, kind, ..)| kind).collect();
        for (index, kind) in spec.kinds.iter().enumerate() {
            if !known.contains(kind.as_str()) {
                let known: Vec<&str> = known.iter().copied().collect();
                let message = format!("{kind:?} is no Ray kind; allowed: {}", known.join(", "));
                self.flaw(at().join(&["match", "kinds"]).at(index), message);
            }
        }
        Matcher::of(spec)
    }

    /// Members of the spec that no section has.
    fn unknown(&mut self) {
        let schema = schemars::schema_for!(PolicySpec);
        let known: Vec<&str> = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str))
            .collect();
        let unknown: Vec<&String> =
            self.spec.keys().filter(|key| !known.contains(&key.as_str())).collect();
        for key in unknown {
            let message = format!("no such section; allowed: {}", known.join(", "));
            self.flaw(at().at(key.clone()), message);
        }
    }

    fn exception(&mut self, index: usize, spec: ExceptionSpec) -> Option<Exception> {
        let place = at().at("exceptions").at(index);
        for (key, text) in [("owner", &spec.owner), ("reason", &spec.reason)] {
            if text.trim().is_empty() {
                self.flaw(place.at(key), "an exception needs one, so that it can be asked about");
            }
        }
        let Some(until) = moment(&spec.expires) else {
            let message = format!(
                "{} is no moment; write one such as 2027-01-31T00:00:00Z",
                quoted(&Value::String(spec.expires))
            );
            self.flaw(place.at("expires"), message);
            return None;
        };
        Some(Exception {
            owner: spec.owner,
            reason: spec.reason,
            until,
            expires: spec.expires,
            namespaces: Globs::of(&spec.namespaces),
            names: Globs::of(&spec.names),
            rules: spec.rules,
        })
    }
}

/// An RFC 3339 moment in Unix seconds.
pub(super) fn moment(text: &str) -> Option<i64> {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, format).ok().map(time::OffsetDateTime::unix_timestamp)
}

/// The place that a path below `base` names.
fn place(base: Pointer, path: &serde_path_to_error::Path) -> Pointer {
    use serde_path_to_error::Segment;
    path.iter().fold(base, |at, segment| match segment {
        Segment::Seq { index } => at.at(*index),
        Segment::Map { key } | Segment::Enum { variant: key } => at.at(key.clone()),
        Segment::Unknown => at,
    })
}
