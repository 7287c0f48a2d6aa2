//! An update of an injected cluster: nothing is derived anew.
//!
//! What the incoming object holds stays. What the writer left out is put back exactly as the stored
//! object had it, at the same rank, so that `kubectl apply` of the same file changes no generation.
//! Two things follow the user: the head's image, and each key of `autoscalerOptions` that this
//! request changed.

use serde_json::{Value, json};

use super::options::shared;
use super::sidecar::{self, LOG_PATH, LOG_VOLUME, log_mount, log_volume};
use crate::dialect::kuberay::{V2_VARIABLE, version_value};
use crate::model::names::{SIDECAR, own_account};
use crate::model::settings::SidecarSize;
use crate::model::template::{list, member, position, text};
use crate::model::{Change, Cluster, Container, Draft, Pointer, Quantity, Template};

/// Keeps what is stored in the head template.
pub(super) fn template(old: &Cluster<'_>, change: &Change<'_>, draft: &mut Draft<'_>) {
    let (Some(before), Some(after)) = (Head::of(old), Head::of(change.new)) else {
        return;
    };
    if let Some(stored) = before.template.container(SIDECAR).filter(sidecar::is_marked) {
        let containers = after.template.field("containers");
        put_back(&containers, list(before.spec(), "containers"), "name", stored.raw, draft);
        image(&before, &after, change, draft);
        changed_options(old, change, draft);
        keep_start(old, change, &before, &after, draft);
        logs(&before, &after, draft);
    }
    version(old, change, &before, &after, draft);
}

/// A head that has a container to run Ray.
struct Head<'a> {
    template: Template<'a>,
    ray: Container<'a>,
}

impl<'a> Head<'a> {
    fn of(cluster: &Cluster<'a>) -> Option<Self> {
        let template = cluster.head()?;
        let ray = template.ray_container()?;
        Some(Self { template, ray })
    }

    fn spec(&self) -> &'a Value {
        self.template.spec
    }
}

/// `no-monitor` and our account.
fn keep_start(
    old: &Cluster<'_>,
    change: &Change<'_>,
    before: &Head<'_>,
    after: &Head<'_>,
    draft: &mut Draft<'_>,
) {
    let (params, _) = old.head_params();
    let at = change.new.head_params().1.at("no-monitor");
    if text(params, "no-monitor") == Some("true") && !draft.has(&at) {
        draft.set(&at, json!("true"));
    }
    let own = own_account(old.name);
    let was_ours = text(before.spec(), "serviceAccountName") == Some(&own);
    if was_ours && change.new.head_account().is_none() {
        draft.set(&after.template.field("serviceAccountName"), json!(own));
    }
}

/// A sidecar that runs the old head image runs the new one, unless the options pin another.
fn image(before: &Head<'_>, after: &Head<'_>, change: &Change<'_>, draft: &mut Draft<'_>) {
    let Some(at) = sidecar_at(change.new, draft) else {
        return;
    };
    let (old, new) = (member(before.ray.raw, "image"), member(after.ray.raw, "image"));
    let runs = at.at("image").get(draft.value());
    if let (Some(old), Some(new)) = (old, new)
        && old != new
        && runs == Some(old)
        && member(change.new.options(), "image").is_none()
    {
        draft.set(&at.at("image"), new.clone());
    }
}

/// Keys of `autoscalerOptions` and of the container, which share their names.
const CARRIED: [&str; 9] = [
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "envFrom",
    "resources",
    "volumeMounts",
    "securityContext",
];

fn changed_options(old: &Cluster<'_>, change: &Change<'_>, draft: &mut Draft<'_>) {
    let (before, after) = (old.options(), change.new.options());
    let changed: Vec<&str> =
        CARRIED.into_iter().filter(|key| member(before, key) != member(after, key)).collect();
    if changed.is_empty() {
        return;
    }
    let Some(at) = sidecar_at(change.new, draft) else {
        return;
    };
    let Some(derived) = sidecar::derive(change.settings, change.new) else {
        return;
    };
    for key in changed {
        let place = at.at(key);
        match derived.get(key) {
            Some(value) => draft.set(&place, value.clone()),
            None => draft.remove(&place),
        }
    }
}

/// Where the sidecar stands in the draft.
fn sidecar_at(cluster: &Cluster<'_>, draft: &Draft<'_>) -> Option<Pointer> {
    let containers = cluster.head()?.field("containers");
    Some(containers.at(position(containers.list(draft.value()), "name", SIDECAR)?))
}

