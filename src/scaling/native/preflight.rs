//! What admission says to a change, asked as the caller.
//!
//! Input: the object, the operations, the caller, the snapshot that the rules read. Output: warnings, or
//! the refusal. Invariants: the caller is judged, not the account that writes; a change that admission
//! would bend is refused, because the answer would not be true.

use serde_json::Value;

use super::change::Planned;
use crate::admission::{Phase, PolicySet, Review, Settings, review};
use crate::dialect::Dialect;
use crate::model::{Finding, Operation, RuleId};
use crate::scaling::fault::Cause;
use crate::scaling::{Code, Fault};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user name in Kubernetes.
    pub user: String,
    /// The groups.
    pub groups: Vec<String>,
}

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
    let after = patched(object, &planned.operations)?;
    let request = Review::of_manifest(
        Operation::Update,
        &caller.user,
        "",
        after.clone(),
        Some(object.clone()),
    );
    let request = Review { groups: caller.groups.clone(), manifest: false, ..request };
    let answer = review(settings, policies, Phase::Offline, &request);
    if !answer.allowed {
        let causes = answer.denials().map(cause).collect();
        let message = "the rules of this installation do not allow it";
        return Err(Fault::new(Code::Refused, message).because(causes));
    }
    let patch: Vec<Value> = answer.patch.iter().map(crate::model::Op::to_json).collect();
    let stored = patched(&after, &patch)?;
    match count(&stored, dialect, &planned.group) {
        Some(count) if count != planned.to => Err(Fault::new(
            Code::Refused,
            format!(
                "admission would store {count} in the place of {}: ask for {count}",
                planned.to
            ),
        )),
        // Victims that come through this API were looked at by it.
        _ => Ok(answer.warnings().filter(|it| it.rule != RuleId::VICTIMS).map(cause).collect()),
    }
}

fn count(object: &Value, dialect: Dialect, group: &str) -> Option<i64> {
    let cluster = dialect.view(object)?;
    let group = cluster.groups.iter().find(|it| it.label() == group)?;
    group.replicas.count.number()
}

/// The object after the operations; their tests are the API server's.
fn patched(object: &Value, operations: &[Value]) -> Result<Value, Fault> {
    let mut after = object.clone();
    let changes = operations.iter().filter(|it| it.get("op").is_none_or(|op| op != "test"));
    let changes: Vec<Value> = changes.cloned().collect();
    let applied = serde_json::from_value::<json_patch::Patch>(changes.into())
        .map_err(|error| error.to_string())
        .and_then(|patch| json_patch::patch(&mut after, &patch).map_err(|it| it.to_string()));
    match applied {
        Ok(()) => Ok(after),
        Err(error) => Err(Fault::new(
            Code::Internal,
            format!("a bug in raywarden: its patch is none: {error}"),
        )),
    }
}

fn cause(finding: &Finding) -> Cause {
    Cause {
        field: finding.at.to_string(),
        message: finding.message(),
        rule: finding.rule.as_str().to_owned(),
    }
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
