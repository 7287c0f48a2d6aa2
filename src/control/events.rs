//! Events on RayClusters, through `events.k8s.io`.
//!
//! One Event per kind of step and round, not one per Pod; what a cluster needs besides its Pods is told
//! with them, where it is made in the same round. What cannot be told is logged and forgotten:
//! an Event is never a reason to stop.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder as KubeRecorder, Reporter};
use serde_json::Value;

use crate::plan::Action;
use crate::plan::status::Outcome;

/// The most names that one Event lists.
const MOST_NAMES: usize = 10;

const OBJECTS: &str = "CreatedObjects";
const PODS: &str = "CreatedPods";

/// A reason, a verb, and what was done so.
type Told = (&'static str, &'static str, Vec<String>);

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
            let regarding = reference(cluster);
            if let Err(error) = self.inner.publish(&event, &regarding).await {
                tracing::debug!(reason = event.reason, "an Event was not taken: {error}");
            }
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
    let mut by_reason: Vec<Told> = Vec::new();
    let mut events = Vec::new();
    for action in written {
        let name = |object: &Value| {
            object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("").to_owned()
        };
        let (reason, verb, what) = match action {
            Action::Create(object) => {
                let kind = object.get("kind").and_then(Value::as_str).unwrap_or("");
                (OBJECTS, "created", format!("{kind} {}", name(object)))
            }
            Action::Mend(object) => ("MendedObject", "mended", name(object)),
            Action::Remove { name, .. } => {
                ("ReplacedObject", "removed, to be made anew:", name.clone())
            }
            Action::CreatePod(pod) => (PODS, "created Pods", name(pod)),
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
    with_their_pods(&mut by_reason);
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

/// Objects that were made in the same round as Pods are told with them, after them.
fn with_their_pods(told: &mut Vec<Told>) {
    if !told.iter().any(|(reason, ..)| *reason == PODS) {
        return;
    }
    let Some(at) = told.iter().position(|(reason, ..)| *reason == OBJECTS) else { return };
    let (.., objects) = told.remove(at);
    if let Some((.., names)) = told.iter_mut().find(|(reason, ..)| *reason == PODS) {
        names.extend(objects);
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_made_in_one_round_is_one_event_and_pods_come_first() {
        let object = |kind: &str, name: &str| json!({"kind": kind, "metadata": {"name": name}});
        let role = Action::Create(object("Role", "lab"));
        let head = Action::CreatePod(object("Pod", "lab-head"));
        let notes = |written: &[&Action]| -> Vec<(String, Option<String>)> {
            let events = worded(written, &Outcome::default());
            events.into_iter().map(|event| (event.reason, event.note)).collect()
        };
        let told = |reason: &str, note: &str| vec![(reason.to_owned(), Some(note.to_owned()))];
        assert_eq!(notes(&[&role, &head]), told(PODS, "created Pods lab-head, Role lab"));
        assert_eq!(notes(&[&role]), told(OBJECTS, "created Role lab"));
        assert_eq!(notes(&[&head]), told(PODS, "created Pods lab-head"));
    }
}
