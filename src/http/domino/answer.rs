//! JSON answers, their headers, and one log line for each. No query, body or credential is logged.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::http::call::Call;
use crate::scaling::{Code, Fault, Route};

/// A success.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

pub(super) fn ok(body: Value) -> Answer {
    Answer { status: StatusCode::OK, body }
}

pub(super) fn accepted(body: Value) -> Answer {
    Answer { status: StatusCode::ACCEPTED, body }
}

pub(super) fn state(word: &str) -> Answer {
    ok(json!({"status": word}))
}

pub(super) fn not_ready(faults: &[String]) -> Answer {
    let body = json!({"status": "not_ready", "reasons": faults});
    Answer { status: StatusCode::SERVICE_UNAVAILABLE, body }
}

/// The response, and its line in the log.
pub(super) fn answer(
    call: &Call,
    route: &'static str,
    who: Option<&str>,
    outcome: Result<Answer, Fault>,
) -> Response {
    let (status, body, code) = match outcome {
        Ok(Answer { status, body }) => (status, body, None),
        Err(fault) => {
            let Fault { code, message, .. } = fault;
            let status = StatusCode::from_u16(code.status());
            let body = json!({
                "ok": false, "error": code.as_str(), "message": message, "request_id": call.id,
            });
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body, Some(code))
        }
    };
    let probe = matches!(route, "health" | "ready");
    if !probe {
        tracing::info!(
            target: "api",
            request_id = call.id,
            method = call.method,
            path = call.path,
            route,
            who,
            status = status.as_u16(),
            error = code.map(Code::as_str),
            micros = call.micros(),
            "answered"
        );
    }
    call.answered((status, Body::from(body.to_string())), "application/json", code, || {
        Route::methods(&call.path)
    })
}
