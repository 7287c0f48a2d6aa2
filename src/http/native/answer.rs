//! JSON answers and problems, their headers, and one log line for each. No query, body or credential is
//! logged.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::call::Call;
use crate::scaling::native::endpoint::methods;
use crate::scaling::native::openapi::DOCUMENT;
use crate::scaling::native::view::{Problem, slug};
use crate::scaling::{Code, Fault};

/// What a request came to.
pub(super) enum Done {
    /// An answer.
    Json(StatusCode, String),
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
            micros = call.micros(),
            "answered"
        );
    }
    call.answered((status, body), kind, code, || methods(&call.path))
}
