//! `ray.io`: RayCluster v1 and v1alpha1, and the spec that RayJob, RayService and RayCronJob embed.
//!
//! The two versions differ only in fields that v1alpha1 lacks, so one reader serves both. Also here:
//! what KubeRay does to names, because rules about its accounts and Pods need the result.

use serde_json::{Value, json};

use super::Parent;
use crate::model::template::{NULL, list, member, text};
use crate::model::{Cluster, Container, Group, Numeral, Pointer, Traits};

/// The label on clusters that RayJob and RayService make.
pub const ORIGINATED_FROM: &str = "ray.io/originated-from-crd";

/// The value of `spec.managedBy` that means KubeRay's own operator.
pub const OPERATOR: &str = "ray.io/kuberay-operator";

/// The variable that makes a head run autoscaler v2.
pub const V2_VARIABLE: &str = "RAY_enable_autoscaler_v2";

/// Annotations that a head's fault tolerance is written in.
pub const FT_ENABLED: &str = "ray.io/ft-enabled";

/// Annotation of the external storage namespace.
pub const FT_NAMESPACE: &str = "ray.io/external-storage-namespace";

/// Annotation that keeps the user's own `ray start` line.
pub const OVERWRITE_COMMAND: &str = "ray.io/overwrite-container-cmd";

/// The label that names the queue of Kueue.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The annotation of a workload that Kueue lets grow and shrink.
pub const ELASTIC: &str = "kueue.x-k8s.io/elastic-job";

/// The first Ray with token authentication. Source: KubeRay's validation of `authOptions`.
pub const TOKEN_SINCE: (u32, u32) = (2, 52);

/// Labels by which KubeRay hands a cluster to a batch scheduler, which starts its Pods together.
/// Source: KubeRay's `batchscheduler` packages; the last one is what older releases read.
const GANG_LABELS: [&str; 6] = [
    "ray.io/gang-scheduling-enabled",
    "volcano.sh/queue-name",
    "yunikorn.apache.org/app-id",
    "yunikorn.apache.org/queue",
    "kai.scheduler/queue",
    "ray.io/scheduler-name",
];

/// Where a RayService, and no other kind, writes a Service of its own.
pub const SERVE_SERVICE: [&str; 2] = ["spec", "serveService"];

/// Reads the spec at `at`; a cluster of its own also gives its name to Pods.
pub(super) fn view(object: &Value, at: Pointer, own_object: bool) -> Cluster<'_> {
    let metadata = object.get("metadata").unwrap_or(NULL);
    let spec = at.get(object).unwrap_or(NULL);
    let groups_at = at.at("workerGroupSpecs");
    let groups = list(spec, "workerGroupSpecs")
        .iter()
        .enumerate()
        .map(|(index, raw)| group(raw, groups_at.at(index)))
        .collect();
    Cluster {
        name: text(metadata, "name").unwrap_or(""),
        metadata,
        spec,
        at,
        autoscaling: spec.get("enableInTreeAutoscaling") == Some(&Value::Bool(true)),
        groups,
        submitter: None,
        serve_service: SERVE_SERVICE.iter().try_fold(object, |it, key| it.get(key)).unwrap_or(NULL),
        traits: Traits {
            patchable: own_object,
            ray: true,
            names_pods: own_object,
            zero_is_said: false,
        },
    }
}

fn group(raw: &Value, at: Pointer) -> Group<'_> {
    Group {
        raw,
        name: text(raw, "groupName"),
        replicas: Numeral::read(raw, &at, "replicas"),
        min: Numeral::read(raw, &at, "minReplicas"),
        max: Numeral::read(raw, &at, "maxReplicas"),
        hosts: Numeral::read(raw, &at, "numOfHosts"),
        bounded: true,
        min_default: 0,
        at,
    }
}

/// The RayJob or RayService whose controller made this RayCluster, and its name. The owner reference
/// decides; the label alone does not.
pub fn parent(cluster: &Cluster<'_>) -> Option<(Parent, String)> {
    list(cluster.metadata, "ownerReferences")
        .iter()
        .filter(|owner| owner.get("controller") == Some(&Value::Bool(true)))
        .filter(|owner| text(owner, "apiVersion").is_some_and(|v| v.starts_with("ray.io/")))
        .find_map(|owner| {
            let kind = text(owner, "kind")?;
            let parent = [Parent::RayJob, Parent::RayService]
                .into_iter()
                .find(|parent| parent.kind() == kind)?;
            Some((parent, text(owner, "name").unwrap_or("").to_owned()))
        })
}

/// Whether another controller than the one of this Kubernetes cluster runs it.
pub fn managed_elsewhere(cluster: &Cluster<'_>) -> bool {
    text(cluster.spec, "managedBy").is_some_and(|by| !by.is_empty() && by != OPERATOR)
}

