//! What admission did to writers that nobody reads the answers of.
//!
//! Input: clamps of machine writes, and children of a RayJob or RayService that were denied, in this
//! process, whether or not this replica leads. Output: for each group the last clamp, in the report of
//! its cluster; an Event on the parent. The same clamp again is written again only after a while; a
//! cluster without a report has its clamps in the log alone. Admission never waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::Patch;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::apply::patching;
use super::events::Recorder;
use super::index::Key;
use super::reports;
use crate::bounds::Clamp;
use crate::clock;
use crate::http::Noted;

/// Clamps that wait; more are in the log alone.
const WAITING: usize = 256;

/// The same clamp is no news for this long: autoscaler v1 repeats a write every few seconds.
const NO_NEWS: Duration = Duration::from_mins(10);

/// Clamps that are known.
const MOST_KNOWN: usize = 4096;

/// Where admission puts them; they are noted by `identity` till `stop`.
pub fn notes(client: Client, identity: &str, stop: CancellationToken) -> Sender<Noted> {
    let (sender, noted) = channel(WAITING);
    let events = Recorder::new(client.clone(), identity);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = note(client, events, noted) => {}
        }
    });
    sender
}

async fn note(client: Client, events: Recorder, mut noted: Receiver<Noted>) {
    let mut known: HashMap<(Key, String), (Clamp, Instant)> = HashMap::new();
    while let Some(noted) = noted.recv().await {
        let (namespace, cluster, by, clamps) = match noted {
            Noted::Clamped { namespace, cluster, by, clamps } => (namespace, cluster, by, clamps),
            Noted::Refused { parent, why } => {
                events.warn(&parent, "RayClusterRefused", &why).await;
                continue;
            }
        };
        let key = Key { namespace, name: cluster };
        let place = |clamp: &Clamp| (key.clone(), clamp.group.clone());
        let is_news = |clamp: &Clamp| {
            let before = known.get(&place(clamp));
            before.is_none_or(|(before, at)| before != clamp || at.elapsed() >= NO_NEWS)
        };
        let news: Vec<Clamp> = clamps.into_iter().filter(is_news).collect();
        if news.is_empty() {
            continue;
        }
        match write(&client, &key, &by, &news).await {
            Ok(()) => {
                if known.len() >= MOST_KNOWN {
                    known.clear();
                }
                let now = Instant::now();
                known.extend(news.into_iter().map(|clamp| (place(&clamp), (clamp, now))));
            }
            // No report yet, or no CRD.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                tracing::warn!(cluster = %key, "a clamp could not be noted: {}", crate::telemetry::chain(&error));
            }
        }
    }
}

async fn write(client: &Client, key: &Key, by: &str, clamps: &[Clamp]) -> kube::Result<()> {
    let time = clock::now().to_string();
    let entry = |clamp: &Clamp| {
        let Clamp { group, asked, allowed } = clamp;
        (group.clone(), json!({"asked": asked, "allowed": allowed, "by": by, "time": time}))
    };
    let clamps: Map<String, Value> = clamps.iter().map(entry).collect();
    let patch = Patch::Merge(json!({"clamps": clamps}));
    reports::api(client, &key.namespace).patch(&key.name, &patching(), &patch).await.map(|_| ())
}
