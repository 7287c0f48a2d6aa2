//! Puts the pieces of `serve` together and watches the signals.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::{BoundArgs, ServeArgs};
use crate::cli::Verdict;
use crate::cli::settings::SettingsArgs;
use crate::control::{Controller, notes};
use crate::http::ops::Readiness;
use crate::http::{self, App, Snapshot};
use crate::model::{NodeManager, Settings};
use crate::tls::accept::{self, Door};
use crate::tls::resolver::Resolver;
use crate::{clock, tls};

/// For blocking reviews that outlived their connections.
const LAST: Duration = Duration::from_secs(1);

/// Large reviews at one time; further ones wait, with their deadline running.
const BLOCKING_THREADS: usize = 16;

pub(super) fn run(args: ServeArgs) -> anyhow::Result<Verdict> {
    args.log.install()?;
    let runtime = runtime()?;
    let result = runtime.block_on(serve(args));
    runtime.shutdown_timeout(LAST);
    result
}

pub(in crate::cli) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("failed to start the runtime")
}

async fn serve(args: ServeArgs) -> anyhow::Result<Verdict> {
    let ServeArgs {
        listen,
        certificate,
        with_controller,
        with_notes,
        work,
        settings,
        bounds,
        log: _,
    } = args;
    let source = certificate.source()?;
    let mut signals = Signals::install()?;
    // Before the certificate: a second start on a used port must not touch the files of the first.
    let listener = bind(listen).await?;
    let address = listener.local_addr().context("failed to read the listener's address")?;
    let reloader = source.load()?;
    let resolver = reloader.resolver();
    let stop = CancellationToken::new();
    let client = if with_controller || with_notes { Some(work.client().await?) } else { None };
    let controller = client.clone().filter(|_| with_controller);
    let controller =
        controller.map(|client| Controller::stand(client, work.options(&settings), stop.clone()));
    let readiness = Readiness::default().with("certificate", certificate_check(&resolver));
    let readiness = Arc::new(match &controller {
        // What the controller lacks is no reason to stop answering reviews.
        Some(controller) => readiness.noting(controller.checked_in(Readiness::default())),
        None => readiness,
    });
    let app = App::new(snapshot(&settings, None), bounds.http(), Arc::clone(&readiness));
    let app = match client {
        Some(client) => {
            app.noting(notes::notes(client, &work.options(&settings).identity, stop.clone()))
        }
        None => app,
    };
    let app = Arc::new(match &controller {
        Some(controller) => app.with_metrics(controller.metrics()),
        None => app,
    });
    let door = Door::new(listener, tls::server_config(Arc::clone(&resolver)), bounds.tls());

    let reload = Arc::new(Notify::new());
    let serving = tokio::spawn(door.serve(http::router(Arc::clone(&app)), stop.clone()));
    tokio::spawn(reloader.run(certificate.tls_reload_interval, Arc::clone(&reload), stop.clone()));
    if let Some(controller) = &controller {
        tokio::spawn(follow(controller.node_manager(), settings, app));
    }
    let controlling = controller.map(|controller| tokio::spawn(controller.run()));
    announce(address, &resolver);

    signals.until_end(&reload).await;
    tracing::info!(delay = ?bounds.shutdown_delay, "told to end: not ready from now on");
    readiness.drain();
    signals.again_or(bounds.shutdown_delay, &reload).await;
    stop.cancel();
    if let Some(controlling) = controlling {
        controlling.await.context("the controller failed")??;
    }
    let drained = serving.await.context("the accept loop failed")?;
    if drained.cut == 0 {
        tracing::info!("drained: every call is answered");
    } else {
        tracing::warn!(connections = drained.cut, "cut what was left after the drain timeout");
    }
    Ok(Verdict::Good)
}

/// What the rules read, where `manager` is what `auto` comes to.
fn snapshot(settings: &SettingsArgs, manager: Option<NodeManager>) -> Snapshot {
    let decided = settings.settings();
    let settings_now = Settings { node_manager: decided.node_manager.or(manager), ..decided };
    Snapshot { settings: settings_now, policies: settings.policies() }
}

/// Judges by what `auto` comes to, whenever that changes.
async fn follow(mut manager: Receiver<Option<NodeManager>>, settings: SettingsArgs, app: Arc<App>) {
    loop {
        app.replace(snapshot(&settings, *manager.borrow_and_update()));
        if manager.changed().await.is_err() {
            return;
        }
    }
}

pub(in crate::cli) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    accept::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => ": another process holds this port; choose another one",
            ErrorKind::PermissionDenied => {
                ": ports below 1024 need a privilege; choose another one"
            }
            _ => "",
        };
        anyhow::Error::new(error).context(format!("failed to listen on {address}{hint}"))
    })
}

pub(in crate::cli) fn certificate_check(
    resolver: &Arc<Resolver>,
) -> impl Fn() -> http::ops::Finding + Send + Sync + use<> {
    let resolver = Arc::clone(resolver);
    move || {
        let facts = resolver.facts();
        match facts.fault(clock::now()) {
            Some(fault) => Err(fault),
            None => Ok(format!("{} ends at {}", facts.fingerprint, facts.not_after)),
        }
    }
}

fn announce(address: SocketAddr, resolver: &Resolver) {
    let facts = resolver.facts();
    tracing::info!(
        %address,
        version = env!("CARGO_PKG_VERSION"),
        fingerprint = facts.fingerprint,
        not_after = %facts.not_after,
        names = facts.names.join(","),
        "serving"
    );
}

impl BoundArgs {
    fn tls(&self) -> accept::Limits {
        accept::Limits {
            connections: self.max_connections,
            handshake: self.handshake_timeout,
            headers: self.header_timeout,
            drain: self.drain_timeout,
        }
    }

    fn http(&self) -> http::Limits {
        http::Limits { deadline: self.review_deadline, concurrent: self.max_concurrent_reviews }
    }
}

/// The signals that a server answers.
pub(in crate::cli) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(in crate::cli) fn install() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the end, passing on hang-ups.
    pub(in crate::cli) async fn until_end(&mut self, reload: &Notify) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload.notify_one(),
            }
        }
    }

    /// Waits for the delay, or for a second demand to end.
    pub(in crate::cli) async fn again_or(&mut self, delay: Duration, reload: &Notify) {
        let _ = tokio::time::timeout(delay, self.until_end(reload)).await;
    }
}
