//! One review over HTTP.
//!
//! Whatever reads as an AdmissionReview v1 is answered with one, HTTP 200, its own uid. What is
//! left to HTTP statuses is what nobody can answer so: no review at all (400), a body too long
//! (413) or too slow (408), no room (503), no time (504), a bug of ours (500). The API server
//! treats each of those as a failed call and applies the registration's failure policy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant as Clock;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::time::{Instant, timeout_at};

use super::capacity::Turn;
use super::intake::{self, Fault, MAX_BODY};
use super::{App, deadline, decision, text};
use crate::admission::wire::{self, WireError};
use crate::admission::{Phase, Review};

/// Above this size a review leaves the threads that serve connections: it may take milliseconds.
const LARGE: usize = 256 * 1024;

pub(super) async fn handle(app: Arc<App>, phase: Phase, request: Request) -> Response {
    match answer(app, phase, request).await {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(refusal) => refusal.respond(),
    }
}

async fn answer(app: Arc<App>, phase: Phase, request: Request) -> Result<Vec<u8>, Refusal> {
    let deadline = Instant::now() + deadline::of(request.uri().query(), app.limits.deadline);
    let length = declared_length(&request);
    let mut body = request.into_body();
    match admit(&app, length, &mut body, deadline).await {
        Ok((turn, bytes)) if bytes.len() <= LARGE => {
            let outcome = judge(&app, phase, &bytes);
            drop(turn);
            outcome
        }
        Ok((turn, bytes)) => judge_elsewhere(app, phase, bytes, turn, deadline).await,
        Err(refusal) => {
            if !matches!(refusal, Refusal::TooSlow) {
                intake::discard(&mut body).await;
            }
            Err(refusal)
        }
    }
}

fn declared_length(request: &Request) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Room first, then the body: what waits outside takes no memory.
async fn admit(
    app: &App,
    length: Option<usize>,
    body: &mut Body,
    deadline: Instant,
) -> Result<(Turn, Bytes), Refusal> {
    if length.is_some_and(|length| length > MAX_BODY) {
        return Err(Refusal::TooLong);
    }
    let turn = app.capacity.take(length).ok_or(Refusal::Busy)?;
    match timeout_at(deadline, intake::read(body)).await {
        Ok(Ok(bytes)) => Ok((turn, bytes)),
        Ok(Err(Fault::TooLong)) => Err(Refusal::TooLong),
        Ok(Err(Fault::Broken(reason))) => Err(Refusal::Broken(reason)),
        Err(_) => Err(Refusal::TooSlow),
    }
}

/// The turn goes along: a review that outlives its deadline still takes its room.
async fn judge_elsewhere(
    app: Arc<App>,
    phase: Phase,
    body: Bytes,
    turn: Turn,
    deadline: Instant,
) -> Result<Vec<u8>, Refusal> {
    let work = tokio::task::spawn_blocking(move || {
        let outcome = judge(&app, phase, &body);
        drop(turn);
        outcome
    });
    match timeout_at(deadline, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Refusal::Bug { uid: None }),
        Err(_) => Err(Refusal::Late),
    }
}

/// Bytes in, bytes out. A panic in the core is this call's failure and nobody else's.
fn judge(app: &App, phase: Phase, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let begun = Clock::now();
    let review = guarded(None, || Review::parse(body))??;
    let snapshot = app.snapshot.load_full();
    guarded(Some(&review.uid), || {
        let answer = (app.engine)(&snapshot.settings, &snapshot.policies, phase, &review);
        let bytes = wire::response(&review.uid, &answer).to_string().into_bytes();
        decision::log(phase, &review, &answer, begun.elapsed());
        app.note(&review, &answer);
        bytes
    })
}

/// Nothing that the core could leave half changed outlives the call.
fn guarded<T>(uid: Option<&str>, work: impl FnOnce() -> T) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Refusal::Bug { uid: uid.map(str::to_owned) })
}

/// Why a call gets no AdmissionReview.
enum Refusal {
    NoReview(WireError),
    Broken(String),
    TooLong,
    TooSlow,
    Busy,
    Late,
    Bug { uid: Option<String> },
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::NoReview(error)
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoReview(_) | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::Bug { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NoReview(error) => error.to_string(),
            Self::Broken(reason) => format!("the body ended early: {reason}"),
            Self::TooLong => format!("the body is longer than {MAX_BODY} bytes"),
            Self::TooSlow => "the body did not arrive within the deadline of this call".to_owned(),
            Self::Busy => {
                "too many reviews under way (--max-concurrent-reviews); retry in a second"
                    .to_owned()
            }
            Self::Late => "the review was not done within the deadline of this call".to_owned(),
            Self::Bug { .. } => {
                "a bug in raywarden: the review failed; the log names the place".to_owned()
            }
        }
    }

    fn respond(self) -> Response {
        let (status, message) = (self.status(), self.message());
        let uid = if let Self::Bug { uid } = &self { uid.as_deref() } else { None };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(uid, reason = message, "a review failed");
        } else {
            tracing::warn!(status = status.as_u16(), reason = message, "a call got no review");
        }
        let mut response = text(status, message);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
