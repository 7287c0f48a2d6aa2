//! Puts the pieces of `serve` together and watches the signals.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::certificate::Source;
use super::{BoundArgs, ServeArgs};
use crate::admission::PolicySet;
use crate::cli::Verdict;
use crate::cli::settings::SettingsArgs;
use crate::control::certificate::Keeper;
use crate::control::policies::Policies;
use crate::control::{Controller, notes};
use crate::http::ops::Readiness;
use crate::http::page::Transport;
use crate::http::{self, App, Snapshot};
use crate::model::{NodeManager, Settings};
use crate::tls::accept::{self, Door};
use crate::tls::reload::Reloader;
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
    let source = if args.issued.is_given() { None } else { Some(args.certificate.source()?) };
    let mut signals = Signals::install()?;
    // Before the certificate: a second start on a used port must not touch the files of the first.
    let listener = bind(args.listen).await?;
    let address = listener.local_addr().context("failed to read the listener's address")?;
    let pair = source.map(Source::load).transpose()?;
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    let client = args.client().await?;
    let controller = args.controller(client.clone(), &stop)?;
    let keeper = controller.as_ref().and_then(Controller::keeper);
    let reloader = tokio::select! {
        reloader = first(pair, keeper.as_ref()) => reloader?,
        () = signals.until_end(&reload) => {
            stop.cancel();
            return end(controller.map(|controller| tokio::spawn(controller.run()))).await;
        }
    };
    let resolver = reloader.resolver();
    let readiness = Arc::new(readiness(&resolver, controller.as_ref(), keeper.as_ref()));
    let policies = args.policies(client.as_ref(), controller.as_ref(), &stop);
    let app = args.app(client, controller.as_ref(), &readiness, &stop);
    let door = Door::new(listener, tls::server_config(Arc::clone(&resolver)), args.bounds.tls());

    let serving = tokio::spawn(door.serve(http::router(Arc::clone(&app)), stop.clone()));
    let interval = args.certificate.tls_reload_interval;
    let (asked, ends) = (Arc::clone(&reload), stop.clone());
    match keeper {
        Some(keeper) => {
            let ready = Arc::clone(&readiness);
            tokio::spawn(keeper.run(reloader, ready, interval, asked, ends))
        }
        None => tokio::spawn(reloader.run(interval, asked, ends)),
    };
    let manager = controller.as_ref().map(Controller::node_manager);
    tokio::spawn(follow(manager, policies, args.settings, app));
    let controlling = controller.map(|controller| tokio::spawn(controller.run()));
    announce(address, &resolver);

    signals.until_end(&reload).await;
    tracing::info!(delay = ?args.bounds.shutdown_delay, "told to end: not ready from now on");
    readiness.drain();
    signals.again_or(args.bounds.shutdown_delay, &reload).await;
    stop.cancel();
    let verdict = end(controlling).await?;
    let drained = serving.await.context("the accept loop failed")?;
    if drained.cut == 0 {
        tracing::info!("drained: every call is answered");
    } else {
        tracing::warn!(connections = drained.cut, "cut what was left after the drain timeout");
    }
    Ok(verdict)
}

/// The pair that is there, or the one that the keeper waits for.
async fn first(pair: Option<Reloader>, keeper: Option<&Keeper>) -> anyhow::Result<Reloader> {
    match (pair, keeper) {
        (Some(pair), _) => Ok(pair),
        (None, Some(keeper)) => keeper.first().await,
        (None, None) => anyhow::bail!("--tls-secret needs --with-controller"),
    }
}

/// Waits for the end of the controller, where there is one.
async fn end(controlling: Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<Verdict> {
    if let Some(controlling) = controlling {
        controlling.await.context("the controller failed")??;
    }
    Ok(Verdict::Good)
}

impl ServeArgs {
    /// A client, where the flags ask for something that needs one.
    async fn client(&self) -> anyhow::Result<Option<Client>> {
        let watches = self.work.watches_policies(self.with_controller);
        if self.with_controller || self.with_notes || watches {
            return self.work.client().await.map(Some);
        }
        Ok(None)
    }

    /// The controller in this process, where the flags ask for one.
    fn controller(
        &self,
        client: Option<Client>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Controller>> {
        let Some(client) = client.filter(|_| self.with_controller) else { return Ok(None) };
        let mut options = self.work.options(&self.settings)?;
        let terms = &options.terms;
        options.certificate =
            self.issued.options(&options.namespace, &terms.domain, &terms.settings);
        Ok(Some(Controller::stand(client, options, stop.clone())))
    }

    /// The administrators' policies, where they are watched.
    fn policies(
        &self,
        client: Option<&Client>,
        controller: Option<&Controller>,
        stop: &CancellationToken,
    ) -> Option<Receiver<PolicySet>> {
        if let Some(controller) = controller {
            return controller.policies();
        }
        let client = client.filter(|_| self.work.watches_policies(false))?;
        let (base, settings) = (self.settings.policies(), self.settings.settings());
        Some(Policies::watch(client.clone(), base, Some(settings), stop.clone()).set())
    }

    fn app(
        &self,
        client: Option<Client>,
        controller: Option<&Controller>,
        readiness: &Arc<Readiness>,
        stop: &CancellationToken,
    ) -> Arc<App> {
        let snapshot = snapshot(&self.settings, None, None);
        let app = App::new(snapshot, self.bounds.http(), Arc::clone(readiness));
        let app = match client {
            Some(client) => {
                let identity = self.work.identity();
                app.noting(notes::notes(client, &identity, stop.clone()))
            }
            None => app,
        };
        Arc::new(match controller {
            Some(controller) => app
                .with_metrics(controller.metrics())
                .with_audit(self.work.audit_page(controller, Transport::Tls)),
            None => app,
        })
    }
}

fn readiness(
    resolver: &Arc<Resolver>,
    controller: Option<&Controller>,
    keeper: Option<&Keeper>,
) -> Readiness {
    let readiness = Readiness::default().with("certificate", certificate_check(resolver));
    // What the controller lacks is no reason to stop answering reviews.
    let readiness = match controller {
        Some(controller) => readiness.noting(controller.checked_in(Readiness::default())),
        None => readiness,
    };
    match keeper {
        Some(keeper) => readiness.noting(Readiness::default().with("registration", keeper.check())),
        None => readiness,
    }
}

/// What the rules read, where `manager` is what `auto` comes to.
fn snapshot(
    settings: &SettingsArgs,
    manager: Option<NodeManager>,
    policies: Option<PolicySet>,
) -> Snapshot {
    let decided = settings.settings();
    let settings_now = Settings { node_manager: decided.node_manager.or(manager), ..decided };
    let policies = policies.unwrap_or_else(|| settings.policies());
    Snapshot { settings: settings_now, policies }
}

/// Judges by what `auto` comes to and by the policies that are in force, whenever these change.
async fn follow(
    mut manager: Option<Receiver<Option<NodeManager>>>,
    mut policies: Option<Receiver<PolicySet>>,
    settings: SettingsArgs,
    app: Arc<App>,
) {
    loop {
        let decided = manager.as_mut().and_then(|it| *it.borrow_and_update());
        let in_force = policies.as_mut().map(|it| it.borrow_and_update().clone());
        app.replace(snapshot(&settings, decided, in_force));
        tokio::select! {
            () = changed(manager.as_mut()) => {}
            () = changed(policies.as_mut()) => {}
        }
    }
}

/// Waits for news; for ever where none will come.
async fn changed<T>(receiver: Option<&mut Receiver<T>>) {
    let heard = match receiver {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !heard {
        std::future::pending::<()>().await;
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
            idle: self.idle_timeout,
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
