//! CEL for the API server: claims, the variables that they read, literals.
//!
//! A claim is written once, over names in braces such as `{spec}` and `{groups}`: those of
//! [`variables`]. It is asked of the incoming state and, so that what is stored may stay, of the stored
//! one.

use serde_json::{Value, json};

use crate::dialect::kuberay::V2_VARIABLE;
use crate::dialect::{self, Dialect, Parent};
use crate::model::names::SIDECAR;
use crate::model::{Pointer, RuleId};

/// One rule as an expression that is true where the rule is kept.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The rule.
    pub(super) rule: RuleId,
    /// The expression.
    pub(super) keeps: String,
    /// What is wrong where it is false.
    pub(super) message: String,
    /// What of the rule it is about, where that is not the whole.
    pub(super) part: Option<&'static str>,
    /// Only new objects are asked.
    pub(super) create_only: bool,
    /// It is about what a write changes: there is no stored state to compare with.
    pub(super) compares: bool,
    /// Conditions under which the object may break it.
    pub(super) unless: Vec<String>,
}

const NAMES: [&str; 10] = [
    "spec",
    "groups",
    "templates",
    "submitters",
    "pods",
    "labels",
    "options",
    "scales",
    "adds_sidecar",
    "switches",
];

/// The most characters of a message that the API server takes.
const LONGEST_MESSAGE: usize = 1024;

impl Claim {
    pub(super) fn new(rule: RuleId, keeps: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            rule,
            keeps: keeps.into(),
            message: message.into(),
            part: None,
            create_only: false,
            compares: false,
            unless: Vec::new(),
        }
    }

    pub(super) fn on_create(self) -> Self {
        Self { create_only: true, ..self }
    }

    pub(super) fn about(self, part: &'static str) -> Self {
        Self { part: Some(part), ..self }
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
///
/// `templates` are those of head and groups, `submitters` that of the Pod which submits a job, `pods` the
/// Pod specs of all of them; `adds_sidecar` tells that the head gets a container that its template
/// lacks; `switches` are the entries of the Ray container's environment that choose a version of the
/// autoscaler.
pub(super) fn variables() -> Vec<Value> {
    [state("object", ""), state("oldObject", "old_")].concat()
}

fn state(object: &str, prefix: &str) -> Vec<Value> {
    let of = |name: &str| format!("variables.{prefix}{name}");
    let labels = format!("{object}.metadata.labels");
    let spec = of("spec");
    let field = |key: &str, other: &str| format!("has({spec}.{key}) ? {spec}.{key} : {other}");
    let head = format!("{spec}.headGroupSpec.template");
    let named = format!("c, has(c.name) && c.name == {}", literal(SIDECAR));
    let containers = format!("{head}.spec.containers");
    let told = format!("has({head}.spec) && has({containers})");
    let ray = format!("{containers}[0]");
    let entries = format!("{ray}.env.filter(e, e.name == {})", literal(V2_VARIABLE));
    let variables = [
        ("spec", the_spec(object)),
        ("groups", field("workerGroupSpecs", "[]")),
        ("templates", format!("[{head}] + {}.map(g, g.template)", of("groups"))),
        ("submitters", submitters(object)),
        ("pods", pods(&format!("({} + {})", of("templates"), of("submitters")))),
        ("labels", format!("has({labels}) ? {labels} : {{}}")),
        ("options", field("autoscalerOptions", "{}")),
        ("scales", field("enableInTreeAutoscaling", "false")),
        ("adds_sidecar", format!("{} && !({told} && {containers}.exists({named}))", of("scales"))),
        (
            "switches",
            format!("{told} && {containers}.size() > 0 && has({ray}.env) ? {entries} : []"),
        ),
    ];
    let named =
        |(name, expression)| json!({"name": format!("{prefix}{name}"), "expression": expression});
    variables.map(named).to_vec()
}

/// For kinds that embed a cluster what `of` says, where it does; `other` for the rest.
fn by_kind(of: impl Fn(Parent) -> Option<String>, other: String) -> String {
    let embedding = dialect::kinds().filter_map(|(_, kind, _, dialect)| match dialect {
        Dialect::Embedded(parent) => Some((kind, of(parent)?)),
        Dialect::RayCluster | Dialect::Domino => None,
    });
    embedding.fold(other, |other, (kind, expression)| {
        format!("request.kind.kind == {} ? {expression} : {other}", literal(kind))
    })
}

/// The cluster's spec, wherever the kind keeps it.
fn the_spec(object: &str) -> String {
    by_kind(|parent| Some(format!("{object}.{}", parent.spec())), format!("{object}.spec"))
}

/// The template of the Pod that submits the job, in a list; an empty one where none is said.
fn submitters(object: &str) -> String {
    let of = |at: Pointer| format!("(has({object}.{at}) ? [{object}.{at}] : [])");
    by_kind(|parent| parent.submitter_template().map(of), "[]".to_owned())
}

/// The Pod specs of a list of templates.
pub(super) fn pods(templates: &str) -> String {
    format!("{templates}.filter(t, has(t.spec)).map(t, t.spec)")
}

/// That something holds of every container `c` of every Pod `p` in a list of Pod specs.
pub(super) fn every_container(pods: &str, holds: &str) -> String {
    let of = |list: &str| format!("(!has(p.{list}) || p.{list}.all(c, {holds}))");
    format!("{pods}.all(p, {} && {})", of("containers"), of("initContainers"))
}

/// A text as a CEL literal.
pub(super) fn literal(text: &str) -> String {
    // The escapes of JSON are among those of CEL.
    Value::from(text).to_string()
}

/// Texts as a CEL list.
pub(super) fn list(texts: &[impl AsRef<str>]) -> String {
    let literals: Vec<String> = texts.iter().map(|text| literal(text.as_ref())).collect();
    format!("[{}]", literals.join(", "))
}

/// That one quantity is no more than another.
pub(super) fn at_most(value: &str, most: &str) -> String {
    format!("quantity({value}).compareTo(quantity({most})) <= 0")
}

/// That `value` is one of these texts, in which `*` stands for any characters.
pub(super) fn is_one_of(value: &str, texts: &[String]) -> String {
    if texts.iter().any(|text| text.contains('*')) {
        let choices: Vec<String> = texts.iter().map(|text| regex(text)).collect();
        return format!(
            "{value}.matches({})",
            literal(&format!("(?s)^(?:{})$", choices.join("|")))
        );
    }
    format!("{value} in {}", list(texts))
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
            r#"x.matches("(?s)^(?:r\\.example/.*|b)$")"#
        );
        assert_eq!(allows("x", &[]), "true");
    }
}
