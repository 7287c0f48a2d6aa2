//! A fresh injection into the stored head template.

use serde_json::{Value, json};

use super::sidecar::{self, LOG_PATH, LOG_VOLUME, MARK, log_mount, log_volume};
use crate::dialect::kuberay::{V2_VARIABLE, version_value};
use crate::model::names::{SIDECAR, own_account};
use crate::model::template::{list, position, text};
use crate::model::{Cluster, Draft, Pointer, Settings};

/// Puts in the container, or mends a marked one that is there, and all that belongs to it.
pub(super) fn put_in(settings: &Settings, cluster: &Cluster<'_>, draft: &mut Draft<'_>) {
    let Some(wanted) = sidecar::derive(settings, cluster) else {
        return;
    };
    let Some(head) = cluster.head() else { return };
    let containers = head.field("containers");
    match position(list(head.spec, "containers"), "name", SIDECAR) {
        Some(index) => mend(&containers.at(index), &wanted, draft),
        None => draft.append(&containers, wanted),
    }
    put_in_companions(cluster, draft);
}

/// Puts in what belongs to the container elsewhere in the head.
pub(super) fn put_in_companions(cluster: &Cluster<'_>, draft: &mut Draft<'_>) {
    let Some(head) = cluster.head() else { return };
    let Some(ray) = head.ray_container() else {
        return;
    };
    draft.set(&cluster.head_params().1.at("no-monitor"), json!("true"));
    if cluster.head_account().is_none() && !cluster.name.is_empty() {
        draft.set(&head.field("serviceAccountName"), json!(own_account(cluster.name)));
    }
    if ray.mount_at(LOG_PATH).is_none() {
        draft.append(&ray.at.at("volumeMounts"), log_mount());
        if position(list(head.spec, "volumes"), "name", LOG_VOLUME).is_none() {
            draft.append(&head.field("volumes"), log_volume());
        }
    }
    let version = text(cluster.options(), "version");
    if let Some(value) = version_value(version).filter(|_| ray.env(V2_VARIABLE).is_none()) {
        draft.append(&ray.at.at("env"), json!({"name": V2_VARIABLE, "value": value}));
    }
    if version == Some("v2") && text(head.spec, "restartPolicy").is_none_or(str::is_empty) {
        draft.set(&head.field("restartPolicy"), json!("Never"));
    }
}

/// Brings a marked container to what is wanted, part by part: entries of keyed lists by their key,
/// and nothing that somebody added is lost.
fn mend(at: &Pointer, wanted: &Value, draft: &mut Draft<'_>) {
    for (key, value) in wanted.as_object().into_iter().flatten() {
        let place = at.at(key.clone());
        match (key.as_str(), value) {
            ("env", Value::Array(entries)) => merge(&place, "name", entries, draft),
            ("volumeMounts", Value::Array(entries)) => merge(&place, "mountPath", entries, draft),
            _ => draft.set(&place, value.clone()),
        }
    }
}

fn merge(at: &Pointer, key: &str, wanted: &[Value], draft: &mut Draft<'_>) {
    for entry in wanted {
        let present = at.list(draft.value());
        // An entry without its key is the schema's to refuse; it is known by its whole.
        let index = match text(entry, key) {
            Some(name) => position(present, key, name),
            None => present.iter().position(|other| other == entry),
        };
        match (index, position(present, key, MARK)) {
            (Some(index), _) => draft.set(&at.at(index), entry.clone()),
            // The mark stays last.
            (None, Some(mark)) => draft.insert(at, mark, entry.clone()),
            (None, None) => draft.append(at, entry.clone()),
        }
    }
}
