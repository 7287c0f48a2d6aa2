//! The typed rules of policies, by section. Each looks at one state of one cluster.
//!
//! Input: a [`Scene`], made once per review and shared by all policies. Output: [`Breach`]es, without
//! weight and policy: [`super::judge`] adds them. A rule that is kept allocates nothing.

pub(super) mod auth;
pub(super) mod autoscaling;
pub(super) mod bounds;
pub(super) mod ceilings;
pub(super) mod exposure;
pub(super) mod gpus;
pub(super) mod images;
pub(super) mod labels;
pub(super) mod pod_security;
pub(super) mod queue;
pub(super) mod resources;
pub(super) mod service_accounts;
pub(super) mod sidecar;

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value;

use super::checks::{Section, Subject};
use super::usage::{Reach, Sums, Usage, added_sidecar};
use super::{PolicySet, cel};
use crate::model::change::Request;
use crate::model::{
    Change, Cluster, Container, Finding, Pointer, Quantity, RuleId, Settings, Template,
};

/// A compiled rule.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// The most of one thing.
    Ceiling(ceilings::Rule),
    /// Bounds that every worker group has to have.
    Bounds(bounds::Rule),
    /// Requests and limits that every container has to have.
    Resources(resources::Rule),
    /// Where GPUs may be asked for.
    Gpus(gpus::Rule),
    /// Images that containers may run.
    Images(images::Rule),
    /// Labels that a cluster has to carry.
    Labels(labels::Rule),
    /// Service accounts that Pods may run as.
    ServiceAccounts(service_accounts::Rule),
    /// A Pod Security Standard.
    PodSecurity(pod_security::Rule),
    /// The autoscaler's own container.
    Sidecar(sidecar::Rule),
    /// Ray's own authentication.
    Auth(auth::Rule),
    /// Ways in from outside.
    Exposure(exposure::Rule),
    /// The Kueue queue.
    Queue(queue::Rule),
    /// Whether and how clusters scale.
    Autoscaling(autoscaling::Rule),
    /// A condition in CEL.
    Cel(cel::Rule),
}

/// A place that breaks a rule.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    /// The rule, the place and the words; weight and policy are not said yet.
    pub(super) finding: Finding,
    /// By how much it is broken, where more is worse: a write that lowers it is let through.
    pub(super) measure: Option<Quantity>,
    /// Nobody knows whether it is one: it is reported and interrupts nobody.
    pub(super) unjudged: bool,
    /// The wider place whose history counts, where a change can move the finding's within it.
    pub(super) within: Option<Pointer>,
}

impl Breach {
    /// A breach that has no measure.
    pub(super) fn new(
        rule: RuleId,
        at: Pointer,
        found: impl Into<String>,
        allowed: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let finding = Finding::deny(rule, at, found, allowed, fix);
        Self { finding, measure: None, unjudged: false, within: None }
    }

    /// The place that is looked up in the stored state.
    pub(super) fn history(&self) -> &Pointer {
        self.within.as_ref().unwrap_or(&self.finding.at)
    }
}

/// One state of one cluster, and what rules work out of it more than once.
pub(super) struct Scene<'a> {
    /// The cluster and who makes its Pods.
    pub(super) subject: Subject<'a>,
    /// The head and the worker groups of a `ray.io` cluster; none for Domino's.
    pub(super) sections: Vec<Section<'a>>,
    /// The stored cluster, for rules about what may change; none for the stored state itself.
    pub(super) old: Option<&'a Cluster<'a>>,
    settings: &'a Settings,
    /// The namespace of the object.
    pub(super) namespace: &'a str,
    kind: &'a str,
    usage: &'a Usage,
    asked: cel::Asked<'a>,
    variables: OnceCell<cel::Variables<'a>>,
    containers: OnceCell<Vec<Placed<'a>>>,
    sidecar: OnceCell<Option<Value>>,
    reach: OnceCell<Reach>,
    beside: OnceCell<Sums>,
}

/// What the Pod that submits a job is called.
const SUBMITTER: &str = "the submitter";

/// A container of a template.
pub(super) struct Placed<'a> {
    /// The position of its template in [`Scene::sections`]; behind them for the submitter's.
    pub(super) section: usize,
    /// The spec of its Pod.
    pub(super) pod: &'a Value,
    /// The container.
    pub(super) container: Container<'a>,
}

impl<'a> Scene<'a> {
    /// The state that a write leads to.
    pub(super) fn after(change: &Change<'a>, policies: &'a PolicySet) -> Self {
        let Request { object, old_object, .. } = change.request;
        Self::of(change.new, change.old, change, policies, (object, old_object))
    }

    /// The stored state, as if it were written once more.
    pub(super) fn before(
        old: &'a Cluster<'a>,
        change: &Change<'a>,
        policies: &'a PolicySet,
    ) -> Self {
        let Request { object, old_object, .. } = change.request;
        let stored = old_object.unwrap_or(object);
        Self::of(old, None, change, policies, (stored, Some(stored)))
    }

