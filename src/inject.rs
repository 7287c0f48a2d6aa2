//! The autoscaler sidecar and what belongs to it: put in, kept, taken out.
//!
//! Input: a [`Change`] and the [`Draft`] of its object. Output: the changed draft and findings about
//! the changes. The controller's Pod builder calls the same functions.
//!
//! An injection is derived once: on CREATE and when an update turns the flag on. On any other update
//! nothing is derived anew; what the writer left out is put back exactly as it was stored. So a new
//! default of ours never changes a stored object and never restarts a cluster.
//!
//! Standalone, the sidecar goes into the stored head template. Beside KubeRay, and for clusters whose
//! quota a queue counts from the template, only absent keys of `autoscalerOptions` are filled.

mod carried;
mod keep;
mod options;
mod remove;
pub mod sidecar;
mod template;

use std::borrow::Cow;

use serde_json::Value;

use crate::dialect::Dialect;
use crate::dialect::kuberay::{managed_elsewhere, queue_managed};
use crate::model::names::SIDECAR;
use crate::model::settings::InjectAt;
use crate::model::{Actor, Change, Cluster, Draft, Finding, NodeManager, RuleId, Settings};

/// Annotation that opts a cluster out, with the value `disabled`.
pub const INJECT_ANNOTATION: &str = "raywarden.io/inject";

/// Where the sidecar of a cluster is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the stored head template.
    Template,
    /// In `autoscalerOptions`, for whoever builds the Pod.
    Options,
    /// Nowhere: it is derived when the Pod is built.
    Pod,
}

/// Takes a sidecar of ours out of the template where KubeRay makes the Pods; whether there was one.
pub fn strip(change: &Change<'_>, draft: &mut Draft<'_>) -> bool {
    is_asked(change) && change.manager == NodeManager::KubeRay && remove::strip(change.new, draft)
}

/// Puts the sidecar in, keeps it or takes it out, as the write asks for. `change.new` is the cluster
/// as [`strip`] left it.
pub fn mend(change: &Change<'_>, draft: &mut Draft<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !is_asked(change) || is_left_alone(change.new) || !touches_injection(change) {
        return findings;
    }
    let was_on = change.old.is_some_and(|old| old.autoscaling);
    let place = place(change);
    match (change.new.autoscaling, change.old.filter(|_| was_on)) {
        (true, None) => {
            put_in(change, place, draft);
            findings.extend(turned_on(change));
        }
        (true, Some(old)) => match place {
            Place::Template if !has_foreign_sidecar(change.new) => {
                keep::template(old, change, draft);
            }
            Place::Options => keep::options(old, change, draft),
            Place::Template | Place::Pod => {}
        },
        (false, old) => {
            if change.manager == NodeManager::Raywarden {
                remove::take_out(old, change, draft);
            }
            findings.extend(old.map(|_| turned_off(change)));
        }
    }
    findings
}

/// The stored RayCluster as its head Pod is built: with the sidecar, wherever it is kept otherwise
/// and also when the cluster was admitted while the webhook was down. A sidecar of ours that is
/// stored stays as it is: what runs is what is stored.
pub fn for_pod<'a>(object: &'a Value, settings: &Settings) -> Cow<'a, Value> {
    let unchanged = Cow::Borrowed(object);
    let Some(cluster) = Dialect::RayCluster.view(object) else { return unchanged };
    if !cluster.autoscaling || is_left_alone(&cluster) || has_foreign_sidecar(&cluster) {
        return unchanged;
    }
    let mut draft = Draft::new(object);
    if cluster.head().is_some_and(|head| head.container(SIDECAR).is_some()) {
        template::put_in_companions(&cluster, &mut draft);
    } else {
        template::put_in(settings, &cluster, &mut draft);
    }
    draft.into_parts().1.map_or(unchanged, Cow::Owned)
}

/// Takes exactly what we put in out of a stored RayCluster, for whoever makes its Pods from now on.
pub fn take_out(cluster: &Cluster<'_>, draft: &mut Draft<'_>) -> bool {
    remove::strip(cluster, draft)
}

/// Whether this kind has a sidecar and this writer is answered with one.
fn is_asked(change: &Change<'_>) -> bool {
    let spared = matches!(change.actor, Actor::Autoscaler { .. } | Actor::Kueue | Actor::Ourselves);
    change.new.traits.ray && change.new.traits.patchable && !spared
}

fn put_in(change: &Change<'_>, place: Place, draft: &mut Draft<'_>) {
    match place {
        Place::Template if !has_foreign_sidecar(change.new) => {
            template::put_in(change.settings, change.new, draft);
        }
        Place::Options => options::fill(change, draft),
        Place::Template | Place::Pod => {}
    }
}

fn place(change: &Change<'_>) -> Place {
    if change.manager == NodeManager::KubeRay || queue_managed(change.new) {
        Place::Options
    } else if change.settings.inject_at == InjectAt::Template {
        Place::Template
    } else {
        Place::Pod
    }
}

/// Clusters that opted out or that another Kubernetes cluster runs.
pub fn is_left_alone(cluster: &Cluster<'_>) -> bool {
    cluster.annotation(INJECT_ANNOTATION) == Some("disabled") || managed_elsewhere(cluster)
}

/// Injection acts when the head, the flag or the options changed.
fn touches_injection(change: &Change<'_>) -> bool {
    const PARTS: [&str; 3] = ["headGroupSpec", "enableInTreeAutoscaling", "autoscalerOptions"];
    change
        .old
        .is_none_or(|old| PARTS.iter().any(|part| old.spec.get(part) != change.new.spec.get(part)))
}

/// A container of the sidecar's name that is not ours, or that stands where Ray runs.
pub fn has_foreign_sidecar(cluster: &Cluster<'_>) -> bool {
    let Some(head) = cluster.head() else { return false };
    let first = head.ray_container().is_some_and(|ray| ray.name() == Some(SIDECAR));
    first || head.container(SIDECAR).is_some_and(|container| !sidecar::is_marked(&container))
}

fn turned_on(change: &Change<'_>) -> Option<Finding> {
    change.old?;
    Some(Finding::warn(
        RuleId::LIVE_HEAD,
        change.new.at.at("enableInTreeAutoscaling"),
        "switched on: a live head gets its sidecar when it is rebuilt",
        "",
        "delete the head Pod when its work may stop",
    ))
}

fn turned_off(change: &Change<'_>) -> Finding {
    Finding::warn(
        RuleId::LIVE_HEAD,
        change.new.at.at("enableInTreeAutoscaling"),
        "switched off: a live head keeps its sidecar till it is rebuilt",
        "",
        "delete the head Pod when its work may stop",
    )
}

#[cfg(test)]
mod tests;
