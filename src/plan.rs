//! What a controller should do next: plain values in, actions out.
//!
//! Input: [`Observed`], what is stored and what is remembered, and [`Terms`], how this installation
//! works. Output: [`Plan`], actions to be carried out one at a time. A plan that was carried out by
//! half and is made again gives the rest, not the same again; a plan of what is as it should be is
//! empty.

pub mod audit;
pub mod auth;
pub mod build;
pub mod cleanup;
pub mod condition;
pub mod excess;
pub mod fields;
pub mod group;
pub mod handover;
pub mod head;
pub mod joined;
pub mod lease;
pub mod lifecycle;
pub mod names;
pub mod nodes;
mod object;
pub mod pod;
pub mod rbac;
pub mod recreate;
pub mod report;
pub mod services;
pub mod stale;
pub mod status;
pub mod step;
pub mod why;
pub mod workers;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use self::condition::Condition;
use self::lifecycle::Stage;
use self::pod::Pod;
use self::workers::Why;
use crate::dialect::Dialect;
use crate::model::{Cluster, Settings};

/// What is remembered of a cluster between two plans, because nothing stored says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// By group: the lowest attempt that no Pod has been made with, as far as was seen.
    pub attempts: BTreeMap<String, u64>,
    /// The lowest attempt of any group, as it was when the cluster was first looked at: later than
    /// all that happened before. It stays, or what was made by half would look like what was left.
    pub floor: Option<u64>,
    /// By matter: since when it has been so.
    pub since: BTreeMap<String, Timestamp>,
    /// Pods that did not join Ray and that a policy wants replaced.
    pub unwanted: Vec<String>,
    /// Its namespace is being deleted, so that nothing more can be made.
    pub namespace_ends: bool,
}

/// A cluster and the objects that belong to it, as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The RayCluster.
    pub cluster: &'a Value,
    /// Every Pod of the namespace that carries the cluster's label, whoever made it.
    pub pods: &'a [Pod],
    /// Objects other than Pods that belong to the cluster or bear a name that it needs.
    pub existing: &'a [Value],
    /// What is remembered.
    pub memory: &'a Memory,
    /// The moment of the plan.
    pub now: Timestamp,
}

/// How this installation works.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Settings of admission, which the sidecar is derived by.
    pub settings: Settings,
    /// The DNS domain of the Kubernetes cluster.
    pub domain: String,
    /// A terminating worker is replaced only when it is gone.
    pub waits_for_gone: bool,
    /// After this time a list of victims none of which exists is cleared.
    pub stale_after: Duration,
    /// For this long the Pods of a group that left the spec stay.
    pub orphan_grace: Duration,
    /// For this long past its grace period a terminating Pod is nothing to speak of.
    pub stuck_after: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            domain: "cluster.local".to_owned(),
            waits_for_gone: false,
            stale_after: Duration::from_mins(5),
            orphan_grace: Duration::from_mins(1),
            stuck_after: Duration::from_mins(1),
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// POST; an object of that name that is there already is looked at.
    Create(Value),
    /// Server-side apply of an object that is ours and has drifted.
    Mend(Value),
    /// DELETE of an object that is ours, by the UID that was seen.
    Remove {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
        /// The UID that was seen; another object of that name stays.
        uid: String,
    },
    /// An object of our name is somebody else's: nothing is done, and somebody is told.
    Conflict {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
    /// POST of a Pod.
    CreatePod(Value),
    /// DELETE of a Pod, by the UID that was seen.
    DeletePod {
        /// Name.
        name: String,
        /// The UID that was seen.
        uid: String,
        /// Why.
        why: Why,
    },
    /// A JSON patch of the RayCluster that tests what it was planned from.
    Patch {
        /// What is done, as the Event says it.
        what: String,
        /// RFC 6902.
        operations: Vec<Value>,
    },
    /// Nothing is written but an Event.
    Tell {
        /// A word for machines.
        reason: &'static str,
        /// A sentence for people.
        note: String,
    },
}

impl Action {
    /// Whether it makes or removes a node.
    pub const fn is_about_pods(&self) -> bool {
        matches!(self, Self::CreatePod(_) | Self::DeletePod { .. })
    }

    fn delete(pod: &Pod, why: Why) -> Self {
        Self::DeletePod { name: pod.name.clone(), uid: pod.uid.clone(), why }
    }
}

