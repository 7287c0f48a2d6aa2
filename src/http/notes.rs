//! What writers are not told: machines get no warnings, and parents none of what their children got.
//!
//! Input: a review and its answer. Output: what somebody should note of it. A dry run leaves no trace.

use serde_json::{Value, json};

use crate::admission::{Answer, Review, wording};
use crate::bounds::Clamp;
use crate::dialect::{self, Dialect};

/// What admission did to a writer that nobody reads the answers of.
#[derive(Clone, Debug)]
pub enum Noted {
    /// Counts that a machine wrote were lowered.
    Clamped {
        /// The cluster's namespace.
        namespace: String,
        /// Its name.
        cluster: String,
        /// Who wrote.
        by: String,
        /// The counts.
        clamps: Vec<Clamp>,
    },
    /// The RayCluster of a RayJob or RayService was denied.
    Refused {
        /// `apiVersion`, `kind` and `metadata` of the parent.
        parent: Value,
        /// Every denial.
        why: String,
    },
}

/// What is to be noted of an answer.
pub(super) fn of(review: &Review, answer: &Answer) -> Vec<Noted> {
    let dialect = dialect::of(&review.kind.group, &review.kind.kind);
    if review.dry_run || !matches!(dialect, Some(Dialect::RayCluster)) {
        return Vec::new();
    }
    let clamped = (!answer.clamps.is_empty()).then(|| Noted::Clamped {
        namespace: review.namespace.clone(),
        cluster: answer.subject.name.clone(),
        by: review.user.clone(),
        clamps: answer.clamps.clone(),
    });
    clamped.into_iter().chain(refused(review, answer)).collect()
}

/// What a parent whose child was denied is told.
fn refused(review: &Review, answer: &Answer) -> Option<Noted> {
    let parent = answer.parent.as_ref().filter(|_| !answer.allowed)?;
    let owners = review.object.as_ref()?.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|it| {
        it.get("kind").and_then(Value::as_str) == Some(&parent.kind)
            && it.get("name").and_then(Value::as_str) == Some(&parent.name)
    })?;
    let metadata = json!({
        "name": parent.name, "namespace": review.namespace, "uid": owner.get("uid"),
    });
    let causes: Vec<String> =
        answer.denials().map(|finding| wording::cause(answer, finding)).collect();
    Some(Noted::Refused {
        parent: json!({
            "apiVersion": owner.get("apiVersion"), "kind": parent.kind, "metadata": metadata,
        }),
        why: format!("RayCluster {} was refused: {}", answer.subject.name, causes.join("; ")),
    })
}
