//! What is known of leases, and when each cluster has its turn.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Key, Place};
use crate::dialect::Dialect;
use crate::plan::lease::Lease;

/// The wait after a failure, which doubles, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_mins(1);

/// The books.
#[derive(Default)]
pub(super) struct Books {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Default)]
struct Inner {
    /// By namespace and name: the lease, and its resource version.
    leases: HashMap<(String, String), (Lease, u64)>,
    due: HashMap<Place, Instant>,
    busy: HashSet<Place>,
    failures: HashMap<Place, u32>,
    complete: bool,
}

fn place(lease: &Lease) -> Option<Place> {
    let key = Key { namespace: lease.namespace.clone(), name: lease.cluster.clone() };
    Some(Place { dialect: lease.dialect?, key })
}

fn id(lease: &Lease) -> (String, String) {
    (lease.namespace.clone(), lease.name.clone())
}

impl Books {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the leases were listed.
    pub(super) fn is_complete(&self) -> bool {
        self.inner().complete
    }

    /// These are all leases.
    pub(super) fn list_is(&self, leases: Vec<(Lease, u64)>) {
        let there: HashSet<_> = leases.iter().map(|(lease, _)| id(lease)).collect();
        let gone: Vec<_> = {
            let mut inner = self.inner();
            inner.complete = true;
            inner.leases.keys().filter(|id| !there.contains(*id)).cloned().collect()
        };
        for (namespace, name) in gone {
            self.drop(&namespace, &name);
        }
        for (lease, version) in leases {
            self.show(lease, version);
        }
        self.news.notify_one();
    }

    /// A lease is as it is shown, where that is no older than what is known.
    pub(super) fn show(&self, lease: Lease, version: u64) {
        let place = place(&lease);
        {
            let mut inner = self.inner();
            let id = id(&lease);
            let known = inner.leases.get(&id);
            if known.is_some_and(|(known, at)| known.uid == lease.uid && *at >= version) {
                return;
            }
            inner.leases.insert(id, (lease, version));
        }
        if let Some(place) = place {
            self.due(&place, Instant::now());
        }
    }

    /// A lease is gone.
    pub(super) fn drop(&self, namespace: &str, name: &str) {
        let dropped = self.inner().leases.remove(&(namespace.to_owned(), name.to_owned()));
        if let Some(place) = dropped.and_then(|(lease, _)| place(&lease)) {
            self.due(&place, Instant::now());
        }
    }

    /// The leases that name a cluster.
    pub(super) fn of(&self, wanted: &Place) -> Vec<Lease> {
        let inner = self.inner();
        let leases = inner.leases.values().map(|(lease, _)| lease);
        leases.filter(|lease| place(lease).as_ref() == Some(wanted)).cloned().collect()
    }

    /// Whether any lease names a cluster.
    pub(super) fn names(&self, wanted: &Place) -> bool {
        let inner = self.inner();
        inner.leases.values().any(|(lease, _)| {
            lease.cluster == wanted.key.name
                && lease.namespace == wanted.key.namespace
                && lease.dialect == Some(wanted.dialect)
        })
    }

    /// Every cluster of a kind that a lease names has its turn now.
    pub(super) fn all_due(&self, dialect: Dialect) {
        let places: HashSet<Place> = {
            let inner = self.inner();
            let all = inner.leases.values().filter_map(|(lease, _)| place(lease));
            all.filter(|place| place.dialect == dialect).collect()
        };
        for place in places {
            self.due(&place, Instant::now());
        }
    }

    /// A cluster has its turn at that time, or earlier where it had one earlier.
    pub(super) fn due(&self, place: &Place, at: Instant) {
        {
            let mut inner = self.inner();
            let due = inner.due.entry(place.clone()).or_insert(at);
            *due = (*due).min(at);
        }
        self.news.notify_one();
    }

    /// At most `room` of those whose turn it is, the longest due first, and when another one has its.
    /// What was taken is not given again before it is [`Self::done`].
    pub(super) fn take_due(&self, now: Instant, room: usize) -> (Vec<Place>, Option<Instant>) {
        if room == 0 {
            return (Vec::new(), None);
        }
        let mut inner = self.inner();
        let free = inner.due.iter().filter(|(place, _)| !inner.busy.contains(*place));
        let mut waiting: Vec<(Instant, Place)> =
            free.map(|(place, at)| (*at, place.clone())).collect();
        waiting.sort_by_key(|(at, _)| *at);
        let ready = waiting.iter().take_while(|(at, _)| *at <= now).count().min(room);
        let next = waiting.get(ready).map(|(at, _)| *at).filter(|_| ready < room);
        let due: Vec<Place> = waiting.into_iter().take(ready).map(|(_, place)| place).collect();
        for place in &due {
            inner.due.remove(place);
            inner.busy.insert(place.clone());
        }
        (due, next)
    }

    /// The turn of a cluster is over.
    pub(super) fn done(&self, place: &Place) {
        self.inner().busy.remove(place);
    }

    /// Something became due, or the list came.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Counts a failure, and says how long to wait after it.
    pub(super) fn back_off(&self, place: &Place) -> Duration {
        let mut inner = self.inner();
        let failures = inner.failures.entry(place.clone()).or_insert(0);
        *failures = (*failures + 1).min(10);
        FIRST.saturating_mul(1 << *failures).min(LAST)
    }

    /// All went well.
    pub(super) fn went_well(&self, place: &Place) {
        self.inner().failures.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(replicas: i64) -> Lease {
        let object = json!({
            "metadata": {"name": "l", "namespace": "ns", "uid": "u"},
            "spec": {"cluster": {"name": "lab"}, "replicas": replicas, "until": "2026-01-01T00:00:00Z"},
        });
        Lease::read(&object).unwrap()
    }

    #[test]
    fn what_is_older_than_what_is_known_is_no_news() {
        let books = Books::default();
        books.list_is(vec![(lease(3), 7)]);
        let place = place(&lease(3)).unwrap();
        let due = || books.take_due(Instant::now(), 8).0;
        assert_eq!(due(), std::slice::from_ref(&place));
        books.show(lease(2), 6);
        assert_eq!(books.of(&place), [lease(3)]);
        books.list_is(Vec::new());
        // Not before its turn is over.
        assert!(due().is_empty());
        books.done(&place);
        assert_eq!(due(), [place]);
    }

    #[test]
    fn there_is_room_for_so_many_and_the_longest_due_goes_first() {
        let (books, now) = (Books::default(), Instant::now());
        let at = |name: &str| {
            let key = Key { namespace: "ns".to_owned(), name: name.to_owned() };
            Place { dialect: Dialect::RayCluster, key }
        };
        let later = now + Duration::from_secs(9);
        for (name, time) in [("b", now), ("a", now - Duration::from_secs(1)), ("c", later)] {
            books.due(&at(name), time);
        }
        assert_eq!(books.take_due(now, 0), (Vec::new(), None));
        assert_eq!(books.take_due(now, 1), (vec![at("a")], None));
        assert_eq!(books.take_due(now, 2), (vec![at("b")], Some(later)));
    }
}
