//! What a controller keeps of a Pod: the few facts that plans ask for.
//!
//! Input: a stored Pod. Output: [`Pod`]. Everything else of it is dropped at once, so that thousands
//! of Pods cost little.

use serde_json::Value;

use crate::model::template::{list, text};

/// The label that names a Pod's cluster.
pub const CLUSTER: &str = "ray.io/cluster";

/// The label that tells heads from workers.
pub const NODE_TYPE: &str = "ray.io/node-type";

/// The label that names a Pod's group.
pub const GROUP: &str = "ray.io/group";

/// The label with the rank of a worker's replica within its group.
pub const REPLICA_INDEX: &str = "ray.io/worker-group-replica-index";

/// The label that all hosts of one replica share, in groups of several hosts.
pub const REPLICA_NAME: &str = "ray.io/worker-group-replica-name";

/// The label with the rank of a host within its replica.
pub const HOST_INDEX: &str = "ray.io/replica-host-index";

/// The annotation that holds the hash of the spec that a head was built from.
pub const RECREATE_HASH: &str = "ray.io/upgrade-strategy-recreate-hash";

/// The annotation with the attempt that a Pod's name was made from.
pub const ATTEMPT: &str = "raywarden.io/attempt";

/// The label that says who made an object.
pub const CREATED_BY: &str = "app.kubernetes.io/created-by";

/// Its value on all that we make.
pub const OURSELVES: &str = "raywarden";

/// What a Pod is in its Ray cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeType {
    /// The head.
    Head,
    /// A worker.
    Worker,
    /// Something else, such as a clean-up job.
    Other,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have begun.
    Pending,
    /// At least one container runs or is being restarted.
    Running,
    /// Every container ended well.
    Succeeded,
    /// Every container ended, one badly.
    Failed,
    /// Nothing readable.
    Unknown,
}

/// A container's state, with the word that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerState {
    /// The container's name.
    pub name: String,
    /// It has ended and is not being restarted at this moment.
    pub terminated: bool,
    /// It runs.
    pub running: bool,
    /// Why it waits or ended, such as `ImagePullBackOff` or `OOMKilled`; empty while it runs.
    pub reason: String,
    /// What was said beside the reason.
    pub message: String,
    /// How it ended the last time; empty where it never did.
    pub last_reason: String,
    /// How often it was restarted.
    pub restarts: i64,
}

/// A Pod of a Ray cluster, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// UID of its controlling owner; empty where there is none.
    pub owner: String,
    /// Who made it, by [`CREATED_BY`].
    pub created_by: String,
    /// What it is.
    pub node_type: NodeType,
    /// Its group.
    pub group: String,
    /// The name of its replica, in groups of several hosts.
    pub replica: Option<String>,
    /// The rank of its replica.
    pub index: Option<u32>,
    /// Its rank within the replica.
    pub host: Option<u32>,
    /// The attempt that its name was made from.
    pub attempt: u64,
    /// The hash of the spec that it was built from.
    pub hash: Option<String>,
    /// It has a deletion timestamp.
    pub terminating: bool,
    /// When its grace period ends, RFC 3339; empty where it is not terminating.
    pub gone_by: String,
    /// Its phase.
    pub phase: Phase,
    /// It has been given a node.
    pub scheduled: bool,
    /// Why it could not be scheduled; empty where nothing is said.
    pub unschedulable: String,
    /// The condition `Ready`; `None` where there is none yet.
    pub ready: Option<bool>,
    /// Its address; empty until it has one.
    pub ip: String,
    /// `metadata.creationTimestamp`, RFC 3339 in UTC: sorts as text.
    pub created: String,
    /// When it became ready, RFC 3339; empty where it is not.
    pub ready_since: String,
    /// The restart policy is `Never`.
    pub never_restarts: bool,
    /// Its containers, in the order of the spec.
    pub containers: Vec<ContainerState>,
}

