//! Events on RayClusters, through `events.k8s.io`.
//!
//! One Event per kind of step and round, not one per Pod. One that says the same as the last of its
//! reason is counted in that one; one that says something else is told anew. What cannot be told is
//! logged and forgotten: an Event is never a reason to stop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder as KubeRecorder, Reporter};
use serde_json::Value;

use crate::plan::Action;
use crate::plan::status::Outcome;

/// The most names that one Event lists.
const MOST_NAMES: usize = 10;

/// The most clusters and reasons whose last Event is known.
const MOST_KNOWN: usize = 4096;

/// Tells what was done.
pub(super) struct Recorder {
    client: Client,
    reporter: Reporter,
    latest: Mutex<Latest<KubeRecorder>>,
}

/// The last note of each cluster and reason, and who told it. The library's recorder counts an Event
/// in an older one of the same reason and leaves that one's note, so each note has its own.
struct Latest<R>(HashMap<(String, String), (String, R)>);

impl<R: Clone> Latest<R> {
    /// Who is to tell it: whoever told the last one, where that said the same.
    fn teller(&mut self, uid: &str, event: &Event, fresh: impl FnOnce() -> R) -> R {
        let key = (uid.to_owned(), event.reason.clone());
        let note = event.note.clone().unwrap_or_default();
        match self.0.get(&key) {
            Some((last, teller)) if *last == note => teller.clone(),
            _ => {
                // A count that begins anew is a small loss.
                if self.0.len() >= MOST_KNOWN {
                    self.0.clear();
                }
                let teller = fresh();
                self.0.insert(key, (note, teller.clone()));
                teller
            }
        }
    }
}

impl Recorder {
    pub(super) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "raywarden.io/controller".to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self { client, reporter, latest: Mutex::new(Latest(HashMap::new())) }
    }

    /// Tells what was written for a cluster, and what went wrong.
    pub(super) async fn tell(&self, cluster: &Value, written: &[&Action], outcome: &Outcome) {
        let regarding = reference(cluster);
        for event in worded(written, outcome) {
            let teller = self.teller(regarding.uid.as_deref().unwrap_or(""), &event);
            if let Err(error) = teller.publish(&event, &regarding).await {
                tracing::debug!(reason = event.reason, "an Event was not taken: {error}");
            }
        }
    }

    fn teller(&self, uid: &str, event: &Event) -> KubeRecorder {
        let fresh = || KubeRecorder::new(self.client.clone(), self.reporter.clone());
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.teller(uid, event, fresh)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_in_the_last_one_only_where_it_says_the_same() {
        let mut latest = Latest(HashMap::new());
        let mut tellers = 0..;
        let mut teller = |uid, reason, note| {
            let event = event(EventType::Normal, reason, note);
            latest.teller(uid, &event, || tellers.next())
        };
        let first = teller("u1", "DeletedPods", "deleted Pods a");
        assert_eq!(teller("u1", "DeletedPods", "deleted Pods a"), first);
        let others = [
            teller("u2", "DeletedPods", "deleted Pods a"),
            teller("u1", "CreatedPods", "deleted Pods a"),
            teller("u1", "DeletedPods", "deleted Pods b"),
            teller("u1", "DeletedPods", "deleted Pods a"),
        ];
        let different: std::collections::BTreeSet<_> = others.iter().chain([&first]).collect();
        assert_eq!(different.len(), 5);
    }
}
