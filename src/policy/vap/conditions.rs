//! Whom and what the floor asks: match conditions.

use serde_json::{Value, json};

use super::expression::{allows, is_one_of, list, literal};
use crate::model::{RuleId, Settings};
use crate::policy::compile::moment;
use crate::policy::spec::{ExceptionSpec, MatchSpec, RequirementSpec, SelectorOperator};

fn condition(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

/// The conditions of every policy: people's writes of objects that stay.
pub(super) fn everywhere(settings: &Settings) -> Vec<Value> {
    let accounts = &settings.accounts;
    let machines: Vec<&String> = [
        &accounts.kuberay,
        &accounts.domino,
        &accounts.kueue,
        &accounts.ourselves,
        &accounts.hpa,
        &accounts.garbage_collector,
    ]
    .into_iter()
    .flatten()
    .collect();
    let (patterns, plain): (Vec<&String>, Vec<&String>) =
        machines.into_iter().partition(|name| name.contains('*'));
    let mut people = format!("!(request.userInfo.username in {})", list(&plain));
    for pattern in patterns {
        // Here a star is one part between colons.
        let parts: Vec<String> = pattern
            .split(':')
            .map(|part| if part == "*" { "[^:]+".to_owned() } else { escaped(part) })
            .collect();
        let whole = literal(&format!("^{}$", parts.join(":")));
        people = format!("{people} && !request.userInfo.username.matches({whole})");
    }
    vec![
        condition("people", &people),
        condition(
            "no-account-of-the-namespace-updates",
            "request.operation == 'CREATE' || !request.userInfo.username.startsWith(\
             'system:serviceaccount:' + request.namespace + ':')",
        ),
        condition(
            "stays",
            "!has(object.metadata.deletionTimestamp) && (oldObject == null || \
             !has(oldObject.metadata.deletionTimestamp))",
        ),
    ]
}

fn escaped(part: &str) -> String {
    part.replace('.', "\\.")
}

/// The conditions of a policy's `match`; kinds are resource rules.
pub(super) fn of_match(spec: &MatchSpec) -> Vec<Value> {
    let namespace = "request.namespace";
    let mut out = Vec::new();
    if !spec.namespaces.is_empty() {
        out.push(condition("namespaces", &is_one_of(namespace, &spec.namespaces)));
    }
    if !spec.exclude_namespaces.is_empty() {
        let excluded = is_one_of(namespace, &spec.exclude_namespaces);
        out.push(condition("excluded-namespaces", &format!("!({excluded})")));
    }
    if let Some(selector) = &spec.object_selector {
        let equal = selector.match_labels.iter().map(|(key, value)| {
            format!("({} && {} == {})", there(key), label(key), literal(value))
        });
        let parts: Vec<String> =
            equal.chain(selector.match_expressions.iter().map(requirement)).collect();
        let all = if parts.is_empty() { "true".to_owned() } else { parts.join(" && ") };
        out.push(condition("objects", &all));
    }
    out
}

fn requirement(requirement: &RequirementSpec) -> String {
    let RequirementSpec { key, operator, values } = requirement;
    let listed = format!("({} && {} in {})", there(key), label(key), list(values));
    match operator {
        SelectorOperator::In => listed,
        SelectorOperator::NotIn => format!("!{listed}"),
        SelectorOperator::Exists => there(key),
        SelectorOperator::DoesNotExist => format!("!{}", there(key)),
    }
}

fn there(key: &str) -> String {
    format!("(has(object.metadata.labels) && {} in object.metadata.labels)", literal(key))
}

fn label(key: &str) -> String {
    format!("object.metadata.labels[{}]", literal(key))
}

/// That an exception which is not over lets the object break this rule.
pub(super) fn excepted(exceptions: &[ExceptionSpec], now: i64, rule: RuleId) -> Vec<String> {
    let live = exceptions.iter().filter(|exception| {
        let named = exception.rules.iter().any(|each| each == rule.as_str());
        (exception.rules.is_empty() || named)
            && moment(&exception.expires).is_some_and(|until| now < until)
    });
    live.map(|exception| {
        format!(
            "{} && {}",
            allows("request.namespace", &exception.namespaces),
            allows("object.metadata.name", &exception.names)
        )
    })
    .collect()
}
