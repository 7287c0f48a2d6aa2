//! A Pod Security Standard over every template: head, groups and the Pod that submits a job, containers and
//! init containers.
//!
//! Source: the Pod Security Standards as Kubernetes 1.34 enforces them, without what a feature gate
//! relaxes for Pods in a user namespace. [`Standard`] also judges the autoscaler's own container.

mod controls;

use serde_json::Value;

use super::super::spec::{Enforcement, PodSecurityLevel, PodSecuritySpec};
use super::{Breach, Check, Scene};
use crate::model::RuleId;
use crate::model::template::{NULL, list, member};

pub(super) use controls::{Context, Standard};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    level: PodSecurityLevel,
}

/// One rule for the section.
pub(in super::super) fn compile(
    spec: &PodSecuritySpec,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    rule(spec.enforcement, Check::PodSecurity(Rule { level: spec.level }));
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        for (template, owner) in scene.templates() {
            let mut standard =
                Standard::new(self.level, RuleId::POLICY_POD_SECURITY, template.spec, &mut out);
            let pod = template.at.at("spec");
            let called = || owner.to_owned();
            standard.pod(&pod, &called);
            standard.annotations(&template, &called);
            let init = list(template.spec, "initContainers").len();
            for (index, container) in template.every_container().enumerate() {
                let kind = if index < init { "init container" } else { "container" };
                let called = || format!("{kind} {:?} of {owner}", container.name().unwrap_or(""));
                standard.container(container.raw, &container.at, &called);
                let context = member(container.raw, "securityContext").unwrap_or(NULL);
                standard.context(&Context {
                    value: context,
                    owner: &container.at,
                    called: &called,
                });
            }
        }
        out
    }
}

/// Whether a member says true.
fn is_true(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}
