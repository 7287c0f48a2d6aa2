//! The life of one connection: handshake, first call, further calls, leave-taking.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::accept::Limits;
use crate::telemetry::chain;

/// A connection that has not spoken yet when the stop comes may have its call on the wire.
const LAST_WORD: Duration = Duration::from_secs(1);

/// HTTP/2 clients that hold a connection are asked this often whether they are still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Calls at one time on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// What a connection listens to beside its client.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// Finish what has begun.
    pub(super) stop: CancellationToken,
    /// End at once.
    pub(super) cut: CancellationToken,
}

/// Serves one client until it leaves, is too slow, or is sent away.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    signals: Signals,
) {
    // Answers are one small write each: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return converse(stream, peer, router, limits, signals).await;
    };
    let shaken =
        signals.cut.run_until_cancelled(timeout(limits.handshake, acceptor.accept(stream)));
    match shaken.await {
        Some(Ok(Ok(stream))) => converse(stream, peer, router, limits, signals).await,
        Some(Ok(Err(error))) => report_handshake(&error, peer),
        Some(Err(_)) => tracing::debug!(%peer, "no TLS handshake within its time"),
        None => {}
    }
}

/// An alert is the client's refusal of our certificate, which an administrator must see; anything
/// else is a port scan or a load balancer's health check.
fn report_handshake(error: &std::io::Error, peer: SocketAddr) {
    let refused = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|inner| matches!(inner, rustls::Error::AlertReceived(_)));
    let reason = chain(error);
    if refused {
        tracing::warn!(%peer, reason, "a client refused the TLS handshake: does its caBundle hold our authority?");
    } else {
        tracing::debug!(%peer, reason, "a TLS handshake failed");
    }
}

async fn converse<S>(stream: S, peer: SocketAddr, router: Router, limits: Limits, signals: Signals)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let spoken = CancellationToken::new();
    let service = service_fn({
        let spoken = spoken.clone();
        move |mut request: Request<Incoming>| {
            spoken.cancel();
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        }
    });
    let builder = protocol(limits);
    let mut talk = pin!(builder.serve_connection(TokioIo::new(stream), service));

    tokio::select! {
        ended = talk.as_mut() => return report_end(ended, peer),
        () = spoken.cancelled() => {}
        () = sleep(limits.headers) => return tracing::debug!(%peer, "no request within its time"),
        () = stopped_and_silent(&signals.stop) => return,
        () = signals.cut.cancelled() => return,
    }
    tokio::select! {
        ended = talk.as_mut() => return report_end(ended, peer),
        () = signals.stop.cancelled() => talk.as_mut().graceful_shutdown(),
        () = signals.cut.cancelled() => return,
    }
    tokio::select! {
        ended = talk => report_end(ended, peer),
        () = signals.cut.cancelled() => {}
    }
}

async fn stopped_and_silent(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_WORD).await;
}

fn protocol(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // This runs from the last answer on; the first request has a bound of its own.
    let next = limits.idle.max(limits.headers);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(next);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(limits.headers)
        .max_concurrent_streams(STREAMS);
    builder
}

fn report_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>, peer: SocketAddr) {
    if let Err(error) = ended {
        tracing::debug!(%peer, reason = chain(&*error), "a connection ended in the middle");
    }
}
