//! What the rules about counts and bounds mean.

use super::{Base, Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::MIN_MAX,
        Severity::Deny,
        "minReplicas must not be above maxReplicas",
        "No count satisfies both bounds. KubeRay stops reconciling such a cluster and says so in an \
         Event only.",
        "Raise maxReplicas or lower minReplicas.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 3, minReplicas: 4, maxReplicas: 3}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 3, minReplicas: 2, maxReplicas: 3}\n"),
    ),
    Rule::new(
        RuleId::NEGATIVE,
        Severity::Deny,
        "counts and bounds must not be negative",
        "A negative number is never a default, so it is a mistake. KubeRay refuses negative bounds and \
         silently raises a negative count. A machine's negative count is raised, never refused.",
        "Write 0 or more, or leave the field out.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: -1}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 0}\n"),
    ),
    Rule::new(
        RuleId::HOSTS,
        Severity::Deny,
        "numOfHosts must be 1 or more",
        "KubeRay multiplies the count by numOfHosts before it repairs it: with 0 every worker of the \
         group is deleted.",
        "Write 1, or leave numOfHosts out.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {numOfHosts: 0}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {numOfHosts: 1}\n"),
    ),
    Rule::new(
        RuleId::ABOVE_MAX,
        Severity::Deny,
        "replicas must not be above maxReplicas",
        "A person's new cluster is refused, because its author can mend it. An update, a child of a \
         RayJob or RayService and a write by the autoscaler are clamped to the maximum instead; under \
         autoscaling never below what runs, because the autoscaler must choose the victims.",
        "Lower replicas or raise maxReplicas.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 12, maxReplicas: 10}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 10, maxReplicas: 10}\n"),
    ),
    Rule::new(
        RuleId::BELOW_MIN,
        Severity::Warn,
        "replicas below minReplicas is raised to it",
        "KubeRay would start minReplicas anyway; the stored object now says so. A count of 0, null or \
         nothing is raised without a word, because the CRD's default cannot be told from it.",
        "Write at least minReplicas, or leave replicas out.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 1, minReplicas: 2}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 0, minReplicas: 2}\n"),
    ),
    Rule::new(
        RuleId::LOWERED,
        Severity::Warn,
        "a count lowered by hand under autoscaling does not last",
        "The autoscaler computes the count from demand and puts it back, and a GitOps tool that writes \
         it at every sync makes workers flap.",
        "Leave replicas out, have the sync tool ignore it, or lower maxReplicas.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 1}\n")
            .after("spec:\n  workerGroupSpecs:\n  - {replicas: 4}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 4, maxReplicas: 6}\n")
            .after("spec:\n  workerGroupSpecs:\n  - {replicas: 4}\n"),
    ),
    Rule::new(
        RuleId::KEPT,
        Severity::Warn,
        "the counts of this cluster belong to the autoscaler",
        "The stored cluster carries the annotation raywarden.io/replicas: autoscaler. Whatever a \
         person or a sync tool writes, the live count stays.",
        "Remove the annotation to set counts by hand.",
        Example::new(
            "metadata: {annotations: {raywarden.io/replicas: autoscaler}}\n\
             spec:\n  workerGroupSpecs:\n  - {replicas: 1}\n",
        )
        .after(
            "metadata: {annotations: {raywarden.io/replicas: autoscaler}}\n\
             spec:\n  workerGroupSpecs:\n  - {replicas: 4}\n",
        ),
        Example::new(
            "metadata: {annotations: {raywarden.io/replicas: autoscaler}}\n\
             spec:\n  workerGroupSpecs:\n  - {replicas: 4, maxReplicas: 6}\n",
        )
        .after(
            "metadata: {annotations: {raywarden.io/replicas: autoscaler}}\n\
             spec:\n  workerGroupSpecs:\n  - {replicas: 4}\n",
        ),
    ),
    Rule::new(
        RuleId::UNBOUNDED,
        Severity::Warn,
        "a group without maxReplicas is unbounded",
        "The CRD's default is 2147483647: a burst of work asks for more Pods than the platform holds.",
        "Write the most workers that you are ready to pay for.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: null}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 5}\n"),
    ),
    Rule::new(
        RuleId::CAP,
        Severity::Deny,
        "maxReplicas must not be above the installation's cap",
        "The administrator set --max-replicas-cap (or --scale-ceiling for Domino's scale subresource). \
         The CRD's default bound only warns, because nobody wrote it.",
        "Write the cap or less, or ask for a higher one.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 50}\n")
            .with(&["--max-replicas-cap", "20"]),
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 20}\n")
            .with(&["--max-replicas-cap", "20"]),
    ),
    Rule::new(
        RuleId::GROUP_REMOVED,
        Severity::Warn,
        "a worker group goes away while it has replicas",
        "Its Pods stay behind under KubeRay, and Ray's autoscaler fails on Pods of a group that it does \
         not know. Under a strict policy this is refused.",
        "Set minReplicas and replicas to 0, wait for the Pods to go, then take the group out.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {groupName: other}\n")
            .after("spec:\n  workerGroupSpecs:\n  - {groupName: small, replicas: 2}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {groupName: other}\n")
            .after("spec:\n  workerGroupSpecs:\n  - {groupName: small, replicas: 0}\n"),
    ),
    Rule::new(
        RuleId::ZERO,
        Severity::Warn,
        "zero workers switch Domino's autoscaler off",
        "A horizontal Pod autoscaler takes a target of 0 replicas for switched off and never brings it \
         back.",
        "Scale to 1 or more, or stop the cluster.",
        Example::new("request: {object: {spec: {replicas: 0}}}\n").on(Base::Scale),
        Example::new("request: {object: {spec: {replicas: 1}}}\n").on(Base::Scale),
    ),
    Rule::new(
        RuleId::SCOPE,
        Severity::Deny,
        "the autoscaler's account writes counts and victims only",
        "User code on the head runs under the same account. RBAC cannot limit a patch to fields, so \
         admission does. An account that the user named may be shared with people and only warns.",
        "Make the change as yourself.",
        Example::new("spec: {rayVersion: \"2.53.0\"}\n")
            .after("spec: {rayVersion: \"2.52.0\"}\n")
            .with(&["--user", "system:serviceaccount:team-a:lab"]),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 3}\n")
            .after("spec:\n  workerGroupSpecs:\n  - {replicas: 1}\n")
            .with(&["--user", "system:serviceaccount:team-a:lab"]),
    ),
    Rule::new(
        RuleId::VICTIMS,
        Severity::Warn,
        "workersToDelete was written by hand",
        "The list is the autoscaler's way of naming the Pods that go. A stale entry stops its scaling, \
         and KubeRay deletes a named Pod whatever the count says.",
        "Lower replicas and let the node manager choose, or scale through raywarden.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - scaleStrategy: {workersToDelete: [lab-small-worker-x7k2p]}\n",
        ),
        Example::new("spec:\n  workerGroupSpecs:\n  - scaleStrategy: {workersToDelete: []}\n"),
    ),
    Rule::new(
        RuleId::FOREIGN_VICTIM,
        Severity::Deny,
        "a named victim must be a worker Pod of its group",
        "KubeRay deletes by bare name with its own rights: whoever may write a RayCluster could delete \
         any Pod of the namespace. Our own controller checks the Pod's owner instead.",
        "Take the name out.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - scaleStrategy: {workersToDelete: [payments-db-0]}\n",
        )
        .after("spec:\n  workerGroupSpecs:\n  - scaleStrategy: {workersToDelete: []}\n")
        .with(&["--user", "system:serviceaccount:team-a:lab"]),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - scaleStrategy: {workersToDelete: [lab-small-worker-x7k2p]}\n",
        )
        .after("spec:\n  workerGroupSpecs:\n  - scaleStrategy: {workersToDelete: []}\n")
        .with(&["--user", "system:serviceaccount:team-a:lab"]),
    ),
];
