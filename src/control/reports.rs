//! Reports: asks each cluster's head which nodes joined, and keeps its `RayClusterReport`.
//!
//! A cluster is looked at a moment after something happened to its Pods, again while something is
//! unsettled, and now and then otherwise. Only addresses of Pods of the cluster's UID are dialled. A
//! report is written where it changed; without the CRD nothing is written.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch};
use kube::runtime::reflector::Store;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::apply::{patching, posting};
use super::events::Recorder;
use super::index::{Index, Key};
use super::leader::Leader;
use super::resources;
use super::watch::{Queue, enqueue};
use crate::clock;
use crate::dialect::OURS;
use crate::dialect::kuberay::managed_elsewhere;
use crate::plan::joined::{Answer, Want};
use crate::plan::pod::{Phase, Pod};
use crate::plan::report::{self, Facts, Look};
use crate::plan::{Subject, head};
use crate::ray::{Cache, Demand, door};

const TICK: Duration = Duration::from_secs(1);

/// From an event to the look: what happens at once is looked at once.
const SETTLE: Duration = Duration::from_secs(2);

/// Between looks while something is unsettled; doubles while nothing changes.
const UNSETTLED: Duration = Duration::from_secs(10);

/// Heads that are asked at one time.
const AT_ONCE: usize = 8;

/// How reports are kept.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// For how long a ready Pod may lack its node.
    pub joined_within: Duration,
    /// For how long something may wait for resources though a group has room.
    pub acts_within: Duration,
    /// Pods that did not join are replaced, one of a group at a time.
    pub replaces: bool,
    /// For how long past its grace period a Pod may be terminating.
    pub stuck_after: Duration,
    /// The longest time between looks.
    pub at_rest: Duration,
}

/// Keeps the reports.
pub(super) struct Reports {
    pub(super) client: Client,
    pub(super) index: Arc<Index>,
    pub(super) leader: Leader,
    pub(super) store: Store<DynamicObject>,
    pub(super) queue: Queue,
    pub(super) events: Arc<Recorder>,
    pub(super) options: ReportOptions,
    pub(super) cache: Cache,
    pub(super) seen: Mutex<HashMap<Key, Seen>>,
}

/// What is remembered of a cluster's report.
pub(super) struct Seen {
    due: Instant,
    wait: Duration,
    written: Option<Value>,
    strays: Vec<String>,
    want: Option<Want>,
    idles: bool,
}

impl Seen {
    fn new() -> Self {
        Self {
            due: Instant::now() + SETTLE,
            wait: UNSETTLED,
            written: None,
            strays: Vec::new(),
            want: None,
            idles: false,
        }
    }
}

