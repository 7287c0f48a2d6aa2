//! What the controller knows of each cluster: its Pods and objects as the watches show them, what it
//! has just done and the watches do not show yet, and what it remembers.
//!
//! Pods are kept as projections. What was just made or deleted counts as done for a bounded time, so
//! that a watch that lags leads to no second Pod and no second victim.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::dialect::{self, Dialect};
use crate::http::ops::Finding;
use crate::plan::Memory;
use crate::plan::audit::reports::Whose;
use crate::plan::audit::{Identity, Line, first_seen};
use crate::plan::pod::Pod;

/// For how long a write counts as done that no watch has shown.
pub(super) const EXPECTED_FOR: Duration = Duration::from_secs(30);

/// A cluster's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn of(object: &DynamicObject) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Default)]
struct Entry {
    pods: BTreeMap<String, Pod>,
    objects: BTreeMap<(String, String), Value>,
    made: BTreeMap<String, (Pod, Instant)>,
    deleted: HashMap<String, Instant>,
    memory: Memory,
    uid: String,
    waits: Option<Wait>,
    status: Option<(u64, Value)>,
    status_written: Option<Instant>,
    report: Option<Value>,
    dates: Option<(String, HashMap<Identity, Timestamp>)>,
}

/// How long a cluster waits after failures.
#[derive(Clone, Copy, Debug)]
struct Wait {
    failures: u32,
    until: Instant,
}

impl Wait {
    /// The wait after one more failure. One that comes while still being waited, because something
    /// else happened, lengthens nothing.
    fn next(before: Option<Self>, patience: Patience, now: Instant) -> (Self, Duration) {
        if let Some(before) = before.filter(|it| it.until > now) {
            return (before, before.until.duration_since(now).min(patience.longest));
        }
        let failures = before.map_or(0, |it| it.failures);
        let wait = patience.first.saturating_mul(1 << failures.min(10)).min(patience.longest);
        (Self { failures: failures + 1, until: now + wait }, wait)
    }
}

/// The first wait after a failure, which doubles with each further one, and the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

/// One moment of a cluster.
pub(super) struct Moment {
    pub(super) pods: Vec<Pod>,
    pub(super) objects: Vec<Value>,
    pub(super) memory: Memory,
}

/// What the controller knows.
#[derive(Default)]
pub(super) struct Index {
    entries: Mutex<HashMap<Key, Entry>>,
    synced: Mutex<HashSet<&'static str>>,
    touched: Mutex<HashSet<Key>>,
}

/// Watches that have to be complete before anything is planned: the clusters, their Pods, and the
/// kinds that we make.
const WATCHES: usize = 2 + super::resources::OWNED.len();

impl Index {
    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch has shown everything there is.
    pub(super) fn complete(&self, watch: &'static str) {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).insert(watch);
    }

