//! Domino's `scale` subresource: a count alone, its bounds out of sight.

use serde_json::Value;

use crate::model::{Actor, Finding, Pointer, RuleId, Settings};

/// What can be said of a Scale object without its bounds: negative and above the ceiling refuse,
/// zero warns, the HPA always passes.
pub fn judge(settings: &Settings, actor: Actor, scale: &Value) -> Option<Finding> {
    if actor == Actor::Hpa {
        return None;
    }
    let at = Pointer::of(["spec", "replicas"]);
    let replicas = at.get(scale).and_then(Value::as_i64).unwrap_or(0);
    match settings.scale_ceiling {
        _ if replicas < 0 => Some(Finding::deny(
            RuleId::NEGATIVE,
            at,
            format!("replicas is {replicas}"),
            "1 or more",
            "write 1 or more",
        )),
        Some(ceiling) if replicas > ceiling => Some(Finding::deny(
            RuleId::CAP,
            at,
            format!("replicas is {replicas}"),
            format!("at most {ceiling}, the installation's ceiling"),
            format!("scale to {ceiling} or less"),
        )),
        _ if replicas == 0 => Some(Finding::warn(
            RuleId::ZERO,
            at,
            "0 workers switch the horizontal autoscaler off",
            "1 or more",
            "scale to 1, or stop the cluster if you mean to pause it",
        )),
        _ => None,
    }
}
