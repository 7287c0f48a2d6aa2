//! The typed sections of a policy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, Enforcement};

/// Ceilings by reach.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CeilingsSpec {
    /// What these ceilings do; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// The most that one worker group may reach.
    pub per_group: Option<CeilingSpec>,
    /// The most that one cluster may reach, its head counted.
    pub per_cluster: Option<CeilingSpec>,
    /// The most that all clusters of a namespace may reach. Two writes at one time can pass it
    /// together, so that it only warns or audits; the controller counts again. Domino's clusters count
    /// too. `raywarden audit` counts what is stored, or in its files; `raywarden review` looks at each
    /// object by itself.
    pub per_namespace: Option<CeilingSpec>,
}

/// The most of each thing. What is not said has no ceiling.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CeilingSpec {
    /// What this ceiling does; what the section says without it.
    pub enforcement: Option<Enforcement>,
    /// Worker replicas: the maximum of an autoscaled group, the wanted count of another. A group that
    /// has no maximum is above every ceiling.
    pub replicas: Option<i64>,
    /// Pods: replicas times hosts, and the head.
    pub pods: Option<i64>,
    /// CPUs that all Pods request, counted as the Kubernetes scheduler counts. Domino's clusters have
    /// no templates: only replicas and Pods count there.
    pub cpu: Option<Amount>,
    /// Memory that all Pods request.
    pub memory: Option<Amount>,
    /// Accelerators of any kind: the resources that `gpus` knows without a list.
    pub gpus: Option<i64>,
    /// Any other resource, by its name.
    #[serde(default)]
    pub resources: BTreeMap<String, Amount>,
}

/// Bounds that every worker group has to have.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BoundsSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// Every worker group says a `maxReplicas`; the CRD's default 2147483647 counts as none.
    #[serde(default)]
    pub require_maximum: bool,
    /// The most `minReplicas` of a group: workers that run though nobody needs them.
    pub minimum_at_most: Option<i64>,
}

/// Requests and limits that every container has to have.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourcesSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// Resources that every container requests; a limit counts, since the request follows it.
    #[serde(default)]
    pub requests: Vec<String>,
    /// Resources that every container limits.
    #[serde(default)]
    pub limits: Vec<String>,
}

/// Where GPUs may be asked for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GpusSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// The head asks for no GPU, neither of Kubernetes nor of Ray.
    #[serde(default)]
    pub forbid_on_head: bool,
    /// `num-gpus` of head and groups, where it is said, is what their Ray container is limited to.
    #[serde(default)]
    pub agree: bool,
    /// Resources that count as GPUs. Without it every accelerator that is known: names that end in
    /// `gpu`, slices such as `nvidia.com/mig-1g.5gb`, `nvidia.com/gpu.shared`, `gpu.intel.com/i915`
    /// and `xe`, `habana.ai/gaudi`, `google.com/tpu`, and `aws.amazon.com/neuron`, `neuroncore` and
    /// `neurondevice`.
    #[serde(default)]
    pub resources: Vec<String>,
}

/// Labels that a cluster has to carry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelsSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// The labels.
    #[serde(default)]
    pub required: Vec<LabelSpec>,
}

/// One label.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSpec {
    /// Its key.
    pub key: String,
    /// Values that it may have; `*` stands for any characters. Any value without it.
    #[serde(default)]
    pub values: Vec<String>,
    /// The Pod templates of head and groups carry it too, so that it reaches the bill.
    #[serde(default)]
    pub on_pods: bool,
}

/// Images that containers may run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagesSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// Images; `*` stands for any characters: `registry.example/*`. An image without a registry also
    /// has its full name: `rayproject/ray:2` is `docker.io/rayproject/ray:2`.
    #[serde(default)]
    pub allowed: Vec<String>,
}

/// Service accounts that Pods may run as.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountsSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// Accounts by name; `*` stands for any characters. All of them without it. A template that
    /// names none runs as `default`.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// No template of workers, or of the Pod that submits a job, may run as the account `default`,
    /// and no head without autoscaling.
    #[serde(default)]
    pub forbid_default: bool,
}

