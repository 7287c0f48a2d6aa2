//! Reports: asks each cluster's head which nodes joined, and keeps its `RayClusterReport`.
//!
//! A cluster is looked at a moment after something happened to its Pods, again while something is
//! unsettled, and now and then otherwise. Only addresses of Pods of the cluster's UID are dialled. A
//! report is written where it changed; without the CRD nothing is written.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
use crate::dialect::kuberay::{TOKEN_KEY, TokenAuth, managed_elsewhere};
use crate::plan::joined::{Answer, Joined};
use crate::plan::pod::{Phase, Pod};
use crate::plan::report::{self, Facts};
use crate::plan::{Subject, head};
use crate::ray::{Cache, Dashboard, PORT, Token};

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
}

impl Seen {
    fn new() -> Self {
        Self { due: Instant::now() + SETTLE, wait: UNSETTLED, written: None, strays: Vec::new() }
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
        let address = running.and_then(|pod| address(&subject, pod));
        let answer = match (running, address) {
            (Some(pod), Some(address)) => {
                let ask = Box::pin(self.ask(&subject, address));
                self.cache.answer(&pod.uid, clock::now(), ask).await
            }
            _ => Answer::Unknown("no head Pod runs".to_owned()),
        };
        let dashboard = address.map(|it| it.to_string()).unwrap_or_default();
        let facts = Facts {
            pods: &moment.pods,
            answer: &answer,
            dashboard: &dashboard,
            threshold: self.options.joined_within,
            stuck_after: self.options.stuck_after,
            now: clock::now(),
        };
        let (report, joined) = report::report(&subject, &facts);
        self.heed(&key, &stored, &joined).await;
        let changed = self.keep(&key, &report).await;
        let settled = joined.unknown.is_none()
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

    async fn ask(&self, subject: &Subject<'_>, address: SocketAddr) -> Answer {
        let dashboard = Dashboard::new(address);
        match TokenAuth::of(&subject.view) {
            None => dashboard.nodes_with_names().await,
            Some(TokenAuth::Kubernetes) => Answer::Unknown(
                "the dashboard wants a token of Kubernetes, which is not sent to Pods".to_owned(),
            ),
            Some(TokenAuth::Secret { name, .. }) => {
                match self.token(subject.namespace, &name).await {
                    Ok(token) => dashboard.with_token(token).nodes_with_names().await,
                    Err(why) => Answer::Unknown(why),
                }
            }
        }
    }

    async fn token(&self, namespace: &str, name: &str) -> Result<Token, String> {
        let secret =
            resources::api(&self.client, "Secret", namespace).get(name).await.map_err(|error| {
                match error {
                    kube::Error::Api(status) if status.code == 403 => {
                        format!("grant get on Secret {name}: the dashboard asks for its token")
                    }
                    _ => format!("the dashboard's token in Secret {name} could not be read"),
                }
            })?;
        let data = secret.data.pointer(&format!("/data/{TOKEN_KEY}")).and_then(Value::as_str);
        let bytes = data.and_then(|data| STANDARD.decode(data).ok());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let none = || format!("Secret {name} holds no {TOKEN_KEY}");
        Token::new(&text.ok_or_else(none)?).map_err(|error| error.to_string())
    }

    /// Tells of Pods that are newly found not to have joined, and lets the plan replace them where that
    /// is wanted.
    async fn heed(&self, key: &Key, stored: &Value, joined: &Joined) {
        let strays: Vec<String> = joined.strays().map(|stray| stray.pod.clone()).collect();
        let news = {
            let mut seen = self.seen.lock().await;
            let entry = seen.entry(key.clone()).or_insert_with(Seen::new);
            let news = strays.iter().any(|stray| !entry.strays.contains(stray));
            entry.strays.clone_from(&strays);
            news
        };
        if news {
            let note = format!("ready, and no node of Ray: {}", strays.join(", "));
            self.events.warn(stored, "WorkersNotJoined", &note).await;
        }
        if self.options.replaces && self.index.set_unwanted(key, report::replaceable(joined)) {
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
        let kind = GroupVersionKind::gvk(report::GROUP, report::VERSION, report::KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, report::PLURAL);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource);
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

/// Where the dashboard of a head listens.
fn address(subject: &Subject<'_>, head: &Pod) -> Option<SocketAddr> {
    let ip: IpAddr = head.ip.parse().ok()?;
    let (params, _) = subject.view.head_params();
    let given = params.get("dashboard-port").and_then(Value::as_str);
    Some(SocketAddr::new(ip, given.and_then(|port| port.parse().ok()).unwrap_or(PORT)))
}