    /// Whether every watch has shown everything there is.
    pub(super) fn is_complete(&self) -> bool {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).len() >= WATCHES
    }

    /// What is told of the watches.
    pub(super) fn finding(&self) -> Finding {
        if self.is_complete() {
            Ok("every watch is complete".to_owned())
        } else {
            Err("the first lists of the watches are not complete yet".to_owned())
        }
    }

    fn touch(&self, key: &Key) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
    }

    /// Clusters to whose Pods something happened since this was asked last.
    pub(super) fn touched(&self) -> HashSet<Key> {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Pods that a policy wants replaced; whether that is news.
    pub(super) fn set_unwanted(&self, key: &Key, unwanted: Vec<String>) -> bool {
        let mut entries = self.entries();
        let memory = &mut entries.entry(key.clone()).or_default().memory;
        let news = memory.unwanted != unwanted;
        memory.unwanted = unwanted;
        news
    }

    /// The namespace of a cluster is being deleted; whether that is news.
    pub(super) fn namespace_ends(&self, key: &Key) -> bool {
        let mut entries = self.entries();
        let memory = &mut entries.entry(key.clone()).or_default().memory;
        !std::mem::replace(&mut memory.namespace_ends, true)
    }

    /// A Pod is as it is shown; whether that is news.
    pub(super) fn show_pod(&self, key: &Key, pod: Pod) -> bool {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        let made = entry.made.remove(&pod.name).map(|(made, _)| made);
        if entry.pods.get(&pod.name).or(made.as_ref()) == Some(&pod) {
            entry.pods.insert(pod.name.clone(), pod);
            return false;
        }
        if pod.terminating {
            retire(&mut entry.memory, &pod);
        }
        entry.pods.insert(pod.name.clone(), pod);
        drop(entries);
        self.touch(key);
        true
    }

    /// A Pod is gone.
    pub(super) fn drop_pod(&self, key: &Key, name: &str) {
        self.touch(key);
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return };
        if let Some(pod) = entry.pods.remove(name) {
            entry.deleted.remove(&pod.uid);
            retire(&mut entry.memory, &pod);
        }
        entry.made.remove(name);
    }

    /// Names of Pods that are known, by cluster.
    pub(super) fn pod_names(&self) -> HashSet<(Key, String)> {
        let entries = self.entries();
        let names = entries
            .iter()
            .flat_map(|(key, entry)| entry.pods.keys().map(|name| (key.clone(), name.clone())));
        names.collect()
    }

    /// An object is as it is shown; whether that is news.
    pub(super) fn show_object(&self, key: &Key, kind: &str, name: &str, object: Value) -> bool {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        let place = (kind.to_owned(), name.to_owned());
        if entry.objects.get(&place) == Some(&object) {
            return false;
        }
        entry.objects.insert(place, object);
        true
    }

    /// An object was just made; what a watch has shown meanwhile is newer.
    pub(super) fn made_object(&self, key: &Key, kind: &str, name: &str, object: Value) {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        entry.objects.entry((kind.to_owned(), name.to_owned())).or_insert(object);
    }

    /// An object is gone.
    pub(super) fn drop_object(&self, key: &Key, kind: &str, name: &str) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.objects.remove(&(kind.to_owned(), name.to_owned()));
        }
    }

    /// Names of the objects of a kind that are known, by cluster.
    pub(super) fn object_names(&self, kind: &str) -> HashSet<(Key, String)> {
        let entries = self.entries();
        let names = entries.iter().flat_map(|(key, entry)| {
            let of_kind = entry.objects.keys().filter(|(other, _)| other == kind);
            of_kind.map(|(_, name)| (key.clone(), name.clone()))
        });
        names.collect()
    }

    /// A Pod was just made.
    pub(super) fn made_pod(&self, key: &Key, pod: Pod) {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        if !entry.pods.contains_key(&pod.name) {
            entry.made.insert(pod.name.clone(), (pod, Instant::now() + EXPECTED_FOR));
        }
    }

    /// A Pod was just deleted.
    pub(super) fn deleted_pod(&self, key: &Key, uid: &str) {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        entry.deleted.insert(uid.to_owned(), Instant::now() + EXPECTED_FOR);
    }

    /// What is known of a cluster. What was known of an older one of the same name is forgotten.
    pub(super) fn moment(&self, key: &Key, uid: &str) -> Moment {
        let now = Instant::now();
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        if entry.uid != uid {
            uid.clone_into(&mut entry.uid);
            entry.made.clear();
            entry.deleted.clear();
            entry.memory = Memory::default();
            entry.waits = None;
            entry.status = None;
            entry.status_written = None;
            entry.report = None;
        }
        // What no watch has ever shown may have come and gone.
        for (pod, _) in entry.made.values().filter(|(_, until)| *until <= now) {
            retire(&mut entry.memory, pod);
        }
        entry.made.retain(|_, (_, until)| *until > now);
        entry.deleted.retain(|_, until| *until > now);
        let mut pods: Vec<Pod> = entry.pods.values().cloned().collect();
        pods.extend(entry.made.values().map(|(pod, _)| pod.clone()));
        for pod in pods.iter_mut().filter(|pod| entry.deleted.contains_key(&pod.uid)) {
            pod.terminating = true;
            retire(&mut entry.memory, pod);
        }
        Moment {
            pods,
            objects: entry.objects.values().cloned().collect(),
            memory: entry.memory.clone(),
        }
    }

    /// The Pods of a cluster as watches have shown them.
    pub(super) fn pods(&self, key: &Key) -> Vec<Pod> {
        let entries = self.entries();
        entries.get(key).map(|entry| entry.pods.values().cloned().collect()).unwrap_or_default()
    }

    /// Pods of other clusters in a namespace that bear one of `names`.
    pub(super) fn elsewhere(&self, key: &Key, names: &[&str]) -> Vec<Pod> {
        if names.is_empty() {
            return Vec::new();
        }
        let entries = self.entries();
        let others = entries
            .iter()
            .filter(|(other, _)| other.namespace == key.namespace && other.name != key.name);
        let found = others
            .flat_map(|(_, entry)| names.iter().filter_map(|name| entry.pods.get(*name).cloned()));
        found.collect()
    }

    /// Remembers since when matters hold, and forgets those that do not; and the floor, once.
    pub(super) fn remember(&self, key: &Key, matters: &[String], floor: u64, now: Timestamp) {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        entry.memory.floor.get_or_insert(floor);
        entry.memory.since.retain(|matter, _| matters.contains(matter));
        for matter in matters {
            entry.memory.since.entry(matter.clone()).or_insert(now);
        }
    }

    /// The status that was written last, and its resource version.
    pub(super) fn wrote_status(&self, key: &Key, version: u64, status: Value) {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        entry.status = Some((version, status));
        entry.status_written = Some(Instant::now());
    }

    /// What was found when the cluster was looked at last.
    pub(super) fn reported(&self, key: &Key, report: Value) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.report = Some(report);
        }
    }

    /// The same, where it was this very cluster.
    pub(super) fn report(&self, key: &Key, uid: &str) -> Option<Value> {
        self.entries().get(key).filter(|entry| entry.uid == uid)?.report.clone()
    }

    /// When the findings of a RayCluster were first seen, by the reports.
    pub(super) fn dated(&self, whose: &Whose, lines: &[Line]) {
        let object = whose.key();
        if dialect::of(&object.group, &object.kind) != Some(Dialect::RayCluster) {
            return;
        }
        let dates = first_seen(lines);
        let key = Key { namespace: object.namespace, name: object.name };
        let mut entries = self.entries();
        if dates.is_empty() {
            if let Some(entry) = entries.get_mut(&key) {
                entry.dates = None;
            }
            return;
        }
        entries.entry(key).or_default().dates = Some((whose.uid.clone(), dates));
    }

    /// The same, where it was this very cluster.
    pub(super) fn dates(&self, key: &Key, uid: &str) -> HashMap<Identity, Timestamp> {
        let entries = self.entries();
        let dates = entries.get(key).and_then(|entry| entry.dates.as_ref());
        dates.filter(|(whose, _)| whose == uid).map(|(_, dates)| dates.clone()).unwrap_or_default()
    }

    /// What is left of a pause of this length since the status was written last.
    pub(super) fn pause_left(&self, key: &Key, pause: Duration) -> Option<Duration> {
        let written = self.entries().get(key)?.status_written?;
        pause.checked_sub(written.elapsed()).filter(|left| !left.is_zero())
    }

    /// The status that was written last, where it is newer than `version`.
    pub(super) fn newer_status(&self, key: &Key, version: u64) -> Option<Value> {
        let mut entries = self.entries();
        let entry = entries.get_mut(key)?;
        match &entry.status {
            Some((written, status)) if *written > version => Some(status.clone()),
            _ => {
                entry.status = None;
                None
            }
        }
    }

    /// Counts a failure, and says how long to wait after it.
    pub(super) fn back_off(&self, key: &Key, patience: Patience) -> Duration {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        let (waits, wait) = Wait::next(entry.waits, patience, Instant::now());
        entry.waits = Some(waits);
        wait
    }

    /// All went well, or at least further than before.
    pub(super) fn succeeded(&self, key: &Key) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.waits = None;
        }
    }

    /// Forgets a cluster of which nothing is left.
    pub(super) fn forget(&self, key: &Key) {
        let mut entries = self.entries();
        if entries.get(key).is_some_and(|it| it.pods.is_empty() && it.objects.is_empty()) {
            entries.remove(key);
        }
    }
}