/// A Pod Security Standard.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecuritySpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// The level that every template has to keep.
    pub level: PodSecurityLevel,
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PodSecurityLevel {
    /// Nothing that is known to raise privileges.
    #[default]
    Baseline,
    /// Hardened Pods.
    Restricted,
}

/// The autoscaler's own container.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// The most CPU that `autoscalerOptions.resources` may ask for.
    pub cpu: Option<Amount>,
    /// The most memory that `autoscalerOptions.resources` may ask for.
    pub memory: Option<Amount>,
    /// `autoscalerOptions.securityContext`, or what the container gets without it, keeps this Pod
    /// Security Standard.
    pub pod_security: Option<PodSecurityLevel>,
}

/// Ray's own authentication.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// `spec.authOptions.mode` has to be `token`, with a Ray version that knows it.
    #[serde(default)]
    pub require_token: bool,
}

/// Ways in from outside.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExposureSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// Ways that are not allowed.
    #[serde(default)]
    pub forbid: Vec<Exposure>,
}

/// A way in from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Exposure {
    /// `headGroupSpec.enableIngress`.
    Ingress,
    /// A Service of type `LoadBalancer`, for the head or for Ray Serve.
    LoadBalancer,
    /// A Service of type `NodePort`, for the head or for Ray Serve.
    NodePort,
    /// External addresses on the Service of the head or of Ray Serve.
    ExternalIps,
    /// A container port that is opened on the node.
    HostPort,
    /// Pods in the node's network.
    HostNetwork,
}

/// The Kueue queue.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// The label `kueue.x-k8s.io/queue-name` has to be there.
    #[serde(default)]
    pub required: bool,
    /// Queues by name; `*` stands for any characters. Any without it.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// A cluster that was queued stays in its queue.
    #[serde(default)]
    pub immutable: bool,
}

/// Whether and how clusters scale.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalingSpec {
    /// What this section does; what the policy says without it.
    pub enforcement: Option<Enforcement>,
    /// Whether clusters have to scale, or may not.
    pub mode: Option<AutoscalingMode>,
    /// Versions of Ray's autoscaler that may be asked for.
    #[serde(default)]
    pub versions: Vec<AutoscalerVersion>,
    /// Upscaling modes that may be asked for.
    #[serde(default)]
    pub upscaling_modes: Vec<UpscalingMode>,
    /// The shortest and the longest idle time that may be asked for.
    pub idle_timeout_seconds: Option<RangeSpec>,
    /// What a new cluster gets that says nothing of it.
    pub defaults: Option<AutoscalingDefaults>,
}

/// Whether clusters have to scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AutoscalingMode {
    /// `enableInTreeAutoscaling` has to be true.
    Required,
    /// `enableInTreeAutoscaling` may not be true.
    Forbidden,
}

/// A version of Ray's autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutoscalerVersion {
    /// The first.
    V1,
    /// The second.
    V2,
}

/// How eagerly Ray's autoscaler adds workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum UpscalingMode {
    /// Not held back.
    Default,
    /// Not held back either; an older name.
    Aggressive,
    /// At most as many pending workers as there are workers.
    Conservative,
}

/// From and to, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RangeSpec {
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
}

/// What a new RayCluster gets that says nothing of it. Never given to children of a RayJob or
/// RayService, to queued or gang-scheduled clusters, to clusters without workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalingDefaults {
    /// `OptOut` turns autoscaling on where `enableInTreeAutoscaling` is not said; nobody's `false`
    /// is changed.
    pub enable: Option<AutoscalingEnable>,
    /// `autoscalerOptions.version`.
    pub version: Option<AutoscalerVersion>,
    /// `autoscalerOptions.upscalingMode`.
    pub upscaling_mode: Option<UpscalingMode>,
    /// `autoscalerOptions.idleTimeoutSeconds`.
    pub idle_timeout_seconds: Option<i64>,
}

/// How autoscaling is turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AutoscalingEnable {
    /// For every new cluster that says nothing.
    OptOut,
}
