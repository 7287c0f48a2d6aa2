//! What the rules about names mean.

use super::{Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::CLUSTER_NAME,
        Severity::Deny,
        "a cluster name has at most 53 characters and is a DNS-1035 label",
        "Pods and Services are called after the cluster. A longer name passes the API server and then \
         fails at every reconcile. The name of a stored cluster cannot change, so it only warns there.",
        "Choose a shorter name of a-z, 0-9 and -, a letter first.",
        Example::new("metadata: {name: forecasting-nightly-retrain-eu-west-production-blue-01}\n"),
        Example::new("metadata: {name: forecasting-nightly-retrain-eu-west-production-blue-1}\n"),
    ),
    Rule::new(
        RuleId::GROUP_NAME,
        Severity::Deny,
        "a group name must do as a label value and in Pod names",
        "It becomes the label ray.io/group and, in lower case, a part of every Pod's name. An \
         underscore is fine in a label and not in a Pod name: the Pods never appear.",
        "Use letters, digits, - and ., a letter or digit at both ends.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {groupName: gpu_pool}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {groupName: GPU-pool}\n"),
    ),
    Rule::new(
        RuleId::GROUP_TWICE,
        Severity::Deny,
        "every worker group needs a name of its own",
        "Two groups of one name take each other's Pods for their own surplus and delete them.",
        "Rename one of the two.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - {groupName: small}\n  - {groupName: small}\n",
        ),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - {groupName: small}\n  - {groupName: large}\n",
        ),
    ),
    Rule::new(
        RuleId::GROUP_RESERVED,
        Severity::Deny,
        "no worker group may be called headgroup",
        "The head Pod carries that group label, and Ray's autoscaler uses the name for the head's node \
         type: the group would take the head for one of its workers.",
        "Choose any other name.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {groupName: headgroup}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {groupName: workers}\n"),
    ),
];
