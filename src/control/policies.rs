//! The administrators' policies, watched.
//!
//! Every replica watches, compiles each policy when its generation moves, and swaps the [`PolicySet`] as
//! a whole. A policy with flaws is left out and the others stay in force; the replica that leads writes
//! into its status why. Namespaces are watched, by their metadata, once a policy selects by their labels;
//! clusters, of which only sums are kept, once a policy has a ceiling for namespaces.
//! The set is made anew when the next exception ends, so that nothing is excepted for longer than it says.
//!
//! Where the CRD is not served, or we may not read policies, none are in force: one line in the log says
//! so, and the watch goes on trying. What is known stays in force while a watch is broken.

mod status;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::leader::Leader;
use super::resources;
use crate::clock;
use crate::dialect::OURS;
use crate::model::Settings;
use crate::policy::definition::{PLURAL, VERSION};
use crate::policy::{Flaw, KIND, Labels, Policy, PolicySet};
use tally::Tally;

/// The longest time between two looks at what has expired: the wall clock may be set.
const LONGEST: Duration = Duration::from_mins(5);

/// Sums change with every scale: they are told at most this often.
const SUMS: Duration = Duration::from_secs(1);

/// Policies that are watched.
#[derive(Clone, Debug)]
pub struct Policies {
    set: Receiver<PolicySet>,
    known: Receiver<Known>,
}

/// A policy as it is stored, and what came of it.
#[derive(Clone, Debug)]
struct Entry {
    object: Arc<DynamicObject>,
    compiled: Result<Arc<Policy>, Arc<[Flaw]>>,
}

/// How many stored objects a policy is about, and how many of them break it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// It is about them.
    pub(super) matching: usize,
    /// They break it.
    pub(super) breaking: usize,
}

/// What the last audit of everything counted for each policy, by name.
pub(super) type Reach = BTreeMap<String, Counted>;

/// Policies by name.
type Known = BTreeMap<String, Entry>;

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// What is watched, and what is known.
struct Watch {
    base: PolicySet,
    client: Client,
    known: Known,
    /// What a list that is under way has given so far.
    listed: Option<Known>,
    namespaces: BTreeMap<String, Labels>,
    selects: bool,
    /// The sums of clusters, where anybody asks for them.
    tally: Option<Tally>,
    sums: bool,
    /// The sums have changed since they were told.
    stale: bool,
    set: Sender<PolicySet>,
    told: Sender<Known>,
}

/// The resource.
fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(OURS, VERSION, KIND), PLURAL)
}

impl Policies {
    /// Watches until `stop`; `base` is what holds without any. Sums for ceilings of namespaces are
    /// counted by `sums`; without it nobody asks for them.
    pub fn watch(
        client: Client,
        base: PolicySet,
        sums: Option<Settings>,
        stop: CancellationToken,
    ) -> Self {
        let (set, seen) = watch::channel(base.clone());
        let (told, known) = watch::channel(Known::new());
        let work = Watch {
            base,
            client,
            known: Known::new(),
            listed: None,
            namespaces: BTreeMap::new(),
            selects: false,
            tally: sums.map(Tally::new),
            sums: false,
            stale: false,
            set,
            told,
        };
        tokio::spawn(async move {
            tokio::select! {
                () = work.run() => {}
                () = stop.cancelled() => {}
            }
        });
        Self { set: seen, known }
    }

    /// The set that is in force; it changes as a whole.
    pub fn set(&self) -> Receiver<PolicySet> {
        self.set.clone()
    }

    /// Writes statuses while this replica leads.
    pub(super) async fn report(&self, client: Client, leader: Leader, reach: Receiver<Reach>) {
        status::run(client, leader, self.known.clone(), reach).await;
    }
}

