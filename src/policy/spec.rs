//! What an administrator writes: the spec of a `RayClusterPolicy`.
//!
//! Plain data, and the source of the CRD's schema: each doc comment here is what `kubectl explain`
//! prints. [`super::compile`] turns it into rules and says what is wrong with it.

mod sections;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amount::Amount;
pub use sections::*;

/// What a rule does with an object that breaks it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Reported, counted and written to the audit log; nobody is interrupted.
    #[default]
    Audit,
    /// Let through; the person is told.
    Warn,
    /// Refused.
    Deny,
}

/// A policy over Ray clusters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// What every rule here does unless it says otherwise. A new policy begins with audit.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Which objects it is about; all of them without it.
    #[serde(default, rename = "match")]
    pub matches: MatchSpec,
    /// Ceilings of what clusters may reach, head and autoscaler sidecar counted.
    pub ceilings: Option<CeilingsSpec>,
    /// Bounds that every worker group has to have.
    pub bounds: Option<BoundsSpec>,
    /// Requests and limits that every container has to have.
    pub resources: Option<ResourcesSpec>,
    /// Where GPUs may be asked for, and that all figures for them agree.
    pub gpus: Option<GpusSpec>,
    /// Labels that a cluster has to carry.
    pub labels: Option<LabelsSpec>,
    /// Images that containers may run.
    pub images: Option<ImagesSpec>,
    /// Service accounts that Pods may run as.
    pub service_accounts: Option<ServiceAccountsSpec>,
    /// A Pod Security Standard, over every template.
    pub pod_security: Option<PodSecuritySpec>,
    /// The autoscaler's own container.
    pub sidecar: Option<SidecarSpec>,
    /// Ray's own authentication.
    pub auth: Option<AuthSpec>,
    /// Ways in from outside that are not allowed.
    pub exposure: Option<ExposureSpec>,
    /// The Kueue queue.
    pub queue: Option<QueueSpec>,
    /// Whether and how clusters scale.
    pub autoscaling: Option<AutoscalingSpec>,
    /// Rules of your own, in CEL.
    #[serde(default)]
    pub rules: Vec<CelSpec>,
    /// Objects that may break this policy for a time.
    #[serde(default)]
    pub exceptions: Vec<ExceptionSpec>,
}

/// Which objects a policy is about. Every part that is there has to fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchSpec {
    /// Namespaces by name; `*` stands for any characters. All of them without it.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Namespaces that are left out, by name; `*` stands for any characters.
    #[serde(default)]
    pub exclude_namespaces: Vec<String>,
    /// Namespaces by their labels.
    pub namespace_selector: Option<SelectorSpec>,
    /// Objects by their labels.
    pub object_selector: Option<SelectorSpec>,
    /// Kinds, such as `RayCluster` and `RayJob`; all of them without it.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// A selector over labels, as Kubernetes has it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorSpec {
    /// Labels and the values that they must have.
    #[serde(default)]
    pub match_labels: std::collections::BTreeMap<String, String>,
    /// Requirements, all of which must hold.
    #[serde(default)]
    pub match_expressions: Vec<RequirementSpec>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequirementSpec {
    /// The label.
    pub key: String,
    /// How its value is compared.
    pub operator: SelectorOperator,
    /// The values; none for Exists and `DoesNotExist`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// The value is one of these.
    In,
    /// The label is absent, or its value is none of these.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// A rule in CEL: true means that the object keeps it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CelSpec {
    /// What it is called in messages; letters, digits and dashes.
    pub name: String,
    /// The expression, over `object`, `oldObject`, `cluster` and `request`.
    pub expression: String,
    /// What is wrong where it is false.
    pub message: String,
    /// How to mend it.
    #[serde(default)]
    pub fix: String,
    /// The place that a finding names, such as `spec.headGroupSpec`; the cluster's whole spec without
    /// it. In kinds that embed a cluster it lies in the spec that they embed, or in their own where that
    /// alone has such a field.
    pub field: Option<String>,
    /// What this rule does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
}

/// Objects that may break the policy for a time. They are reported as excepted, never lost.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExceptionSpec {
    /// Who answers for it.
    pub owner: String,
    /// Why it is needed.
    pub reason: String,
    /// The moment from which the policy holds again, RFC 3339: `2027-01-31T00:00:00Z`.
    pub expires: String,
    /// Namespaces by name; `*` stands for any characters. All of them without it.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Objects by name; `*` stands for any characters. All of them without it.
    #[serde(default)]
    pub names: Vec<String>,
    /// The rules that may be broken, by id (`policy/images`) or by the name of a CEL rule; all of
    /// them without it.
    #[serde(default)]
    pub rules: Vec<String>,
}
