//! What the typed rules of policies mean. Each does what its policy says; the examples refuse.

use super::{Base, Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::POLICY_GROUP_CEILING,
        Severity::Deny,
        "no worker group may reach more than the policy's ceiling",
        "An autoscaled group grows to its maximum when enough work waits, whatever stands in replicas. \
         Its ceiling is about that maximum; without autoscaling it is about replicas.",
        "Lower maxReplicas, numOfHosts or what the group's Pods request.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 11}\n").under(PER_GROUP),
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 10}\n").under(PER_GROUP),
    ),
    Rule::new(
        RuleId::POLICY_CLUSTER_CEILING,
        Severity::Deny,
        "no cluster may reach more than the policy's ceiling",
        "Groups that are small one by one add up. All of them at their maximum, the head and the \
         autoscaler's container are counted as the Kubernetes scheduler counts them.",
        "Lower bounds of groups, or what their Pods request.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 10, numOfHosts: 1}\n")
            .under(PER_CLUSTER),
        // The head's 4Gi, the autoscaler's 512Mi, and nine workers of 2Gi.
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 9, numOfHosts: 1}\n")
            .under(PER_CLUSTER),
    ),
    Rule::new(
        RuleId::POLICY_NAMESPACE_CEILING,
        Severity::Warn,
        "the clusters of a namespace may not reach more than the policy's ceiling together",
        "A team's budget is spent by all of its clusters. Two writes at one time can pass the ceiling \
         together, so it only warns; use a ResourceQuota where Pods have to be refused.",
        "Lower the bounds of this cluster or of another one, or delete one.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 20}\n").under(PER_NAMESPACE),
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 19}\n").under(PER_NAMESPACE),
    ),
    Rule::new(
        RuleId::POLICY_MAXIMUM_REQUIRED,
        Severity::Deny,
        "every worker group says a maximum where the policy requires one",
        "A group without maxReplicas may grow to two thousand million workers. The CRD writes that \
         number itself where nobody says one, so it counts as none.",
        "Set maxReplicas of the group.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 2147483647}\n").under(MAXIMUM),
        Example::new("spec:\n  workerGroupSpecs:\n  - {maxReplicas: 100}\n").under(MAXIMUM),
    ),
    Rule::new(
        RuleId::POLICY_MINIMUM_CEILING,
        Severity::Deny,
        "no group keeps more idle workers than the policy allows",
        "minReplicas run day and night, whether anybody needs them or not.",
        "Lower minReplicas: the autoscaler adds workers when something waits.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {minReplicas: 3, replicas: 3}\n")
            .under(MINIMUM),
        Example::new("spec:\n  workerGroupSpecs:\n  - {minReplicas: 2, replicas: 3}\n")
            .under(MINIMUM),
    ),
    Rule::new(
        RuleId::POLICY_REQUESTS,
        Severity::Deny,
        "every container requests the resources that the policy lists",
        "A Pod without a request is refused where a ResourceQuota counts it, init containers included, \
         and the cluster stays without that Pod. A limit counts: the request follows it.",
        "Set resources.requests of the container.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {initContainers: [{name: fetch, \
             image: 'registry.example/fetch:1'}]}}\n",
        )
        .under(REQUESTS),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {initContainers: [{name: fetch, \
             image: 'registry.example/fetch:1', resources: {limits: {memory: 1Gi}}}]}}\n",
        )
        .under(REQUESTS),
    ),
    Rule::new(
        RuleId::POLICY_LIMITS,
        Severity::Deny,
        "every container limits the resources that the policy lists",
        "A container without a memory limit takes what its neighbours on the node need, and Ray takes \
         the whole node's memory for its own.",
        "Set resources.limits of the container.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template: {spec: {containers: [{resources: {limits: \
             {memory: null}}}]}}\n",
        )
        .under(LIMITS),
        Example::new("").under(LIMITS),
    ),
    Rule::new(
        RuleId::POLICY_HEAD_GPU,
        Severity::Deny,
        "the head takes no GPU where the policy forbids it",
        "A GPU on the head is paid for as long as the cluster lives, and no autoscaler gives it back.",
        "Take the GPU out of the head's containers and parameters, and ask for it in a worker group.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template: {spec: {containers: [{resources: {limits: \
             {nvidia.com/gpu: 1}}}]}}\n",
        )
        .under(HEAD_GPU),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {containers: [{resources: {limits: \
             {nvidia.com/gpu: 1}}}]}}\n",
        )
        .under(HEAD_GPU),
    ),
    Rule::new(
        RuleId::POLICY_GPU_AGREEMENT,
        Severity::Deny,
        "num-gpus is what the Ray container is limited to",
        "Ray places tasks by num-gpus and Kubernetes gives devices by the limit. Where they differ, \
         devices stand idle, or tasks start that find none.",
        "Leave num-gpus out: it follows the limit.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - rayStartParams: {num-gpus: '2'}\n    template: {spec: \
             {containers: [{resources: {limits: {nvidia.com/gpu: 1}}}]}}\n",
        )
        .under(AGREEMENT),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - rayStartParams: {num-gpus: '1'}\n    template: {spec: \
             {containers: [{resources: {limits: {nvidia.com/gpu: 1}}}]}}\n",
        )
        .under(AGREEMENT),
    ),
    Rule::new(
        RuleId::POLICY_IMAGES,
        Severity::Deny,
        "containers run images that the policy allows",
        "An image from anywhere is code from anywhere. Init containers and the autoscaler's image \
         count: they run beside the same secrets.",
        "Name an image that the policy lists, or ask its owner to list yours.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {containers: [{image: \
             'elsewhere.example/ray:2.52.0'}]}}\n",
        )
        .under(IMAGES),
        Example::new("").under(IMAGES),
    ),
    Rule::new(
        RuleId::POLICY_LABELS,
        Severity::Deny,
        "clusters carry the labels that a policy requires",
        "Cost reports and alerts are made from labels. With onPods the templates of head and groups \
         carry them too, because it is Pods that are billed.",
        "Add the label, with one of the values that the policy lists.",
        Example::new("metadata: {labels: {cost-center: unknown}}\n").under(COST_CENTER),
        Example::new("metadata: {labels: {cost-center: cc-1234}}\n").under(COST_CENTER),
    ),
    Rule::new(
        RuleId::POLICY_SERVICE_ACCOUNTS,
        Severity::Deny,
        "Pods run as a service account that the policy allows",
        "Whoever may run code in a cluster has the rights of the account that its Pods run as.",
        "Name an allowed account in serviceAccountName of the template.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {serviceAccountName: admin}}\n",
        )
        .under(ACCOUNTS),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {serviceAccountName: ray-worker}}\n",
        )
        .under(ACCOUNTS),
    ),
    Rule::new(
        RuleId::POLICY_CEL,
        Severity::Deny,
        "clusters keep the rules that an administrator wrote in CEL",
        "What no section of a policy says can be said as a condition over object, oldObject, cluster \
         and request. A rule that cannot be judged, because a field is not there, is reported and \
         refuses nobody.",
        "Do what the rule's message says; its name stands in front of the message.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {priorityClassName: urgent}}\n",
        )
        .under(NO_PRIORITY),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {priorityClassName: batch}}\n",
        )
        .under(NO_PRIORITY),
    ),
    Rule::new(
        RuleId::POLICY_FLAW,
        Severity::Deny,
        "a policy says what can be asked of clusters",
        "A policy with a flaw cannot be in force. One that gets in while the webhook is away is left out, \
         the others hold, and its status says what is wrong.",
        "Mend what the message names. raywarden review -f FILE says the same of a file.",
        Example::new("spec: {exceptions: [{owner: ml, reason: migration, expires: tomorrow}]}\n")
            .on(Base::Policy),
        Example::new(
            "spec: {exceptions: [{owner: ml, reason: migration, expires: '2027-01-31T00:00:00Z'}]}\n",
        )
        .on(Base::Policy),
    ),
];

