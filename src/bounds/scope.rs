//! What the account of Ray's autoscaler may write: counts and victims of its own cluster.
//!
//! User code in the head shares the account with the autoscaler, and RBAC cannot limit a patch to
//! fields; admission can. Judged on the requester's own difference, before anything of ours.
//! Source of the table: the patches of Ray's `kuberay/node_provider` and v2 `cloud_provider`, as
//! recorded from Ray 2.60.

use serde_json::Value;

use crate::model::{Actor, Cluster, Finding, Pointer, RuleId, Severity, Token};

/// The most differing places that are named; a rewritten object needs no longer list.
const MOST: usize = 20;

/// The differences between `old` and `new` that Ray's autoscaler never makes. `converted`: written
/// through v1alpha1, whose conversion drops fields that nobody took out.
pub fn judge(
    actor: Actor,
    converted: bool,
    old: &Value,
    new: &Value,
    cluster: &Cluster<'_>,
) -> Vec<Finding> {
    let Actor::Autoscaler { own } = actor else {
        return Vec::new();
    };
    let mut places = Vec::new();
    for (key, skipped) in [("metadata", &META[..]), ("spec", &[][..])] {
        let at = Pointer::of([key]);
        compare(old.get(key), new.get(key), &at, skipped, &mut places);
    }
    let severity = if own && !converted { Severity::Deny } else { Severity::Warn };
    let foreign = places.into_iter().filter(|at| !is_scaling(at, cluster, old, new));
    foreign.take(MOST).map(|at| outside(at).with(severity)).collect()
}

/// What the API server writes itself.
const META: [&str; 4] = ["managedFields", "resourceVersion", "generation", "selfLink"];

fn outside(at: Pointer) -> Finding {
    Finding::deny(
        RuleId::SCOPE,
        at,
        "changed by the account of this cluster's autoscaler",
        "replicas and scaleStrategy of worker groups",
        "make this change as yourself: code that runs on the head uses this account",
    )
}

/// The deepest places at which the two differ; a list of another length differs as a whole.
fn compare(
    old: Option<&Value>,
    new: Option<&Value>,
    at: &Pointer,
    skipped: &[&str],
    places: &mut Vec<Pointer>,
) {
    if old == new || places.len() > MOST * 8 {
        return;
    }
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in keys.filter(|key| !skipped.contains(&key.as_str())) {
                compare(old.get(key), new.get(key), &at.at(key.clone()), &[], places);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, pair) in old.iter().zip(new).enumerate() {
                compare(Some(pair.0), Some(pair.1), &at.at(index), &[], places);
            }
        }
        _ => places.push(at.clone()),
    }
}

/// Whether Ray's autoscaler writes this place: counts and victims in every version, and what newer
/// versions add.
fn is_scaling(at: &Pointer, cluster: &Cluster<'_>, old: &Value, new: &Value) -> bool {
    let groups = Pointer::of(["spec", "workerGroupSpecs"]);
    if let Some([Token::Index(_), Token::Key(field), ..]) = at.below(&groups) {
        return field == "replicas" || field == "scaleStrategy";
    }
    let terminates = cluster.ray_version().is_none_or(|version| version >= IDLE_TERMINATION);
    let finalizers = Pointer::of(["metadata", "finalizers"]);
    terminates
        && (*at == Pointer::of(["spec", "idleSuspend"])
            || (at.below(&finalizers).is_some() && adds_idle_finalizer(&finalizers, old, new)))
}

/// The first Ray version whose autoscaler suspends or deletes an idle cluster.
const IDLE_TERMINATION: (u32, u32) = (2, 60);

/// The finalizer that it puts before a deletion.
const IDLE_FINALIZER: &str = "ray.io/idle-termination-cleanup-finalizer";

fn adds_idle_finalizer(at: &Pointer, old: &Value, new: &Value) -> bool {
    let (before, after) = (at.list(old), at.list(new));
    let added = after.iter().filter(|entry| !before.contains(entry));
    before.iter().all(|entry| after.contains(entry))
        && added.into_iter().all(|entry| entry.as_str() == Some(IDLE_FINALIZER))
}
