//! Why a cluster does not scale: the way from demand to a joined node, link by link.
//!
//! | file | role |
//! | --- | --- |
//! | [`facts`] | what is known, read from stored objects, and what could not be read |
//! | [`cluster`] | the object itself: on its way out, suspended, or written so that nothing can work |
//! | [`pods`] | the head and the workers as Pods, and what keeps them from running |
//! | [`scale`] | demand, bounds, and `replicas` against the Pods that were made |
//! | [`nodes`] | the autoscaler's own health, and which workers joined Ray |
//!
//! Input: [`Facts`], plain values, and the time. Output: a [`Chain`]. The links stand in the order of
//! cause and effect, so the first that is blocked is the one to mend first.
//!
//! Invariants: every link is there in every chain, in this order; what could not be read is
//! [`State::Unknown`], never taken for absent.

mod cluster;
pub mod facts;
mod nodes;
mod pods;
mod scale;

use k8s_openapi::jiff::Timestamp;

use super::joined::{Autoscaler, Joined};
use crate::dialect::Dialect;
use crate::model::Cluster;
pub use facts::{Event, Facts, Gap, Seen};

/// How a link fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// On its way, or worth a look; not what stops a scale.
    Waiting,
    /// It stops here.
    Blocked,
    /// It could not be seen.
    Unknown,
}

impl State {
    /// The word of the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}

/// One step between demand and a joined node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: &'static str,
    /// How it fares.
    pub state: State,
    /// What was seen.
    pub what: String,
    /// What to do; empty where there is nothing to do.
    pub fix: String,
}

/// The names of the links, in the order of every chain.
pub const LINKS: [&str; 9] =
    ["cluster", "spec", "head", "demand", "autoscaler", "caps", "replicas", "pods", "joined"];

/// All links of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// In the order of [`LINKS`].
    pub links: Vec<Link>,
}

impl Chain {
    /// The link that decides: the first that is blocked, else the first that could not be seen, else
    /// the first that waits; `None` where all is well.
    pub fn decides(&self) -> Option<&Link> {
        [State::Blocked, State::Unknown, State::Waiting]
            .into_iter()
            .find_map(|state| self.links.iter().find(|link| link.state == state))
    }
}

impl Link {
    fn new(state: State, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: "", state, what: what.into(), fix: fix.into() }
    }

    fn ok(what: impl Into<String>) -> Self {
        Self::new(State::Ok, what, "")
    }

    fn waiting(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(State::Waiting, what, fix)
    }

    fn blocked(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(State::Blocked, what, fix)
    }

    fn unknown(gap: &Gap) -> Self {
        Self::new(State::Unknown, gap.what.clone(), gap.fix.clone())
    }
}

/// What every link looks at.
struct View<'a> {
    facts: &'a Facts<'a>,
    cluster: Cluster<'a>,
    uid: &'a str,
    namespace: &'a str,
    /// Pods of this cluster's UID; none where they could not be read.
    own: Vec<&'a Seen>,
    now: Timestamp,
}

/// The chain of a RayCluster; `None` where the object is none.
pub fn chain(facts: &Facts<'_>, now: Timestamp) -> Option<Chain> {
    let cluster = Dialect::RayCluster.view(facts.cluster)?;
    let text = |key: &str| facts::text_at(cluster.metadata, key);
    let (uid, namespace) = (text("uid"), text("namespace"));
    let pods = facts.pods.as_ref().map_or(&[][..], Vec::as_slice);
    let own = pods.iter().filter(|seen| seen.pod.belongs_to(uid)).collect();
    let view = View { facts, cluster, uid, namespace, own, now };
    let health = nodes::health(&view);
    let joined = nodes::joined(&view);
    let links = [
        cluster::object(&view),
        cluster::spec(&view),
        pods::head(&view),
        scale::demand(&view),
        nodes::autoscaler(&view, &health),
        scale::caps(&view),
        scale::replicas(&view),
        pods::workers(&view),
        nodes::link(&view, &joined),
    ];
    let named = |(name, link): (&'static str, Link)| Link { name, ..link };
    let mut links: Vec<Link> = LINKS.into_iter().zip(links).map(named).collect();
    idle_autoscaler(&view, &health, &joined, &mut links);
    Some(Chain { links })
}

/// Everything is well, something waits for resources, and yet no count moves: the autoscaler has seen
/// it and does nothing.
fn idle_autoscaler(view: &View<'_>, health: &Autoscaler, joined: &Joined, links: &mut [Link]) {
    let well = links.iter().all(|link| link.state == State::Ok) && joined.unknown.is_none();
    let asked = view.facts.demand.as_ref().is_some_and(|demand| !demand.pending.is_empty());
    let runs = matches!(health, Autoscaler::Running { .. });
    let Some(link) = links.iter_mut().find(|link| link.name == "autoscaler") else { return };
    if well && asked && runs {
        link.state = State::Waiting;
        link.what.push_str("; something waits for resources, there is room, and no count moves");
        link.fix = format!(
            "give it a moment, then read kubectl logs {} -n {} -c autoscaler: it does nothing where no \
             group has a shape that fits, and autoscaler v2 nothing at all where request_resources asks \
             for more than all maxReplicas give",
            view.head().map_or("HEAD", |head| head.pod.name.as_str()),
            view.namespace
        );
    }
}

impl<'a> View<'a> {
    /// The head Pod; the new one, where the old one is on its way out.
    fn head(&self) -> Option<&'a Seen> {
        facts::head(self.own.iter().copied())
    }

    /// Workers that are not on their way out.
    fn workers(&self) -> impl Iterator<Item = &'a Seen> {
        let is_worker = |seen: &&Seen| seen.pod.node_type == super::pod::NodeType::Worker;
        self.own.iter().copied().filter(is_worker).filter(|seen| !seen.pod.terminating)
    }

    /// How long ago that was, in words.
    fn ago(&self, since: &str) -> String {
        since.parse().map_or_else(|_| "?".to_owned(), |since| facts::age(since, self.now))
    }

    /// How long ago that was; nothing where it cannot be read.
    fn seconds(&self, since: &str) -> i64 {
        since.parse::<Timestamp>().map_or(0, |since| self.now.as_second() - since.as_second())
    }
}

#[cfg(test)]
mod tests;