/// Whether Kueue counts its quota from the stored template.
pub fn queue_managed(cluster: &Cluster<'_>) -> bool {
    cluster.label(QUEUE).is_some()
}

/// Whether a batch scheduler starts its Pods together.
pub fn gang_scheduled(cluster: &Cluster<'_>) -> bool {
    GANG_LABELS.iter().any(|label| cluster.label(label).is_some())
}

/// The key of a token in its Secret.
pub const TOKEN_KEY: &str = "auth_token";

/// How Ray knows its own callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenAuth {
    /// By a token in the Secret of this name.
    Secret {
        /// Its name.
        name: String,
        /// The user keeps it; otherwise the node manager makes it.
        given: bool,
    },
    /// By tokens of Kubernetes, which come through a volume.
    Kubernetes,
}

impl TokenAuth {
    /// The authentication that the spec switches on; `None` also where the Secret would have no
    /// name yet, under `generateName`.
    pub fn of(cluster: &Cluster<'_>) -> Option<Self> {
        let options = member(cluster.spec, "authOptions")?;
        if text(options, "mode") != Some("token") {
            return None;
        }
        if options.get("enableK8sTokenAuth") == Some(&Value::Bool(true)) {
            return Some(Self::Kubernetes);
        }
        match text(options, "secretName").filter(|name| !name.is_empty()) {
            Some(name) => Some(Self::Secret { name: name.to_owned(), given: true }),
            None if cluster.name.is_empty() => None,
            None => Some(Self::Secret { name: clipped_name(cluster.name), given: false }),
        }
    }

    /// The variables of every container that calls Ray.
    pub fn env(&self) -> Vec<Value> {
        let how = match self {
            Self::Secret { name, .. } => json!({
                "name": "RAY_AUTH_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": name, "key": TOKEN_KEY}},
            }),
            Self::Kubernetes => json!({"name": "RAY_ENABLE_K8S_TOKEN_AUTH", "value": "true"}),
        };
        vec![json!({"name": "RAY_AUTH_MODE", "value": "token"}), how]
    }
}

/// The name that KubeRay makes of `base` for accounts and Roles: its last 50 bytes, a leading digit
/// or mark replaced by `r`. Source: KubeRay's `CheckName`.
pub fn clipped_name(base: &str) -> String {
    let start = base.len().saturating_sub(50);
    let start = (start..=base.len()).find(|index| base.is_char_boundary(*index)).unwrap_or(0);
    let tail = base.get(start..).unwrap_or(base);
    let mut characters = tail.chars();
    match characters.next() {
        Some(first) if first.is_ascii_digit() || first.is_ascii_punctuation() => {
            format!("r{}", characters.as_str())
        }
        _ => tail.to_owned(),
    }
}

/// What every worker Pod of this group is called up to its random ending: cluster and group cropped
/// to 50 characters, lower case. Source: KubeRay's `PodName`.
pub fn worker_prefix(cluster: &str, group: &str) -> String {
    let both: String = format!("{cluster}-{group}").chars().take(50).collect();
    format!("{}-worker-", both.to_lowercase())
}

/// Whether the head is told to run autoscaler v2, by option or by variable.
/// Source: KubeRay's validation of per-group idle timeouts.
pub fn asks_for_v2(cluster: &Cluster<'_>) -> bool {
    text(cluster.options(), "version") == Some("v2")
        || cluster.ray_container().is_some_and(|ray| switches_to_v2(&ray))
}

/// Whether the Ray container's own variable switches to autoscaler v2.
pub fn switches_to_v2(ray: &Container<'_>) -> bool {
    matches!(ray.env_value(V2_VARIABLE), Some("1" | "true"))
}

/// The value of [`V2_VARIABLE`] that belongs to `autoscalerOptions.version`.
pub fn version_value(version: Option<&str>) -> Option<&'static str> {
    match version {
        Some("v2") => Some("true"),
        Some("v1") => Some("false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_keep_their_last_fifty_characters() {
        assert_eq!(clipped_name("lab"), "lab");
        assert_eq!(clipped_name("9lives"), "rlives");
        let long = format!("{}{}", "x".repeat(10), "y".repeat(50));
        assert_eq!(clipped_name(&long), "y".repeat(50));
    }

    #[test]
    fn pod_names_keep_the_first_fifty_characters_in_lower_case() {
        assert_eq!(worker_prefix("lab", "GPU"), "lab-gpu-worker-");
        let prefix = worker_prefix(&"c".repeat(53), "pool");
        assert_eq!(prefix, format!("{}-worker-", "c".repeat(50)));
    }
}
