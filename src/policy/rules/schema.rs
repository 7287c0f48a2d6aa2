//! What the findings of the offline schema check mean.

use super::{Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::UNKNOWN_FIELD,
        Severity::Warn,
        "a field that the schema does not have",
        "kubectl refuses it unless told otherwise; other clients lose the field without a word, so a \
         misspelt one does nothing.",
        "Correct the name; the nearest known one is given.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {minReplica: 2}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {replicas: 2, minReplicas: 2}\n"),
    ),
    Rule::new(
        RuleId::TYPE,
        Severity::Deny,
        "a value of the wrong type",
        "The API server refuses the object.",
        "Write the type that belongs there; text that looks like a number needs quotes.",
        Example::new("spec: {headGroupSpec: {rayStartParams: {num-cpus: 0}}}\n"),
        Example::new("spec: {headGroupSpec: {rayStartParams: {num-cpus: \"0\"}}}\n"),
    ),
    Rule::new(
        RuleId::VALUE,
        Severity::Deny,
        "a value that the schema does not allow",
        "The API server refuses the object.",
        "Take one of the allowed values.",
        Example::new("spec: {autoscalerOptions: {upscalingMode: aggressive}}\n"),
        Example::new("spec: {autoscalerOptions: {upscalingMode: Aggressive}}\n"),
    ),
    Rule::new(
        RuleId::REQUIRED,
        Severity::Deny,
        "a field that must be there",
        "The API server refuses the object.",
        "Add the field.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        volumes: [{emptyDir: {}}]\n",
        ),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n\
             \x20     spec:\n        volumes: [{name: scratch, emptyDir: {}}]\n",
        ),
    ),
    Rule::new(
        RuleId::LIST_KEY,
        Severity::Deny,
        "two entries of a list have the same key",
        "Containers, variables, volumes and mounts are kept as maps; the API server refuses a second \
         entry of one key.",
        "Take one of the two out.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        volumes:\n\
             \x20       - {name: scratch, emptyDir: {}}\n        - {name: scratch, emptyDir: {}}\n",
        ),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        volumes:\n\
             \x20       - {name: scratch, emptyDir: {}}\n        - {name: other, emptyDir: {}}\n",
        ),
    ),
];
