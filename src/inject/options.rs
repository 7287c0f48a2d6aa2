//! `autoscalerOptions`, completed: only absent keys and absent list entries. Never the image: absent
//! means the head's, also after an upgrade.

use serde_json::Value;

use super::carried::{self, Carried};
use super::sidecar::{LOG_PATH, missing};
use crate::model::template::{list, member, mount_at, position, text};
use crate::model::{Change, Cluster, Draft};

/// Fills what the options lack.
pub(super) fn fill(change: &Change<'_>, draft: &mut Draft<'_>) {
    let Some(ray) = change.new.ray_container() else {
        return;
    };
    let options = change.new.options();
    let at = change.new.options_at();
    let resources = at.at("resources");
    for (half, key, value) in missing(member(options, "resources"), &change.settings.sidecar) {
        draft.set(&resources.at(half).at(key), value);
    }
    let context = member(ray.raw, "securityContext");
    if let Some(context) = context.filter(|_| member(options, "securityContext").is_none()) {
        draft.set(&at.at("securityContext"), context.clone());
    }
    let Carried { env, mounts } = shared(change.new);
    for entry in env {
        let name = text(&entry, "name").unwrap_or("");
        if position(list(options, "env"), "name", name).is_none() {
            draft.append(&at.at("env"), entry);
        }
    }
    for mount in mounts {
        let path = text(&mount, "mountPath").unwrap_or("");
        if mount_at(list(options, "volumeMounts"), path).is_none() {
            draft.append(&at.at("volumeMounts"), mount);
        }
    }
}

/// What the head carries over to the sidecar, its own mount of the session folder included.
pub(super) fn shared(cluster: &Cluster<'_>) -> Carried {
    let Some(ray) = cluster.ray_container() else {
        return Carried::default();
    };
    let mut carried = carried::of(cluster, &ray);
    let logs = ray.mount_at(LOG_PATH).map(|(_, mount)| mount.clone());
    carried.mounts.extend(logs.filter(|mount: &Value| !carried.mounts.contains(mount)));
    carried
}