/// A Pod that goes retires its attempt.
fn retire(memory: &mut Memory, pod: &Pod) {
    let next = memory.attempts.entry(pod.group.clone()).or_default();
    *next = (*next).max(pod.attempt + 1);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> Key {
        Key { namespace: "lab".to_owned(), name: "one".to_owned() }
    }

    fn pod(phase: &str) -> Pod {
        let metadata = json!({"name": "one-head-0", "uid": "p"});
        Pod::read(&json!({"metadata": metadata, "status": {"phase": phase}}))
    }

    #[test]
    fn the_echo_of_a_write_is_no_news() {
        let index = Index::default();
        index.made_pod(&key(), pod("Pending"));
        assert!(!index.show_pod(&key(), pod("Pending")));
        assert_eq!(index.moment(&key(), "u").pods.len(), 1);
        assert!(index.show_pod(&key(), pod("Running")));
        assert!(!index.show_pod(&key(), pod("Running")));
        index.drop_pod(&key(), "one-head-0");
        assert!(index.show_pod(&key(), pod("Running")));

        index.made_object(&key(), "Service", "s", json!({"a": 1}));
        assert!(!index.show_object(&key(), "Service", "s", json!({"a": 1})));
        assert!(index.show_object(&key(), "Service", "s", json!({"a": 2})));
    }

    #[test]
    fn a_pause_begins_with_a_write_of_the_same_cluster() {
        let (index, pause) = (Index::default(), Duration::from_mins(1));
        index.moment(&key(), "u");
        assert_eq!(index.pause_left(&key(), pause), None);
        index.wrote_status(&key(), 7, Value::Null);
        assert!(index.pause_left(&key(), pause).is_some_and(|left| left <= pause));
        assert_eq!(index.pause_left(&key(), Duration::ZERO), None);
        index.moment(&key(), "another");
        assert_eq!(index.pause_left(&key(), pause), None);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_events_in_between_lengthen_none() {
        let seconds = Duration::from_secs;
        let patience = Patience { first: seconds(5), longest: seconds(30) };
        let began = Instant::now();
        let (one, wait) = Wait::next(None, patience, began);
        assert_eq!(wait, seconds(5));
        let (still, wait) = Wait::next(Some(one), patience, began + seconds(2));
        assert_eq!(wait, seconds(3));
        let (two, wait) = Wait::next(Some(still), patience, began + seconds(5));
        assert_eq!(wait, seconds(10));
        let (three, wait) = Wait::next(Some(two), patience, began + seconds(15));
        assert_eq!(wait, seconds(20));
        assert_eq!(Wait::next(Some(three), patience, began + seconds(40)).1, seconds(30));
    }
}
