//! One object, judged.

use serde_json::Value;

use super::super::manifest::{Object, Page, Target};
use super::super::problem::Problem;
use super::stored::Stored;
use crate::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use crate::model::template::NULL;
use crate::model::{Finding, Operation, Pointer, RuleId, Token};
use crate::policy::KIND;

/// What every object is judged by.
pub(super) struct Judge<'a> {
    pub(super) settings: Settings,
    pub(super) policies: PolicySet,
    pub(super) operation: Operation,
    pub(super) user: &'a str,
    pub(super) groups: &'a [String],
    pub(super) field_manager: Option<&'a str>,
    pub(super) namespace: &'a str,
    pub(super) stored: Stored,
}

/// An object and what was said of it.
pub(super) struct Judged<'a> {
    /// What was asked.
    pub(super) review: Review,
    /// What was said.
    pub(super) answer: Answer,
    /// Where the object's document stands.
    pub(super) page: &'a Page<'a>,
    /// Where in the document the object stands.
    pub(super) base: Pointer,
    /// Number of its first line.
    pub(super) line: usize,
}

impl Judge<'_> {
    /// Judges a manifest.
    pub(super) fn manifest<'a>(&self, object: Object<'a>) -> Result<Judged<'a>, Problem> {
        let old = self.stored.get(&object.value).cloned();
        let is_policy = object.value.get("kind").and_then(Value::as_str) == Some(KIND);
        // A policy is judged as a whole, so that no stored one is needed; and it has no namespace.
        let operation = if is_policy { Operation::Create } else { self.operation };
        let namespace = if is_policy { "" } else { self.namespace };
        if operation == Operation::Update && old.is_none() {
            let subject = name_of(&object.value);
            let message = format!("no stored object for {subject} in --old");
            return Err(Problem::error(object.page.file, message).at_line(object.line));
        }
        let Object { value, page, base, line } = object;
        let request = Review::of_manifest(operation, self.user, namespace, value, old);
        let review = Review {
            groups: self.groups.to_vec(),
            field_manager: self.field_manager.map(str::to_owned),
            ..request
        };
        Ok(self.judged(review, page, base, line))
    }

    /// Judges an AdmissionReview as it is.
    pub(super) fn admission<'a>(&self, object: Object<'a>) -> Result<Judged<'a>, Problem> {
        let Object { value, page, base, line } = object;
        let review = Review::from_value(value)
            .map_err(|error| Problem::error(page.file, error.to_string()).at_line(line))?;
        let base = base.join(&["request", "object"]);
        Ok(self.judged(review, page, base, line))
    }

    fn judged<'a>(
        &self,
        review: Review,
        page: &'a Page<'a>,
        base: Pointer,
        line: usize,
    ) -> Judged<'a> {
        let answer = self::review(&self.settings, &self.policies, Phase::Offline, &review);
        Judged { review, answer, page, base, line }
    }
}

impl Judged<'_> {
    /// What to mark in the file for a finding.
    pub(super) fn target(&self, finding: &Finding) -> Option<Target<'_>> {
        self.page.target(&self.base, &finding.at, finding.rule == RuleId::UNKNOWN_FIELD)
    }

    /// The object, or the stored one where none came.
    pub(super) fn object(&self) -> &Value {
        self.review.object.as_ref().or(self.review.old_object.as_ref()).unwrap_or(NULL)
    }

    /// `Kind namespace/name`.
    pub(super) fn name(&self) -> String {
        let subject = self.review.subject();
        let name = if subject.name.is_empty() { "(generated name)" } else { &subject.name };
        match self.review.namespace.as_str() {
            "" => format!("{} {name}", subject.kind),
            namespace => format!("{} {namespace}/{name}", subject.kind),
        }
    }

    /// The value that stands at a place of the object.
    pub(super) fn value_at(&self, at: &Pointer) -> Option<&Value> {
        at.get(self.review.object.as_ref()?)
    }
}

fn name_of(object: &Value) -> String {
    let at = |steps: [&'static str; 2]| {
        Pointer::of(steps.map(Token::from)).get(object).and_then(Value::as_str).unwrap_or("")
    };
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or("object");
    let (namespace, name) = (at(["metadata", "namespace"]), at(["metadata", "name"]));
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}
