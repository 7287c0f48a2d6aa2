//! Rules as `ValidatingAdmissionPolicy` objects: a floor that the API server holds by itself while no
//! replica of the webhook answers.
//!
//! Input: the installation's settings and policies as they were written. Output: an [`Export`]: the
//! objects, the rules that they cover, and the ones that they cannot hold, each with the reason.
//!
//! Invariants: the floor refuses nothing that the webhook admits. Machines, and service accounts that
//! update a cluster of their own namespace, are never asked, so no autoscaler is refused. A stored
//! object that breaks a rule may be written as long as it is stored so: the floor cannot tell a better
//! value from a worse one. What a covered rule refuses on CREATE, the floor refuses too; and on UPDATE
//! where the stored object was sound.

mod autoscaling;
mod builtin;
mod capacity;
mod conditions;
mod expression;
mod sections;

use serde_json::{Value, json};

use super::spec::{Enforcement, PolicySpec};
use crate::dialect::{self, RAY};
use crate::model::{RuleId, Settings};
use expression::Claim;

/// A policy as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its spec.
    pub spec: PolicySpec,
}

/// What the API server can hold, and what it cannot.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Policies and bindings, ready to apply.
    pub objects: Vec<Value>,
    /// Rules that the objects hold.
    pub covered: Vec<Covered>,
    /// Rules that only the webhook holds.
    pub left: Vec<Left>,
}

/// A rule that the export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The policy; `None` for rules that are built in.
    pub policy: Option<String>,
    /// The rule.
    pub rule: RuleId,
    /// What of it is held, where that is not the whole.
    pub part: Option<&'static str>,
    /// Only on CREATE.
    pub create_only: bool,
}

/// A rule that the export cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The policy; `None` for rules that are built in.
    pub policy: Option<String>,
    /// The rule or the section.
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// The rules of one policy, or those that are built in.
#[derive(Default)]
struct Claims {
    claims: Vec<(Enforcement, Claim)>,
    left: Vec<(String, &'static str)>,
}

impl Claims {
    fn add(&mut self, enforcement: Enforcement, claim: Claim) {
        self.claims.push((enforcement, claim));
    }

    fn leave(&mut self, what: impl Into<String>, why: &'static str) {
        self.left.push((what.into(), why));
    }
}

/// Everything that the API server can hold. `now`, in Unix seconds, decides which exceptions are over.
pub fn export(settings: &Settings, policies: &[Written], now: i64) -> Export {
    let mut out = Export::default();
    let built_in = builtin::claims(settings);
    let conditions = conditions::everywhere(settings);
    put(&mut out, None, built_in, &conditions, &all_resources());
    for Written { name, spec } in policies {
        let mut conditions = conditions.clone();
        conditions.extend(conditions::of_match(&spec.matches));
        let mut claims = sections::claims(spec);
        if spec.matches.namespace_selector.is_some() {
            claims = Claims::default();
            claims.leave("spec.match.namespaceSelector", "labels of namespaces are not at hand");
        }
        for (_, claim) in &mut claims.claims {
            claim.unless = conditions::excepted(&spec.exceptions, now, claim.rule);
        }
        put(&mut out, Some(name), claims, &conditions, &resources(&spec.matches.kinds));
    }
    out
}

/// A policy object for each enforcement, with its binding.
fn put(
    out: &mut Export,
    policy: Option<&str>,
    claims: Claims,
    conditions: &[Value],
    resources: &[&str],
) {
    let named = || policy.map(str::to_owned);
    for enforcement in [Enforcement::Deny, Enforcement::Warn, Enforcement::Audit] {
        let claims: Vec<&Claim> = claims
            .claims
            .iter()
            .filter(|(each, _)| *each == enforcement)
            .map(|(_, claim)| claim)
            .collect();
        if claims.is_empty() {
            continue;
        }
        let action = match enforcement {
            Enforcement::Deny => "Deny",
            Enforcement::Warn => "Warn",
            Enforcement::Audit => "Audit",
        };
        let name = match policy {
            Some(policy) => format!("raywarden-floor.{policy}.{}", action.to_lowercase()),
            None => "raywarden-floor".to_owned(),
        };
        let validations: Vec<Value> = claims.iter().map(|claim| claim.validation(policy)).collect();
        out.objects.push(object(&name, &validations, conditions, resources));
        out.objects.push(binding(&name, action));
        out.covered.extend(claims.iter().map(|claim| Covered {
            policy: named(),
            rule: claim.rule,
            part: claim.part,
            create_only: claim.create_only,
        }));
    }
    let left = claims.left.into_iter();
    out.left.extend(left.map(|(what, why)| Left { policy: named(), what, why }));
}

fn object(name: &str, validations: &[Value], conditions: &[Value], resources: &[&str]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            // An object that an expression cannot read is the webhook's to judge.
            "failurePolicy": "Ignore",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "resourceRules": [{
                    "apiGroups": [RAY],
                    "apiVersions": dialect::versions(RAY),
                    "operations": ["CREATE", "UPDATE"],
                    "resources": resources,
                }],
            },
            "matchConditions": conditions,
            "variables": expression::variables(),
            "validations": validations,
        },
    })
}

fn binding(name: &str, action: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": [action]},
    })
}

fn all_resources() -> Vec<&'static str> {
    resources(&[])
}

/// The plurals of these kinds of `ray.io`, or of all of them.
fn resources(kinds: &[String]) -> Vec<&'static str> {
    dialect::kinds()
        .filter(|(group, kind, ..)| {
            *group == RAY && (kinds.is_empty() || kinds.iter().any(|each| each == kind))
        })
        .map(|(_, _, plural, _)| plural)
        .collect()
}
