//! Policies at their own admission: what could not be in force is not taken in.
//!
//! Input: a review of a `RayClusterPolicy`. Output: a finding for every flaw. A write that leaves the spec
//! as it is, or that takes a policy away, is not judged: a bad policy that got in while the webhook was
//! away can be labelled and deleted.

use serde_json::Value;

use super::{Answer, Mode, Phase, Review, Settings};
use crate::dialect::OURS;
use crate::model::{Finding, Operation, RuleId};
use crate::policy::{KIND, Policy};

/// Whether a review is of a policy.
pub(super) fn is_policy(review: &Review) -> bool {
    review.kind.group == OURS && review.kind.kind == KIND
}

/// What is said of it, on top of `passed`.
pub(super) fn judge(settings: &Settings, phase: Phase, review: &Review, passed: Answer) -> Answer {
    let Some(object) = review.object.as_ref().filter(|object| is_asked(review, object)) else {
        return passed;
    };
    if phase == Phase::Mutate {
        return passed;
    }
    let flaws = Policy::compile(object).err().unwrap_or_default();
    let finding = |flaw: crate::policy::Flaw| {
        Finding::deny(RuleId::POLICY_FLAW, flaw.at, flaw.message, "", "")
    };
    let findings: Vec<Finding> = flaws.into_iter().map(finding).collect();
    let audited = settings.mode == Mode::Audit;
    Answer { passed: None, allowed: audited || findings.is_empty(), audited, findings, ..passed }
}

fn is_asked(review: &Review, object: &Value) -> bool {
    let going = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
    let writes = matches!(review.operation, Operation::Create | Operation::Update);
    let old = review.old_object.as_ref().filter(|_| review.operation == Operation::Update);
    let changed = old.is_none_or(|old| old.get("spec") != object.get("spec"));
    writes && review.sub_resource.is_none() && changed && !going(object)
}
