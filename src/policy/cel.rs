//! Rules of an administrator's own, in CEL.
//!
//! Input: an expression, compiled once when the policy is loaded; then one state of one cluster. Output:
//! kept, broken, or "could not be judged". An error at evaluation, such as a field that is not there, is
//! neither an outage nor a silent pass: it is a finding that never weighs more than `audit`.
//!
//! Nothing here has a clock, so that it is the work that is bounded and not the time:
//!
//! | bound | where |
//! | --- | --- |
//! | length, brackets, depth, at most two loops within each other, entries of written lists, patterns | [`check`], when the policy is loaded |
//! | values of the object, entries of its longest list | [`view`], once a review; more is not judged |
//! | steps of loops over the object's lists and maps | [`values`], for each rule anew |
//!
//! A rule that mentions `oldObject` compares: it is asked of a write alone. Any other rule that the
//! stored object broke already only warns of the new one, since true or false has no degrees.

mod amount;
mod check;
mod values;
mod view;

use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, Program, Value as Answer};
use serde_json::Value;

use super::compile::{Reader, at};
use super::sections::{Breach, Check, Scene};
use super::spec::{CelSpec, Enforcement};
use crate::model::{Pointer, RuleId, Token};
pub(super) use view::{Asked, Variables};

/// Steps of loops that one rule may take, and those of one that makes patterns.
const MOST_STEPS: u64 = 100_000;
const MOST_STEPS_WITH_PATTERNS: u64 = 5_000;

/// The longest name.
const MOST_NAME: usize = 63;

/// The language, and `quantity()`.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // The name is free in the standard library; a test calls the function.
    let _ = amount::declare(&mut env);
    Arc::new(env)
});

/// A compiled rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// What it is called.
    pub(super) name: String,
    /// The policy and the rule, as findings name them.
    pub(super) source: Arc<str>,
    /// It reads the stored object beside the new one.
    pub(super) compares: bool,
    /// A change of labels and annotations alone can break it.
    pub(super) reads_metadata: bool,
    program: Arc<Program>,
    steps: u64,
    message: String,
    fix: String,
    field: Vec<Token>,
}

/// One rule for each.
pub(super) fn compile(
    specs: Vec<CelSpec>,
    policy: &str,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let mut names: Vec<String> = Vec::new();
    for (index, spec) in specs.into_iter().enumerate() {
        let place = at().at("rules").at(index);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let fits = (1..=MOST_NAME).contains(&spec.name.len()) && spec.name.chars().all(plain);
        if !fits {
            let message = format!(
                "{:?} is no name; write 1 to {MOST_NAME} letters, digits and dashes",
                spec.name
            );
            reader.flaw(place.at("name"), message);
        } else if names.contains(&spec.name) {
            reader.flaw(place.at("name"), format!("a second rule is called {:?}", spec.name));
        }
        names.push(spec.name.clone());
        if spec.message.trim().is_empty() {
            reader.flaw(place.at("message"), "is empty; say what is wrong where the rule is false");
        }
        let field = spec.field.as_deref().map(tokens);
        if field == Some(None) {
            let message = "is no field path; write one such as spec.headGroupSpec.template";
            reader.flaw(place.at("field"), message);
        }
        match check::check(&ENV, &spec.expression) {
            Err(message) => reader.flaw(place.at("expression"), message),
            Ok(checked) => {
                let steps = if checked.matches { MOST_STEPS_WITH_PATTERNS } else { MOST_STEPS };
                let compiled = Rule {
                    source: format!("{policy}/{}", spec.name).into(),
                    name: spec.name,
                    compares: checked.compares,
                    reads_metadata: checked.reads_metadata,
                    program: checked.program,
                    steps,
                    message: spec.message,
                    fix: spec.fix,
                    field: field.flatten().unwrap_or_default(),
                };
                rule(spec.enforcement, Check::Cel(compiled));
            }
        }
    }
}

/// The steps of `spec.workerGroupSpecs[0].template`.
fn tokens(path: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    for step in path.split('.') {
        let (name, indices) =
            step.split_once('[').map_or((step, None), |(name, rest)| (name, Some(rest)));
        if name.is_empty() || name.contains(']') {
            return None;
        }
        out.push(Token::from(name.to_owned()));
        if let Some(indices) = indices {
            for index in indices.strip_suffix(']')?.split("][") {
                out.push(Token::from(index.parse::<usize>().ok()?));
            }
        }
    }
    Some(out)
}

impl Rule {
    /// The breach, where the rule is broken or could not be judged.
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let Self { name, message, fix, .. } = self;
        match self.holds(scene.variables()) {
            Ok(true) => Vec::new(),
            Ok(false) => {
                let found = format!("{name}: {message}");
                vec![Breach::new(RuleId::POLICY_CEL, self.place(scene), found, "", fix.clone())]
            }
            Err(why) => {
                let found = format!("{name}: could not be judged: {why}");
                let fix =
                    "the policy's owner has to mend the rule; has() asks whether a field is there";
                let breach = Breach::new(RuleId::POLICY_CEL, self.place(scene), found, "", fix);
                vec![Breach { unjudged: true, ..breach }]
            }
        }
    }

    /// The field that the rule names: in the cluster's spec, wherever the object keeps it, unless it is
    /// the embedding object alone that has such a field.
    fn place(&self, scene: &Scene<'_>) -> Pointer {
        let cluster = scene.cluster();
        let own = || Pointer::of(self.field.iter().cloned());
        match self.field.split_first() {
            None => cluster.at.clone(),
            Some((first, rest)) if *first == Token::from("spec") => {
                let step = Pointer::of(rest.first().cloned());
                let stands = |spec: &Value| step.get(spec).is_some();
                if !stands(cluster.spec) && scene.object().get("spec").is_some_and(stands) {
                    return own();
                }
                rest.iter().fold(cluster.at.clone(), |at, step| at.at(step.clone()))
            }
            Some(_) => own(),
        }
    }

    fn holds(&self, variables: &Variables<'_>) -> Result<bool, String> {
        if let Some(why) = variables.too_big() {
            return Err(why.to_owned());
        }
        variables.meter.fill(self.steps);
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(variables);
        let answer = Answer::resolve_val(self.program.expression(), &context);
        if variables.meter.is_empty() {
            return Err(format!("it takes more than {} steps", self.steps));
        }
        let answer = answer.map_err(|error| told(&error))?;
        match answer.downcast_ref::<CelBool>() {
            Some(answer) => Ok(*answer.inner()),
            None => Err(format!("it gives a {}, not true or false", answer.get_type().name())),
        }
    }
}

/// What went wrong, without the values that `cel` would print whole.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no field {key:?}"),
        ExecutionError::NoSuchOverload(error) => error.to_string(),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        ExecutionError::UndeclaredReference(name) => format!("there is no {name:?}"),
        ExecutionError::IndexOutOfBounds(_) => "a list has no such entry".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number is too large".to_owned(),
        _ => "an operation meets a value of a type that it does not take".to_owned(),
    }
}

#[cfg(test)]
mod tests;
