//! Scale leases: watches them, and carries out what [`crate::plan::lease`] plans.
//!
//! Watches of clusters tell of each change ([`Sight`]); a cluster without lease and without our
//! annotation costs nothing more. A cluster with one is read anew, planned for, patched behind tests,
//! and the statuses of its leases follow; its next turn is the end of the lease that ends first. Where
//! the CRD is not served there are no leases, and what earlier ones left is given back.
//!
//! Invariants: a lease's status names its cluster's UID before the cluster is changed; the cluster is
//! changed before a status says so; an entry whose lease no watch shows is given back only after the
//! API server itself was asked for that lease.

mod books;
mod leave;
mod round;

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};

use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::books::Books;
use super::apply::version;
use super::events::Recorder;
use super::index::{Index, Key};
use super::leader::Leader;
use super::metrics::Metrics;
use super::resources;
use crate::admission::{PolicySet, Settings};
use crate::dialect::{self, Dialect};
use crate::plan::lease::Lease;
use crate::plan::lease::definition::{PLURAL, VERSION};
use crate::plan::lease::kept::ANNOTATION;

/// How often it is looked whether the CRD is served.
const BETWEEN: Duration = Duration::from_secs(15);

/// Clusters that are looked after at one time.
const AT_ONCE: usize = 8;

/// The longest time between two looks: the wall clock may be set.
const LONGEST: Duration = Duration::from_mins(5);

/// How long to wait till this replica leads and the watches are complete.
const SOON: Duration = Duration::from_millis(200);

/// A cluster that leases may be for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) dialect: Dialect,
    pub(super) key: Key,
}

/// What watches of clusters tell.
#[derive(Debug)]
pub(super) enum Sight {
    /// A cluster has changed, or is gone.
    Cluster {
        /// Which.
        place: Place,
        /// Whether it carries our annotation.
        annotated: bool,
    },
    /// All clusters of a kind were listed: some may be gone that were there before.
    Relisted(Dialect),
}

/// Where watches of clusters tell it.
pub(super) type Sights = UnboundedSender<Sight>;

/// Tells of a cluster.
pub(super) fn see(sights: &Sights, dialect: Dialect, object: &DynamicObject, gone: bool) {
    let annotated = !gone && object.annotations().contains_key(ANNOTATION);
    let place = Place { dialect, key: Key::of(object) };
    let _ = sights.unbounded_send(Sight::Cluster { place, annotated });
}

/// Looks after leases.
pub(super) struct Leases {
    pub(super) client: Client,
    pub(super) index: Arc<Index>,
    pub(super) leader: Leader,
    pub(super) events: Arc<Recorder>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Settings,
    pub(super) policies: Receiver<PolicySet>,
}

/// One term's work.
struct Work {
    around: Leases,
    books: Books,
}

impl Leases {
    /// Works till the term ends.
    pub(super) async fn run(self, sights: UnboundedReceiver<Sight>, ends: CancellationToken) {
        let work = Work { around: self, books: Books::default() };
        tokio::select! {
            () = ends.cancelled() => {}
            () = work.watch() => {}
            () = work.hear(sights) => {}
            () = work.work() => {}
        }
    }
}

impl Work {
    async fn hear(&self, mut sights: UnboundedReceiver<Sight>) {
        while let Some(sight) = sights.next().await {
            match sight {
                Sight::Cluster { place, annotated } => {
                    if annotated || self.books.names(&place) {
                        self.books.due(&place, Instant::now());
                    }
                }
                Sight::Relisted(dialect) => self.books.all_due(dialect),
            }
        }
        // Nobody tells any more: the term is over.
        std::future::pending::<()>().await;
    }

    /// Follows the leases while there is such a kind.
    async fn watch(&self) {
        loop {
            match self.served().await {
                Some(true) => self.follow().await,
                Some(false) => {
                    self.books.list_is(Vec::new());
                }
                None => {}
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Whether the CRD is served; `None`: not known.
    async fn served(&self) -> Option<bool> {
        let version = format!("{}/{VERSION}", dialect::OURS);
        match self.around.client.list_api_group_resources(&version).await {
            Ok(list) => Some(list.resources.iter().any(|resource| resource.name == PLURAL)),
            Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
            Err(_) => None,
        }
    }

    /// Watches till the kind is gone.
    async fn follow(&self) {
        let api: Api<DynamicObject> = Api::all_with(self.around.client.clone(), &resource());
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut listed = Vec::new();
        loop {
            match events.try_next().await {
                Ok(Some(Event::Init)) => listed.clear(),
                Ok(Some(Event::InitApply(object))) => listed.extend(read(&object)),
                Ok(Some(Event::InitDone)) => self.books.list_is(std::mem::take(&mut listed)),
                Ok(Some(Event::Apply(object))) => {
                    if let Some((lease, version)) = read(&object) {
                        self.books.show(lease, version);
                    }
                }
                Ok(Some(Event::Delete(object))) => {
                    self.books.drop(&object.namespace().unwrap_or_default(), &object.name_any());
                }
                Ok(None) => return,
                Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
                    if status.code == 404 =>
                {
                    return;
                }
                Err(error) => self.around.metrics.watch_broke_of(PLURAL, &error),
            }
        }
    }

    /// Looks after each cluster in its turn; one that takes long holds no other up.
    async fn work(&self) {
        let mut visits = FuturesUnordered::new();
        loop {
            let room = AT_ONCE.saturating_sub(visits.len());
            let (due, next) = self.books.take_due(Instant::now(), room);
            visits.extend(due.into_iter().map(|place| {
                Box::pin(async {
                    self.visit(&place).await;
                    place
                })
            }));
            tokio::select! {
                Some(place) = visits.next(), if !visits.is_empty() => self.books.done(&place),
                () = self.books.news() => {}
                () = sleep_till(next) => {}
            }
        }
    }

    async fn visit(&self, place: &Place) {
        let ready = self.books.is_complete()
            && self.around.leader.leads()
            // What runs is known from Pods, which only clusters of Ray's own kind have there.
            && (place.dialect != Dialect::RayCluster || self.around.index.is_complete());
        if !ready {
            return self.books.due(place, Instant::now() + SOON);
        }
        match round::run(self, place).await {
            Ok(again) => {
                self.books.went_well(place);
                if let Some(again) = again {
                    self.books.due(place, Instant::now() + again.min(LONGEST));
                }
            }
            Err(trouble) => {
                let wait = self.books.back_off(place);
                tracing::warn!(cluster = %place.key, again_in = ?wait, "a scale lease: {trouble}");
                self.books.due(place, Instant::now() + wait);
            }
        }
    }
}

async fn sleep_till(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

fn read(object: &DynamicObject) -> Option<(Lease, u64)> {
    Some((Lease::read(&resources::json(object))?, version(object)))
}

/// The kind.
fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(dialect::OURS, VERSION, dialect::LEASE);
    ApiResource::from_gvk_with_plural(&kind, PLURAL)
}
