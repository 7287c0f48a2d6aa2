//! What the rules about the sidecar, its owner and its queue mean.

use super::{Base, Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::SIDECAR_NAME,
        Severity::Deny,
        "the container name autoscaler is reserved while autoscaling is on",
        "The node manager adds a container of that name. KubeRay does not look first: the head Pod then \
         has two and is never created.",
        "Take the container out and use autoscalerOptions, or rename it.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - {name: ray-head}\n        - {name: autoscaler, image: \"registry.example/as:1\"}\n",
        ),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - {name: ray-head}\n        - {name: scaler, image: \"registry.example/as:1\"}\n",
        ),
    ),
    Rule::new(
        RuleId::LIVE_HEAD,
        Severity::Warn,
        "a live head does not see the autoscaling flag change",
        "The sidecar is part of the head Pod, which is built once. Switched on, a live head has no \
         sidecar until it is rebuilt; switched off, it keeps the one it has.",
        "Delete the head Pod when its work may stop.",
        Example::new("spec: {enableInTreeAutoscaling: true}\n")
            .after("spec: {enableInTreeAutoscaling: false}\n"),
        Example::new("spec: {enableInTreeAutoscaling: true}\n"),
    ),
    Rule::new(
        RuleId::OPT_OUT,
        Severity::Warn,
        "raywarden.io/inject opts out with the value disabled only",
        "Any other value leaves injection on, which is hardly what its author meant.",
        "Write disabled, or take the annotation out.",
        Example::new("metadata: {annotations: {raywarden.io/inject: \"false\"}}\n"),
        Example::new("metadata: {annotations: {raywarden.io/inject: disabled}}\n"),
    ),
    Rule::new(
        RuleId::HANDMADE,
        Severity::Warn,
        "parts of the autoscaler by hand while autoscaling is off",
        "Nobody gives a hand-made sidecar an account or leaves the choice of victims to it, and newer \
         KubeRay refuses the v2 variable without the flag.",
        "Set enableInTreeAutoscaling: true and take the parts out.",
        Example::new(
            "spec:\n  enableInTreeAutoscaling: false\n  headGroupSpec:\n    template:\n      spec:\n\
             \x20       containers:\n        - env: [{name: RAY_enable_autoscaler_v2, value: \"1\"}]\n",
        ),
        Example::new(
            "spec:\n  enableInTreeAutoscaling: true\n  headGroupSpec:\n    template:\n      spec:\n\
             \x20       containers:\n        - env: [{name: RAY_enable_autoscaler_v2, value: \"1\"}]\n",
        ),
    ),
    Rule::new(
        RuleId::CHILD_LABEL,
        Severity::Warn,
        "the label of a generated child without its parent",
        "KubeRay marks clusters that a RayJob or RayService made with ray.io/originated-from-crd and \
         treats them differently. A copy of such a cluster carries the label without the owner.",
        "Take the label out.",
        Example::new("metadata: {labels: {ray.io/originated-from-crd: RayJob}}\n"),
        Example::new("metadata: {labels: {team: blue}}\n"),
    ),
    Rule::new(
        RuleId::NOT_ELASTIC,
        Severity::Warn,
        "Kueue refuses autoscaling unless the cluster is an elastic job",
        "A cluster with the label kueue.x-k8s.io/queue-name is admitted with a fixed quota.",
        "Annotate kueue.x-k8s.io/elastic-job: \"true\", or switch autoscaling off.",
        Example::new("metadata: {labels: {kueue.x-k8s.io/queue-name: lq}}\n"),
        Example::new(
            "metadata:\n  labels: {kueue.x-k8s.io/queue-name: lq}\n\
             \x20 annotations: {kueue.x-k8s.io/elastic-job: \"true\"}\n",
        ),
    ),
    Rule::new(
        RuleId::QUEUE_HEAD_GROUP,
        Severity::Warn,
        "Kueue refuses a worker group called head",
        "Kueue calls the head's own pod set head, and names must differ.",
        "Rename the group.",
        Example::new(
            "metadata: {labels: {kueue.x-k8s.io/queue-name: lq}}\n\
             spec:\n  enableInTreeAutoscaling: false\n  workerGroupSpecs:\n  - {groupName: head}\n",
        ),
        Example::new(
            "metadata: {labels: {kueue.x-k8s.io/queue-name: lq}}\n\
             spec:\n  enableInTreeAutoscaling: false\n  workerGroupSpecs:\n  - {groupName: workers}\n",
        ),
    ),
    Rule::new(
        RuleId::NOTHING_RUNS,
        Severity::Warn,
        "no controller here runs RayJobs, RayServices or RayCronJobs",
        "In standalone mode raywarden runs RayClusters alone; the object would lie there untouched.",
        "Create a RayCluster, or install a KubeRay operator.",
        Example::new("").on(Base::RayJob).with(&["--node-manager", "raywarden"]),
        Example::new("").on(Base::RayJob).with(&["--node-manager", "kuberay"]),
    ),
];
