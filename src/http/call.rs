//! One request of the scaling API, as its head tells of it, and its body within bounds.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::connect_info::ConnectInfo;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio_util::task::TaskTracker;

use crate::scaling::{Code, Fault};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a request that is taken over from the caller.
const MAX_ID: usize = 64;

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// How long it may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// What is known of a request from its head alone.
pub(super) struct Call {
    /// Its id: the caller's where that can stand in a log, a random one otherwise.
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) begun: Instant,
}

impl Call {
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

    /// A response to it: its headers, and those that a fault's code asks for; `methods` are what the path
    /// takes.
    pub(super) fn answered(
        &self,
        (status, body): (StatusCode, Body),
        kind: &'static str,
        code: Option<Code>,
        methods: impl FnOnce() -> Vec<&'static str>,
    ) -> Response {
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(HeaderValue::from_str(&self.id).map(|id| (REQUEST_ID, id)));
        match code {
            Some(Code::RateLimited | Code::Unavailable) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Some(Code::Unauthenticated | Code::KubernetesToken) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Some(Code::MethodNotAllowed) => {
                let methods = methods().join(", ");
                headers.extend(HeaderValue::from_str(&methods).map(|methods| (ALLOW, methods)));
            }
            _ => {}
        }
        response
    }

    /// Microseconds so far.
    pub(super) fn micros(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Every value of a header.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// The address that a request came from.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// The whole body.
pub(super) async fn body(body: Body) -> Result<Bytes, Fault> {
    let whole = Limited::new(body, MAX_BODY).collect();
    let Ok(whole) = tokio::time::timeout(BODY_WITHIN, whole).await else {
        return Err(Fault::new(Code::TooSlow, "the body did not arrive in time"));
    };
    match whole {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Fault::new(Code::TooLarge, format!("the body is longer than {MAX_BODY} bytes")))
        }
        Err(_) => Err(Fault::bad("the body broke off")),
    }
}

/// Runs whether or not anybody waits.
pub(super) async fn to_the_end<T: Send + 'static>(
    writes: &TaskTracker,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    writes.spawn(work).await.unwrap_or_else(|_| {
        Err(Fault::new(Code::Internal, "a bug in raywarden; the log names the place"))
    })
}
