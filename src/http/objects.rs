//! Reads and guarded writes of clusters at the API server, for both dialects of the scaling API.
//!
//! Its words go to the log; a caller gets ours, and those with which admission refuses a change, which
//! are meant for people. Invariants: every call ends within [`PATIENCE`]; a change is planned anew as
//! long as the cluster moves, and no more than [`ATTEMPTS`] times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Error;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::Status;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::dialect::{self, Dialect};
use crate::scaling::fault::{Cause, MOST_WORDS, in_words};
use crate::scaling::{Code, Fault};
use crate::telemetry::chain;

/// The field manager of what we write.
pub(super) const MANAGER: &str = "raywarden-api";

/// The longest that one call may take. Callers are answered earlier; a write goes on until then.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Calls of one lane at one time. Each takes a connection of its own: a burst without a bound would
/// spend on handshakes what the calls need, and none of them would be done earlier.
const AT_ONCE: usize = 32;

/// How often a change is planned because the cluster has changed meanwhile.
const ATTEMPTS: u32 = 6;

/// The pause after the first attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of a patch.
pub enum Written {
    /// The object as it stands now.
    Done(Value),
    /// The object is not what it was.
    Moved,
    /// A test of the patch failed, or the API server does not want the object so.
    NotSo(Fault),
}

/// The clusters of a dialect, in the version that is stored.
pub fn resource(dialect: Dialect) -> ApiResource {
    let found = dialect::kinds().find(|(.., it)| *it == dialect);
    let (group, kind, plural) =
        found.map_or(("", "", ""), |(group, kind, plural, _)| (group, kind, plural));
    let version = dialect::versions(group).first().copied().unwrap_or("v1");
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// The turn of one writer: what the writer before left, where one has just written. A change that is
/// planned from it saves a read; its tests see whether it still stands.
pub(super) type Turn<T> = tokio::sync::OwnedMutexGuard<Option<T>>;

/// Writers of one cluster go one after the other; those of other replicas meet the tests of the patch.
pub(super) struct Turns<T>(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<T>>>>>);

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Turns<T> {
    /// Waits until nobody else writes what is called so. What is left is forgotten as soon as nobody
    /// waits for it.
    pub(super) async fn wait(&self, name: &str) -> Turn<T> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

/// Whose turn a call takes: reads that are slow hold up no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Reads,
    Changes,
}

/// Bounds the calls of a process at one time.
pub(super) struct Lanes {
    reads: Semaphore,
    changes: Semaphore,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { reads: Semaphore::new(AT_ONCE), changes: Semaphore::new(AT_ONCE) }
    }
}

impl Lanes {
    /// A call when it is its turn, within [`PATIENCE`] altogether.
    pub(super) fn patient<T>(
        &self,
        lane: Lane,
        call: impl Future<Output = kube::Result<T>>,
    ) -> impl Future<Output = kube::Result<T>> {
        let lane = match lane {
            Lane::Reads => &self.reads,
            Lane::Changes => &self.changes,
        };
        // Boxed: it would make every future above it large.
        patient(Box::pin(async {
            // It is closed by nobody.
            let _turn = lane.acquire().await.ok();
            call.await
        }))
    }
}

/// The attempts of one change.
#[derive(Default)]
pub struct Attempts {
    done: u32,
    refused: Option<(Vec<Value>, Fault)>,
}

impl Attempts {
    /// Whether these operations are worth an attempt.
    pub fn begin(&mut self, operations: &[Value]) -> Result<(), Fault> {
        // The very same tests failed on an object that has not changed: it is not them.
        if let Some((_, fault)) = self.refused.take_if(|(earlier, _)| *earlier == operations) {
            return Err(fault);
        }
        if self.done == ATTEMPTS {
            return Err(Fault::new(
                Code::Conflict,
                "this cluster changes faster than it can be written; try again",
            ));
        }
        Ok(())
    }

    /// The object as it stands, where the attempt was the last one; otherwise after a pause.
    pub async fn end(&mut self, operations: Vec<Value>, written: Written) -> Option<Value> {
        self.refused = match written {
            Written::Done(after) => return Some(after),
            Written::Moved => None,
            Written::NotSo(fault) => Some((operations, fault)),
        };
        tokio::time::sleep(PAUSE.saturating_mul(1 << self.done)).await;
        self.done += 1;
        None
    }
}

/// An object; `None` also where its kind is not served, which the API server says in other words than a
/// `Status`.
pub async fn find(api: &Api<DynamicObject>, name: &str) -> kube::Result<Option<DynamicObject>> {
    match api.get(name).await {
        Ok(object) => Ok(Some(object)),
        Err(Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// One cluster, if there is one.
pub(super) async fn get(
    api: &Api<DynamicObject>,
    name: &str,
    (lanes, lane): (&Lanes, Lane),
) -> Result<Option<Value>, Fault> {
    let found = lanes.patient(lane, find(api, name)).await;
    Ok(found.map_err(|error| outage("get", &error))?.map(|object| json(&object)))
}

/// Patches a cluster.
pub(super) async fn patch(
    api: &Api<DynamicObject>,
    name: &str,
    operations: &[Value],
    dry_run: bool,
    lanes: &Lanes,
) -> Result<Written, Fault> {
    let patch = serde_json::from_value(Value::Array(operations.to_vec()));
    let patch = patch.map_err(|error| {
        tracing::error!(reason = error.to_string(), "a planned patch is none");
        Fault::new(Code::Internal, "a bug in raywarden: the change could not be written down")
    })?;
    let parameters =
        PatchParams { field_manager: Some(MANAGER.to_owned()), dry_run, ..Default::default() };
    let patch = Patch::Json::<()>(patch);
    match lanes.patient(Lane::Changes, api.patch(name, &parameters, &patch)).await {
        Ok(object) => Ok(Written::Done(json(&object))),
        Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(Written::Moved),
        Err(Error::Api(status)) if is_refusal(&status) => Ok(Written::NotSo(refusal(&status))),
        Err(error) => Err(outage("patch", &error)),
    }
}

pub(super) async fn patient<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| Err(Error::Service("no answer in time".into()));
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(late)
}

pub(super) fn json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}

pub(super) fn outage(doing: &str, error: &Error) -> Fault {
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
    let causes: Vec<Cause> = causes.map(cause).collect();
    let words: String = if causes.is_empty() {
        denial(status).unwrap_or_default().chars().take(MOST_WORDS).collect()
    } else {
        in_words(&causes)
    };
    tracing::info!(code = status.code, reason = status.message, "a patch was not taken");
    let message = if words.is_empty() {
        "the cluster's own rules do not allow this change".to_owned()
    } else {
        format!("the cluster's own rules do not allow this change: {words}")
    };
    Fault::new(Code::Refused, message).because(causes)
}

fn cause(cause: &kube::core::response::StatusCause) -> Cause {
    Cause {
        field: cause.field.clone(),
        message: cause.message.clone(),
        rule: String::new(),
        policy: String::new(),
    }
}
