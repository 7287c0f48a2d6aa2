//! One GET, on a connection of its own.
//!
//! Input: a dashboard and a path. Output: the body of a 200, or what came instead in one sentence.
//! The deadline is the caller's; dropping the future closes the connection.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{Dashboard, MOST_BYTES, wire};

/// The body of the answer.
pub(super) async fn get(dashboard: &Dashboard, path: &str) -> Result<Bytes, String> {
    let address = dashboard.address;
    let unreachable = |error: &dyn std::fmt::Display| {
        format!("nothing answers at {address}, the address of the head Pod ({error})")
    };
    let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
    let request = request(dashboard, path)?;
    let Some(tls) = &dashboard.tls else { return exchange(stream, request, dashboard).await };
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    let stream = connector.connect(tls.name.clone(), stream).await;
    let stream =
        stream.map_err(|error| format!("no TLS with the dashboard at {address} ({error})"))?;
    exchange(stream, request, dashboard).await
}

fn request(dashboard: &Dashboard, path: &str) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(path)
        .header(HOST, dashboard.address.to_string())
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close");
    if let Some(token) = dashboard.token.as_ref().and_then(super::Token::header) {
        request = request.header(AUTHORIZATION, token);
    }
    request.body(Empty::new()).map_err(|_| "the question could not be put".to_owned())
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    dashboard: &Dashboard,
) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // What the connection ends with is seen at the response and its body too.
    let driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status().as_u16();
    let body = match wire::refusal(status, dashboard.token.is_some()) {
        Some(refusal) => Err(refusal),
        None => read(response).await,
    };
    drop(driver);
    body
}

async fn read(response: Response<Incoming>) -> Result<Bytes, String> {
    let too_long = || format!("the answer is longer than {} MiB", MOST_BYTES / 1024 / 1024);
    let body = response.into_body();
    let announced = body.size_hint().lower();
    if usize::try_from(announced).is_ok_and(|length| length > MOST_BYTES) {
        return Err(too_long());
    }
    let read = Limited::new(body, MOST_BYTES).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            return too_long();
        }
        "the answer broke off".to_owned()
    })
}

/// hyper's own words are about states of its client.
#[expect(clippy::needless_pass_by_value, reason = "stands behind map_err")]
fn broken(error: hyper::Error) -> String {
    if error.is_parse() {
        return "what answered does not speak HTTP".to_owned();
    }
    "the connection closed without an answer".to_owned()
}
