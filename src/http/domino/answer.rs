//! JSON answers, their headers, and one log line for each. No query, body or credential is logged.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use axum::extract::Request;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scaling::{Code, Fault, Route};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a request that is taken over from the caller.
const MAX_ID: usize = 64;

/// What is known of a request from its head alone.
pub(super) struct Asked {
    /// Its id: the caller's where that can stand in a log, a random one otherwise.
    pub(super) id: String,
    method: String,
    path: String,
    begun: Instant,
}

/// A success.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        let sound = |id: &&str| {
            (1..=MAX_ID).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        // Every new `RandomState` has keys of its own.
        let fresh = || format!("{:016x}", RandomState::new().hash_one(0_u8));
        Self {
            id: given.filter(sound).map_or_else(fresh, str::to_owned),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            begun: Instant::now(),
        }
    }
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
    asked: &Asked,
    route: &'static str,
    who: Option<&str>,
    outcome: Result<Answer, Fault>,
) -> Response {
    let (status, body, code) = match outcome {
        Ok(Answer { status, body }) => (status, body, None),
        Err(fault) => {
            let Fault { code, message } = fault;
            let status = StatusCode::from_u16(code.status());
            let body = json!({
                "ok": false, "error": code.as_str(), "message": message, "request_id": asked.id,
            });
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body, Some(code))
        }
    };
    let probe = matches!(route, "health" | "ready");
    if !probe {
        tracing::info!(
            target: "api",
            request_id = asked.id,
            method = asked.method,
            path = asked.path,
            route,
            who,
            status = status.as_u16(),
            error = code.map(Code::as_str),
            micros = u64::try_from(asked.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
        headers.insert(REQUEST_ID, id);
    }
    match code {
        Some(Code::RateLimited | Code::Unavailable) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Some(Code::Unauthenticated | Code::KubernetesToken) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Some(Code::MethodNotAllowed) => {
            let methods = Route::methods(&asked.path).join(", ");
            headers.extend(HeaderValue::from_str(&methods).map(|methods| (ALLOW, methods)));
        }
        _ => {}
    }
    response
}
