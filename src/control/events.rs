//! Events on RayClusters, through `events.k8s.io`.
//!
//! One Event per kind of step and round, not one per Pod; what a cluster needs besides its Pods is told
//! with them, where it is made in the same round. The same words about the same cluster are one Event
//! that counts; other words are another one. What cannot be told is logged and forgotten: an Event is
//! never a reason to stop.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::apply::posting;
use crate::clock;
use crate::http::tell::reference;
use crate::plan::Action;
use crate::plan::status::Outcome;

/// The most names that one Event lists.
const MOST_NAMES: usize = 10;

/// For how long it is known how often an Event was told.
const KNOWN_FOR: Duration = Duration::from_mins(6);

const OBJECTS: &str = "CreatedObjects";
const PODS: &str = "CreatedPods";

/// A reason, a verb, and what was done so.
type Told = (&'static str, &'static str, Vec<String>);

/// Tells what was done.
pub(super) struct Recorder {
    client: Client,
    identity: String,
    counts: Mutex<HashMap<String, (i32, Instant)>>,
}

impl Recorder {
    pub(super) fn new(client: Client, identity: &str) -> Self {
        Self { client, identity: identity.to_owned(), counts: Mutex::default() }
    }

    /// Tells what was written for a cluster, and what went wrong.
    pub(super) async fn tell(&self, cluster: &Value, written: &[&Action], outcome: &Outcome) {
        for words in worded(written, outcome) {
            self.say(cluster, &words).await;
        }
    }

    /// Tells of something that needs a look.
    pub(super) async fn warn(&self, cluster: &Value, reason: &'static str, note: &str) {
        self.say(cluster, &words(true, reason, note)).await;
    }

    async fn say(&self, cluster: &Value, words: &Words) {
        if let Err(error) = self.publish(cluster, words).await {
            tracing::debug!(reason = words.reason, "an Event was not taken: {error}");
        }
    }

    async fn publish(&self, cluster: &Value, words: &Words) -> kube::Result<()> {
        let event = self.event(cluster, words);
        let name = event.metadata.name.clone().unwrap_or_default();
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let id = format!("{namespace}/{name}");
        let mut counts = self.counts.lock().await;
        counts.retain(|_, (_, last)| last.elapsed() < KNOWN_FOR);
        let count = counts.get(&id).map_or(1, |(count, _)| count.saturating_add(1));
        counts.insert(id, (count, Instant::now()));
        drop(counts);
        if count == 1 {
            match api.create(&posting(), &event).await {
                // It was told before, by another process or long ago.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => return other.map(|_| ()),
            }
        }
        let again = json!({
            "series": {"count": count.max(2), "lastObservedTime": MicroTime(clock::now())},
        });
        match api.patch(&name, &PatchParams::default(), &Patch::Merge(&again)).await {
            // The API server keeps Events for an hour or so.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                api.create(&PostParams::default(), &event).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    fn event(&self, cluster: &Value, words: &Words) -> Event {
        let regarding = reference(cluster);
        let mut hash = DefaultHasher::new();
        (&regarding.uid, &self.identity, words.reason, &words.note).hash(&mut hash);
        let cluster = regarding.name.clone().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{cluster}.{:016x}", hash.finish())),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(clock::now())),
            note: Some(words.note.clone()),
            reason: Some(words.reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some("raywarden.io/controller".to_owned()),
            reporting_instance: Some(self.identity.clone()),
            type_: Some(if words.warns { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

/// What an Event says.
#[derive(Debug)]
struct Words {
    warns: bool,
    reason: &'static str,
    note: String,
}

fn worded(written: &[&Action], outcome: &Outcome) -> Vec<Words> {
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
                events.push(words(true, reason, note));
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
            .map(|(reason, verb, names)| words(false, reason, &listed(verb, &names))),
    );
    if let Some(failure) = &outcome.failure {
        let reason = failure.reason.unwrap_or("FailedReconcile");
        events.push(words(true, reason, &failure.message));
    }
    for (kind, name) in &outcome.conflicts {
        let note = format!("{kind} {name} was not made for this cluster, so it is left alone");
        events.push(words(true, "NameTaken", &note));
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

fn words(warns: bool, reason: &'static str, note: &str) -> Words {
    // The API server takes no more.
    Words { warns, reason, note: note.chars().take(1024).collect() }
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
        let notes = |written: &[&Action]| -> Vec<(String, String)> {
            let told = worded(written, &Outcome::default());
            told.into_iter().map(|words| (words.reason.to_owned(), words.note)).collect()
        };
        let told = |reason: &str, note: &str| vec![(reason.to_owned(), note.to_owned())];
        assert_eq!(notes(&[&role, &head]), told(PODS, "created Pods lab-head, Role lab"));
        assert_eq!(notes(&[&role]), told(OBJECTS, "created Role lab"));
        assert_eq!(notes(&[&head]), told(PODS, "created Pods lab-head"));
    }
}