const NO_PRIORITY: &str = "rules: [{name: batch-only, message: workers run as batch, fix: set \
priorityClassName to batch, expression: 'cluster.groups.all(g, has(g.pod.priorityClassName) && \
g.pod.priorityClassName == \"batch\")'}]\n";

const PER_GROUP: &str = "ceilings: {perGroup: {replicas: 10}}\n";
const PER_CLUSTER: &str = "ceilings: {perCluster: {memory: 23040Mi}}\n";
const PER_NAMESPACE: &str = "ceilings: {perNamespace: {pods: 20}}\n";
const MAXIMUM: &str = "bounds: {requireMaximum: true}\n";
const MINIMUM: &str = "bounds: {minimumAtMost: 2}\n";
const REQUESTS: &str = "resources: {requests: [memory]}\n";
const LIMITS: &str = "resources: {limits: [memory]}\n";
const HEAD_GPU: &str = "gpus: {forbidOnHead: true}\n";
const AGREEMENT: &str = "gpus: {agree: true}\n";
const IMAGES: &str = "images: {allowed: ['registry.example/*']}\n";
const COST_CENTER: &str = "labels: {required: [{key: cost-center, values: ['cc-*']}]}\n";
const ACCOUNTS: &str = "serviceAccounts: {allowed: ['ray-*']}\n";
