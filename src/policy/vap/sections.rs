//! The sections of a policy that the API server can hold.

use super::Claims;
use super::expression::{Claim, allows, literal};
use crate::model::RuleId;
use crate::policy::spec::{Enforcement, LabelsSpec, PolicySpec, ServiceAccountsSpec};

/// Amounts cannot be summed over lists there.
const SUMS: &str = "an expression there cannot add up quantities";

/// It could be written there, and is not.
const WEBHOOK: &str = "only the webhook holds it";

/// Rules of one's own read variables that are not there.
const VARIABLES: &str = "they read variables that only the webhook has";

/// There is a controller for this already.
const STANDARDS: &str = "the API server's own Pod Security admission holds it over Pods";

/// Claims and what is left over.
pub(super) fn claims(spec: &PolicySpec) -> Claims {
    let mut out = Claims::default();
    let usual = spec.enforcement;
    if let Some(section) = &spec.labels {
        labels(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.service_accounts {
        service_accounts(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    let left = [
        (spec.ceilings.is_some(), "spec.ceilings", SUMS),
        (spec.resources.is_some(), "spec.resources", WEBHOOK),
        (spec.gpus.is_some(), "spec.gpus", WEBHOOK),
        (spec.pod_security.is_some(), "spec.podSecurity", STANDARDS),
        (spec.sidecar.is_some(), "spec.sidecar", WEBHOOK),
        (spec.auth.is_some(), "spec.auth", WEBHOOK),
        (spec.queue.is_some(), "spec.queue", WEBHOOK),
        (spec.autoscaling.is_some(), "spec.autoscaling", WEBHOOK),
        (!spec.rules.is_empty(), "spec.rules", VARIABLES),
    ];
    for (_, what, why) in left.into_iter().filter(|(there, ..)| *there) {
        out.leave(what, why);
    }
    out
}

fn labels(section: &LabelsSpec, enforcement: Enforcement, out: &mut Claims) {
    for label in &section.required {
        let key = literal(&label.key);
        let holds = |labels: &str| {
            let value = format!("{labels}[{key}]");
            let allowed = allows(&value, &label.values);
            format!("({key} in {labels} && {value} != '' && {allowed})")
        };
        let mut keeps = holds("{labels}");
        if label.on_pods {
            let pods = holds("t.metadata.labels");
            keeps = format!(
                "{keeps} && {{templates}}.all(t, has(t.metadata) && has(t.metadata.labels) && {pods})"
            );
        }
        let allowed = match label.values.join(", ") {
            values if values.is_empty() => "any value".to_owned(),
            values => values,
        };
        let whose = if label.on_pods { " of the object and of each template" } else { "" };
        let message =
            format!("label {}{whose} is missing or not allowed; allowed: {allowed}", label.key);
        out.add(enforcement, Claim::new(RuleId::POLICY_LABELS, keeps, message));
    }
}

fn service_accounts(section: &ServiceAccountsSpec, enforcement: Enforcement, out: &mut Claims) {
    let may = |account: &str| {
        let allowed = allows(account, &section.allowed);
        if section.forbid_default {
            format!("({account} != 'default' && {allowed})")
        } else {
            format!("({allowed})")
        }
    };
    let named = |pod: &str| {
        let account = format!("{pod}.serviceAccountName");
        format!("has({account}) && {account} != '' ? {} : ", may(&account))
    };
    let unnamed = may("'default'");
    let head = "{spec}.headGroupSpec.template.spec";
    let scales = "(has({spec}.enableInTreeAutoscaling) && {spec}.enableInTreeAutoscaling)";
    let keeps = format!(
        "(!has({{spec}}.headGroupSpec.template.spec) || ({}({scales} || {unnamed}))) && \
         {{groups}}.all(g, !has(g.template.spec) || ({}{unnamed}))",
        named(head),
        named("g.template.spec"),
    );
    let allowed = if section.allowed.is_empty() {
        "any account but default".to_owned()
    } else {
        section.allowed.join(", ")
    };
    let message =
        format!("a template runs as a service account that is not allowed; allowed: {allowed}");
    out.add(enforcement, Claim::new(RuleId::POLICY_SERVICE_ACCOUNTS, keeps, message));
}
