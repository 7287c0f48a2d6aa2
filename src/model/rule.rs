//! Stable ids of the built-in rules. What each one means is in [`crate::policy::rules`].

use std::fmt;

/// The id of a rule, `family/name`. It stands in every cause and is what `explain` takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(&'static str);

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)+) => {
        impl RuleId {
            $($(#[$doc])* pub const $name: Self = Self($id);)+

            /// Every rule that is built in, by family.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

rules! {
    /// `minReplicas` above `maxReplicas`.
    MIN_MAX = "bounds/min-max",
    /// A negative count.
    NEGATIVE = "bounds/negative",
    /// `numOfHosts` below one.
    HOSTS = "bounds/hosts",
    /// `replicas` above `maxReplicas`.
    ABOVE_MAX = "bounds/replicas-above-max",
    /// `replicas` below `minReplicas`.
    BELOW_MIN = "bounds/replicas-below-min",
    /// A count lowered by hand under a running autoscaler.
    LOWERED = "bounds/lowered-under-autoscaling",
    /// A count kept because the cluster gave it to the autoscaler.
    KEPT = "bounds/replicas-kept",
    /// No upper bound.
    UNBOUNDED = "bounds/unbounded",
    /// An upper bound above the installation's cap.
    CAP = "bounds/max-above-cap",
    /// A group taken out while it has workers.
    GROUP_REMOVED = "bounds/group-removed",
    /// Zero workers of a Domino cluster.
    ZERO = "bounds/zero-workers",
    /// The autoscaler's account writes what the autoscaler never writes.
    SCOPE = "bounds/autoscaler-scope",
    /// Victims named by hand.
    VICTIMS = "bounds/workers-to-delete",
    /// A victim that is no worker of this group.
    FOREIGN_VICTIM = "bounds/foreign-victim",
    /// A cluster name that Pods and Services cannot carry.
    CLUSTER_NAME = "names/cluster",
    /// A group name that Pods and labels cannot carry.
    GROUP_NAME = "names/group",
    /// Two groups of one name.
    GROUP_TWICE = "names/group-twice",
    /// A group that carries the head's name.
    GROUP_RESERVED = "names/group-reserved",
    /// A container that carries the sidecar's name.
    SIDECAR_NAME = "inject/reserved-container",
    /// A change that a running head does not see.
    LIVE_HEAD = "inject/live-head",
    /// An opt-out annotation with a value that opts out of nothing.
    OPT_OUT = "inject/opt-out-value",
    /// Parts of the sidecar by hand while autoscaling is off.
    HANDMADE = "inject/handmade",
    /// The mark of a child without its parent.
    CHILD_LABEL = "owner/child-label",
    /// Autoscaling of a queue-managed cluster that is no elastic job.
    NOT_ELASTIC = "queue/not-elastic",
    /// A group called `head` in a queue-managed cluster.
    QUEUE_HEAD_GROUP = "queue/group-named-head",
    /// A kind that nothing here runs.
    NOTHING_RUNS = "owner/nothing-runs-this",
    /// Autoscaling with nothing to scale.
    NO_GROUPS = "autoscaler/no-groups",
    /// No CPU figure for a group or the head.
    NO_CPU = "autoscaler/no-cpu",
    /// A count that is no whole number.
    WHOLE_NUMBER = "autoscaler/whole-number",
    /// Custom resources that the autoscaler cannot parse.
    QUOTING = "autoscaler/resources-quoting",
    /// A head without a token.
    TOKEN = "autoscaler/no-token",
    /// Two monitors in one cluster.
    MONITOR = "autoscaler/two-monitors",
    /// Groups of several hosts.
    MULTI_HOST = "autoscaler/whole-slices",
    /// A name service that the host network hides.
    HOST_NETWORK = "autoscaler/host-network-dns",
    /// An account name that KubeRay changes.
    ACCOUNT_NAME = "autoscaler/account-name",
    /// A head port that the sidecar does not know.
    HEAD_PORT = "autoscaler/head-port",
    /// Two figures for the head's port.
    PORTS_DISAGREE = "autoscaler/ports-disagree",
    /// A sidecar of another Ray version.
    IMAGE_VERSION = "autoscaler/image-version",
    /// An idle timeout shorter than a start.
    IDLE_SHORT = "autoscaler/idle-timeout-short",
    /// `/tmp/ray/` with a slash at its end.
    MOUNT_SLASH = "autoscaler/log-mount-slash",
    /// A template without containers.
    NO_CONTAINERS = "kuberay/no-containers",
    /// Resources in two places.
    RESOURCES_TWICE = "kuberay/resources-twice",
    /// Labels in the wrong place or of a wrong form.
    LABELS = "kuberay/labels",
    /// An idle timeout that the operator refuses.
    IDLE_TIMEOUT = "kuberay/idle-timeout",
    /// A priority that this Ray does not know.
    PRIORITY = "kuberay/priority",
    /// Fault tolerance said twice, or half.
    FAULT_TOLERANCE = "kuberay/fault-tolerance",
    /// A suspended group under autoscaling.
    GROUP_SUSPEND = "kuberay/group-suspend",
    /// The autoscaler's version said twice.
    VERSION_TWICE = "kuberay/version-twice",
    /// A restart policy that autoscaler v2 cannot work with.
    RESTART_POLICY = "kuberay/restart-policy",
    /// A variable that belongs to the operator.
    RESERVED_ENV = "kuberay/reserved-variable",
    /// Authentication that this Ray does not know.
    AUTH = "kuberay/auth-version",
    /// An upgrade strategy on a generated cluster.
    UPGRADE_STRATEGY = "kuberay/upgrade-strategy",
    /// A worker group above a policy's ceiling.
    POLICY_GROUP_CEILING = "policy/group-ceiling",
    /// A cluster above a policy's ceiling.
    POLICY_CLUSTER_CEILING = "policy/cluster-ceiling",
    /// A namespace above a policy's ceiling.
    POLICY_NAMESPACE_CEILING = "policy/namespace-ceiling",
    /// A group without a maximum of its own.
    POLICY_MAXIMUM_REQUIRED = "policy/maximum-required",
    /// A minimum above a policy's ceiling.
    POLICY_MINIMUM_CEILING = "policy/minimum-ceiling",
    /// A request that a policy asks for.
    POLICY_REQUESTS = "policy/requests",
    /// A limit that a policy asks for.
    POLICY_LIMITS = "policy/limits",
    /// A GPU on the head.
    POLICY_HEAD_GPU = "policy/head-gpu",
    /// Figures for GPUs that disagree.
    POLICY_GPU_AGREEMENT = "policy/gpu-agreement",
    /// An image that a policy does not allow.
    POLICY_IMAGES = "policy/images",
    /// A label that a policy asks for.
    POLICY_LABELS = "policy/labels",
    /// An account that a policy does not allow.
    POLICY_SERVICE_ACCOUNTS = "policy/service-accounts",
    /// A rule of an administrator's own is kept.
    POLICY_CEL = "policy/cel",
    /// A template that a Pod Security Standard forbids.
    POLICY_POD_SECURITY = "policy/pod-security",
    /// A sidecar that asks for more than a policy allows.
    POLICY_SIDECAR = "policy/sidecar",
    /// A cluster without the authentication that a policy asks for.
    POLICY_AUTH = "policy/auth",
    /// A way in from outside that a policy forbids.
    POLICY_EXPOSURE = "policy/exposure",
    /// A cluster without the queue that a policy asks for.
    POLICY_QUEUE = "policy/queue",
    /// A cluster that leaves its queue.
    POLICY_QUEUE_IMMUTABLE = "policy/queue-immutable",
    /// Autoscaling as a policy does not allow it, or the lack of it.
    POLICY_AUTOSCALING = "policy/autoscaling",
    /// A policy says what can be asked.
    POLICY_FLAW = "policy/flaw",
    /// A field that the schema does not have.
    UNKNOWN_FIELD = "schema/unknown-field",
    /// A value of a wrong type.
    TYPE = "schema/type",
    /// A value that the schema does not list.
    VALUE = "schema/value",
    /// A field that must be there.
    REQUIRED = "schema/required",
    /// Two list entries of one key.
    LIST_KEY = "schema/list-key",
}

impl RuleId {
    /// The id as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The rule of that id.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|each| each.0 == text)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
