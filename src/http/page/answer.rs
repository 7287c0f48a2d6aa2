//! The answers of the audit page, their headers, and one log line for each. No token is logged.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::page::{POLICY, TOKEN_POLICY, token};
use crate::scaling::{Code, Fault};

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Why a port of plain HTTP does not answer.
const NOT_HERE: &str = "this port speaks plain HTTP, so the audit is shown on loopback alone and no token \
     is taken over a network: run kubectl port-forward to this Pod, and open http://localhost:PORT/audit";

/// What a request came to.
pub(super) enum Told {
    /// The page, and of how many clusters.
    Page(String, usize),
    /// Who are you?
    Ask,
    /// Not over this way.
    NotHere,
}

/// The response; in HTML for a `browser`, in plain text for anybody else.
pub(super) fn answered(
    outcome: Result<Told, Fault>,
    browser: bool,
    who: Option<&str>,
    audience: &str,
) -> Response {
    let (status, said, code) = match outcome {
        Ok(Told::Page(html, clusters)) => {
            tracing::info!(target: "page", who, clusters, status = 200, "shown");
            return closed(StatusCode::OK, html, &POLICY);
        }
        Ok(Told::Ask) => {
            let said = if browser { "" } else { "no credential" };
            (StatusCode::UNAUTHORIZED, said.to_owned(), None)
        }
        // No form here: it would invite a token.
        Ok(Told::NotHere) => return plain(StatusCode::FORBIDDEN, NOT_HERE.to_owned()),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.code.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, fault.message, Some(fault.code))
        }
    };
    tracing::info!(target: "page", who, status = status.as_u16(), error = code.map(Code::as_str), "not shown");
    let mut response = if browser {
        closed(status, token(&said, audience), &TOKEN_POLICY)
    } else if status == StatusCode::UNAUTHORIZED && !said.contains("--audience") {
        let how = format!(
            "send `Authorization: Bearer $(kubectl create token NAME --audience {audience})`, or open \
             this page in a browser"
        );
        plain(status, format!("{said}: {how}"))
    } else {
        plain(status, said)
    };
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if matches!(code, Some(Code::RateLimited | Code::Unavailable)) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn plain(status: StatusCode, message: String) -> Response {
    sealed(super::super::text(status, message), "text/plain; charset=utf-8")
}

/// HTML under its policy, which nobody may put in a frame.
fn closed(status: StatusCode, html: String, policy: &str) -> Response {
    let mut response = sealed((status, html).into_response(), "text/html; charset=utf-8");
    let policy = HeaderValue::from_str(&format!("{policy}; frame-ancestors 'none'"));
    response.headers_mut().extend(policy.map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    response
}

fn sealed(mut response: Response, kind: &'static str) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
