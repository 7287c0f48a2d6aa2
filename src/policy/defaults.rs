//! What policies give to a new RayCluster that says nothing of autoscaling.
//!
//! Input: the [`PolicySet`], a [`Change`] and one [`Key`]. Output: the edit that the first policy by
//! name asks for. Never for children of a RayJob or RayService, queue-managed, gang-scheduled or
//! head-only clusters, clusters that opted out or that are run elsewhere, writes by machines,
//! updates; and never over anything that is said, an explicit `false` least of all.

use std::sync::Arc;

use serde_json::{Value, json};

use super::sections::autoscaling::says_version;
use super::spec::{AutoscalingDefaults, AutoscalingEnable};
use super::{PolicySet, judge};
use crate::dialect::kuberay::{gang_scheduled, queue_managed};
use crate::inject;
use crate::model::template::member;
use crate::model::{Change, Cluster, Edit, Finding, Operation, Pointer, RuleId, Severity};

/// The compiled `autoscaling.defaults` of a policy.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) spec: AutoscalingDefaults,
    /// Given, and not only talked about.
    pub(super) enforced: bool,
}

/// A field that may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `enableInTreeAutoscaling`.
    Enable,
    /// `autoscalerOptions.version`.
    Version,
    /// `autoscalerOptions.upscalingMode`.
    UpscalingMode,
    /// `autoscalerOptions.idleTimeoutSeconds`.
    IdleTimeout,
}

/// What a policy asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The change.
    pub edit: Edit,
    key: Key,
    policy: Arc<str>,
}

impl Key {
    /// Every field; the flag first, since the others mean nothing without it.
    pub const ALL: [Self; 4] =
        [Self::Enable, Self::Version, Self::UpscalingMode, Self::IdleTimeout];

    fn at(self, cluster: &Cluster<'_>) -> Pointer {
        match self {
            Self::Enable => cluster.at.at("enableInTreeAutoscaling"),
            Self::Version => cluster.options_at().at("version"),
            Self::UpscalingMode => cluster.options_at().at("upscalingMode"),
            Self::IdleTimeout => cluster.options_at().at("idleTimeoutSeconds"),
        }
    }

    /// Whether the cluster says nothing of it.
    fn is_open(self, cluster: &Cluster<'_>) -> bool {
        let absent = |key| member(cluster.options(), key).is_none();
        match self {
            Self::Enable => member(cluster.spec, "enableInTreeAutoscaling").is_none(),
            Self::Version => cluster.autoscaling && !says_version(cluster),
            Self::UpscalingMode => cluster.autoscaling && absent("upscalingMode"),
            Self::IdleTimeout => cluster.autoscaling && absent("idleTimeoutSeconds"),
        }
    }

    fn of(self, spec: &AutoscalingDefaults) -> Option<Value> {
        match self {
            Self::Enable => spec.enable.map(|AutoscalingEnable::OptOut| json!(true)),
            Self::Version => spec.version.map(|version| json!(version.as_str())),
            Self::UpscalingMode => spec.upscaling_mode.map(|mode| json!(mode.as_str())),
            Self::IdleTimeout => spec.idle_timeout_seconds.map(|seconds| json!(seconds)),
        }
    }
}

impl PolicySet {
    /// Whether any policy gives something to this write.
    pub fn gives(&self, change: &Change<'_>) -> bool {
        self.policies.iter().any(|policy| policy.defaults.is_some()) && is_eligible(change)
    }
}

/// What is given to the cluster at `key`: by policies that act with `enforced`, by those that only
/// audit without it.
pub fn wanted(
    policies: &PolicySet,
    change: &Change<'_>,
    key: Key,
    enforced: bool,
) -> Option<Wanted> {
    if !key.is_open(change.new) {
        return None;
    }
    let labels = policies.namespace_labels(change.request.namespace);
    let giving = policies.policies.iter().filter_map(|policy| {
        let defaults = policy.defaults.as_ref().filter(|it| it.enforced == enforced)?;
        let value = key.of(&defaults.spec)?;
        let rule = RuleId::POLICY_AUTOSCALING;
        let fits = policy.matcher.fits(&change.request, change.new, labels)
            && judge::exception(policy, policies.now, change, rule, None).is_none();
        fits.then_some((&policy.name, value))
    });
    let (policy, value) = giving.min_by(|(left, _), (right, _)| left.cmp(right))?;
    Some(Wanted { edit: Edit::set(key.at(change.new), value), key, policy: policy.clone() })
}

fn is_eligible(change: &Change<'_>) -> bool {
    let cluster = change.new;
    change.operation == Operation::Create
        && change.creates()
        && change.actor.is_person()
        && !change.child
        && cluster.traits.ray
        && cluster.traits.patchable
        && !cluster.groups.is_empty()
        && !queue_managed(cluster)
        && !gang_scheduled(cluster)
        && !inject::is_left_alone(cluster)
}

impl Wanted {
    fn finding(&self, severity: Severity, found: String, fix: &str) -> Finding {
        let at = self.edit.at.clone();
        let finding = Finding::warn(RuleId::POLICY_AUTOSCALING, at, found, "", fix).with(severity);
        Finding { policy: Some(self.policy.clone()), ..finding }
    }

    fn value(&self) -> String {
        self.edit.value.as_ref().map(Value::to_string).unwrap_or_default()
    }

    /// What a person is told where it is given: that the cluster scales now. The rest is silent.
    pub fn told(&self) -> Option<Finding> {
        (self.key == Key::Enable).then(|| {
            let found = "nothing is said: the policy turns autoscaling on".to_owned();
            self.finding(Severity::Warn, found, "write false to keep it off")
        })
    }

    /// What a report says where the policy only audits.
    pub fn would_set(&self) -> Finding {
        let found = format!("nothing is said: the policy would set {}", self.value());
        self.finding(Severity::Audit, found, "")
    }

    /// What a report says where the cluster would be refused with it.
    pub fn held_back(&self, refuses: &str) -> Finding {
        let found =
            format!("nothing is said, and {} is not set: {refuses} refuses it", self.value());
        self.finding(Severity::Audit, found, "write what the cluster needs")
    }
}
