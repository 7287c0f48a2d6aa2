//! Who asked for a `ScaleLease`, recorded when it is made.
//!
//! The controller acts long after the request is over and asks again whether its requester may; so the
//! lease has to say who that was. Whatever a user wrote there is written over. Our own account, which
//! makes leases for callers of the scaling API, names its caller. It is no policy, so it is recorded in
//! audit mode too.

use serde_json::{Value, json};

use super::{Review, Settings, actor};
use crate::dialect;
use crate::model::{Actor, Draft, Op, Operation, Pointer};

/// The most groups that are recorded: the CRD takes no more.
const MOST_GROUPS: usize = 1000;

/// The lease that a request makes.
pub(super) fn new_lease(review: &Review) -> Option<&Value> {
    let makes = review.operation == Operation::Create && review.sub_resource.is_none();
    let is_lease = dialect::is_lease(&review.kind.group, &review.kind.kind);
    review.object.as_ref().filter(|object| makes && is_lease && object.is_object())
}

/// Records who asks.
pub(super) fn record(settings: &Settings, review: &Review, lease: &Value) -> Vec<Op> {
    let at = Pointer::of(["spec", "requester"]);
    let manager = settings.node_manager(&review.namespace);
    let ours = actor::of(settings, manager, &review.user, &review.namespace, None);
    let names_another = at.at("username").get(lease).is_some_and(Value::is_string);
    if ours == Actor::Ourselves && names_another {
        return Vec::new();
    }
    let groups: Vec<&String> = review.groups.iter().take(MOST_GROUPS).collect();
    let mut draft = Draft::new(lease);
    draft.set(&at, json!({"username": review.user, "groups": groups}));
    draft.into_parts().0
}

#[cfg(test)]
mod tests {
    use super::super::{Phase, PolicySet, review};
    use super::*;

    fn asked(user: &str, requester: &Value, phase: Phase) -> Vec<Value> {
        let object = json!({
            "apiVersion": "raywarden.io/v1alpha1", "kind": "ScaleLease",
            "metadata": {"name": "l"}, "spec": {"replicas": 3, "requester": requester},
        });
        let mut request = Review::of_manifest(Operation::Create, user, "ns", object, None);
        request.groups = vec!["team".to_owned()];
        let answer = review(&Settings::default(), &PolicySet::default(), phase, &request);
        assert!(answer.allowed && answer.findings.is_empty());
        answer.patch.iter().map(Op::to_json).collect()
    }

    #[test]
    fn whoever_makes_a_lease_is_recorded_whatever_it_says() {
        let jo = json!({"username": "jo", "groups": ["team"]});
        let forged = json!({"username": "root", "groups": ["system:masters"]});
        let written = asked("jo", &forged, Phase::Mutate);
        assert_eq!(written, [json!({"op": "replace", "path": "/spec/requester", "value": jo})]);
        assert_eq!(asked("jo", &jo, Phase::Mutate), [Value::Null; 0]);
        assert_eq!(asked("jo", &forged, Phase::Validate), [Value::Null; 0]);
    }

    #[test]
    fn our_own_account_names_its_caller() {
        let ours = "system:serviceaccount:raywarden-system:raywarden";
        let caller = json!({"username": "jo"});
        assert_eq!(asked(ours, &caller, Phase::Mutate), [Value::Null; 0]);
        assert_eq!(asked(ours, &json!({}), Phase::Mutate).len(), 1);
    }
}
