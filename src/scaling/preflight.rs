//! What admission says to a change before it is written, asked as the caller.
//!
//! Input: the object, the operations, the caller, the snapshot that the rules read. Output: what would be
//! stored, with the warnings; or the refusal in the words of the rules, with the policies that ask for
//! it. Invariant: the caller is judged, not the account that writes. The API server's own admission has
//! the last word.

use serde_json::Value;

use super::fault::{Cause, in_words};
use super::{Code, Fault};
use crate::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use crate::model::{Finding, Op, Operation};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user name in Kubernetes.
    pub user: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// A change that is let through.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The object as admission would have it stored.
    pub stored: Value,
    answer: Answer,
}

impl Judged {
    /// What is said all the same.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.answer.warnings()
    }
}

/// What becomes of the object, or why it is refused.
pub fn judge(
    settings: &Settings,
    policies: &PolicySet,
    caller: &Caller,
    object: &Value,
    operations: &[Value],
) -> Result<Judged, Fault> {
    let after = patched(object, operations)?;
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
        let causes: Vec<Cause> = answer.denials().map(Cause::of).collect();
        let message =
            format!("the rules of this installation do not allow it: {}", in_words(&causes));
        return Err(Fault::new(Code::Refused, message).because(causes));
    }
    let patch: Vec<Value> = answer.patch.iter().map(Op::to_json).collect();
    Ok(Judged { stored: patched(&after, &patch)?, answer })
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::policy::Policy;

    fn policies(enforcement: &str) -> PolicySet {
        let policy = Policy::compile(&json!({
            "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
            "metadata": {"name": "budget"},
            "spec": {"enforcement": enforcement, "ceilings": {"perGroup": {"replicas": 4}}},
        }));
        PolicySet { policies: vec![Arc::new(policy.unwrap())], ..PolicySet::default() }
    }

    fn judged(policies: &PolicySet, max: i64) -> Result<Judged, Fault> {
        let object = json!({
            "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
            "metadata": {"name": "demo", "namespace": "a", "uid": "u"},
            "spec": {"autoscaling": {"minReplicas": 1, "maxReplicas": 2}, "worker": {"replicas": 1}},
        });
        let caller = Caller { user: "ada".to_owned(), groups: Vec::new() };
        let path = "/spec/autoscaling/maxReplicas";
        let operations = [json!({"op": "replace", "path": path, "value": max})];
        judge(&Settings::default(), policies, &caller, &object, &operations)
    }

    #[test]
    fn a_policy_that_denies_refuses_by_its_name_and_one_that_warns_warns() {
        let fault = judged(&policies("deny"), 5).unwrap_err();
        assert_eq!(fault.code, Code::Refused);
        let cause = fault.causes.first().unwrap();
        assert_eq!((cause.policy.as_str(), cause.rule.is_empty()), ("budget", false), "{fault:?}");
        let source = format!("[{}, policy budget]", cause.rule);
        assert!(fault.message.contains(&cause.message) && fault.message.contains(&source));
        let warned = judged(&policies("warn"), 5).unwrap();
        let names: Vec<_> = warned.warnings().filter_map(|it| it.policy.as_deref()).collect();
        assert_eq!(names, ["budget"]);
        assert!(judged(&policies("deny"), 4).is_ok());
    }
}
