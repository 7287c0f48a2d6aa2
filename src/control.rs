//! The companion controller: makes the nodes of RayClusters, and what they need.
//!
//! Reads fetch -> plan -> apply. Watches feed [`index`]; each event queues its cluster; [`reconcile`]
//! takes what is known, asks [`crate::plan`], carries the steps out one at a time and writes the status
//! where it changed. One replica acts, the one that holds the Lease; every write is safe without it. A
//! replica that does not lead watches nothing.

mod accounts;
mod apply;
mod audit;
mod auto;
pub mod certificate;
mod domino;
mod events;
pub mod evidence;
mod fleet;
mod index;
mod leader;
mod leases;
mod metrics;
pub mod notes;
pub mod pages;
pub mod policies;
mod reconcile;
mod register;
mod reports;
mod resources;
pub mod rights;
pub mod served;
mod watch;

pub use self::reports::ReportOptions;
pub use self::resources::raycluster;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::accounts::Accounts;
use self::audit::{Audit, Others};
use self::auto::Auto;
use self::certificate::Keeper;
use self::domino::Domino;
use self::events::Recorder;
use self::evidence::Evidence;
use self::fleet::Term;
use self::index::Index;
use self::leader::Leader;
use self::leases::Leases;
use self::metrics::Metrics;
use self::policies::Policies;
use self::reconcile::{Context, Trouble};
use self::reports::Reports;
use self::rights::Rights;
use self::watch::Feed;
use crate::admission::PolicySet;
use crate::http::ops::{Page, Readiness};
use crate::model::NodeManager;
use crate::model::settings::Mode;
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
    /// What holds without any policy of an administrator.
    pub policies: PolicySet,
    /// The administrators' policies are watched.
    pub watches_policies: bool,
    /// How reports are kept; `None`: none are.
    pub reports: Option<ReportOptions>,
    /// Between two audits of everything that is stored.
    pub audit_interval: Duration,
    /// The certificate to issue and register; `None`: somebody else does.
    pub certificate: Option<certificate::Options>,
}

/// A controller that stands for election and is about to work.
pub struct Controller {
    client: Client,
    options: Options,
    rights: Rights,
    watches: Watches,
    metrics: Arc<Metrics>,
    auto: Auto,
    policies: Option<Policies>,
    /// What the last audit found of kinds that are not watched.
    others: tokio::sync::watch::Sender<Arc<Others>>,
    leader: Leader,
    lease: JoinHandle<()>,
    stop: CancellationToken,
}

/// The watches of the term, while there is one.
type Watches = Arc<Mutex<Option<Term>>>;

