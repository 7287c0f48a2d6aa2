//! The trace of a change: one line of the log target `audit`, and one Event on the cluster.
//!
//! Neither Domino's own audit nor that of the API server sees who asked for it here, so these two are all
//! there is.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::telemetry::chain;

/// The longest note that the API server takes.
const MOST_WORDS: usize = 1024;

pub(super) struct Teller {
    client: Client,
    instance: String,
    writes: TaskTracker,
}

/// A change that was made.
pub(super) struct Told<'a> {
    /// Who made it.
    pub(super) who: &'a str,
    /// The same for people; empty where there is no other name.
    pub(super) name: &'a str,
    /// They may change everything.
    pub(super) admin: bool,
    /// The request.
    pub(super) request: &'a str,
    /// What it is called in the log.
    pub(super) what: &'static str,
    /// The reason of the Event.
    pub(super) reason: &'static str,
    /// What stood before.
    pub(super) from: String,
    /// What stands now.
    pub(super) to: String,
    /// Whether that is known: the answer to a write may be lost.
    pub(super) written: bool,
}

impl Teller {
    pub(super) fn new(client: Client, instance: &str, writes: TaskTracker) -> Self {
        Self { client, instance: instance.to_owned(), writes }
    }

    /// Tells of a change of `cluster`; one of which nobody knows whether it was made is a line alone. The
    /// Event goes its own way: nobody waits for it, and one that is
    /// not taken is no failure.
    pub(super) fn tell(&self, cluster: &Value, told: &Told<'_>) {
        let regarding = reference(cluster);
        tracing::info!(
            target: "audit",
            request_id = told.request,
            who = told.who,
            name = told.name,
            admin = told.admin,
            what = told.what,
            namespace = regarding.namespace,
            cluster = regarding.name,
            uid = regarding.uid,
            from = told.from.as_str(),
            to = told.to.as_str(),
            outcome = if told.written { "written" } else { "unknown" },
            "changed"
        );
        if !told.written {
            return;
        }
        let who = match told.name {
            "" => told.who.to_owned(),
            name => format!("{name} ({})", told.who),
        };
        let note =
            format!("{who} {}: {} to {}, request {}", told.what, told.from, told.to, told.request);
        let event = Event {
            metadata: ObjectMeta {
                generate_name: regarding.name.as_ref().map(|name| format!("{name}-")),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some(told.what.to_owned()),
            event_time: Some(MicroTime(clock::now())),
            note: Some(note.chars().take(MOST_WORDS).collect()),
            reason: Some(told.reason.to_owned()),
            regarding: Some(regarding.clone()),
            reporting_controller: Some("raywarden.io/api".to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some("Normal".to_owned()),
            ..Event::default()
        };
        let namespace = regarding.namespace.unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        self.writes.spawn(async move {
            if let Err(error) = events.create(&PostParams::default(), &event).await {
                tracing::warn!(reason = chain(&error), "an Event was not taken");
            }
        });
    }
}

/// What an Event is about.
pub fn reference(cluster: &Value) -> ObjectReference {
    let text = |pointer: &str| cluster.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    ObjectReference {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        name: text("/metadata/name"),
        namespace: text("/metadata/namespace"),
        uid: text("/metadata/uid"),
        ..ObjectReference::default()
    }
}