impl Pod {
    /// Reads a stored Pod.
    pub fn read(pod: &Value) -> Self {
        let at = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or("").to_owned();
        let labels = pod.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| text(labels, key));
        let annotations = pod.pointer("/metadata/annotations");
        let annotation = |key: &str| annotations.and_then(|map| text(map, key));
        let number = |key: &str| label(key).and_then(|text| text.parse().ok());
        let status = pod.get("status").unwrap_or(&Value::Null);
        let condition = |kind: &str| {
            list(status, "conditions").iter().find(|it| text(it, "type") == Some(kind))
        };
        let ready = condition("Ready");
        let unscheduled =
            condition("PodScheduled").filter(|it| text(it, "status") == Some("False"));
        let said =
            |it: Option<&Value>, key| it.and_then(|it| text(it, key)).unwrap_or("").to_owned();
        let is_ready = ready.map(|it| text(it, "status") == Some("True"));
        Self {
            name: at("/metadata/name"),
            uid: at("/metadata/uid"),
            owner: controller_uid(pod).unwrap_or("").to_owned(),
            created_by: label(CREATED_BY).unwrap_or("").to_owned(),
            node_type: match label(NODE_TYPE) {
                Some("head") => NodeType::Head,
                Some("worker") => NodeType::Worker,
                _ => NodeType::Other,
            },
            group: label(GROUP).unwrap_or("").to_owned(),
            replica: label(REPLICA_NAME).map(str::to_owned),
            index: number(REPLICA_INDEX),
            host: number(HOST_INDEX),
            attempt: annotation(ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0),
            hash: annotation(RECREATE_HASH).map(str::to_owned),
            terminating: pod.pointer("/metadata/deletionTimestamp").is_some(),
            gone_by: at("/metadata/deletionTimestamp"),
            phase: phase(text(status, "phase")),
            scheduled: !at("/spec/nodeName").is_empty(),
            unschedulable: said(unscheduled, "message"),
            ready: is_ready,
            ip: at("/status/podIP"),
            created: at("/metadata/creationTimestamp"),
            ready_since: if is_ready == Some(true) {
                said(ready, "lastTransitionTime")
            } else {
                String::new()
            },
            never_restarts: at("/spec/restartPolicy") == "Never",
            containers: containers(pod, status),
        }
    }

    /// The state of a container; `None` where nothing is known of it yet.
    pub fn container(&self, name: &str) -> Option<&ContainerState> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Whether it is one of the cluster with this UID.
    pub fn belongs_to(&self, uid: &str) -> bool {
        !uid.is_empty() && self.owner == uid
    }

    /// Whether it is the head or a worker of the cluster with this UID.
    pub fn is_node_of(&self, uid: &str) -> bool {
        self.belongs_to(uid) && self.node_type != NodeType::Other
    }

    /// Whether it runs and is ready.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.ready == Some(true)
    }
}

/// The UID of the controlling owner of an object.
pub fn controller_uid(object: &Value) -> Option<&str> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controls = |owner: &&Value| owner.get("controller") == Some(&Value::Bool(true));
    owners.into_iter().flatten().find(controls).and_then(|owner| text(owner, "uid"))
}

fn phase(text: Option<&str>) -> Phase {
    match text {
        Some("Pending") | None => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some(_) => Phase::Unknown,
    }
}

fn containers(pod: &Value, status: &Value) -> Vec<ContainerState> {
    let specs = pod.get("spec").map(|spec| list(spec, "containers")).unwrap_or_default();
    let statuses = list(status, "containerStatuses");
    specs
        .iter()
        .filter_map(|spec| text(spec, "name"))
        .map(|name| {
            let found = statuses.iter().find(|it| text(it, "name") == Some(name));
            container_state(name, found.unwrap_or(&Value::Null))
        })
        .collect()
}

pub(super) fn container_state(name: &str, status: &Value) -> ContainerState {
    let state = |key: &str| status.get("state").and_then(|state| state.get(key));
    let terminated = state("terminated");
    let explained = terminated.or_else(|| state("waiting"));
    let said = |key: &str| explained.and_then(|it| text(it, key)).unwrap_or("").to_owned();
    let last = status.pointer("/lastState/terminated/reason").and_then(Value::as_str);
    ContainerState {
        name: name.to_owned(),
        terminated: terminated.is_some(),
        running: state("running").is_some(),
        reason: said("reason"),
        message: said("message"),
        last_reason: last.unwrap_or("").to_owned(),
        restarts: status.get("restartCount").and_then(Value::as_i64).unwrap_or(0),
    }
}
