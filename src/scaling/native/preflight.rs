//! What admission says to a scale, asked as the caller.
//!
//! Input: the object, the plan, the caller, the snapshot that the rules read. Output: warnings, or the
//! refusal. Invariant: a change that admission would bend is refused, because the answer would not be
//! true.

use serde_json::Value;

use super::change::Planned;
use crate::admission::{PolicySet, Settings};
use crate::dialect::Dialect;
use crate::model::RuleId;
use crate::scaling::fault::Cause;
use crate::scaling::preflight::{Caller, judge};
use crate::scaling::{Code, Fault};

/// Warnings of the change, or why it is refused.
pub fn preflight(
    settings: &Settings,
    policies: &PolicySet,
    caller: &Caller,
    (object, dialect): (&Value, Dialect),
    planned: &Planned,
) -> Result<Vec<Cause>, Fault> {
    if planned.operations.is_empty() {
        return Ok(Vec::new());
    }
    let judged = judge(settings, policies, caller, object, &planned.operations)?;
    match count(&judged.stored, dialect, &planned.group) {
        Some(count) if count != planned.to => Err(Fault::new(
            Code::Refused,
            format!(
                "admission would store {count} in the place of {}: ask for {count}",
                planned.to
            ),
        )),
        // Victims that come through this API were looked at by it.
        _ => Ok(judged.warnings().filter(|it| it.rule != RuleId::VICTIMS).map(Cause::of).collect()),
    }
}

fn count(object: &Value, dialect: Dialect, group: &str) -> Option<i64> {
    let cluster = dialect.view(object)?;
    let group = cluster.groups.iter().find(|it| it.label() == group)?;
    group.replicas.count.number()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scaling::Terms;
    use crate::scaling::native::change::{Given, plan};
    use crate::scaling::native::request::Wanted;

    fn domino(max: i64) -> Value {
        json!({
            "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
            "metadata": {"name": "demo", "namespace": "a", "uid": "u"},
            "spec": {"autoscaling": {"minReplicas": 1, "maxReplicas": max}, "worker": {"replicas": 1}},
        })
    }

    #[test]
    fn a_rule_that_the_caller_breaks_refuses_with_its_causes() {
        let object = domino(10);
        let terms = Terms::default();
        let given = Given { object: &object, dialect: Dialect::Domino, pods: &[], terms };
        let wanted = Wanted { group: None, replicas: 5, victims: Vec::new() };
        let mut planned = plan(given, &wanted, None).unwrap();
        let caller = Caller { user: "ada".to_owned(), groups: Vec::new() };
        let judge = |planned: &Planned| {
            let policies = PolicySet::default();
            preflight(&Settings::default(), &policies, &caller, (&object, Dialect::Domino), planned)
        };
        assert_eq!(judge(&planned), Ok(Vec::new()));
        let path = "/spec/autoscaling/minReplicas";
        planned.operations.push(json!({"op": "replace", "path": path, "value": 11}));
        let fault = judge(&planned).unwrap_err();
        assert_eq!(fault.code, Code::Refused);
        assert!(
            fault.causes.iter().any(|it| it.field == "spec.autoscaling.maxReplicas"),
            "{fault:?}"
        );
    }
}
