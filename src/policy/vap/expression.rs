//! CEL for the API server: claims, the variables that they read, literals.
//!
//! A claim is written once, over names in braces: `{spec}`, `{groups}`, `{templates}`, `{submitters}`,
//! `{pods}`, `{labels}`. It is asked of the incoming state and, so that what is stored may stay, of the stored one.

use serde_json::{Value, json};

use crate::dialect::{self, Dialect, Parent};
use crate::model::RuleId;

/// One rule as an expression that is true where the rule is kept.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The rule.
    pub(super) rule: RuleId,
    /// The expression.
    pub(super) keeps: String,
    /// What is wrong where it is false.
    pub(super) message: String,
    /// Only new objects are asked.
    pub(super) create_only: bool,
    /// It is about what a write changes: there is no stored state to compare with.
    pub(super) compares: bool,
    /// Conditions under which the object may break it.
    pub(super) unless: Vec<String>,
}

const NAMES: [&str; 6] = ["spec", "groups", "templates", "submitters", "pods", "labels"];

/// The most characters of a message that the API server takes.
const LONGEST_MESSAGE: usize = 1024;

impl Claim {
    pub(super) fn new(rule: RuleId, keeps: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            rule,
            keeps: keeps.into(),
            message: message.into(),
            create_only: false,
            compares: false,
            unless: Vec::new(),
        }
    }

    pub(super) fn on_create(self) -> Self {
        Self { create_only: true, ..self }
    }

    pub(super) fn of_the_change(self) -> Self {
        Self { compares: true, ..self }
    }

    /// The entry of `validations`.
    pub(super) fn validation(&self, policy: Option<&str>) -> Value {
        let new = spread(&self.keeps, "");
        let expression = if self.compares {
            new
        } else if self.create_only {
            format!("oldObject != null || ({new})")
        } else {
            format!("({new}) || (oldObject != null && !({}))", spread(&self.keeps, "old_"))
        };
        let excepted = self.unless.iter().map(|covered| format!("({covered}) || "));
        let expression = excepted.rev().fold(expression, |all, covered| format!("{covered}{all}"));
        let source = match policy {
            Some(policy) => format!("{}, policy {policy}", self.rule),
            None => self.rule.to_string(),
        };
        let message = format!("{} [raywarden {source}]", self.message);
        let message: String = message.chars().take(LONGEST_MESSAGE).collect();
        json!({"expression": expression, "message": message, "reason": "Invalid"})
    }
}

/// The claim over one of the two states.
fn spread(keeps: &str, prefix: &str) -> String {
    NAMES.iter().fold(keeps.to_owned(), |text, name| {
        text.replace(&format!("{{{name}}}"), &format!("variables.{prefix}{name}"))
    })
}

/// The variables of both states. They are worked out when they are read.
pub(super) fn variables() -> Vec<Value> {
    let state = |object: &str, prefix: &str| {
        let of = |name: &str| format!("variables.{prefix}{name}");
        let metadata = format!("{object}.metadata");
        let spec = of("spec");
        let groups = format!("has({spec}.workerGroupSpecs) ? {spec}.workerGroupSpecs : []");
        let head = format!("[{spec}.headGroupSpec.template]");
        [
            ("spec", the_spec(object)),
            ("groups", groups),
            ("templates", format!("{head} + {}.map(g, g.template)", of("groups"))),
            ("submitters", the_submitters(object)),
            (
                "pods",
                format!(
                    "({} + {}).filter(t, has(t.spec)).map(t, t.spec)",
                    of("templates"),
                    of("submitters")
                ),
            ),
            ("labels", format!("has({metadata}.labels) ? {metadata}.labels : {{}}")),
        ]
        .map(|(name, expression)| {
            json!({"name": format!("{prefix}{name}"), "expression": expression})
        })
    };
    [state("object", ""), state("oldObject", "old_")].concat()
}

/// The cluster's spec, wherever the kind keeps it.
fn the_spec(object: &str) -> String {
    by_kind(format!("{object}.spec"), |parent| Some(format!("{object}.{}", parent.spec())))
}

/// The template of the Pod that submits a job, where the object says one, as a list.
fn the_submitters(object: &str) -> String {
    by_kind("[]".to_owned(), |parent| {
        let place = parent.submitter_template()?;
        Some(format!("(has({object}.{place}) ? [{object}.{place}] : [])"))
    })
}

/// An expression of its own for each embedding kind that has one, and another for all others.
fn by_kind(other: String, of: impl Fn(Parent) -> Option<String>) -> String {
    let embedding = dialect::kinds().filter_map(|(_, kind, _, dialect)| match dialect {
        Dialect::Embedded(parent) => Some((kind, of(parent)?)),
        Dialect::RayCluster | Dialect::Domino => None,
    });
    embedding.fold(other, |other, (kind, expression)| {
        format!("request.kind.kind == {} ? {expression} : {other}", literal(kind))
    })
}

/// A text as a CEL literal.
pub(super) fn literal(text: &str) -> String {
    // The escapes of JSON are among those of CEL.
    Value::from(text).to_string()
}

/// That `value` is one of these texts, in which `*` stands for any characters.
pub(super) fn is_one_of(value: &str, texts: &[String]) -> String {
    if texts.iter().any(|text| text.contains('*')) {
        let choices: Vec<String> = texts.iter().map(|text| regex(text)).collect();
        return format!("{value}.matches({})", literal(&format!("^(?:{})$", choices.join("|"))));
    }
    let list: Vec<String> = texts.iter().map(|text| literal(text)).collect();
    format!("{value} in [{}]", list.join(", "))
}

/// The same, or true where there are no texts.
pub(super) fn allows(value: &str, texts: &[String]) -> String {
    if texts.is_empty() { "true".to_owned() } else { is_one_of(value, texts) }
}

fn regex(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '*' => out.push_str(".*"),
            c if c.is_ascii_alphanumeric() || c == '-' || c == '/' || c == '_' || c == ' ' => {
                out.push(c);
            }
            c if c.is_ascii() => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_asked_of_both_states_and_only_what_was_sound_has_to_stay_so() {
        let claim = Claim::new(RuleId::MIN_MAX, "{groups}.all(g, g.a < {spec}.b)", "no");
        assert_eq!(
            claim.validation(None)["expression"],
            "(variables.groups.all(g, g.a < variables.spec.b)) || (oldObject != null && \
             !(variables.old_groups.all(g, g.a < variables.old_spec.b)))"
        );
        assert_eq!(
            claim.validation(Some("p"))["message"],
            "no [raywarden bounds/min-max, policy p]"
        );
    }

    #[test]
    fn texts_become_literals_and_stars_a_pattern() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(is_one_of("x", &texts(&["a", "b\"c"])), r#"x in ["a", "b\"c"]"#);
        assert_eq!(
            is_one_of("x", &texts(&["r.example/*", "b"])),
            r#"x.matches("^(?:r\\.example/.*|b)$")"#
        );
        assert_eq!(allows("x", &[]), "true");
    }
}
