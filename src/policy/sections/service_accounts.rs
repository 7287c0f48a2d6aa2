//! Service accounts that Pods may run as.

use super::super::compile::{Reader, at};
use super::super::matching::Globs;
use super::super::spec::{Enforcement, ServiceAccountsSpec};
use super::{Breach, Check, Scene};
use crate::model::RuleId;
use crate::model::template::text;

/// The account of a Pod that names none.
const DEFAULT: &str = "default";

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    allowed: Globs,
    /// The accounts as they were written.
    written: String,
    forbid_default: bool,
}

/// One rule for the section.
pub(in super::super) fn compile(
    spec: &ServiceAccountsSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    if spec.allowed.is_empty() && !spec.forbid_default {
        let message = "asks for nothing; list accounts in allowed, or set forbidDefault to true";
        reader.flaw(at().at("serviceAccounts"), message);
    }
    rule(
        spec.enforcement,
        Check::ServiceAccounts(Rule {
            allowed: Globs::of(&spec.allowed),
            written: spec.allowed.join(", "),
            forbid_default: spec.forbid_default,
        }),
    );
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        for (index, (template, owner)) in scene.templates().enumerate() {
            let named = text(template.spec, "serviceAccountName").filter(|it| !it.is_empty());
            // The node manager gives an account of its own to the head that scales.
            if named.is_none() && index == 0 && scene.cluster().autoscaling {
                continue;
            }
            let account = named.unwrap_or(DEFAULT);
            let forbidden = self.forbid_default && account == DEFAULT;
            if !forbidden && self.allowed.allows(account) {
                continue;
            }
            let found = match named {
                Some(name) => format!("{owner} runs as account {name:?}"),
                None => format!("{owner} names no account and runs as \"default\""),
            };
            let allowed = if self.written.is_empty() {
                "any account but \"default\"".to_owned()
            } else {
                self.written.clone()
            };
            out.push(Breach::new(
                RuleId::POLICY_SERVICE_ACCOUNTS,
                template.field("serviceAccountName"),
                found,
                allowed,
                "name an account that the policy allows",
            ));
        }
        out
    }
}