impl Watch {
    async fn run(mut self) {
        let api = Api::all_with(self.client.clone(), &resource());
        let mut policies: Events<DynamicObject> =
            watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut namespaces: Events<PartialObjectMeta<Namespace>> = stream::pending().boxed();
        let mut clusters = stream::pending().boxed();
        let (mut trouble, mut trouble_there) = (String::new(), String::new());
        let mut tick = tokio::time::interval(SUMS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = policies.next() => match event {
                    Some(Ok(event)) => {
                        trouble.clear();
                        if self.policy(event) {
                            self.publish();
                        }
                    }
                    Some(Err(error)) => tell(&mut trouble, "policies", &error),
                    None => return,
                },
                event = namespaces.next() => match event {
                    Some(Ok(event)) => {
                        trouble_there.clear();
                        if self.namespace(event) {
                            self.publish();
                        }
                    }
                    Some(Err(error)) => tell(&mut trouble_there, "namespaces", &error),
                    None => namespaces = stream::pending().boxed(),
                },
                Some((dialect, event)) = clusters.next() => {
                    if let Some(tally) = &mut self.tally {
                        self.stale |= tally.take(dialect, event);
                    }
                }
                () = tokio::time::sleep(self.until_next_end()), if !self.stale => {
                    if self.has_ended() {
                        self.publish();
                    }
                }
                _ = tick.tick(), if self.stale => self.publish(),
            }
            if !self.sums && self.tally.is_some() && self.set.borrow().needs_usage() {
                self.sums = true;
                clusters = tally::clusters(&self.client);
            }
            if !self.selects && self.set.borrow().reads_namespaces() {
                self.selects = true;
                let api = Api::<PartialObjectMeta<Namespace>>::all(self.client.clone());
                namespaces = watcher(api, watcher::Config::default()).default_backoff().boxed();
            }
        }
    }

    fn compiled(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.known.values().filter_map(|entry| entry.compiled.as_ref().ok())
    }

    /// Takes an event in; whether there is something to tell.
    fn policy(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(Known::new());
                false
            }
            Event::InitApply(object) => {
                let (name, entry) = self.entry(object);
                self.listed.get_or_insert_default().insert(name, entry);
                false
            }
            Event::InitDone => {
                self.known = self.listed.take().unwrap_or_default();
                true
            }
            Event::Apply(object) => {
                let (name, entry) = self.entry(object);
                self.known.insert(name, entry);
                true
            }
            Event::Delete(object) => self.known.remove(&object.name_any()).is_some(),
        }
    }

    /// What is compiled already is not compiled again: a status write moves no generation.
    fn entry(&self, object: DynamicObject) -> (String, Entry) {
        let name = object.name_any();
        let same = |entry: &&Entry| {
            entry.object.uid() == object.uid()
                && entry.object.metadata.generation == object.metadata.generation
        };
        let known = self.known.get(&name).filter(same).map(|entry| entry.compiled.clone());
        let compiled = known.unwrap_or_else(|| compiled(&name, &object));
        (name, Entry { object: Arc::new(object), compiled })
    }

    fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        match event {
            Event::Init => {
                self.namespaces.clear();
                false
            }
            Event::InitApply(namespace) => {
                self.namespaces.insert(namespace.name_any(), namespace.labels().clone());
                false
            }
            Event::Apply(namespace) => {
                let labels = namespace.labels().clone();
                self.namespaces.insert(namespace.name_any(), labels.clone()) != Some(labels)
            }
            Event::Delete(namespace) => self.namespaces.remove(&namespace.name_any()).is_some(),
            Event::InitDone => true,
        }
    }

    fn publish(&mut self) {
        self.stale = false;
        let set = PolicySet {
            policies: self.compiled().cloned().collect(),
            namespaces: Arc::new(self.namespaces.clone()),
            usage: Arc::new(self.tally.as_ref().map(Tally::usage).unwrap_or_default()),
            now: clock::now().as_second(),
            ..self.base.clone()
        };
        self.set.send_replace(set);
        self.told.send_replace(self.known.clone());
    }

    /// The moment at which the next exception of the set ends.
    fn next_end(&self) -> Option<i64> {
        let since = self.set.borrow().now;
        self.compiled().filter_map(|policy| policy.next_end(since)).min()
    }

    fn has_ended(&self) -> bool {
        self.next_end().is_some_and(|end| end <= clock::now().as_second())
    }

    fn until_next_end(&self) -> Duration {
        let left = self.next_end().map(|end| end.saturating_sub(clock::now().as_second()).max(0));
        left.and_then(|left| u64::try_from(left).ok())
            .map_or(LONGEST, |left| Duration::from_secs(left).min(LONGEST))
    }
}

fn compiled(name: &str, object: &DynamicObject) -> Result<Arc<Policy>, Arc<[Flaw]>> {
    let compiled = Policy::compile(&resources::json(object));
    match &compiled {
        Ok(_) => tracing::info!(policy = name, "a policy is in force"),
        Err(flaws) => {
            tracing::warn!(policy = name, flaws = Flaw::listed(flaws), "a policy is left out");
        }
    }
    compiled.map(Arc::new).map_err(Arc::from)
}

/// One line for each trouble, not one for each try.
fn tell(before: &mut String, what: &str, error: &watcher::Error) {
    let now = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            "the CRD is not installed".to_owned()
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403 => {
            format!("not allowed: {}", status.message)
        }
        other => other.to_string(),
    };
    if *before != now {
        tracing::warn!("cannot watch {what}: {now}");
        *before = now;
    }
}
