//! Ray's own authentication.

use super::super::compile::{Reader, at};
use super::super::spec::{AuthSpec, Enforcement};
use super::{Breach, Check, Scene};
use crate::dialect::kuberay::TOKEN_SINCE;
use crate::model::RuleId;
use crate::model::template::{member, text};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule;

/// One rule for the section.
pub(in super::super) fn compile(
    spec: &AuthSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    if !spec.require_token {
        reader.flaw(at().at("auth"), "asks for nothing; set requireToken to true");
    }
    rule(spec.enforcement, Check::Auth(Rule));
}

impl Rule {
    #[expect(clippy::unused_self, reason = "every rule is asked in the same way")]
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let cluster = scene.cluster();
        if !cluster.traits.ray {
            return Vec::new();
        }
        let mut out = Vec::new();
        let mode = member(cluster.spec, "authOptions").and_then(|auth| text(auth, "mode"));
        let new_enough = cluster.ray_version().is_some_and(|version| version >= TOKEN_SINCE);
        let breach = |at, found: String, allowed: &str, fix: &str| {
            Breach::new(RuleId::POLICY_AUTH, at, found, allowed, fix)
        };
        if mode != Some("token") {
            let found = match mode {
                Some(mode) => format!("{mode:?}: whoever reaches the cluster may run code in it"),
                None => {
                    "nothing is said: whoever reaches the cluster may run code in it".to_owned()
                }
            };
            let fix = if new_enough {
                "set authOptions: {mode: token}"
            } else {
                "set authOptions: {mode: token}, and rayVersion to 2.52.0 or newer"
            };
            out.push(breach(cluster.at.join(&["authOptions", "mode"]), found, "token", fix));
        } else if !new_enough {
            let written = text(cluster.spec, "rayVersion").unwrap_or("nothing");
            let found = format!("{written}: this Ray knows no token");
            let fix = "set rayVersion to 2.52.0 or newer";
            out.push(breach(cluster.at.at("rayVersion"), found, "2.52.0 or newer", fix));
        }
        out
    }
}