/// What to do, and what to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps, in order. Where one fails, those after it are left for the next plan.
    pub actions: Vec<Action>,
    /// Conditions that hold at this moment, besides those of KubeRay.
    pub conditions: Vec<Condition>,
    /// What the cluster is in.
    pub stage: Stage,
    /// When to plan again, where nothing else happens before.
    pub again: Option<Duration>,
}

impl Plan {
    fn again_in(&mut self, wait: Duration) {
        self.again = Some(self.again.map_or(wait, |earlier| earlier.min(wait)));
    }
}

/// A RayCluster with what plans ask of it, after injection.
pub struct Subject<'a> {
    /// The view.
    pub view: Cluster<'a>,
    /// Its UID.
    pub uid: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// `status`; null where there is none.
    pub status: &'a Value,
}

impl<'a> Subject<'a> {
    /// Reads a stored RayCluster; `None` where it has no name or UID yet.
    pub fn of(object: &'a Value) -> Option<Self> {
        let view = Dialect::RayCluster.view(object)?;
        let text = |key| view.metadata.get(key).and_then(Value::as_str).unwrap_or("");
        let (uid, namespace) = (text("uid"), text("namespace"));
        let status = object.get("status").unwrap_or(&Value::Null);
        (!uid.is_empty() && !view.name.is_empty()).then_some(Self { view, uid, namespace, status })
    }

    /// What objects of it are built from.
    fn plot<'b>(&'b self, terms: &'b Terms) -> build::Plot<'b> {
        let Self { view, uid, namespace, .. } = self;
        build::Plot { cluster: view, namespace, uid, domain: &terms.domain }
    }

    /// The operation that holds a JSON patch to this very cluster.
    fn tests_uid(&self) -> Value {
        json!({"op": "test", "path": "/metadata/uid", "value": self.uid})
    }

    /// Whether it is on its way out.
    pub fn is_leaving(&self) -> bool {
        self.view.metadata.get("deletionTimestamp").is_some_and(|it| !it.is_null())
    }
}

/// The Pod of another node manager in the cluster: it belongs to the cluster, and we did not make it.
/// The annotation that allows adoption settles the matter.
pub fn foreign_pod<'a>(subject: &Subject<'_>, pods: &'a [Pod]) -> Option<&'a Pod> {
    if subject.view.annotation(ADOPT) == Some("true") {
        return None;
    }
    let mut nodes = pods.iter().filter(|pod| pod.is_node_of(subject.uid));
    nodes.find(|pod| pod.created_by != pod::OURSELVES)
}

/// The annotation by which a user lets us adopt the Pods of another node manager.
pub const ADOPT: &str = "raywarden.io/adopt";

/// What is to be done about a cluster. `secret` is a value that nobody knows, for the cluster's token
/// where one has to be made.
pub fn cluster(observed: &Observed<'_>, terms: &Terms, secret: &str) -> Plan {
    let injected = crate::inject::for_pod(observed.cluster, &terms.settings);
    let Some(subject) = Subject::of(&injected) else { return Plan::default() };
    let mut plan = Plan { stage: lifecycle::stage(&subject), ..Plan::default() };
    if crate::dialect::kuberay::managed_elsewhere(&subject.view) {
        return plan;
    }
    if subject.is_leaving() {
        cleanup::end(&subject, observed, terms, &mut plan);
        return plan;
    }
    plan.conditions.extend(lifecycle::obstacles(observed, &subject, terms));
    if plan.conditions.iter().any(|condition| lifecycle::stops(condition.kind)) {
        return plan;
    }
    // Everything would be refused, and what is there goes without us.
    if observed.memory.namespace_ends {
        return plan;
    }
    if cleanup::begin(&subject, &mut plan) {
        return plan;
    }
    plan.actions.extend(rbac::plan(observed.cluster, observed.existing));
    nodes::services(&subject, observed, terms, secret, &mut plan);
    match plan.stage {
        Stage::Begins => plan.again_in(Duration::ZERO),
        Stage::Rests => {}
        Stage::TakesAway => {
            plan.actions.extend(nodes::take_away(&subject, observed, Why::Suspended));
        }
        Stage::Runs => nodes::run(&subject, observed, terms, &mut plan),
    }
    plan
}

#[cfg(test)]
mod tests;
