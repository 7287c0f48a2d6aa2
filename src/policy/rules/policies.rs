//! What the typed rules of policies mean. Each does what its policy says; the examples refuse.

use super::{Base, Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
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

const COST_CENTER: &str = "labels: {required: [{key: cost-center, values: ['cc-*']}]}\n";
const ACCOUNTS: &str = "serviceAccounts: {allowed: ['ray-*']}\n";
