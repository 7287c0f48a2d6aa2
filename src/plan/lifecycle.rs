//! What a cluster is in, and what keeps it from having Pods.
//!
//! A suspension is two steps that cannot be halved: once `RayClusterSuspending` is stored, every Pod
//! goes, even if the user changed his mind meanwhile. Source: KubeRay's suspend machine; unlike there
//! a `suspend` that was taken out resumes too.

use serde_json::Value;

use super::condition::{self, Condition, FOREIGN_NODE_MANAGER, INVALID_SPEC, UNSUPPORTED_FIELD};
use super::{Observed, Subject, Terms, fields, foreign_pod};
use crate::admission::{Phase, Review, review};
use crate::model::Operation;
use crate::policy::PolicySet;

/// What a cluster is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Its Pods follow the spec.
    #[default]
    Runs,
    /// A suspension is asked for and is going to be stored.
    Begins,
    /// Its Pods are being taken away.
    TakesAway,
    /// It has no Pods and gets none.
    Rests,
}

/// What a cluster is in.
pub fn stage(subject: &Subject<'_>) -> Stage {
    let asked = subject.view.spec.get("suspend") == Some(&Value::Bool(true));
    if condition::is_true(subject.status, condition::SUSPENDING) {
        Stage::TakesAway
    } else if !asked {
        Stage::Runs
    } else if condition::is_true(subject.status, condition::SUSPENDED) {
        Stage::Rests
    } else {
        Stage::Begins
    }
}

/// Whether a condition of this type means that nothing is written for the cluster.
pub fn stops(kind: &str) -> bool {
    [FOREIGN_NODE_MANAGER, UNSUPPORTED_FIELD, INVALID_SPEC].contains(&kind)
}

/// What keeps the cluster from having Pods of ours.
pub fn obstacles(observed: &Observed<'_>, subject: &Subject<'_>, terms: &Terms) -> Vec<Condition> {
    let foreign = foreign_pod(subject, observed.pods).map(|pod| {
        let maker = if pod.created_by.is_empty() { "somebody else" } else { &pod.created_by };
        let message = format!(
            "Pod {} was made by {maker}; let it be adopted with `raywarden handover --to raywarden {}`",
            pod.name, subject.view.name
        );
        Condition::holds(FOREIGN_NODE_MANAGER, "ForeignPods", message)
    });
    let refused = fields::refused(&subject.view);
    let unsupported = (!refused.is_empty()).then(|| {
        let parts: Vec<String> = refused.iter().map(|(at, why)| format!("{at}: {why}")).collect();
        Condition::holds(UNSUPPORTED_FIELD, "NotSupportedInStandaloneMode", parts.join("; "))
    });
    let invalid = faults(observed.cluster, subject, terms);
    let invalid = (!invalid.is_empty())
        .then(|| Condition::holds(INVALID_SPEC, "DeniedByAdmission", invalid.join("; ")));
    foreign.into_iter().chain(unsupported).chain(invalid).collect()
}

/// What admission would deny to a machine: contradictions that no Pod can be made from. A count out
/// of bounds is none of them.
fn faults(object: &Value, subject: &Subject<'_>, terms: &Terms) -> Vec<String> {
    let Some(user) = terms.settings.accounts.ourselves.first() else { return Vec::new() };
    let namespace = subject.namespace;
    let request = Review::of_manifest(Operation::Create, user, namespace, object.clone(), None);
    let answer = review(&terms.settings, &PolicySet::default(), Phase::Validate, &request);
    answer.denials().map(|it| format!("{}: {}", it.at, it.message())).collect()
}
