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
mod reports;
mod resources;
pub mod rights;
mod watch;

pub use self::reports::ReportOptions;
pub use self::resources::raycluster;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::evidence::Evidence;
use self::index::Index;
use self::leader::Leader;
use self::reconcile::{Context, Trouble};
use self::reports::Reports;
use self::rights::Rights;
use crate::http::ops::Readiness;
use crate::plan::Terms;
use crate::ray::Cache;

/// For how long a dashboard's answer is good.
const ANSWER_FOR: Duration = Duration::from_secs(2);

/// Heads whose answers are kept.
const MOST_HEADS: usize = 4096;

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
    /// How reports are kept; `None`: none are.
    pub reports: Option<ReportOptions>,
}

/// A controller that stands for election and is about to work.
pub struct Controller {
    client: Client,
    options: Options,
    rights: Rights,
    index: Arc<Index>,
    leader: Leader,
    lease: JoinHandle<()>,
    stop: CancellationToken,
}

impl Controller {
    /// Stands for election; everything ends with `stop`.
    pub async fn stand(
        client: Client,
        options: Options,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (leader, lease) = Leader::stand(client.clone(), &options, stop.clone()).await?;
        let (rights, index) = (Rights::default(), Arc::default());
        Ok(Self { client, options, rights, index, leader, lease, stop })
    }

    /// `readiness` with the controller's own checks: rights, watches, election.
    #[must_use]
    pub fn checked_in(&self, readiness: Readiness) -> Readiness {
        readiness
            .with("rights", self.rights.check())
            .with("watches", self.index.check())
            .with("leader", self.leader.check())
    }

    /// Works until the end.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { client, options, rights, index, leader, lease, stop } = self;
        tokio::spawn(rights.watch_over(client.clone(), stop.clone()));
        let (queue, queued) = futures::channel::mpsc::unbounded();
        let store = watch::start(&client, &index, &queue, &stop);
        let accounts = options.terms.settings.accounts.kuberay.clone();
        let events = Arc::new(events::Recorder::new(client.clone(), &options.identity));
        if let Some(reports) = options.reports {
            let reports = Reports {
                client: client.clone(),
                index: Arc::clone(&index),
                leader: leader.clone(),
                store: store.clone(),
                queue: queue.clone(),
                events: Arc::clone(&events),
                options: reports,
                cache: Cache::new(ANSWER_FOR, MOST_HEADS),
                seen: Mutex::default(),
            };
            tokio::spawn(reports.run(stop.clone()));
        }
        let context = Arc::new(Context {
            evidence: Evidence::new(client.clone(), accounts),
            events,
            client,
            index,
            leader: leader.clone(),
            terms: options.terms,
        });
        tokio::spawn(queue_all_on_election(
            leader,
            Arc::clone(&context.index),
            store.clone(),
            queue,
            stop.clone(),
        ));
        let work = applier(
            |object: Arc<DynamicObject>, context: Arc<Context>| {
                Box::pin(async move { reconcile::cluster(&object, &context).await })
            },
            on_trouble,
            context,
            store,
            queued.map(|reference: ObjectRef<DynamicObject>| Ok::<_, Trouble>(reference)),
            Config::default().concurrency(options.concurrency),
        );
        let mut work = std::pin::pin!(work.take_until(stop.cancelled()));
        while work.next().await.is_some() {}
        lease.await.context("the election failed")
    }
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
            for object in store.state() {
                watch::enqueue(&queue, &index::Key::of(&object));
            }
        }
    }
}
