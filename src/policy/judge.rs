//! What the administrators' policies say of one write.
//!
//! Input: the [`PolicySet`] and a [`Change`]. Output: findings with weight and policy. What the stored
//! object broke before, and this write makes no worse, warns instead of refusing; what an exception
//! covers is reported and interrupts nobody.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::compile::{Exception, Policy, Rule};
use super::sections::{Breach, Scene};
use super::spec::Enforcement;
use super::{Key, PolicySet, Subject, key};
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
    let subject = |cluster| Subject { cluster, manager: change.manager, child: change.child };
    let scene = Scene::new(subject(change.new)).after(change.old);
    let before = Before { old: change.old, scene: OnceCell::new(), subject: &subject };
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
                excepted(policy, policies.now, change, finding)
            }));
        }
    }
    findings
}

/// The stored state, looked at when a rule that refuses is broken.
struct Before<'a, F> {
    old: Option<&'a Cluster<'a>>,
    scene: OnceCell<Scene<'a>>,
    subject: &'a F,
}

impl<'a, F: Fn(&'a Cluster<'a>) -> Subject<'a>> Before<'a, F> {
    /// What broke the rule before, by place.
    fn of(&self, rule: &Rule) -> HashMap<Key, Breach> {
        let Some(old) = self.old.filter(|_| rule.enforcement == Enforcement::Deny) else {
            return HashMap::new();
        };
        let scene = self.scene.get_or_init(|| Scene::new((self.subject)(old)));
        let breaches = rule.check.breaches(scene).into_iter();
        breaches.map(|breach| (key(breach.rule, &breach.at, old), breach)).collect()
    }
}

/// Whether the place was sound before, or is broken further now.
fn is_worse(breach: &Breach, new: &Cluster<'_>, known: &HashMap<Key, Breach>) -> bool {
    let Some(before) = known.get(&key(breach.rule, &breach.at, new)) else {
        return true;
    };
    match (breach.measure, before.measure) {
        (Some(now), Some(before)) => now > before,
        _ => breach.found != before.found,
    }
}

fn finding(policy: &Policy, rule: &Rule, breach: Breach) -> Finding {
    let severity = match rule.enforcement {
        Enforcement::Audit => Severity::Audit,
        Enforcement::Warn => Severity::Warn,
        Enforcement::Deny => Severity::Deny,
    };
    let Breach { rule: id, at, found, allowed, fix, measure: _ } = breach;
    let finding = Finding::deny(id, at, found, allowed, fix).with(severity);
    Finding { policy: Some(policy.name.clone()), ..finding }
}

/// The finding as it weighs under the policy's exceptions.
fn excepted(policy: &Policy, now: i64, change: &Change<'_>, finding: Finding) -> Finding {
    let Some(exception) = exception(policy, now, change, finding.rule) else {
        return finding;
    };
    let Exception { owner, reason, expires, .. } = exception;
    let fix = format!("excepted until {expires} ({owner}: {reason})");
    Finding { severity: Severity::Audit, fix, ..finding }
}

/// The exception that lets this object break `rule` now.
pub(super) fn exception<'p>(
    policy: &'p Policy,
    now: i64,
    change: &Change<'_>,
    rule: RuleId,
) -> Option<&'p Exception> {
    policy.exceptions.iter().find(|exception| {
        now < exception.until
            && exception.namespaces.allows(change.request.namespace)
            && exception.names.allows(change.new.name)
            && (exception.rules.is_empty()
                || exception.rules.iter().any(|each| each == rule.as_str()))
    })
}