fn lock(watches: &Watches) -> MutexGuard<'_, Option<Term>> {
    watches.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Controller {
    /// Stands for election; everything ends with `stop`.
    #[must_use]
    pub fn stand(client: Client, options: Options, stop: CancellationToken) -> Self {
        let (leader, lease) = Leader::stand(client.clone(), &options, stop.clone());
        let rights = Rights::of(options.certificate.is_some());
        let watches = Watches::default();
        let metrics = Arc::new(Metrics::new());
        let auto = Auto::new(&options.terms.settings);
        let policies = options.watches_policies.then(|| {
            let settings = options.terms.settings.clone();
            Policies::watch(client.clone(), options.policies.clone(), Some(settings), stop.clone())
        });
        let others = tokio::sync::watch::channel(Arc::default()).0;
        Self {
            client,
            options,
            rights,
            watches,
            metrics,
            auto,
            policies,
            others,
            leader,
            lease,
            stop,
        }
    }

    /// Who makes nodes where nothing says so for a namespace; `None`: not known yet.
    pub fn node_manager(&self) -> Receiver<Option<NodeManager>> {
        self.auto.manager()
    }

    /// The administrators' policies, where they are watched.
    pub fn policies(&self) -> Option<Receiver<PolicySet>> {
        self.policies.as_ref().map(Policies::set)
    }

    /// Who keeps the certificate, where the options ask for one.
    pub fn keeper(&self) -> Option<Keeper> {
        let Self { client, options, leader, .. } = self;
        let certificate = options.certificate.clone()?;
        Some(Keeper::new(client.clone(), &options.namespace, leader.clone(), certificate))
    }

    /// The page for Prometheus.
    pub fn metrics(&self) -> Page {
        let metrics = Arc::clone(&self.metrics);
        Arc::new(move || metrics.page())
    }

    /// `readiness` with the controller's own checks: rights, watches, election.
    #[must_use]
    pub fn checked_in(&self, readiness: Readiness) -> Readiness {
        let watches = Arc::clone(&self.watches);
        let watches = move || match &*lock(&watches) {
            None => Ok("begin once this replica leads".to_owned()),
            Some(term) => term.index.finding(),
        };
        readiness
            .with("rights", self.rights.check())
            .with("watches", watches)
            .with("node-manager", self.auto.check())
            .with("leader", self.leader.check())
    }

    /// Works, term by term, until the end.
    pub async fn run(mut self) -> anyhow::Result<()> {
        tokio::spawn(self.rights.clone().watch_over(self.client.clone(), self.stop.clone()));
        tokio::spawn(self.auto.clone().watch_over(self.evidence(), self.stop.clone()));
        let events = Arc::new(Recorder::new(self.client.clone(), &self.options.identity));
        while let Some(ends) = self.leader.next_term().await {
            self.metrics.elected();
            self.lead(Arc::default(), Arc::clone(&events), ends).await;
            *lock(&self.watches) = None;
        }
        self.lease.await.context("the election failed")
    }

    /// The set that is in force, now and later.
    fn policies_in_force(&self) -> Receiver<PolicySet> {
        let fixed = || tokio::sync::watch::channel(self.options.policies.clone()).1;
        self.policies().unwrap_or_else(fixed)
    }

    fn evidence(&self) -> Evidence {
        let accounts = self.options.terms.settings.accounts.kuberay.clone();
        Evidence::new(self.client.clone(), accounts)
    }

    /// Keeps the statuses of policies for a term.
    fn report_policies(
        &self,
        leader: &Leader,
        reach: Receiver<policies::Reach>,
        ends: &CancellationToken,
    ) {
        let Some(policies) = self.policies.clone() else { return };
        let (client, leader, ends) = (self.client.clone(), leader.clone(), ends.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = policies.report(client, leader, reach) => {}
                () = ends.cancelled() => {}
            }
        });
    }

    /// One term, which begins with fresh lists: another replica may have written till now.
    async fn lead(&self, index: Arc<Index>, events: Arc<Recorder>, ends: CancellationToken) {
        let Self { client, options, leader, metrics, .. } = self;
        let (queue, queued) = futures::channel::mpsc::unbounded();
        let (sights, seen) = futures::channel::mpsc::unbounded();
        let (audits, news) = futures::channel::mpsc::unbounded();
        let feed = Feed {
            index: Arc::clone(&index),
            queue: queue.clone(),
            metrics: Arc::clone(metrics),
            sights: sights.clone(),
            audits,
        };
        let store = watch::start(client, &feed, &ends);
        *lock(&self.watches) = Some(Term { index: Arc::clone(&index), store: store.clone() });
        if let Some(reports) = &options.reports {
            let reports = Reports {
                client: client.clone(),
                index: Arc::clone(&index),
                leader: leader.clone(),
                store: store.clone(),
                queue: queue.clone(),
                events: Arc::clone(&events),
                options: reports.clone(),
                // A Pod that is ready for long is judged by an answer from after it became so.
                cache: Cache::new(ANSWER_FOR.min(reports.joined_within / 2), MOST_HEADS),
                seen: tokio::sync::Mutex::default(),
            };
            tokio::spawn(reports.run(ends.clone()));
        }
        let (counts, reach) = tokio::sync::watch::channel(policies::Reach::new());
        let audit = Audit {
            client: client.clone(),
            index: Arc::clone(&index),
            leader: leader.clone(),
            store: store.clone(),
            news,
            metrics: Arc::clone(metrics),
            settings: options.terms.settings.clone(),
            manager: self.auto.manager(),
            policies: self.policies_in_force(),
            reach: counts,
            others: self.others.clone(),
            interval: options.audit_interval,
            reports: options.reports.is_some(),
        };
        tokio::spawn(audit.run(ends.clone()));
        self.report_policies(leader, reach, &ends);
        let domino = Domino {
            client: client.clone(),
            leader: leader.clone(),
            events: Arc::clone(&events),
            metrics: Arc::clone(metrics),
            sights,
            enforces: options.terms.settings.mode == Mode::Enforce,
        };
        tokio::spawn(domino.run(ends.clone()));
        let leases = Leases {
            client: client.clone(),
            index: Arc::clone(&index),
            leader: leader.clone(),
            events: Arc::clone(&events),
            metrics: Arc::clone(metrics),
            settings: options.terms.settings.clone(),
            policies: self.policies_in_force(),
        };
        tokio::spawn(leases.run(seen, ends.clone()));
        let accounts_of_users =
            Accounts { client: client.clone(), queue, ends: ends.clone(), awaited: Arc::default() };
        let context = Arc::new(Context {
            accounts: accounts_of_users,
            evidence: self.evidence(),
            events,
            client: client.clone(),
            index,
            leader: leader.clone(),
            metrics: Arc::clone(metrics),
            terms: options.terms.clone(),
        });
        let work = applier(
            |object: Arc<DynamicObject>, context: Arc<Context>| {
                Box::pin(async move {
                    let next = reconcile::cluster(&object, &context).await;
                    context.metrics.round(next.is_ok());
                    next
                })
            },
            on_trouble,
            context,
            store,
            queued.map(|reference: ObjectRef<DynamicObject>| Ok::<_, Trouble>(reference)),
            Config::default().concurrency(options.concurrency),
        );
        let mut work = std::pin::pin!(work.take_until(ends.cancelled()));
        while work.next().await.is_some() {}
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the runtime hands it over so")]
fn on_trouble(object: Arc<DynamicObject>, trouble: &Trouble, context: Arc<Context>) -> Action {
    let key = index::Key::of(&object);
    let wait = context.index.back_off(&key, trouble.patience());
    tracing::warn!(cluster = %key, again_in = ?wait, "{trouble}");
    Action::requeue(wait)
}
