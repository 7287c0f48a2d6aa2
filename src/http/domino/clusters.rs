//! What is read from and written to the API server.
//!
//! Its words go to the log; a caller gets ours, and those with which admission refuses a change, which
//! are meant for people.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, Preconditions,
};
use kube::core::Status;
use kube::{Client, Error};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::dialect::{self, Dialect};
use crate::http::ops::Finding;
use crate::scaling::principal::OWNER;
use crate::scaling::route::{MOST_ON_A_PAGE, Page};
use crate::scaling::{Code, Fault, Principal, head};
use crate::telemetry::chain;

/// The field manager of what we write.
const MANAGER: &str = "raywarden-api";

/// The longest that one call may take. Callers are answered earlier; a write goes on until then.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Calls of one lane at one time. Each takes a connection of its own: a burst without a bound would
/// spend on handshakes what the calls need, and none of them would be done earlier.
const AT_ONCE: usize = 32;

/// The most of admission's words that are passed on.
const MOST_WORDS: usize = 1024;

/// Whose turn a call takes: reads that are slow hold up no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Reads,
    Changes,
}

/// What came of a patch.
pub(super) enum Written {
    /// The object as it stands now.
    Done(Value),
    /// The object is not what it was.
    Moved,
    /// A test of the patch failed, or the API server does not want the object so.
    NotSo(Fault),
}

pub(super) struct Clusters {
    objects: Api<DynamicObject>,
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    reads: Semaphore,
    changes: Semaphore,
}

