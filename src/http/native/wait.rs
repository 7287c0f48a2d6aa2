//! Till every worker has joined Ray.
//!
//! Input: a cluster, and what else the answer holds. Output: 200 when all have joined, 202 with the state
//! of the moment when the time has passed; or a stream of events that tells of the progress and ends the
//! same way. Invariants: a wait ends in time, with the process, and with the cluster; another cluster of
//! the same name is not waited for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::answer::{Done, with};
use crate::dialect::Dialect;
use crate::http::call::Call;
use crate::http::objects::Lane;
use crate::scaling::native::view::{ClusterState, Problem, ScaleResult};
use crate::scaling::{Code, Fault};

/// Between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

/// What is waited for, and how it is answered.
pub(super) struct Waiting {
    pub(super) dialect: Dialect,
    pub(super) state: ClusterState,
    /// What the answer holds beside the state.
    pub(super) scale: Option<ScaleResult>,
    pub(super) seconds: u32,
    pub(super) streams: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Form<'a> {
    State(&'a ClusterState),
    Scale(Box<ScaleResult>),
}

impl Waiting {
    fn form(&self) -> Form<'_> {
        match &self.scale {
            None => Form::State(&self.state),
            Some(scale) => {
                let cluster = self.state.clone();
                Form::Scale(Box::new(ScaleResult { cluster, ..scale.clone() }))
            }
        }
    }

    fn is_over(&self) -> bool {
        self.state.workers.all_joined
    }

    /// Looks again; a fault where there is nothing to wait for any more.
    async fn look(&mut self, api: &Api) -> Result<(), Fault> {
        let Self { dialect, state, .. } = self;
        let found = api.clusters.get(*dialect, &state.namespace, &state.name, Lane::Reads).await;
        let object = match found {
            Ok(object) => object,
            // A moment without an answer is no reason to give up.
            Err(fault) if fault.code == Code::Unavailable => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let uid = |object: &Value| {
            object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
        };
        let Some(object) = object.filter(|it| uid(it).as_deref() == Some(&state.uid)) else {
            return Err(Fault::new(
                Code::NotFound,
                format!("RayCluster {} was deleted while its workers were waited for", state.name),
            ));
        };
        let nodes = api.looks.nodes(&object, *dialect).await;
        if let Some(seen) = ClusterState::of(&object, *dialect, nodes.seen()) {
            *state = seen;
        }
        Ok(())
    }
}

/// The answer, when it is due.
pub(super) async fn answer(api: Arc<Api>, waiting: Waiting, call: &Call) -> Result<Done, Fault> {
    let busy = |_| Fault::unavailable("too many requests wait for workers; ask again in a moment");
    let permit = Arc::clone(&api.waiters).try_acquire_owned().map_err(busy)?;
    if waiting.streams {
        return Ok(Done::Events(events(api, waiting, permit, call)));
    }
    let mut waiting = waiting;
    let until = Instant::now() + Duration::from_secs(waiting.seconds.into());
    while !waiting.is_over() && pause(&api, until).await {
        waiting.look(&api).await?;
    }
    let status = if waiting.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
    with(status, &waiting.form())
}

/// A moment; false where the time is over.
async fn pause(api: &Api, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    tokio::select! {
        () = api.stop.cancelled() => false,
        () = tokio::time::sleep(BETWEEN.min(left)) => true,
    }
}

/// Where a stream of events is.
struct Told {
    api: Arc<Api>,
    waiting: Waiting,
    until: Instant,
    /// The last state that was told.
    last: Option<ClusterState>,
    ended: bool,
    path: String,
    id: String,
    _permit: OwnedSemaphorePermit,
}

fn events(api: Arc<Api>, waiting: Waiting, permit: OwnedSemaphorePermit, call: &Call) -> Body {
    let until = Instant::now() + Duration::from_secs(waiting.seconds.into());
    let (path, id) = (call.path.clone(), call.id.clone());
    let told = Told { api, waiting, until, last: None, ended: false, path, id, _permit: permit };
    let events = stream::unfold(told, |told| async move {
        let (event, told) = told.next().await?;
        Some((Ok::<_, Infallible>(event), told))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response().into_body()
}

impl Told {
    /// The next event; none after the last one.
    async fn next(mut self) -> Option<(Event, Self)> {
        if self.ended {
            return None;
        }
        loop {
            if self.waiting.is_over() {
                return Some(self.end("joined"));
            }
            // A version alone is no progress.
            let seen = self.last.as_ref().map(|last| (&last.groups, last.suspended));
            if seen != Some((&self.waiting.state.groups, self.waiting.state.suspended)) {
                self.last = Some(self.waiting.state.clone());
                return Some((event("progress", &self.waiting.state), self));
            }
            if !pause(&self.api, self.until).await {
                return Some(self.end("timeout"));
            }
            if let Err(fault) = self.waiting.look(&self.api).await {
                let problem = Problem::of(fault, &self.path, &self.id);
                self.ended = true;
                return Some((event("problem", &problem), self));
            }
        }
    }

    fn end(mut self, name: &str) -> (Event, Self) {
        self.ended = true;
        (event(name, &self.waiting.form()), self)
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(data)
}
