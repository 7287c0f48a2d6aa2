//! The audit that never ends: what is stored is judged by the same rules as what is written.
//!
//! A RayCluster is judged a moment after its spec, labels or annotations changed; everything that is
//! stored, kinds that embed a cluster and Domino's included, now and then. What is found goes into
//! metrics and the log, and into reports where they are kept: the kinds of report that the API server
//! serves, each written where it changes and nowhere else. When a finding was first seen is read from
//! the stored reports, so that it outlives this process.

mod archive;
mod books;
mod counts;
mod rows;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::mpsc::UnboundedReceiver;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::reflector::{ObjectRef, Store};
use serde_json::Value;
use tokio::sync::watch::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use self::archive::Archive;
use self::books::{Books, Judged};
pub(super) use self::counts::Audits;
pub(super) use self::rows::Others;
use self::rows::Rows;
use super::index::{Index, Key};
use super::leader::Leader;
use super::metrics::Metrics;
use super::pages::Pages;
use super::policies::{Counted, Reach};
use super::resources;
use super::served::{Served, served};
use crate::admission::{Answer, PolicySet, Review, Settings};
use crate::dialect::{self, Dialect};
use crate::model::NodeManager;
use crate::plan::audit::found::Found;
use crate::plan::audit::reports::{Form, Whose};
use crate::plan::audit::{about, answer, lines, question};
use crate::telemetry::chain;

const TICK: Duration = Duration::from_secs(1);

/// From a change to the judgement: what changes at once is judged at once.
const SETTLE: Duration = Duration::from_secs(2);

/// The same where only what its namespace may reach has changed, which every new cluster does.
const SUMS_SETTLE: Duration = Duration::from_secs(30);

/// The next try after an audit that failed; doubles while it fails.
const AGAIN: Duration = Duration::from_secs(30);

/// Objects that are judged before others get their turn.
const AT_A_STRETCH: usize = 50;

/// Where clusters that changed are told of.
pub(super) type News = UnboundedReceiver<Key>;

/// Audits, term by term.
pub(super) struct Audit {
    pub(super) client: Client,
    pub(super) index: Arc<Index>,
    pub(super) leader: Leader,
    pub(super) store: Store<DynamicObject>,
    pub(super) news: News,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Settings,
    /// Who makes nodes where no flag says so.
    pub(super) manager: Receiver<Option<NodeManager>>,
    pub(super) policies: Receiver<PolicySet>,
    /// What is counted for each policy.
    pub(super) reach: Sender<Reach>,
    /// What the page tells of kinds that no watch shows; made while somebody listens.
    pub(super) others: Sender<Arc<Others>>,
    /// Between two audits of everything.
    pub(super) interval: Duration,
    /// Reports are written.
    pub(super) reports: bool,
}

/// What an audit of everything gathers beside the findings.
struct Round {
    reach: Reach,
    /// Where there is a page.
    rows: Option<Rows>,
}

impl Round {
    fn note(&mut self, policies: &PolicySet, request: &Review, answer: &Answer) {
        count(&mut self.reach, &about(policies, request), answer);
        if let Some(rows) = &mut self.rows {
            rows.keep(request, answer);
        }
    }
}

/// How an audit of everything went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) objects: usize,
    pub(super) written: usize,
    pub(super) failed: usize,
}

