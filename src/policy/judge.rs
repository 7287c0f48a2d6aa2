//! What the administrators' policies say of one write.
//!
//! Input: the [`PolicySet`] and a [`Change`]. Output: findings with weight and policy. What the stored
//! object broke before, and this write makes no worse, warns instead of refusing; what an exception
//! covers is reported and interrupts nobody.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::compile::{Exception, Policy, Rule};
use super::sections::{Breach, Scene};
use super::spec::Enforcement;
use super::{Key, PolicySet, key};
use crate::model::{Change, Cluster, Finding, RuleId, Severity};

/// Asks every policy that is about the object. `metadata_only`: nothing but labels and annotations
/// changed, so that only the rules that read those are asked.
pub(super) fn judge(
    policies: &PolicySet,
    change: &Change<'_>,
    metadata_only: bool,
) -> Vec<Finding> {
    if policies.policies.is_empty() {
        return Vec::new();
    }
    let scene = Scene::after(change, policies);
    let before = Before { change, policies, scene: OnceCell::new() };
    let labels = policies.namespace_labels(change.request.namespace);
    let mut findings = Vec::new();
    for policy in &policies.policies {
        if !policy.matcher.fits(&change.request, change.new, labels) {
            continue;
        }
        for rule in &policy.rules {
            if metadata_only && !rule.check.reads_metadata() {
                continue;
            }
            let breaches = rule.check.breaches(&scene);
            if breaches.is_empty() {
                continue;
            }
            let known = before.of(rule);
            findings.extend(breaches.into_iter().map(|breach| {
                let worse = is_worse(&breach, change.new, &known);
                let finding = finding(policy, rule, breach);
                let finding = change.ratchet(finding, !worse, worse);
                excepted(policy, rule, policies.now, change, finding)
            }));
        }
    }
    findings
}

/// The stored state, looked at when a rule that refuses is broken.
struct Before<'a> {
    change: &'a Change<'a>,
    policies: &'a PolicySet,
    scene: OnceCell<Scene<'a>>,
}

impl Before<'_> {
    /// What broke the rule before, by place.
    fn of(&self, rule: &Rule) -> HashMap<Key, Breach> {
        let asked = rule.enforcement == Enforcement::Deny && !rule.check.compares();
        let Some(old) = self.change.old.filter(|_| asked) else {
            return HashMap::new();
        };
        let scene = self.scene.get_or_init(|| Scene::before(old, self.change, self.policies));
        let breaches = rule.check.breaches(scene).into_iter();
        breaches.map(|breach| (key(breach.finding.rule, breach.history(), old), breach)).collect()
    }
}

/// Whether the place was sound before, or is broken further now.
fn is_worse(breach: &Breach, new: &Cluster<'_>, known: &HashMap<Key, Breach>) -> bool {
    let Some(before) = known.get(&key(breach.finding.rule, breach.history(), new)) else {
        return true;
    };
    match (breach.measure, before.measure) {
        (Some(now), Some(before)) => now > before,
        _ => breach.finding.found != before.finding.found,
    }
}

fn finding(policy: &Policy, rule: &Rule, breach: Breach) -> Finding {
    let severity = match rule.enforcement {
        Enforcement::Audit => Severity::Audit,
        Enforcement::Warn => Severity::Warn,
        Enforcement::Deny => Severity::Deny,
    };
    let severity = if breach.unjudged { Severity::Audit } else { severity };
    let source = rule.check.source().unwrap_or(&policy.name);
    Finding { policy: Some(Arc::clone(source)), severity, ..breach.finding }
}

/// The finding as it weighs under the policy's exceptions.
fn excepted(
    policy: &Policy,
    rule: &Rule,
    now: i64,
    change: &Change<'_>,
    finding: Finding,
) -> Finding {
    let exception = exception(policy, now, change, finding.rule, rule.check.name());
    let Some(exception) = exception else {
        return finding;
    };
    let Exception { owner, reason, expires, .. } = exception;
    let fix = format!("excepted until {expires} ({owner}: {reason})");
    Finding { severity: Severity::Audit, fix, ..finding }
}

/// The exception that lets this object break `rule`, which its author may have given a name, now.
pub(super) fn exception<'p>(
    policy: &'p Policy,
    now: i64,
    change: &Change<'_>,
    rule: RuleId,
    name: Option<&str>,
) -> Option<&'p Exception> {
    policy.exceptions.iter().find(|exception| {
        now < exception.until
            && exception.namespaces.allows(change.request.namespace)
            && exception.names.allows(change.new.name)
            && (exception.rules.is_empty()
                || exception
                    .rules
                    .iter()
                    .any(|each| each == rule.as_str() || Some(each.as_str()) == name))
    })
}
