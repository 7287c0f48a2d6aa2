//! Whether and how clusters scale, as far as the API server can hold it.

use super::Claims;
use super::expression::{Claim, list};
use crate::model::RuleId;
use crate::policy::spec::{AutoscalingMode, AutoscalingSpec, Enforcement, RangeSpec};

/// The webhook writes it into new clusters that do not say it.
const GIVEN: &str = "only the webhook turns it on where a new cluster does not say it";

/// Mode, versions, upscaling modes and idle times.
pub(super) fn claims(section: &AutoscalingSpec, enforcement: Enforcement, out: &mut Claims) {
    let mut add = |part: &'static str, keeps: String, message: String| {
        let claim = Claim::new(RuleId::POLICY_AUTOSCALING, keeps, message);
        out.add(enforcement, claim.about(part));
    };
    if !section.versions.is_empty() {
        let versions: Vec<&str> = section.versions.iter().map(|it| it.as_str()).collect();
        let message = format!(
            "this version of the autoscaler is not allowed; allowed: {}; set \
             autoscalerOptions.version to one of these",
            versions.join(", ")
        );
        add("versions", asked(&versions), message);
    }
    if !section.upscaling_modes.is_empty() {
        let modes: Vec<&str> = section.upscaling_modes.iter().map(|it| it.as_str()).collect();
        let keeps = format!(
            "!{{scales}} || !has({{options}}.upscalingMode) || {{options}}.upscalingMode in {}",
            list(&modes)
        );
        let message = format!(
            "autoscalerOptions.upscalingMode is not allowed; allowed: {}; set one of these",
            modes.join(", ")
        );
        add("upscalingModes", keeps, message);
    }
    if let Some(range) = section.idle_timeout_seconds {
        let keeps = format!(
            "!{{scales}} || ({} && {{groups}}.all(g, {}))",
            within("{options}", range),
            within("g", range)
        );
        let bound = |word: &str, bound: Option<i64>| bound.map(|it| format!("{word} {it}"));
        let words = [bound("at least", range.min), bound("at most", range.max)];
        let words: Vec<String> = words.into_iter().flatten().collect();
        let message = format!(
            "idleTimeoutSeconds is outside of its range; allowed: {} seconds",
            words.join(" and ")
        );
        add("idleTimeoutSeconds", keeps, message);
    }
    match section.mode {
        None => {}
        Some(AutoscalingMode::Forbidden) => add(
            "mode",
            "!{scales}".to_owned(),
            "enableInTreeAutoscaling is true; allowed: false, or nothing".to_owned(),
        ),
        Some(AutoscalingMode::Required) if gives(section) => {
            out.leave("spec.autoscaling.mode", GIVEN);
        }
        Some(AutoscalingMode::Required) => add(
            "mode",
            "{groups}.size() == 0 || {scales}".to_owned(),
            "enableInTreeAutoscaling is not true; allowed: true; set it, with minReplicas and \
             maxReplicas of each group"
                .to_owned(),
        ),
    }
}

/// Whether new clusters get autoscaling from the policy itself.
fn gives(section: &AutoscalingSpec) -> bool {
    section.defaults.as_ref().is_some_and(|defaults| defaults.enable.is_some())
}

/// That the version which is asked for, by the option or by the variable that stands for it, is one
/// of these.
fn asked(versions: &[&str]) -> String {
    let allowed = list(versions);
    format!(
        "!{{scales}} || (has({{options}}.version) ? {{options}}.version in {allowed} : \
         {{switches}}.all(e, !has(e.value) || \
         (e.value in ['1', 'true'] ? 'v2' : 'v1') in {allowed}))"
    )
}

fn within(holder: &str, range: RangeSpec) -> String {
    let seconds = format!("{holder}.idleTimeoutSeconds");
    let bound = |sign: &str, bound: Option<i64>| bound.map(|it| format!("{seconds} {sign} {it}"));
    let bounds = [bound(">=", range.min), bound("<=", range.max)];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    format!("(!has({seconds}) || ({}))", bounds.join(" && "))
}
