//! Words of the domain that every other module speaks.
//!
//! Plain values, built once at the edge and never changed afterwards; the one exception is
//! [`Draft`], a working copy that remembers how it was changed.

pub mod accelerator;
pub mod change;
pub mod cluster;
pub mod draft;
pub mod finding;
pub mod guard;
pub mod names;
pub mod pointer;
pub mod quantity;
pub mod requests;
pub mod rule;
pub mod settings;
pub mod slips;
pub mod template;

pub use change::Change;
pub use cluster::{Bounds, Cluster, Count, Group, Numeral, Traits};
pub use draft::{Draft, Edit, Op};
pub use finding::{Finding, Severity};
pub use pointer::{Pointer, Token};
pub use quantity::Quantity;
pub use rule::RuleId;
pub use settings::Settings;
pub use template::{Container, Template};

/// What the API server is asked to do. Other verbs never reach a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object; there is no old one.
    Create,
    /// A change of a stored object.
    Update,
    /// A removal.
    Delete,
    /// A connection to a subresource, `kubectl exec` and the like.
    Connect,
}

impl Operation {
    /// The spelling of `AdmissionRequest.operation`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// Reads `AdmissionRequest.operation`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Connect]
            .into_iter()
            .find(|each| each.as_str().eq_ignore_ascii_case(text))
    }
}

/// Who writes, told apart by user name. Whoever is none of the machines is a person: CI and `GitOps`
/// accounts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// Somebody who reads warnings and can mend a manifest.
    Person,
    /// The account of the cluster's own head Pod.
    Autoscaler {
        /// The node manager made the account for this one cluster; otherwise the user named it and
        /// people may share it.
        own: bool,
    },
    /// `KubeRay`'s operator.
    KubeRay,
    /// Domino's operator.
    Domino,
    /// Kueue's controller.
    Kueue,
    /// Our controller.
    Ourselves,
    /// The horizontal Pod autoscaler.
    Hpa,
    /// Kubernetes' garbage collector and namespace controller.
    GarbageCollector,
}

impl Actor {
    /// A person reads warnings; nobody reads those of a machine.
    pub const fn is_person(self) -> bool {
        matches!(self, Self::Person)
    }

    /// The word used in logs, metrics and audit annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Autoscaler { own: true } => "autoscaler",
            Self::Autoscaler { own: false } => "autoscaler-named-by-user",
            Self::KubeRay => "kuberay",
            Self::Domino => "domino",
            Self::Kueue => "kueue",
            Self::Ourselves => "raywarden",
            Self::Hpa => "hpa",
            Self::GarbageCollector => "garbage-collector",
        }
    }
}

/// Who turns a `ray.io` RayCluster into Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeManager {
    /// Our controller: the sidecar goes into the stored template.
    Raywarden,
    /// A KubeRay operator, which appends its own sidecar: only `autoscalerOptions` is completed.
    KubeRay,
}

impl NodeManager {
    /// The word used on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raywarden => "raywarden",
            Self::KubeRay => "kuberay",
        }
    }
}
