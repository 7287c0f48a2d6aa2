//! What the rules that mirror KubeRay's own refusals mean.

use super::{Base, Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::NO_CONTAINERS,
        Severity::Deny,
        "a head or worker template needs a container",
        "The schema lets an empty list through; the first container runs Ray.",
        "Add the container with the Ray image.",
        Example::new("spec:\n  workerGroupSpecs:\n  - template: {spec: {containers: []}}\n"),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {containers: [{name: ray}]}}\n",
        ),
    ),
    Rule::new(
        RuleId::RESOURCES_TWICE,
        Severity::Deny,
        "Ray resources are given in one place",
        "KubeRay refuses a group that has the field resources and num-cpus, num-gpus, memory or \
         resources among its start parameters.",
        "Keep one of the two.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n\
             \x20 - {resources: {CPU: \"4\"}, rayStartParams: {num-cpus: \"8\"}}\n",
        ),
        Example::new("spec:\n  workerGroupSpecs:\n  - {resources: {CPU: \"4\"}}\n"),
    ),
    Rule::new(
        RuleId::LABELS,
        Severity::Deny,
        "Ray labels go into the field labels and are Kubernetes labels",
        "KubeRay refuses labels among the start parameters, and keys or values that are no Kubernetes \
         labels, because they become labels of the Pods.",
        "Move them to the group's field labels.",
        Example::new("spec:\n  workerGroupSpecs:\n  - rayStartParams: {labels: \"zone=b\"}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - labels: {zone: b}\n"),
    ),
    Rule::new(
        RuleId::IDLE_TIMEOUT,
        Severity::Deny,
        "idle timeouts are not negative, and per group only under autoscaler v2",
        "KubeRay refuses both, at every reconcile.",
        "Write 0 or more; for one group also set autoscalerOptions.version: v2.",
        Example::new("spec: {autoscalerOptions: {idleTimeoutSeconds: -5}}\n"),
        Example::new("spec: {autoscalerOptions: {idleTimeoutSeconds: 0}}\n"),
    ),
    Rule::new(
        RuleId::PRIORITY,
        Severity::Warn,
        "group priorities need Ray 2.56 and autoscaler v2",
        "Releases of KubeRay that know the field refuse it otherwise; older ones drop it.",
        "Set rayVersion to 2.56.0 or newer and autoscalerOptions.version: v2.",
        Example::new(
            "spec:\n  rayVersion: \"2.55.0\"\n  autoscalerOptions: {version: v2}\n\
             \x20 workerGroupSpecs:\n  - {priority: 5}\n",
        ),
        Example::new("spec:\n  rayVersion: \"2.55.0\"\n  autoscalerOptions: {version: v2}\n"),
    ),
    Rule::new(
        RuleId::FAULT_TOLERANCE,
        Severity::Deny,
        "GCS fault tolerance is said once and in one place",
        "KubeRay refuses the annotation beside the field, and Redis settings in the old places beside \
         gcsFaultToleranceOptions.",
        "Use gcsFaultToleranceOptions alone.",
        Example::new(
            "metadata: {annotations: {ray.io/ft-enabled: \"true\"}}\n\
             spec: {gcsFaultToleranceOptions: {redisAddress: \"redis:6379\"}}\n",
        ),
        Example::new("spec: {gcsFaultToleranceOptions: {redisAddress: \"redis:6379\"}}\n"),
    ),
    Rule::new(
        RuleId::GROUP_SUSPEND,
        Severity::Deny,
        "a worker group cannot be suspended under autoscaling",
        "The autoscaler would start its Pods again; KubeRay refuses the combination.",
        "Suspend the whole cluster, or switch autoscaling off first.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {suspend: true}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {suspend: false}\n"),
    ),
    Rule::new(
        RuleId::VERSION_TWICE,
        Severity::Deny,
        "the autoscaler's version is said once",
        "KubeRay refuses the variable RAY_enable_autoscaler_v2 beside autoscalerOptions.version v2.",
        "Take the variable out.",
        Example::new(
            "spec:\n  autoscalerOptions: {version: v2}\n  headGroupSpec:\n    template:\n      spec:\n\
             \x20       containers:\n        - env: [{name: RAY_enable_autoscaler_v2, value: \"1\"}]\n",
        ),
        Example::new("spec: {autoscalerOptions: {version: v2}}\n"),
    ),
    Rule::new(
        RuleId::RESTART_POLICY,
        Severity::Deny,
        "autoscaler v2 needs restartPolicy Never",
        "A node that v2 drained must not start again in the same Pod; every KubeRay release refuses \
         another policy.",
        "Set restartPolicy: Never, or leave it out.",
        Example::new(
            "spec:\n  autoscalerOptions: {version: v2}\n  workerGroupSpecs:\n\
             \x20 - template: {spec: {restartPolicy: Always}}\n",
        ),
        Example::new(
            "spec:\n  autoscalerOptions: {version: v2}\n  workerGroupSpecs:\n\
             \x20 - template: {spec: {restartPolicy: Never}}\n",
        ),
    ),
    Rule::new(
        RuleId::RESERVED_ENV,
        Severity::Deny,
        "some variables of the sidecar belong to the node manager",
        "KUBERAY_GEN_AUTOSCALER_START_CMD holds the generated command and RAYWARDEN_MANAGED marks the \
         container as ours.",
        "Take the entry out; args may refer to the command.",
        Example::new(
            "spec:\n  autoscalerOptions:\n    env: [{name: KUBERAY_GEN_AUTOSCALER_START_CMD, value: x}]\n",
        ),
        Example::new("spec: {autoscalerOptions: {env: [{name: TZ, value: UTC}]}}\n"),
    ),
    Rule::new(
        RuleId::AUTH,
        Severity::Deny,
        "token authentication needs a Ray version that has it",
        "Older Ray ignores the setting and the cluster stays open; KubeRay refuses it. Tokens of \
         Kubernetes' own need Ray 2.55 and no Secret.",
        "Set rayVersion to 2.52.0 or newer.",
        Example::new("spec: {rayVersion: \"2.51.0\", authOptions: {mode: token}}\n"),
        Example::new("spec: {rayVersion: \"2.52.0\", authOptions: {mode: token}}\n"),
    ),
    Rule::new(
        RuleId::UPGRADE_STRATEGY,
        Severity::Deny,
        "a generated cluster has no upgradeStrategy of its own",
        "The RayJob or RayService decides about upgrades; every KubeRay release refuses the child.",
        "Take upgradeStrategy out.",
        Example::new("spec: {rayClusterSpec: {upgradeStrategy: {type: Recreate}}}\n")
            .on(Base::RayJob),
        Example::new("").on(Base::RayJob),
    ),
];
