//! What a policy's status says: whether it is in force, every flaw where it is not, and how many stored
//! objects it is about and are breaking it, as the last audit of everything counted them.
//!
//! Written by the replica that leads, and only where it would change something.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;

use super::super::leader::Leader;
use super::{Counted, Entry, Known, Reach, resource};
use crate::clock;
use crate::plan::condition;
use crate::policy::Flaw;
use crate::policy::definition::{ACCEPTED, MOST_FLAWS};

/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The longest message of a flaw that a status takes.
const LONGEST: usize = 1000;

/// Keeps statuses as they should be.
pub(super) async fn run(
    client: Client,
    leader: Leader,
    mut known: Receiver<Known>,
    mut reach: Receiver<Reach>,
) {
    let api: Api<DynamicObject> = Api::all_with(client, &resource());
    loop {
        let entries = known.borrow_and_update().clone();
        let counts = reach.borrow_and_update().clone();
        let mut failed = false;
        for (name, entry) in &entries {
            let Some(status) = wanted(entry, counts.get(name).copied()) else { continue };
            if !leader.leads() {
                return;
            }
            let patch = json!({"metadata": {"uid": entry.object.uid()}, "status": status});
            let written =
                api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            if let Err(error) = written {
                failed = !matches!(&error, kube::Error::Api(answer) if answer.code == 404);
                tracing::warn!(policy = name, "failed to write the status: {error}");
            }
        }
        let changed = async {
            tokio::select! {
                changed = known.changed() => changed,
                changed = reach.changed() => changed,
            }
        };
        if failed {
            let _ = tokio::time::timeout(AGAIN, changed).await;
        } else if changed.await.is_err() {
            return;
        }
    }
}

/// The status, where it is another than the one that stands.
fn wanted(entry: &Entry, counted: Option<Counted>) -> Option<Value> {
    let standing = entry.object.data.get("status").unwrap_or(&Value::Null);
    let generation = entry.object.metadata.generation;
    let (accepted, reason, message) = match &entry.compiled {
        Ok(_) => ("True", "InForce", "every rule is in force".to_owned()),
        Err(flaws) => {
            let first = flaws.first().map(Flaw::to_string);
            let first = first.unwrap_or_default();
            ("False", "Flawed", format!("not in force, {} flaws; the first: {first}", flaws.len()))
        }
    };
    let flaws: &[Flaw] = entry.compiled.as_ref().err().map_or(&[], Arc::as_ref);
    let flaws: Vec<Value> = flaws
        .iter()
        .take(MOST_FLAWS)
        .map(|flaw| json!({"field": cropped(&flaw.at.to_string()), "message": cropped(&flaw.message)}))
        .collect();
    let since = condition::since(condition::stored(standing, ACCEPTED), accepted);
    let condition = json!({
        "type": ACCEPTED,
        "status": accepted,
        "reason": reason,
        "message": cropped(&message),
        "observedGeneration": generation,
        "lastTransitionTime": since.map_or_else(|| clock::now().to_string(), str::to_owned),
    });
    let mut wanted = json!({
        "observedGeneration": generation,
        "conditions": [condition],
        "flaws": flaws,
    });
    // What has not been counted yet keeps the counts of before.
    if let (Some(Counted { matching, breaking }), Value::Object(members)) = (counted, &mut wanted) {
        members.insert("matching".to_owned(), json!(matching));
        members.insert("breaking".to_owned(), json!(breaking));
    }
    let members = wanted.as_object()?;
    let stands = members.iter().all(|(key, value)| standing.get(key) == Some(value));
    (!stands).then_some(wanted)
}

fn cropped(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