/// Domino's RayClusters.
fn resource() -> ApiResource {
    let found = dialect::kinds().find(|(.., dialect)| *dialect == Dialect::Domino);
    let (group, kind, plural) =
        found.map_or(("", "", ""), |(g, kind, plural, _)| (g, kind, plural));
    let version = dialect::versions(group).first().copied().unwrap_or("v1alpha1");
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl Clusters {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            objects: Api::namespaced_with(client.clone(), namespace, &resource()),
            sets: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client, namespace),
            turns: Mutex::default(),
            reads: Semaphore::new(AT_ONCE),
            changes: Semaphore::new(AT_ONCE),
        }
    }

    /// Writers of one cluster go one after the other; those of other replicas meet the tests of the
    /// patch.
    pub(super) async fn turn(&self, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }

    /// One cluster, if there is one.
    pub(super) async fn get(&self, name: &str, lane: Lane) -> Result<Option<Value>, Fault> {
        let found = self.patient(lane, self.objects.get_opt(name)).await;
        let found = found.map_err(|error| outage("get", &error))?;
        Ok(found.map(|object| json(&object)))
    }

    /// The clusters that the caller may see, and where the next page begins.
    pub(super) async fn list(
        &self,
        principal: &Principal,
        page: Page,
    ) -> Result<(Vec<Value>, Option<String>), Fault> {
        let mut parameters = ListParams::default().limit(page.limit.unwrap_or(MOST_ON_A_PAGE));
        if !principal.admin {
            parameters = parameters.labels(&format!("{OWNER}={}", principal.id));
        }
        parameters.continue_token = page.next;
        let mut clusters = Vec::new();
        loop {
            let list = match self.patient(Lane::Reads, self.objects.list(&parameters)).await {
                Ok(list) => list,
                Err(Error::Api(status)) if [400, 410].contains(&status.code) => {
                    return Err(Fault::bad("this page is too old to be continued; begin anew"));
                }
                Err(error) => return Err(outage("list", &error)),
            };
            let next = list.metadata.continue_.filter(|token| !token.is_empty());
            let objects = list.items.iter().map(json);
            // The selector has done this already; an API server in between might not have.
            clusters.extend(objects.filter(|object| principal.may(object)));
            if next.is_none() || page.limit.is_some() {
                return Ok((clusters, next));
            }
            parameters.continue_token = next;
        }
    }

    /// Patches a cluster.
    pub(super) async fn patch(&self, name: &str, operations: &[Value]) -> Result<Written, Fault> {
        let patch = serde_json::from_value(Value::Array(operations.to_vec()));
        let patch = patch.map_err(|error| {
            tracing::error!(reason = error.to_string(), "a planned patch is none");
            Fault::new(Code::Internal, "a bug in raywarden: the change could not be written down")
        })?;
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let patch = Patch::Json::<()>(patch);
        match self.patient(Lane::Changes, self.objects.patch(name, &parameters, &patch)).await {
            Ok(object) => Ok(Written::Done(json(&object))),
            Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(Written::Moved),
            Err(Error::Api(status)) if is_refusal(&status) => Ok(Written::NotSo(refusal(&status))),
            Err(error) => Err(outage("patch", &error)),
        }
    }

    /// The head Pod of a cluster.
    pub(super) async fn head(&self, cluster: &str, lane: Lane) -> Result<Option<head::Pod>, Fault> {
        let pod = self.patient(lane, self.pods.get_opt(&head::pod_name(cluster))).await;
        let pod = pod.map_err(|error| outage("get Pod", &error))?;
        Ok(pod.and_then(|pod| head::Pod::head_of(cluster, &json(&pod))))
    }

    /// Removes the head Pod with this UID; another one of its name stays.
    pub(super) async fn remove_head(&self, cluster: &str, uid: &str) -> Result<(), Fault> {
        let parameters = DeleteParams {
            grace_period_seconds: Some(head::GRACE_SECONDS),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self
            .patient(Lane::Changes, self.pods.delete(&head::pod_name(cluster), &parameters))
            .await
        {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            Err(error) => Err(outage("delete Pod", &error)),
        }
    }

    /// A `StatefulSet` of a cluster and the Pods that a selector finds.
    pub(super) async fn nodes(
        &self,
        set: &str,
        selector: &str,
    ) -> Result<(Option<Value>, Vec<Value>), Fault> {
        let parameters = ListParams::default().labels(selector);
        let (set, pods) = tokio::join!(
            self.patient(Lane::Reads, self.sets.get_opt(set)),
            self.patient(Lane::Reads, self.pods.list(&parameters))
        );
        let set = set.map_err(|error| outage("get StatefulSet", &error))?;
        let pods = pods.map_err(|error| outage("list Pods", &error))?;
        Ok((set.as_ref().map(json), pods.items.iter().map(json).collect()))
    }

    /// A call when it is its turn, within [`PATIENCE`] altogether.
    fn patient<T>(
        &self,
        lane: Lane,
        call: impl Future<Output = kube::Result<T>>,
    ) -> impl Future<Output = kube::Result<T>> {
        let lane = match lane {
            Lane::Reads => &self.reads,
            Lane::Changes => &self.changes,
        };
        // Boxed: it would make every future above it large.
        in_time(Box::pin(async {
            // It is closed by nobody.
            let _turn = lane.acquire().await.ok();
            call.await
        }))
    }

    /// Whether clusters can be listed; without waiting for anybody's turn.
    pub(super) async fn probe(&self) -> Finding {
        match in_time(self.objects.list(&ListParams::default().limit(1))).await {
            Ok(_) => Ok("clusters can be listed".to_owned()),
            Err(error) => Err(format!("failed to list rayclusters: {}", chain(&error))),
        }
    }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| Err(Error::Service("no answer in time".into()));
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(late)
}

fn json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}

fn outage(doing: &str, error: &Error) -> Fault {
    tracing::warn!(doing, reason = chain(error), "the API server did not do as asked");
    Fault::unavailable("Kubernetes does not answer as it should; try again in a moment")
}

/// What admission said, where it was admission that refused.
fn denial(status: &Status) -> Option<&str> {
    status.message.split_once("denied the request: ").map(|(_, words)| words)
}

fn is_refusal(status: &Status) -> bool {
    [400, 422].contains(&status.code) || (status.code == 403 && denial(status).is_some())
}

fn refusal(status: &Status) -> Fault {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes
        .map(|cause| match cause.field.as_str() {
            "" => cause.message.clone(),
            field => format!("{field}: {}", cause.message),
        })
        .collect();
    let words = if causes.is_empty() {
        denial(status).unwrap_or_default().to_owned()
    } else {
        causes.join("; ")
    };
    tracing::info!(code = status.code, reason = status.message, "a patch was not taken");
    let words: String = words.chars().take(MOST_WORDS).collect();
    let message = if words.is_empty() {
        "the cluster's own rules do not allow this change".to_owned()
    } else {
        format!("the cluster's own rules do not allow this change: {words}")
    };
    Fault::new(Code::Refused, message)
}
