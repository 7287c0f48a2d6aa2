//! The companion controller: makes the nodes of RayClusters, and what they need.
//!
//! Reads fetch -> plan -> apply. Watches feed [`index`]; each event queues its cluster; [`reconcile`]
//! takes what is known, asks [`crate::plan`], carries the steps out one at a time and writes the status
//! where it changed. One replica acts, the one that holds the Lease; every write is safe without it.

mod apply;
mod events;
pub mod evidence;
mod index;
mod leader;
mod reconcile;
mod resources;
pub mod rights;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use self::evidence::Evidence;
use self::index::Index;
use self::leader::Leader;
use self::reconcile::{Context, Trouble};
use crate::http::ops::Readiness;
use crate::plan::Terms;

/// How the controller works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How this installation works.
    pub terms: Terms,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: String,
    /// Who this replica is.
    pub identity: String,
    /// How long a Lease lasts that is not renewed.
    pub lease_duration: Duration,
    /// Clusters that are looked after at one time.
    pub concurrency: u16,
}

/// Runs until `stop`.
pub async fn run(
    client: Client,
    options: Options,
    readiness: Readiness,
    ops: Option<tokio::net::TcpListener>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let rights = rights::Rights::default();
    let index = Arc::new(Index::default());
    let (leader, lease) = Leader::stand(client.clone(), &options, stop.clone()).await?;
    let readiness = Arc::new(
        readiness
            .with("rights", rights.check())
            .with("watches", index.check())
            .with("leader", leader.check()),
    );
    if let Some(listener) = ops {
        let router = crate::http::ops_router(Arc::clone(&readiness));
        let ends = stop.clone();
        tokio::spawn(async move {
            let served =
                axum::serve(listener, router).with_graceful_shutdown(ends.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the operations port failed");
            }
        });
    }
    tokio::spawn(rights.clone().watch_over(client.clone(), stop.clone()));

    let (queue, queued) = futures::channel::mpsc::unbounded();
    let store = watch::start(&client, &index, &queue, &stop);
    let context = Arc::new(Context {
        evidence: Evidence::new(client.clone(), options.terms.settings.accounts.kuberay.clone()),
        events: events::Recorder::new(client.clone(), &options.identity),
        client,
        index: Arc::clone(&index),
        leader: leader.clone(),
        terms: options.terms,
    });
    tokio::spawn(queue_all_on_election(
        leader.clone(),
        Arc::clone(&index),
        store.clone(),
        queue,
        stop.clone(),
    ));
    let config = Config::default().concurrency(options.concurrency);
    let work = applier(
        |object: Arc<DynamicObject>, context: Arc<Context>| {
            Box::pin(async move { reconcile::cluster(&object, &context).await })
        },
        on_trouble,
        context,
        store,
        queued.map(|reference: ObjectRef<DynamicObject>| Ok::<_, Trouble>(reference)),
        config,
    );
    let mut work = std::pin::pin!(work.take_until(stop.cancelled()));
    while work.next().await.is_some() {}
    lease.await.context("the election failed")
}

#[expect(clippy::needless_pass_by_value, reason = "the runtime hands it over so")]
fn on_trouble(object: Arc<DynamicObject>, trouble: &Trouble, context: Arc<Context>) -> Action {
    let key = index::Key::of(&object);
    let wait = context.index.back_off(&key, trouble.patience());
    tracing::warn!(cluster = %key, again_in = ?wait, "{trouble}");
    Action::requeue(wait)
}

/// A new leader looks at every cluster once.
async fn queue_all_on_election(
    leader: Leader,
    index: Arc<Index>,
    store: kube::runtime::reflector::Store<DynamicObject>,
    queue: watch::Queue,
    stop: CancellationToken,
) {
    let mut state = leader.state();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
        }
        if *state.borrow_and_update() {
            tracing::info!("elected: looking at every cluster");
            index.forget_floors();
            let rayclusters = resources::raycluster();
            for object in store.state() {
                let _ =
                    queue.unbounded_send(ObjectRef::from_obj_with(&*object, rayclusters.clone()));
            }
        }
    }
}