impl Audit {
    /// Works till `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut books = Books::default();
        let mut archive = Archive::default();
        let mut changed: HashMap<Key, Instant> = HashMap::new();
        let mut asked = self.policies.borrow_and_update().clone();
        let mut due = Instant::now() + SETTLE;
        let mut again = AGAIN;
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            let now = Instant::now();
            while let Ok(key) = self.news.try_recv() {
                changed.entry(key).or_insert(now + SETTLE);
            }
            if self.policies.has_changed().unwrap_or(false) {
                let before =
                    std::mem::replace(&mut asked, self.policies.borrow_and_update().clone());
                if asks_anew(&asked, &before) {
                    due = due.min(now);
                } else {
                    for key in self.clusters_of(&asked.usage.differing(&before.usage)) {
                        changed.entry(key).or_insert(now + SUMS_SETTLE);
                    }
                }
            }
            if self.manager.has_changed().unwrap_or(false) {
                due = due.min(now);
            }
            if !self.leader.leads() || !self.index.is_complete() {
                continue;
            }
            let work = async {
                if due <= now {
                    // Whatever changed before is judged with the rest.
                    changed.clear();
                    let well = self.everything(&mut books, &mut archive).await;
                    let wait = if well { self.interval } else { again.min(self.interval) };
                    again = if well { AGAIN } else { wait * 2 };
                    due = now + wait;
                }
                let ripe: Vec<Key> =
                    changed.extract_if(|_, at| *at <= now).map(|(key, _)| key).collect();
                for key in ripe {
                    self.one(&key, &mut books, &archive).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = work => {}
            }
        }
        self.others.send_replace(Arc::default());
        self.metrics.audits.found(&HashMap::new());
    }

    fn settings(&mut self) -> Settings {
        let manager = *self.manager.borrow_and_update();
        let node_manager = self.settings.node_manager.or(manager);
        Settings { node_manager, ..self.settings.clone() }
    }

    fn clusters_of(&self, namespaces: &BTreeSet<&str>) -> Vec<Key> {
        if namespaces.is_empty() {
            return Vec::new();
        }
        let keys = self.store.state().into_iter().map(|object| Key::of(&object));
        keys.filter(|key| namespaces.contains(key.namespace.as_str())).collect()
    }

    /// Judges all that is stored, and brings every report up to date; whether all of that went well.
    async fn everything(&mut self, books: &mut Books, archive: &mut Archive) -> bool {
        let begun = Instant::now();
        let settings = self.settings();
        match self.all(&settings, books, archive).await {
            Ok(tally) => {
                self.metrics.audits.audited(&tally, begun.elapsed());
                let counts = books.counts();
                tracing::info!(
                    objects = tally.objects,
                    refused = counts.deny,
                    warned = counts.warn,
                    audited = counts.audit,
                    written = tally.written,
                    failed = tally.failed,
                    took = ?begun.elapsed(),
                    "audited what is stored"
                );
                tally.failed == 0
            }
            Err(error) => {
                tracing::warn!("an audit could not be made: {}", chain(&error));
                false
            }
        }
    }

    async fn all(
        &self,
        settings: &Settings,
        books: &mut Books,
        archive: &mut Archive,
    ) -> kube::Result<Tally> {
        let Served { kinds, reports, .. } = served(&self.client).await?;
        let mut judged = Vec::new();
        let mut tally = Tally::default();
        let mut round = self.round();
        for (index, object) in self.store.state().iter().enumerate() {
            judged.extend(self.judge(settings, resources::json(object), Some(&mut round)));
            if index % AT_A_STRETCH == 0 {
                tokio::task::yield_now().await;
            }
        }
        for (kind, dialect) in kinds.iter().filter_map(unwatched) {
            if let Some(rows) = &mut round.rows {
                rows.begin(dialect);
            }
            if let Err(error) = self.list(settings, kind, &mut judged, &mut round).await {
                tally.failed += 1;
                if let Some(rows) = &mut round.rows {
                    rows.unread(dialect);
                }
                let plural = &kind.plural;
                tracing::warn!("{plural}.{} could not be audited: {}", kind.group, chain(&error));
            }
        }
        tally.objects = judged.len();
        let Round { reach, mut rows } = round;
        self.reach.send_replace(reach);
        books.begin_anew(&judged);
        self.metrics.audits.found(&books.findings());
        *archive =
            Archive::new(self.client.clone(), if self.reports { reports } else { Vec::new() });
        let (written, failed, dated) = archive.put_in_order(judged, &self.leader).await;
        for judged in &dated {
            self.index.dated(&judged.whose, &judged.found.lines);
            if let Some(rows) = &mut rows {
                rows.date(judged);
            }
        }
        self.others.send_replace(rows.map(|rows| Arc::new(rows.done())).unwrap_or_default());
        Ok(Tally { written, failed: tally.failed + failed, ..tally })
    }

    /// Judges the objects of a kind that no watch shows.
    async fn list(
        &self,
        settings: &Settings,
        kind: &ApiResource,
        judged: &mut Vec<Judged>,
        round: &mut Round,
    ) -> kube::Result<()> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), kind);
        let mut pages = Pages::of(self.client.clone(), api.resource_url(), "");
        let mut each = |object| judged.extend(self.judge(settings, object, Some(&mut *round)));
        while pages.next(&mut each).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// One RayCluster that changed.
    async fn one(&mut self, key: &Key, books: &mut Books, archive: &Archive) {
        let settings = self.settings();
        let reference =
            ObjectRef::new_with(&key.name, resources::raycluster()).within(&key.namespace);
        let object = self.store.get(&reference);
        let judged =
            object.and_then(|object| self.judge(&settings, resources::json(&object), None));
        let Some(mut judged) = judged else {
            books.forget(key);
            return self.metrics.audits.found(&books.findings());
        };
        if !books.is_news(&judged) {
            return;
        }
        books.note(&judged);
        self.metrics.audits.found(&books.findings());
        let done = archive.replace(&mut judged).await;
        self.index.dated(&judged.whose, &judged.found.lines);
        self.metrics.audits.reported(done.is_ok());
        if let Err(error) = done {
            // The next audit of everything tries again.
            tracing::warn!(cluster = %key, "an audit could not be reported: {}", chain(&error));
        }
    }

    /// What one audit of everything gathers beside the findings.
    fn round(&self) -> Round {
        let policies = self.policies.borrow();
        let names = policies.policies.iter().map(|policy| policy.name().to_owned());
        let reach = names.map(|name| (name, Counted::default())).collect();
        Round { reach, rows: (self.others.receiver_count() > 0).then(Rows::begun) }
    }

    /// What the rules say of an object, noted for the round if there is one; `None` for an object on
    /// its way out.
    fn judge(
        &self,
        settings: &Settings,
        object: Value,
        round: Option<&mut Round>,
    ) -> Option<Judged> {
        let whose = Whose::of(&object);
        let request = question(&whose.namespace, object, false);
        let policies = self.policies.borrow();
        let answer = answer(settings, &policies, &request)?;
        if let Some(round) = round {
            round.note(&policies, &request, &answer);
        }
        Some(Judged { whose, found: Found::of(lines(&request, &answer)) })
    }
}

/// Whether everything has to be judged by the policies of now; where it has not, at most what
/// namespaces may reach has moved.
fn asks_anew(now: &PolicySet, before: &PolicySet) -> bool {
    let first_sums = before.usage.is_empty() && !now.usage.is_empty();
    first_sums || !now.asks_the_same_as(before)
}

/// One more object, for each policy that is about it.
fn count(reach: &mut Reach, about: &[Arc<str>], answer: &Answer) {
    for name in about {
        let Some(counted) = reach.get_mut(&**name) else { continue };
        counted.matching += 1;
        let mut sources = answer.findings.iter().filter_map(|finding| finding.policy.as_deref());
        // A rule of an administrator's own is named behind its policy.
        let breaks = sources.any(|source| source.split('/').next() == Some(&**name));
        counted.breaking += usize::from(breaks);
    }
}

/// A kind of which no watch shows every object.
fn unwatched(kind: &ApiResource) -> Option<(&ApiResource, Dialect)> {
    let dialect = dialect::of(&kind.group, &kind.kind)?;
    (dialect != Dialect::RayCluster).then_some((kind, dialect))
}

/// The kinds of report that an audit knows, with their resources.
type Reports = Vec<(Form, ApiResource)>;
