//! The forms of the answers.
//!
//! Input: objects, Pods, what the head says. Output: values that serialise into the documented JSON.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::admission::GroupKind;
use crate::dialect::{Dialect, kuberay};
use crate::model::template::text;
use crate::plan::joined::Answer;
use crate::plan::pod::Pod;
use crate::scaling::fault::Cause;
use crate::scaling::workers::{GroupBounds, GroupState, Workers, is_suspended};
use crate::scaling::{Code, Fault};

/// A Ray cluster, of either API group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterState {
    /// Its API group: `ray.io`, or Domino's.
    #[schema(example = "ray.io")]
    pub api_group: String,
    /// Its namespace.
    #[schema(example = "team-a")]
    pub namespace: String,
    /// Its name.
    #[schema(example = "demo")]
    pub name: String,
    /// Its UID; another one means another cluster of the same name.
    pub uid: String,
    /// The version of the object that this tells of.
    pub resource_version: String,
    /// Ray's autoscaler is on and decides the counts.
    pub autoscaling: bool,
    /// It is suspended and has no Pods.
    pub suspended: bool,
    /// The RayJob or `RayService` that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentRef>,
    /// Its worker groups.
    pub groups: Vec<GroupState>,
    /// The workers of all groups together.
    pub workers: Workers,
    /// Where the head's dashboard answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "10.0.0.7:8265")]
    pub dashboard: Option<String>,
}

/// What made a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ParentRef {
    /// `RayJob` or `RayService`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A cluster as a list shows it: what its spec says, without its Pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSummary {
    /// Its API group.
    pub api_group: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Ray's autoscaler is on.
    pub autoscaling: bool,
    /// It is suspended.
    pub suspended: bool,
    /// Its worker groups.
    pub groups: Vec<GroupBounds>,
}

/// A page of a namespace's clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClusterList {
    /// The clusters.
    pub items: Vec<ClusterSummary>,
    /// What to send as `continue` for the next page; absent on the last one.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// What came of a scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleResult {
    /// The worker group.
    #[schema(example = "small-group")]
    pub group: String,
    /// Replicas before.
    #[schema(example = 1)]
    pub from: Option<i64>,
    /// Replicas now.
    #[schema(example = 5)]
    pub to: i64,
    /// Something was written.
    pub changed: bool,
    /// A request with this `Idempotency-Key` was done before; nothing was written for this one.
    pub replayed: bool,
    /// Nothing was stored: the request was a dry run.
    pub dry_run: bool,
    /// What the rules have to say, though they let it through.
    pub warnings: Vec<Cause>,
    /// The cluster as it stands now.
    pub cluster: ClusterState,
}

/// The body of a scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"group": "small-group", "replicas": 5}))]
pub struct ScaleRequest {
    /// The worker group; may be left out where the cluster has but one.
    #[schema(nullable)]
    pub group: Option<String>,
    /// Replicas, within the bounds of the group.
    #[schema(minimum = 0)]
    pub replicas: i32,
    /// Pods that shall go, by name; only without Ray's autoscaler, and no more replicas than go.
    pub workers_to_delete: Option<Vec<String>>,
}

/// An error, as RFC 9457 has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A name of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:raywarden:problem:above-max")]
    pub kind: String,
    /// The same for people, in a few words.
    #[schema(example = "above max")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What was found, what is allowed, what to do.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// The kind of problem for programs; it stays.
    #[schema(example = "above-max")]
    pub code: String,
    /// The request, as the log has it.
    pub request_id: String,
    /// What the rules have against it, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// What is known of a cluster's nodes.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its Pods.
    pub pods: &'a [Pod],
    /// What its head answered.
    pub answer: &'a Answer,
    /// Where the head's dashboard answers.
    pub dashboard: Option<&'a str>,
}

fn at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

impl ClusterState {
    /// Of an object and its nodes; `None` where it holds no cluster.
    pub fn of(object: &Value, dialect: Dialect, seen: Seen<'_>) -> Option<Self> {
        let view = dialect.view(object)?;
        let uid = at(object, "/metadata/uid");
        let groups = Workers::of(&view, uid, seen.pods, seen.answer);
        let parent = kuberay::parent(&view)
            .map(|(parent, name)| ParentRef { kind: parent.kind().to_owned(), name });
        Some(Self {
            api_group: GroupKind::of(object).group,
            namespace: text(view.metadata, "namespace").unwrap_or("").to_owned(),
            name: view.name.to_owned(),
            uid: uid.to_owned(),
            resource_version: at(object, "/metadata/resourceVersion").to_owned(),
            autoscaling: view.autoscaling,
            suspended: is_suspended(view.spec),
            parent,
            workers: Workers::sum(&groups),
            groups,
            dashboard: seen.dashboard.map(str::to_owned),
        })
    }
}

impl ClusterSummary {
    /// Of an object alone; `None` where it holds no cluster.
    pub fn of(object: &Value, dialect: Dialect) -> Option<Self> {
        let view = dialect.view(object)?;
        Some(Self {
            api_group: GroupKind::of(object).group,
            namespace: text(view.metadata, "namespace").unwrap_or("").to_owned(),
            name: view.name.to_owned(),
            uid: at(object, "/metadata/uid").to_owned(),
            autoscaling: view.autoscaling,
            suspended: is_suspended(view.spec),
            groups: view.groups.iter().map(GroupBounds::of).collect(),
        })
    }
}

impl Problem {
    /// Of a fault.
    pub fn of(fault: Fault, path: &str, request_id: &str) -> Self {
        let Fault { code, message, causes } = fault;
        let word = slug(code);
        Self {
            kind: format!("urn:raywarden:problem:{word}"),
            title: word.replace('-', " "),
            status: code.status(),
            detail: message,
            instance: path.to_owned(),
            code: word,
            request_id: request_id.to_owned(),
            causes,
        }
    }
}

/// A code as this dialect spells it.
pub fn slug(code: Code) -> String {
    code.as_str().replace('_', "-")
}
