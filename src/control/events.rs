//! Events on RayClusters, through `events.k8s.io`.
//!
//! One Event per kind of step and round, not one per Pod. What cannot be told is logged and forgotten:
//! an Event is never a reason to stop.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder as KubeRecorder, Reporter};
use serde_json::Value;

use crate::plan::Action;
use crate::plan::status::Outcome;

/// The most names that one Event lists.
const MOST_NAMES: usize = 10;

/// Tells what was done.
pub(super) struct Recorder {
    inner: KubeRecorder,
}

impl Recorder {
    pub(super) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "raywarden.io/controller".to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self { inner: KubeRecorder::new(client, reporter) }
    }

    /// Tells what was written for a cluster, and what went wrong.
    pub(super) async fn tell(&self, cluster: &Value, written: &[&Action], outcome: &Outcome) {
        for event in worded(written, outcome) {
            self.publish(cluster, &event).await;
        }
    }

    /// Tells of something that needs a look.
    pub(super) async fn warn(&self, cluster: &Value, reason: &str, note: &str) {
        self.publish(cluster, &event(EventType::Warning, reason, note)).await;
    }

    async fn publish(&self, cluster: &Value, event: &Event) {
        if let Err(error) = self.inner.publish(event, &reference(cluster)).await {
            tracing::debug!(reason = event.reason, "an Event was not taken: {error}");
        }
    }
}

fn reference(cluster: &Value) -> ObjectReference {
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

fn worded(written: &[&Action], outcome: &Outcome) -> Vec<Event> {
    let mut by_reason: Vec<(&'static str, &'static str, Vec<String>)> = Vec::new();
    let mut events = Vec::new();
    for action in written {
        let name = |object: &Value| {
            object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("").to_owned()
        };
        let (reason, verb, what) = match action {
            Action::Create(object) => {
                let kind = object.get("kind").and_then(Value::as_str).unwrap_or("");
                ("CreatedObjects", "created", format!("{kind} {}", name(object)))
            }
            Action::Mend(object) => ("MendedObject", "mended", name(object)),
            Action::Remove { name, .. } => {
                ("ReplacedObject", "removed, to be made anew:", name.clone())
            }
            Action::CreatePod(pod) => ("CreatedPods", "created Pods", name(pod)),
            Action::DeletePod { name, why, .. } => {
                ("DeletedPods", "deleted Pods", format!("{name} ({})", why.as_str()))
            }
            Action::Patch { what, .. } => ("PatchedCluster", "", what.clone()),
            Action::Tell { reason, note } => {
                events.push(event(EventType::Warning, reason, note));
                continue;
            }
            Action::Conflict { .. } => continue,
        };
        match by_reason.iter_mut().find(|(other, ..)| *other == reason) {
            Some((.., names)) => names.push(what),
            None => by_reason.push((reason, verb, vec![what])),
        }
    }
    events.extend(
        by_reason
            .into_iter()
            .map(|(reason, verb, names)| event(EventType::Normal, reason, &listed(verb, &names))),
    );
    if let Some(failure) = &outcome.failure {
        let reason = failure.reason.unwrap_or("FailedReconcile");
        events.push(event(EventType::Warning, reason, &failure.message));
    }
    for (kind, name) in &outcome.conflicts {
        let note = format!("{kind} {name} was not made for this cluster, so it is left alone");
        events.push(event(EventType::Warning, "NameTaken", &note));
    }
    events
}

fn listed(verb: &str, names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MOST_NAMES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{verb} {shown}{rest}").trim().to_owned()
}

fn event(type_: EventType, reason: &str, note: &str) -> Event {
    // The API server takes no more.
    let note: String = note.chars().take(1024).collect();
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}
