//! Accepts connections, bounds their number, and lets them go at the end.
//!
//! The drain: once `stop` is cancelled nothing new is accepted but what the kernel had already
//! taken; every connection finishes the calls it has begun; after the drain's bound the rest is
//! cut. No wait in here is without a bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Signals};

/// How long the listener must have been quiet before it is closed.
const QUIET: Duration = Duration::from_millis(50);

/// For how long it is kept open at most where clients keep coming: whatever the kernel had taken by then
/// is served long before.
const LAST_GUESTS: Duration = Duration::from_secs(1);

/// A pause after a failed accept: with no file descriptor left, trying again at once only spins.
const BREATH: Duration = Duration::from_millis(100);

/// At most one line per this time about refused connections.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Bounds of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time; one more is closed at once, so that its client fails fast.
    pub connections: usize,
    /// From TCP to the end of the TLS handshake.
    pub handshake: Duration,
    /// For the headers of the first request.
    pub headers: Duration,
    /// For the next request on a kept connection. Longer than clients keep theirs: to close one that
    /// its client still uses may meet a call on its way, which is lost then.
    pub idle: Duration,
    /// From the stop signal to the end of the last call.
    pub drain: Duration,
}

/// How the drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections cut because the time was over.
    pub cut: usize,
}

/// A listener with its bounds, and its certificate unless it speaks in clear.
pub struct Door {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    limits: Limits,
}

/// Binds `address`. The unspecified IPv6 address stands for every address there is: where the
/// kernel has no IPv6, IPv4 alone is bound.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == IpAddr::from([0_u16; 8]) && without_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

fn without_ipv6(error: &io::Error) -> bool {
    /// `EAFNOSUPPORT`, for which the standard library has no kind.
    const NO_SUCH_FAMILY: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

impl Door {
    /// A door that is not open yet.
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>, limits: Limits) -> Self {
        Self { listener, acceptor: Some(TlsAcceptor::from(config)), limits }
    }

    /// The same without TLS, for clients that were given a plain address.
    pub const fn in_clear(listener: TcpListener, limits: Limits) -> Self {
        Self { listener, acceptor: None, limits }
    }

    /// Serves until `stop`, then drains.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> Drained {
        let mut hall = Hall::new(self.acceptor, self.limits, router, stop.clone());
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => hall.admit(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(BREATH).await;
                }
            }
        }
        // Connections of the backlog are established for their clients: closing now resets them.
        let closing = Instant::now();
        while closing.elapsed() < LAST_GUESTS
            && let Ok(Ok((stream, peer))) = timeout(QUIET, self.listener.accept()).await
        {
            hall.admit(stream, peer);
        }
        drop(self.listener);
        hall.drain().await
    }
}

/// The connections that are open.
struct Hall {
    acceptor: Option<TlsAcceptor>,
    limits: Limits,
    router: Router,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    signals: Signals,
    refused: usize,
    reported: Option<Instant>,
}

impl Hall {
    fn new(
        acceptor: Option<TlsAcceptor>,
        limits: Limits,
        router: Router,
        stop: CancellationToken,
    ) -> Self {
        Self {
            acceptor,
            limits,
            router,
            slots: Arc::new(Semaphore::new(limits.connections)),
            tasks: TaskTracker::new(),
            signals: Signals { stop, cut: CancellationToken::new() },
            refused: 0,
            reported: None,
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            drop(stream);
            return self.count_refused();
        };
        let life = connection::serve(
            stream,
            peer,
            self.acceptor.clone(),
            self.router.clone(),
            self.limits,
            self.signals.clone(),
        );
        self.tasks.spawn(async move {
            life.await;
            drop(slot);
        });
    }

    fn count_refused(&mut self) {
        self.refused += 1;
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            tracing::warn!(
                refused = self.refused,
                limit = self.limits.connections,
                "too many connections: new ones are closed (--max-connections)"
            );
            self.refused = 0;
            self.reported = Some(Instant::now());
        }
    }

    async fn drain(self) -> Drained {
        /// For tasks to notice that they are cut.
        const LAST: Duration = Duration::from_secs(1);
        self.tasks.close();
        if timeout(self.limits.drain, self.tasks.wait()).await.is_ok() {
            return Drained { cut: 0 };
        }
        let cut = self.tasks.len();
        self.signals.cut.cancel();
        let _ = timeout(LAST, self.tasks.wait()).await;
        Drained { cut }
    }
}
