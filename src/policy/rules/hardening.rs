//! What the typed rules about security, queues and autoscaling mean. Each does what its policy says;
//! the examples refuse.

use super::{Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::POLICY_POD_SECURITY,
        Severity::Deny,
        "every template keeps the Pod Security Standard of a policy",
        "Kubernetes checks Pods alone, so that a template that it will refuse is stored first and \
         fails long after, out of sight. Here head, groups, the Pod that submits a job, containers and \
         init containers are checked when the cluster is written.",
        "Mend the field that is named; the standard's control stands behind it.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template:\n      spec:\n        containers:\n        \
             - securityContext: {privileged: true}\n",
        )
        .under(BASELINE),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template:\n      spec:\n        containers:\n        \
             - securityContext: {privileged: false}\n",
        )
        .under(BASELINE),
    ),
    Rule::new(
        RuleId::POLICY_SIDECAR,
        Severity::Deny,
        "the autoscaler sidecar keeps to what a policy allows",
        "It runs beside every autoscaled head, with an account that may change the cluster. Its size \
         is paid for each of them, and a loose security context is a way to that account.",
        "Lower autoscalerOptions.resources, or mend autoscalerOptions.securityContext.",
        Example::new("spec: {autoscalerOptions: {resources: {limits: {cpu: \"4\"}}}}\n")
            .under(SMALL_SIDECAR),
        Example::new("spec: {autoscalerOptions: {resources: {limits: {cpu: 250m}}}}\n")
            .under(SMALL_SIDECAR),
    ),
    Rule::new(
        RuleId::POLICY_AUTH,
        Severity::Deny,
        "Ray asks its callers for a token",
        "Whoever reaches the dashboard or the client port of a Ray cluster may run code in it. With \
         token authentication, from Ray 2.52 on, only those may who hold its token.",
        "Set authOptions.mode to token and rayVersion to 2.52.0 or newer.",
        Example::new("spec: {authOptions: {mode: disabled}}\n").under(TOKEN),
        Example::new("spec: {authOptions: {mode: token}}\n").under(TOKEN),
    ),
    Rule::new(
        RuleId::POLICY_EXPOSURE,
        Severity::Deny,
        "nothing opens a cluster to the outside",
        "An Ingress, a Service with an address of its own or a port of the node lets everybody in who \
         reaches it, and Ray runs what its callers send.",
        "Take the field out and go through kubectl port-forward or a proxy that asks who is there.",
        Example::new("spec: {headGroupSpec: {serviceType: LoadBalancer}}\n").under(INSIDE),
        Example::new("spec: {headGroupSpec: {serviceType: ClusterIP}}\n").under(INSIDE),
    ),
    Rule::new(
        RuleId::POLICY_QUEUE,
        Severity::Deny,
        "a cluster is in a Kueue queue that a policy allows",
        "Kueue holds to a quota only what carries its label. A cluster without it takes what it asks \
         for.",
        "Label the object kueue.x-k8s.io/queue-name with the name of a LocalQueue.",
        Example::new("spec: {enableInTreeAutoscaling: false}\n").under(QUEUED),
        Example::new(
            "metadata: {labels: {kueue.x-k8s.io/queue-name: team-a}}\n\
             spec: {enableInTreeAutoscaling: false}\n",
        )
        .under(QUEUED),
    ),
    Rule::new(
        RuleId::POLICY_QUEUE_IMMUTABLE,
        Severity::Deny,
        "a cluster stays in its queue",
        "Whoever may take the label off, or write another, leaves the quota that the cluster was \
         admitted under, with everything that it runs.",
        "Put the label back, or delete the cluster and create it in the other queue.",
        Example::new("spec: {enableInTreeAutoscaling: false}\n").after(IN_QUEUE).under(STAYS),
        Example::new(
            "metadata: {labels: {kueue.x-k8s.io/queue-name: team-a, stage: test}}\n\
             spec: {enableInTreeAutoscaling: false}\n",
        )
        .after(IN_QUEUE)
        .under(STAYS),
    ),
    Rule::new(
        RuleId::POLICY_AUTOSCALING,
        Severity::Deny,
        "a cluster scales as a policy allows, or not at all",
        "A queue may forbid autoscaling, a budget may ask for it, and a long idle timeout keeps \
         workers that nobody needs.",
        "Set enableInTreeAutoscaling or autoscalerOptions as the message says.",
        Example::new("spec: {autoscalerOptions: {idleTimeoutSeconds: 86400}}\n").under(IDLE),
        Example::new("spec: {autoscalerOptions: {idleTimeoutSeconds: 300}}\n").under(IDLE),
    ),
];

const BASELINE: &str = "podSecurity: {level: baseline}\n";
const SMALL_SIDECAR: &str = "sidecar: {cpu: 500m, memory: 1Gi}\n";
const TOKEN: &str = "auth: {requireToken: true}\n";
const INSIDE: &str = "exposure: {forbid: [Ingress, LoadBalancer, NodePort]}\n";
const QUEUED: &str = "queue: {required: true, allowed: ['team-*']}\n";
const STAYS: &str = "queue: {immutable: true}\n";
const IDLE: &str = "autoscaling: {idleTimeoutSeconds: {min: 60, max: 3600}}\n";
const IN_QUEUE: &str = "metadata: {labels: {kueue.x-k8s.io/queue-name: team-a}}\n\
                        spec: {enableInTreeAutoscaling: false}\n";