impl Reports {
    /// Works till `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if self.leader.leads() && self.index.is_complete() {
                let due = self.due().await;
                let looks = futures::stream::iter(&due)
                    .for_each_concurrent(AT_ONCE, |object| Box::pin(self.look(object)));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = looks => {}
                }
            }
        }
    }

    /// Clusters whose time has come.
    async fn due(&self) -> Vec<Arc<DynamicObject>> {
        let touched = self.index.touched();
        let now = Instant::now();
        let objects = self.store.state();
        let mut seen = self.seen.lock().await;
        let keys: Vec<Key> = objects.iter().map(|object| Key::of(object)).collect();
        let there: HashSet<&Key> = keys.iter().collect();
        seen.retain(|key, _| there.contains(key));
        for key in &keys {
            let entry = seen.entry(key.clone()).or_insert_with(Seen::new);
            if touched.contains(key) {
                entry.due = entry.due.min(now + SETTLE);
                entry.wait = UNSETTLED;
            }
        }
        let is_due = |object: &Arc<DynamicObject>| {
            seen.get(&Key::of(object)).is_some_and(|it| it.due <= now)
        };
        objects.into_iter().filter(is_due).collect()
    }

    async fn look(&self, object: &DynamicObject) {
        let key = Key::of(object);
        let stored = resources::json(object);
        let Some(subject) = Subject::of(&stored) else { return };
        if subject.is_leaving() || managed_elsewhere(&subject.view) {
            let mut seen = self.seen.lock().await;
            let entry = seen.entry(key).or_insert_with(Seen::new);
            entry.due = Instant::now() + self.options.at_rest;
            return;
        }
        let moment = self.index.moment(&key, subject.uid);
        let running = head::heads(subject.uid, &moment.pods)
            .into_iter()
            .find(|pod| pod.phase == Phase::Running && !pod.terminating && !pod.ip.is_empty());
        let address = running.and_then(|pod| door::address(&subject.view, &pod.ip));
        let (answer, demand) = match (running, address) {
            (Some(pod), Some(address)) => self.ask(&subject, pod, address).await,
            _ => (Answer::Unknown("no head Pod runs".to_owned()), None),
        };
        let dashboard = address.map(|it| it.to_string()).unwrap_or_default();
        let waited = self.seen.lock().await.get(&key).and_then(|entry| entry.want.clone());
        let facts = Facts {
            pods: &moment.pods,
            answer: &answer,
            dashboard: &dashboard,
            threshold: self.options.joined_within,
            stuck_after: self.options.stuck_after,
            demand: demand.as_ref(),
            waited: waited.as_ref(),
            acts_within: self.options.acts_within,
            now: clock::now(),
        };
        let look = report::report(&subject, &facts);
        if let Some(report) = look.report.get("report") {
            self.index.reported(&key, report.clone());
        }
        self.heed(&key, &stored, &look).await;
        let changed = self.keep(&key, &look.report).await;
        let joined = &look.joined;
        let settled = joined.unknown.is_none()
            && look.want.is_none()
            && joined.groups.iter().all(|group| group.starting == 0 && group.not_joined.is_empty());
        let mut seen = self.seen.lock().await;
        let entry = seen.entry(key).or_insert_with(Seen::new);
        entry.wait = match (settled, changed) {
            (true, _) => self.options.at_rest,
            (false, true) => UNSETTLED.min(self.options.at_rest),
            (false, false) => (entry.wait * 2).min(self.options.at_rest),
        };
        entry.due = Instant::now() + entry.wait;
    }

    /// The nodes, and with autoscaling what waits for resources.
    async fn ask(
        &self,
        subject: &Subject<'_>,
        head: &Pod,
        address: SocketAddr,
    ) -> (Answer, Option<Demand>) {
        let dashboard = door::dashboard(&self.client, &subject.view, subject.namespace, address);
        let dashboard = match dashboard.await {
            Ok(dashboard) => dashboard,
            Err(why) => return (Answer::Unknown(why), None),
        };
        let nodes = Box::pin(dashboard.nodes_with_names());
        let answer = self.cache.answer(&head.uid, clock::now(), nodes).await;
        let demand = match &answer {
            Answer::Known(_) if subject.view.autoscaling => dashboard.demand().await,
            _ => None,
        };
        (answer, demand)
    }

    /// Tells of what is newly found: Pods that have not joined, an autoscaler that does nothing. Lets
    /// the plan replace the Pods where that is wanted.
    async fn heed(&self, key: &Key, stored: &Value, look: &Look) {
        let strays: Vec<String> = look.joined.strays().map(|stray| stray.pod.clone()).collect();
        let (strayed, idled) = {
            let mut seen = self.seen.lock().await;
            let entry = seen.entry(key.clone()).or_insert_with(Seen::new);
            let strayed = strays.iter().any(|stray| !entry.strays.contains(stray));
            let idled = look.idles.is_some() && !entry.idles;
            entry.strays.clone_from(&strays);
            entry.want.clone_from(&look.want);
            entry.idles = look.idles.is_some();
            (strayed, idled)
        };
        if strayed {
            let note = format!("ready, and no node of Ray: {}", strays.join(", "));
            self.events.warn(stored, "WorkersNotJoined", &note).await;
        }
        if let Some(why) = look.idles.as_ref().filter(|_| idled) {
            self.events.warn(stored, "AutoscalerNotOperating", why).await;
        }
        let unwanted = report::replaceable(&look.joined);
        if self.options.replaces && self.index.set_unwanted(key, unwanted) {
            enqueue(&self.queue, key);
        }
    }

    /// Writes the report where it changed; whether it did.
    async fn keep(&self, key: &Key, report: &Value) -> bool {
        let last = self.seen.lock().await.get(key).and_then(|entry| entry.written.clone());
        if last.as_ref() == report.get("report") {
            return false;
        }
        match self.write(key, report, last.is_some()).await {
            Ok(()) => {
                if let Some(entry) = self.seen.lock().await.get_mut(key) {
                    entry.written = report.get("report").cloned();
                }
                true
            }
            // No CRD, no reports; everything else works without.
            Err(kube::Error::Api(status)) if status.code == 404 => false,
            Err(error) => {
                tracing::warn!(cluster = %key, "a report could not be written: {}", crate::telemetry::chain(&error));
                false
            }
        }
    }

    async fn write(&self, key: &Key, report: &Value, known: bool) -> kube::Result<()> {
        let api = api(&self.client, &key.namespace);
        let stored = if known { None } else { api.get_opt(&key.name).await? };
        if !known && stored.is_none() {
            let object = serde_json::from_value(report.clone()).map_err(kube::Error::SerdeError)?;
            return api.create(&posting(), &object).await.map(|_| ());
        }
        if stored.is_some_and(|stored| stored.data.get("report") == report.get("report")) {
            return Ok(());
        }
        let owners = report.pointer("/metadata/ownerReferences");
        let patch = Patch::Merge(json!({
            "metadata": {"ownerReferences": owners},
            "report": report.get("report"),
        }));
        api.patch(&key.name, &patching(), &patch).await.map(|_| ())
    }
}

/// The reports of a namespace.
pub(super) fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(OURS, report::VERSION, report::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, report::PLURAL);
    Api::namespaced_with(client.clone(), namespace, &resource)
}
