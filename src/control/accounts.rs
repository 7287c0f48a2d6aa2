//! Accounts that clusters name and that are not there yet.
//!
//! The accounts of users are not watched: there may be tens of thousands. One that a head Pod was
//! refused for is, by its name, until it comes; then its clusters are looked at.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::Api;
use kube::runtime::wait::{Condition, await_condition};
use tokio_util::sync::CancellationToken;

use super::index::Key;
use super::watch::{Queue, enqueue};

/// Then the cluster's own back-off has to do.
const WATCHED_FOR: Duration = Duration::from_mins(30);

/// The API server itself looks accounts up in a copy that lags a little.
const SETTLES: Duration = Duration::from_millis(500);

/// Accounts that are watched for at one time.
const MOST: usize = 256;

/// Watches for accounts.
pub(super) struct Accounts {
    pub(super) client: Client,
    pub(super) queue: Queue,
    pub(super) ends: CancellationToken,
    pub(super) awaited: Arc<Mutex<HashSet<(Key, String)>>>,
}

impl Accounts {
    /// Queues the cluster as soon as the account `name` of its namespace is there.
    pub(super) fn wait_for(&self, key: &Key, name: &str) {
        let entry = (key.clone(), name.to_owned());
        {
            let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            if awaited.len() >= MOST || !awaited.insert(entry.clone()) {
                return;
            }
        }
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &key.namespace);
        let (queue, ends, awaited) =
            (self.queue.clone(), self.ends.clone(), Arc::clone(&self.awaited));
        tokio::spawn(async move {
            let (key, name) = &entry;
            let there = tokio::time::timeout(WATCHED_FOR, await_condition(api, name, is_there()));
            let came = async { matches!(there.await, Ok(Ok(_))) && settle().await };
            let came = tokio::select! {
                () = ends.cancelled() => false,
                came = came => came,
            };
            awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry);
            if came {
                enqueue(&queue, key);
            }
        });
    }
}

async fn settle() -> bool {
    tokio::time::sleep(SETTLES).await;
    true
}

fn is_there() -> impl Condition<ServiceAccount> {
    |account: Option<&ServiceAccount>| account.is_some()
}
