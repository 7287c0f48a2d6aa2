//! The part of the configuration that the rules read; one immutable snapshot.

use super::NodeManager;

/// Whether findings refuse and patches are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Patch and deny.
    #[default]
    Enforce,
    /// Say what would be patched and denied.
    Audit,
}

/// Where the sidecar is injected in standalone mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InjectAt {
    /// Into the stored head template: what runs is what `kubectl get` shows.
    #[default]
    Template,
    /// When the controller builds the Pod; the stored object stays as written.
    Pod,
}

/// What a person's new cluster above its maximum gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReplicasAboveMax {
    /// A refusal.
    #[default]
    Deny,
    /// The maximum, and a warning.
    Clamp,
}

/// Size of the sidecar, as quantities; requests equal limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarSize {
    /// CPU, for instance `500m`.
    pub cpu: String,
    /// Memory, for instance `512Mi`.
    pub memory: String,
}

impl Default for SidecarSize {
    /// KubeRay's own default.
    fn default() -> Self {
        Self { cpu: "500m".to_owned(), memory: "512Mi".to_owned() }
    }
}

/// User names of the machines that write RayClusters. `*` stands for one part between colons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// KubeRay operators.
    pub kuberay: Vec<String>,
    /// Domino's distributed-compute operators.
    pub domino: Vec<String>,
    /// Kueue's controllers.
    pub kueue: Vec<String>,
    /// raywarden's controllers.
    pub ourselves: Vec<String>,
    /// Horizontal Pod autoscalers.
    pub hpa: Vec<String>,
    /// Kubernetes' collectors of garbage.
    pub garbage_collector: Vec<String>,
}

impl Default for Accounts {
    fn default() -> Self {
        let list = |names: &[&str]| {
            names.iter().map(|name| format!("system:serviceaccount:{name}")).collect()
        };
        Self {
            kuberay: list(&[
                "kuberay-system:kuberay-operator",
                "ray-system:kuberay-operator",
                "kuberay:kuberay-operator",
                "kuberay-operator:kuberay-operator",
                "default:kuberay-operator",
            ]),
            domino: list(&[
                "domino-compute:distributed-compute-operator",
                "domino-platform:distributed-compute-operator",
            ]),
            kueue: list(&["kueue-system:kueue-controller-manager"]),
            ourselves: list(&["raywarden-system:raywarden"]),
            hpa: list(&["kube-system:horizontal-pod-autoscaler"]),
            garbage_collector: list(&[
                "kube-system:generic-garbage-collector",
                "kube-system:namespace-controller",
            ]),
        }
    }
}

/// Everything that admission can be told; the default is what a first installation runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who makes the Pods where no override fits. `None`: nothing decides it, so inject as for
    /// KubeRay.
    pub node_manager: Option<NodeManager>,
    /// Overrides by namespace.
    pub node_manager_for: Vec<(String, NodeManager)>,
    /// Enforce or audit, for the whole installation.
    pub mode: Mode,
    /// Where the sidecar goes in standalone mode.
    pub inject_at: InjectAt,
    /// What a person's new cluster above its maximum gets.
    pub on_replicas_above_max: OnReplicasAboveMax,
    /// The size of a new sidecar.
    pub sidecar: SidecarSize,
    /// Sizes of earlier days; a stored block of one of these is known as ours.
    pub former_sidecars: Vec<SidecarSize>,
    /// The highest `maxReplicas` that a person may write.
    pub max_replicas_cap: Option<i64>,
    /// The highest count on Domino's `scale` subresource, which holds no bounds.
    pub scale_ceiling: Option<i64>,
    /// Who is a machine.
    pub accounts: Accounts,
}

impl Settings {
    /// Who makes the Pods of a namespace.
    pub fn node_manager(&self, namespace: &str) -> NodeManager {
        self.node_manager_for
            .iter()
            .find(|(name, _)| name == namespace)
            .map(|(_, manager)| *manager)
            .or(self.node_manager)
            .unwrap_or(NodeManager::KubeRay)
    }
}
