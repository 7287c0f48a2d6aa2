//! Taking out exactly what we put in.

use serde_json::Value;

use super::sidecar::is_marked;
use crate::dialect::kuberay::{V2_VARIABLE, version_value};
use crate::model::names::{SIDECAR, own_account};
use crate::model::template::{list, position, text};
use crate::model::{Change, Cluster, Draft};

/// Beside KubeRay a marked container breaks the head Pod, which gets a second one of that name, and
/// a named account that nobody makes stops the operator, and so does the v1/v2 variable beside
/// `autoscalerOptions.version`. `no-monitor` and the log volume are harmless and stay.
pub(super) fn strip(cluster: &Cluster<'_>, draft: &mut Draft<'_>) -> bool {
    let Some(head) = cluster.head().filter(|_| take_container(cluster, draft)) else {
        return false;
    };
    if cluster.head_account() == Some(own_account(cluster.name).as_str()) {
        draft.remove(&head.field("serviceAccountName"));
    }
    take_variable(cluster, cluster.options(), draft);
    true
}

/// The flag is off: the marked container, `no-monitor` and the variable that belongs to the options
/// go. The account and the log volume stay, because a live head still uses them.
pub(super) fn take_out(old: Option<&Cluster<'_>>, change: &Change<'_>, draft: &mut Draft<'_>) {
    let was_there = old
        .and_then(Cluster::head)
        .and_then(|head| head.container(SIDECAR))
        .is_some_and(|container| is_marked(&container));
    if !take_container(change.new, draft) && !was_there {
        return;
    }
    let (params, at) = change.new.head_params();
    if text(params, "no-monitor") == Some("true") {
        draft.remove(&at.at("no-monitor"));
    }
    let options = old.map_or_else(|| change.new.options(), |old| old.options());
    take_variable(change.new, options, draft);
}

/// Takes out the v1/v2 variable that belongs to `options`.
fn take_variable(cluster: &Cluster<'_>, options: &Value, draft: &mut Draft<'_>) {
    let belongs = version_value(text(options, "version"));
    let Some(ray) = cluster.ray_container() else {
        return;
    };
    if belongs.is_some()
        && ray.env_value(V2_VARIABLE) == belongs
        && let Some(index) = position(list(ray.raw, "env"), "name", V2_VARIABLE)
    {
        draft.remove(&ray.at.at("env").at(index));
    }
}

/// Takes out every marked container; the schema lets one through, a draft may hold more.
fn take_container(cluster: &Cluster<'_>, draft: &mut Draft<'_>) -> bool {
    let Some(head) = cluster.head() else { return false };
    let mut marked: Vec<_> = head
        .containers()
        .filter(|container| container.name() == Some(SIDECAR) && is_marked(container))
        .map(|container| container.at)
        .collect();
    let found = !marked.is_empty();
    // From behind, so that the places in front stay.
    while let Some(at) = marked.pop() {
        draft.remove(&at);
    }
    found
}