/// Our log volume and the Ray container's mount of it.
fn logs(before: &Head<'_>, after: &Head<'_>, draft: &mut Draft<'_>) {
    let ours = log_mount();
    let mounts = list(before.ray.raw, "volumeMounts");
    if mounts.contains(&ours) && after.ray.mount_at(LOG_PATH).is_none() {
        put_back(&after.ray.at.at("volumeMounts"), mounts, "mountPath", &ours, draft);
    }
    let volume = log_volume();
    let volumes = list(before.spec(), "volumes");
    let used = after
        .template
        .field("containers")
        .list(draft.value())
        .iter()
        .flat_map(|container| list(container, "volumeMounts"))
        .any(|mount| text(mount, "name") == Some(LOG_VOLUME));
    if volumes.contains(&volume) && used {
        put_back(&after.template.field("volumes"), volumes, "name", &volume, draft);
    }
}

/// The v1/v2 variable and the restart policy, which belong to `autoscalerOptions.version`.
fn version(
    old: &Cluster<'_>,
    change: &Change<'_>,
    before: &Head<'_>,
    after: &Head<'_>,
    draft: &mut Draft<'_>,
) {
    let (was, is) = (text(old.options(), "version"), text(change.new.options(), "version"));
    let (old_value, new_value) = (version_value(was), version_value(is));
    let ours = old_value.is_some() && before.ray.env_value(V2_VARIABLE) == old_value;
    let env = after.ray.at.at("env");
    let place = position(list(after.ray.raw, "env"), "name", V2_VARIABLE).map(|at| env.at(at));
    match (place, new_value) {
        (None, Some(value)) if ours || (was != is && before.ray.env(V2_VARIABLE).is_none()) => {
            let entry = json!({"name": V2_VARIABLE, "value": value});
            put_back(&env, list(before.ray.raw, "env"), "name", &entry, draft);
        }
        (Some(at), Some(value))
            if ours && was != is && after.ray.env_value(V2_VARIABLE) == old_value =>
        {
            draft.set(&at.at("value"), json!(value));
        }
        (Some(at), None) if ours && after.ray.env_value(V2_VARIABLE) == old_value => {
            draft.remove(&at);
        }
        _ => {}
    }
    let stored = text(before.spec(), "restartPolicy") == Some("Never");
    let empty = text(after.spec(), "restartPolicy").is_none_or(str::is_empty);
    if is == Some("v2") && empty && (was != is || stored) {
        draft.set(&after.template.field("restartPolicy"), json!("Never"));
    }
}

/// Puts `entry` into the list at `at`, unless one of its key is there: behind the nearest entry that
/// preceded it in `stored`, at the end where none is left.
fn put_back(at: &Pointer, stored: &[Value], key: &str, entry: &Value, draft: &mut Draft<'_>) {
    let present = at.list(draft.value());
    let name = text(entry, key).unwrap_or("");
    if position(present, key, name).is_some() {
        return;
    }
    let rank = position(stored, key, name).unwrap_or(stored.len());
    let behind = stored
        .iter()
        .take(rank)
        .rev()
        .find_map(|earlier| position(present, key, text(earlier, key)?).map(|index| index + 1));
    match behind {
        Some(index) => draft.insert(at, index, entry.clone()),
        None => draft.append(at, entry.clone()),
    }
}

/// Keeps what we once filled into `autoscalerOptions`, and nothing that the user wrote: only values
/// that equal a default of ours.
pub(super) fn options(old: &Cluster<'_>, change: &Change<'_>, draft: &mut Draft<'_>) {
    let (before, after) = (old.options(), change.new.options());
    let settings = change.settings;
    let carried = shared(old);
    let context = old.ray_container().and_then(|ray| member(ray.raw, "securityContext"));
    let sizes = || settings.former_sidecars.iter().chain([&settings.sidecar]);
    let is_ours = |key: &str, value: &Value| match key {
        "resources" => sizes().any(|size| is_size(value, size)),
        "securityContext" => Some(value) == context,
        "env" => value.as_array() == Some(&carried.env),
        _ => value.as_array() == Some(&carried.mounts),
    };
    for key in ["resources", "securityContext", "env", "volumeMounts"] {
        if let Some(value) = member(before, key)
            && member(after, key).is_none()
            && is_ours(key, value)
        {
            draft.set(&change.new.options_at().at(key), value.clone());
        }
    }
}

/// Whether a block of resources is exactly that size, however it is spelt.
fn is_size(block: &Value, size: &SidecarSize) -> bool {
    let half = |key: &str| {
        let Some(half) = block.get(key).and_then(Value::as_object) else {
            return false;
        };
        let is = |name: &str, amount: &str| {
            let written = half.get(name).and_then(Quantity::from_json);
            written.is_some() && written == Quantity::parse(amount)
        };
        half.len() == 2 && is("cpu", &size.cpu) && is("memory", &size.memory)
    };
    block.as_object().is_some_and(|block| block.len() == 2) && half("limits") && half("requests")
}
