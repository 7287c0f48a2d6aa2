//! JSON answers and problems, their headers, and one log line for each. No query, body or credential is
//! logged.

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::wait::Waiting;
use crate::http::call::{Call, REQUEST_ID};
use crate::scaling::native::endpoint::methods;
use crate::scaling::native::openapi::DOCUMENT;
use crate::scaling::native::view::{Problem, slug};
use crate::scaling::{Code, Fault};

/// What a request came to.
pub(super) enum Done {
    /// An answer.
    Json(StatusCode, String),
    /// An answer when the workers have joined.
    Wait(Box<Waiting>),
    /// A stream of events.
    Events(Body),
}

pub(super) fn ok(body: &impl Serialize) -> Result<Done, Fault> {
    with(StatusCode::OK, body)
}

pub(super) fn with(status: StatusCode, body: &impl Serialize) -> Result<Done, Fault> {
    match serde_json::to_string(body) {
        Ok(body) => Ok(Done::Json(status, body)),
        Err(_) => Err(Fault::new(Code::Internal, "a bug in raywarden: the answer has no JSON")),
    }
}

fn said(status: StatusCode, body: &Value) -> Done {
    Done::Json(status, body.to_string())
}

pub(super) fn state(word: &str) -> Done {
    said(StatusCode::OK, &json!({"status": word}))
}

pub(super) fn not_ready(faults: &[String]) -> Done {
    said(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not_ready", "reasons": faults}))
}

pub(super) fn document() -> Done {
    Done::Json(StatusCode::OK, DOCUMENT.clone())
}

/// The response, and its line in the log.
pub(super) fn answer(
    call: &Call,
    operation: &'static str,
    who: Option<&str>,
    outcome: Result<Done, Fault>,
) -> Response {
    let code = outcome.as_ref().err().map(|fault| fault.code);
    let (status, kind, body) = match outcome {
        Ok(Done::Json(status, body)) => (status, "application/json", Body::from(body)),
        Ok(Done::Events(body)) => (StatusCode::OK, "text/event-stream", body),
        Ok(Done::Wait(_)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "application/json", Body::from("{}"))
        }
        Err(fault) => {
            let problem = Problem::of(fault, &call.path, &call.id);
            let status = StatusCode::from_u16(problem.status);
            let body = serde_json::to_string(&problem).unwrap_or_default();
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "application/problem+json", Body::from(body))
        }
    };
    if !matches!(operation, "healthz" | "readyz") {
        tracing::info!(
            target: "api",
            request_id = call.id,
            method = call.method,
            path = call.path,
            operation,
            who,
            status = status.as_u16(),
            error = code.map(slug),
            micros = u64::try_from(call.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&call.id) {
        headers.insert(REQUEST_ID, id);
    }
    match code {
        Some(Code::RateLimited | Code::Unavailable) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Some(Code::Unauthenticated) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Some(Code::MethodNotAllowed) => {
            let methods = methods(&call.path).join(", ");
            headers.extend(HeaderValue::from_str(&methods).map(|methods| (ALLOW, methods)));
        }
        _ => {}
    }
    response
}
