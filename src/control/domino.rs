//! Domino's clusters: nodes are their operator's, their bounds are held here too.
//!
//! Where Domino's CRD is served its clusters are watched; a count above the maximum, which the `scale`
//! subresource carries past admission, is taken back and told of. In audit mode it is only told of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, Patch};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use super::apply::patching;
use super::events::Recorder;
use super::leader::Leader;
use super::leases::{Sight, Sights, see};
use super::metrics::Metrics;
use super::resources;
use super::served::until_served;
use crate::dialect::Dialect;
use crate::http::objects::resource;
use crate::plan::excess::{Excess, excess};

const REASON: &str = "ReplicasAboveMax";

/// How often it is looked whether the CRD is served.
const BETWEEN: Duration = Duration::from_mins(1);

/// Clusters whose excess was told of in audit mode.
const MOST_TOLD: usize = 4096;

/// Watches Domino's clusters.
pub(super) struct Domino {
    pub(super) client: Client,
    pub(super) leader: Leader,
    pub(super) events: Arc<Recorder>,
    pub(super) metrics: Arc<Metrics>,
    /// Where leases hear of them.
    pub(super) sights: Sights,
    /// Counts are taken back.
    pub(super) enforces: bool,
}

impl Domino {
    /// Works till the term ends.
    pub(super) async fn run(self, ends: CancellationToken) {
        tokio::select! {
            () = ends.cancelled() => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        let resource = resource(Dialect::Domino);
        until_served(&self.client, &resource.api_version, BETWEEN).await;
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let mut told = HashMap::new();
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        loop {
            match events.try_next().await {
                Ok(Some(Event::Apply(object) | Event::InitApply(object))) => {
                    see(&self.sights, Dialect::Domino, &object, false);
                    self.look(&resource, &object, &mut told).await;
                }
                Ok(Some(Event::Delete(object))) => {
                    see(&self.sights, Dialect::Domino, &object, true);
                }
                Ok(Some(Event::InitDone)) => {
                    let _ = self.sights.unbounded_send(Sight::Relisted(Dialect::Domino));
                }
                Ok(Some(Event::Init)) => {}
                Ok(None) => return,
                Err(error) => self.metrics.watch_broke_of("domino", &error),
            }
        }
    }

    async fn look(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
        told: &mut HashMap<String, i64>,
    ) {
        let stored = resources::json(object);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let Some(Excess { count, max, operations }) = excess(&stored) else {
            told.remove(&uid);
            return;
        };
        if !self.leader.leads() {
            return;
        }
        if !self.enforces {
            if told.len() >= MOST_TOLD {
                told.clear();
            }
            if told.insert(uid, count) != Some(count) {
                let note =
                    format!("worker.replicas is {count}, above autoscaling.maxReplicas {max}");
                self.events.warn(&stored, REASON, &note).await;
            }
            return;
        }
        let Ok(patch) = serde_json::from_value(operations.into()) else { return };
        let namespace = object.namespace().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &namespace, resource);
        match api.patch(&object.name_any(), &patching(), &Patch::Json::<()>(patch)).await {
            Ok(_) => {
                let note = format!(
                    "worker.replicas was {count}, above autoscaling.maxReplicas {max}, and is {max} again; \
                     raise the maximum for more"
                );
                self.events.warn(&stored, REASON, &note).await;
            }
            // It changed meanwhile, and the change comes as an event.
            Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => {}
            Err(error) => tracing::warn!(
                cluster = format!("{namespace}/{}", object.name_any()),
                "a count above its maximum could not be taken back: {}",
                crate::telemetry::chain(&error)
            ),
        }
    }
}
