//! What is said over a connection.
//!
//! | file | role |
//! | --- | --- |
//! | [`access`] | whether somebody else may do something |
//! | [`admission`] | bytes -> `Review` -> snapshot -> the pure core -> AdmissionReview bytes |
//! | [`call`] | a request of the scaling API: its id, its body within bounds |
//! | [`callers`] | who asks: looked up, remembered for a moment, paced |
//! | [`capacity`] | how many reviews, and how many bytes of them, are under way |
//! | [`counts`] | what the scaling API counts |
//! | [`deadline`] | how long this call may take |
//! | [`domino`] | the Domino dialect of the scaling API |
//! | [`decision`] | one log line per review |
//! | [`identity`] | a token of Kubernetes -> who asks, and whether they may |
//! | [`intake`] | the body, within bounds |
//! | [`native`] | the native dialect of the scaling API |
//! | [`nodes`] | the Pods of a cluster and what its head says of them |
//! | [`objects`] | reads and guarded writes of clusters |
//! | [`ops`] | `/livez` and `/readyz` |
//! | [`page`] | the audit page, for those who may see it |
//! | [`tell`] | the audit line and the Event of a change |
//!
//! [`router`] is all that the server needs; tests call it without one.

pub mod access;
mod admission;
mod call;
mod callers;
mod capacity;
pub mod counts;
mod deadline;
mod decision;
pub mod domino;
mod identity;
mod intake;
pub mod native;
pub mod nodes;
mod notes;
pub mod objects;
pub mod ops;
pub mod page;
pub mod tell;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;

use crate::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use capacity::Capacity;
pub use notes::Noted;
use ops::{Page, Readiness};
use page::AuditPage;

/// What the rules read; swapped as a whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The installation's settings.
    pub settings: Settings,
    /// The compiled policies.
    pub policies: PolicySet,
}

/// The same where policies are watched: what a change is judged by before it is written.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The installation's settings.
    pub settings: Settings,
    /// The policies that are in force, now and later.
    pub policies: Receiver<PolicySet>,
}

/// The pure core, as a value: tests put another in its place.
pub type Engine = fn(&Settings, &PolicySet, Phase, &Review) -> Answer;

/// Bounds of the review path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the headers of a call to its answer; a shorter timeout of the caller wins.
    pub deadline: Duration,
    /// Reviews under way at one time; one more is turned away.
    pub concurrent: usize,
}

/// Everything that a request needs.
pub struct App {
    snapshot: ArcSwap<Snapshot>,
    engine: Engine,
    limits: Limits,
    capacity: Capacity,
    readiness: Arc<Readiness>,
    notes: Option<Sender<Noted>>,
    metrics: Option<Page>,
    audit: Option<Arc<AuditPage>>,
}

impl App {
    /// An application that judges with the real core.
    pub fn new(snapshot: Snapshot, limits: Limits, readiness: Arc<Readiness>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            engine: review,
            limits,
            capacity: Capacity::new(limits.concurrent),
            readiness,
            notes: None,
            metrics: None,
            audit: None,
        }
    }

    /// The same with a page for Prometheus.
    #[must_use]
    pub fn with_metrics(mut self, page: Page) -> Self {
        self.metrics = Some(page);
        self
    }

    /// The same with the audit page.
    #[must_use]
    pub fn with_audit(mut self, page: Option<AuditPage>) -> Self {
        self.audit = page.map(Arc::new);
        self
    }

    /// The same with somebody who notes what writers are not told.
    #[must_use]
    pub fn noting(mut self, notes: Sender<Noted>) -> Self {
        self.notes = Some(notes);
        self
    }

    /// The same with another core.
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Has it noted, where somebody does and has the time.
    fn note(&self, review: &Review, answer: &Answer) {
        let Some(notes) = &self.notes else { return };
        for noted in notes::of(review, answer) {
            let _ = notes.try_send(noted);
        }
    }

    /// Judges by `snapshot` from the next review on.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }
}

/// Liveness, readiness and, where there are any, metrics alone, for a process that serves no webhook.
pub fn ops_router(readiness: Arc<Readiness>, page: Option<Page>) -> Router {
    let ready = |State(readiness): State<Arc<Readiness>>, request: Request| async move {
        readiness.answer(request.uri().query())
    };
    let mut router = Router::new();
    if let Some(page) = page {
        router = router.route("/metrics", get(async move || ops::metrics(&page)));
    }
    router.route("/livez", get(ops::livez)).route("/readyz", get(ready)).with_state(readiness)
}

/// The routes of the webhook.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    if let Some(page) = app.metrics.clone() {
        router = router.route("/metrics", get(async move || ops::metrics(&page)));
    }
    if let Some(page) = app.audit.clone() {
        router = router.merge(page::routes(page));
    }
    router
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .route("/livez", get(ops::livez))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(&app), last_on_its_connection))
        .with_state(app)
}

async fn mutate(State(app): State<Arc<App>>, request: Request) -> Response {
    admission::handle(app, Phase::Mutate, request).await
}

async fn validate(State(app): State<Arc<App>>, request: Request) -> Response {
    admission::handle(app, Phase::Validate, request).await
}

async fn readyz(State(app): State<Arc<App>>, request: Request) -> Response {
    app.readiness.answer(request.uri().query())
}

async fn wrong_method(request: Request) -> Response {
    intake::hear_out(request).await;
    text(
        StatusCode::METHOD_NOT_ALLOWED,
        "POST reviews to /mutate and /validate; GET /livez and /readyz",
    )
}

async fn not_found(request: Request) -> Response {
    intake::hear_out(request).await;
    text(
        StatusCode::NOT_FOUND,
        "nothing here; raywarden answers /mutate, /validate, /livez and /readyz",
    )
}

/// While draining, HTTP/1.1 clients are told to come back on another connection, which reaches
/// another replica: closing a kept connection later could meet a call on its way. HTTP/2 has
/// GOAWAY for this.
async fn last_on_its_connection(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let old = request.version() < Version::HTTP_2;
    let mut response = next.run(request).await;
    if old && app.readiness.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn text(status: StatusCode, message: impl Into<String>) -> Response {
    let mut message = message.into();
    message.push('\n');
    (status, message).into_response()
}