    fn of(
        cluster: &'a Cluster<'a>,
        old: Option<&'a Cluster<'a>>,
        change: &Change<'a>,
        policies: &'a PolicySet,
        (object, old_object): (&'a Value, Option<&'a Value>),
    ) -> Self {
        let subject = Subject { cluster, manager: change.manager, child: change.child };
        let sections = if cluster.traits.ray { subject.sections() } else { Vec::new() };
        let (request, operation) = (change.request, change.operation);
        Self {
            subject,
            sections,
            old,
            settings: change.settings,
            namespace: request.namespace,
            kind: request.kind,
            usage: &policies.usage,
            asked: cel::Asked { request, operation, object, old: old_object },
            variables: OnceCell::new(),
            containers: OnceCell::new(),
            sidecar: OnceCell::new(),
            reach: OnceCell::new(),
            beside: OnceCell::new(),
        }
    }

    /// The object that is the cluster, or embeds it.
    pub(super) fn object(&self) -> &'a Value {
        self.asked.object
    }

    /// What rules in CEL read.
    pub(super) fn variables(&self) -> &cel::Variables<'a> {
        self.variables.get_or_init(|| cel::Variables::new(self.asked, self.subject.cluster))
    }

    /// Every template and whose it is: the head's, those of the groups, the submitter's.
    pub(super) fn templates(&self) -> impl Iterator<Item = (Template<'a>, &str)> {
        let own = self.sections.iter().map(|it| (it.template(), it.called.as_str()));
        own.chain(self.cluster().submitter.iter().map(|it| (it.clone(), SUBMITTER)))
    }

    /// Every container of every template, init containers and the submitter's included.
    pub(super) fn containers(&self) -> &[Placed<'a>] {
        self.containers.get_or_init(|| {
            let placed = self.templates().enumerate().flat_map(|(section, (template, _))| {
                let pod = template.spec;
                template.every_container().map(move |container| Placed { section, pod, container })
            });
            placed.collect()
        })
    }

    /// A container as messages call it.
    pub(super) fn called(&self, placed: &Placed<'_>) -> String {
        let owner = self.sections.get(placed.section);
        let owner = owner.map_or(SUBMITTER, |section| &section.called);
        format!("container {:?} of {owner}", placed.container.name().unwrap_or(""))
    }

    /// The resources of the autoscaler's container, where the head gets one that its template lacks.
    pub(super) fn added_sidecar(&self) -> Option<&Value> {
        let size = || added_sidecar(self.settings, self.cluster());
        self.sidecar.get_or_init(size).as_ref()
    }

    /// What the groups and the cluster may reach.
    pub(super) fn reach(&self) -> &Reach {
        self.reach.get_or_init(|| Reach::of(self.settings, self.cluster()))
    }

    /// What the other stored clusters of the namespace may reach.
    pub(super) fn beside(&self) -> &Sums {
        let beside = || self.usage.beside(self.namespace, self.kind, self.cluster());
        self.beside.get_or_init(beside)
    }

    /// The cluster.
    pub(super) fn cluster(&self) -> &'a Cluster<'a> {
        self.subject.cluster
    }
}

impl Check {
    /// Every place that breaks the rule.
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        match self {
            Self::Ceiling(rule) => rule.breaches(scene),
            Self::Bounds(rule) => rule.breaches(scene),
            Self::Resources(rule) => rule.breaches(scene),
            Self::Gpus(rule) => rule.breaches(scene),
            Self::Images(rule) => rule.breaches(scene),
            Self::Labels(rule) => rule.breaches(scene),
            Self::ServiceAccounts(rule) => rule.breaches(scene),
            Self::PodSecurity(rule) => rule.breaches(scene),
            Self::Sidecar(rule) => rule.breaches(scene),
            Self::Auth(rule) => rule.breaches(scene),
            Self::Exposure(rule) => rule.breaches(scene),
            Self::Queue(rule) => rule.breaches(scene),
            Self::Autoscaling(rule) => rule.breaches(scene),
            Self::Cel(rule) => rule.breaches(scene),
        }
    }

    /// Whether the sums of the namespace have to be known.
    pub(super) fn reads_usage(&self) -> bool {
        matches!(self, Self::Ceiling(rule) if rule.reads_usage())
    }

    /// Whether a change of labels and annotations alone can break it.
    pub(super) const fn reads_metadata(&self) -> bool {
        match self {
            Self::Labels(_) | Self::Queue(_) => true,
            Self::Cel(rule) => rule.reads_metadata,
            _ => false,
        }
    }

    /// Whether it is about what a write changes, so that no stored object can break it.
    pub(super) const fn compares(&self) -> bool {
        matches!(self, Self::Cel(rule) if rule.compares)
    }

    /// The name that its author gave it.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Cel(rule) => Some(&rule.name),
            _ => None,
        }
    }

    /// What its findings name instead of the policy.
    pub(super) fn source(&self) -> Option<&Arc<str>> {
        match self {
            Self::Cel(rule) => Some(&rule.source),
            _ => None,
        }
    }
}
