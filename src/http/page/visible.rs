//! What of the page a reader may see: each kind in the namespaces in which they may list it.
//!
//! Input: who reads, and what there is. Output: [`Visible`]. Invariant: no more than
//! [`MOST_QUESTIONS`] questions beside one for each kind, those about RayClusters first.

use std::collections::{BTreeSet, HashMap};

use futures::StreamExt as _;

use super::Seen;
use crate::dialect::{self, Dialect};
use crate::http::identity::{Deed, Identities, Somebody};
use crate::page::Cluster;
use crate::scaling::Fault;

/// Kinds in namespaces that are asked about, for a reader who may not list everywhere.
const MOST_QUESTIONS: usize = 1000;

/// Questions at one time.
const AT_ONCE: usize = 8;

/// What somebody may see, by kind.
#[derive(Debug, Default)]
pub(super) struct Visible {
    everywhere: Vec<Dialect>,
    /// The namespaces of the other kinds.
    within: HashMap<Dialect, BTreeSet<String>>,
}

impl Visible {
    /// Whether there is nothing that they may see.
    pub(super) fn is_nothing(&self) -> bool {
        self.everywhere.is_empty() && self.within.values().all(BTreeSet::is_empty)
    }

    /// Whether they may see everything.
    pub(super) fn is_everything(&self) -> bool {
        self.within.is_empty()
    }

    /// Whether they may see this object.
    pub(super) fn shows(&self, cluster: &Cluster) -> bool {
        let Some(kind) = dialect::of(&cluster.group, &cluster.kind) else { return false };
        let here = |names: &BTreeSet<String>| names.contains(&cluster.namespace);
        self.everywhere.contains(&kind) || self.within.get(&kind).is_some_and(here)
    }
}

/// Asks the API server; what is left out is told in `notes`.
pub(super) async fn visible(
    identities: &Identities,
    somebody: &Somebody,
    seen: &Seen,
    notes: &mut Vec<String>,
) -> Result<Visible, Fault> {
    let may = |(kind, namespace): (Dialect, String)| async move {
        let (group, resource) = (kind.group(), kind.plural());
        let deed = Deed { verb: "list", group, resource, namespace: &namespace, name: "" };
        let may = identities.may(somebody, deed).await?;
        Ok(may.then_some((kind, namespace)))
    };
    let ask = |questions: Vec<(Dialect, String)>| async move {
        let answers: Vec<Result<Option<(Dialect, String)>, Fault>> =
            futures::stream::iter(questions).map(may).buffer_unordered(AT_ONCE).collect().await;
        answers.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, Fault>>()
    };
    let all = ask(seen.kinds.iter().map(|kind| (*kind, String::new())).collect()).await?;
    let mut visible = Visible {
        everywhere: all.into_iter().map(|(kind, _)| kind).collect(),
        ..Visible::default()
    };
    let mut questions = Vec::new();
    let mut limited = Vec::new();
    for kind in seen.kinds.iter().filter(|kind| !visible.everywhere.contains(kind)) {
        visible.within.insert(*kind, BTreeSet::new());
        limited.push(kind.called());
        let its = seen.clusters.iter().filter(|it| dialect::of(&it.group, &it.kind) == Some(*kind));
        let names: BTreeSet<&String> = its.map(|it| &it.namespace).collect();
        questions.extend(names.into_iter().map(|name| (*kind, name.clone())));
    }
    if !limited.is_empty() {
        notes.push(format!("{} where you may not list them", limited.join(", ")));
    }
    if questions.len() > MOST_QUESTIONS {
        questions.truncate(MOST_QUESTIONS);
        notes.push(format!(
            "kinds and namespaces after the first {MOST_QUESTIONS} pairs of them, as you may not list in \
             all namespaces at once"
        ));
    }
    for (kind, namespace) in ask(questions).await? {
        visible.within.entry(kind).or_default().insert(namespace);
    }
    Ok(visible)
}
