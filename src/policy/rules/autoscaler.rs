//! What the rules "the autoscaler will crash on this file" mean.

use super::{Example, Rule};
use crate::model::{RuleId, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        RuleId::NO_GROUPS,
        Severity::Warn,
        "autoscaling with no worker group has nothing to scale",
        "Ray's autoscaler reads workerGroupSpecs without a default and stops where it is absent.",
        "Add a worker group, or switch autoscaling off.",
        Example::new("spec: {workerGroupSpecs: []}\n"),
        Example::new("spec: {workerGroupSpecs: [], enableInTreeAutoscaling: false}\n"),
    ),
    Rule::new(
        RuleId::NO_CPU,
        Severity::Warn,
        "the autoscaler needs a CPU figure for the head and every group",
        "It takes resources.CPU of the group, then num-cpus, then the limit, then the request of the \
         first container. Without any of them it stops, for all groups.",
        "Set resources.limits.cpu of the first container, or rayStartParams num-cpus.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - template: {spec: {containers: [{resources: null}]}}\n",
        ),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - rayStartParams: {num-cpus: \"2\"}\n\
             \x20   template: {spec: {containers: [{resources: null}]}}\n",
        ),
    ),
    Rule::new(
        RuleId::WHOLE_NUMBER,
        Severity::Warn,
        "num-cpus, num-gpus and memory must be whole numbers",
        "Ray itself starts with fractions, but its autoscaler reads these as integers and stops on \
         anything else, for all groups.",
        "Write digits alone, or leave the parameter out and set container limits.",
        Example::new("spec:\n  workerGroupSpecs:\n  - rayStartParams: {num-cpus: \"500m\"}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - rayStartParams: {num-cpus: \"1\"}\n"),
    ),
    Rule::new(
        RuleId::QUOTING,
        Severity::Warn,
        "custom resources are JSON inside one more pair of quotes",
        "The value passes through a shell. The autoscaler drops the first and the last character and \
         parses the rest as JSON with whole numbers.",
        "Copy the quoting of the passing example.",
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - rayStartParams: {resources: '{\"slot\": 2}'}\n",
        ),
        Example::new(
            "spec:\n  workerGroupSpecs:\n  - rayStartParams: {resources: '\"{\\\"slot\\\": 2}\"'}\n",
        ),
    ),
    Rule::new(
        RuleId::TOKEN,
        Severity::Warn,
        "the autoscaler needs a service account token",
        "It reads its token from the standard path. With automountServiceAccountToken: false there is \
         none, and the sidecar stops at its start.",
        "Mount a projected token into the sidecar by autoscalerOptions.volumeMounts.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template: {spec: {automountServiceAccountToken: false}}\n",
        ),
        Example::new(
            "spec:\n  autoscalerOptions:\n    volumeMounts:\n\
             \x20   - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}\n\
             \x20 headGroupSpec:\n    template: {spec: {automountServiceAccountToken: false}}\n",
        ),
    ),
    Rule::new(
        RuleId::MONITOR,
        Severity::Warn,
        "a hand-written ray start line of the head lacks --no-monitor",
        "Ray's own monitor then runs beside the sidecar, and both write counts.",
        "Add --no-monitor, or use $KUBERAY_GEN_RAY_START_CMD.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - args: [\"ray start --head --block\"]\n",
        ),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - args: [\"ray start --head --block --no-monitor\"]\n",
        ),
    ),
    Rule::new(
        RuleId::MULTI_HOST,
        Severity::Warn,
        "groups of several hosts scale in whole replicas only",
        "Autoscaler v2 rounds the number of wanted Pods down to whole replicas: a demand for fewer Pods \
         than numOfHosts starts nothing and waits for ever. TPU slices ask for whole slices and are \
         left out of this rule.",
        "Ask for nodes in multiples of numOfHosts.",
        Example::new("spec:\n  workerGroupSpecs:\n  - {numOfHosts: 2}\n"),
        Example::new("spec:\n  workerGroupSpecs:\n  - {numOfHosts: 1}\n"),
    ),
    Rule::new(
        RuleId::HOST_NETWORK,
        Severity::Warn,
        "on the host network the head needs dnsPolicy ClusterFirstWithHostNet",
        "With any other policy the name of the API server does not resolve inside the Pod.",
        "Set dnsPolicy: ClusterFirstWithHostNet.",
        Example::new("spec: {headGroupSpec: {template: {spec: {hostNetwork: true}}}}\n"),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n\
             \x20     spec: {hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}\n",
        ),
    ),
    Rule::new(
        RuleId::ACCOUNT_NAME,
        Severity::Warn,
        "KubeRay changes account names of this form",
        "It keeps the last 50 characters and replaces a leading digit, and then looks for an account of \
         the changed name.",
        "Use an account of at most 50 characters that begins with a letter.",
        Example::new(
            "spec: {headGroupSpec: {template: {spec: {serviceAccountName: 7-readers}}}}\n",
        ),
        Example::new(
            "spec: {headGroupSpec: {template: {spec: {serviceAccountName: readers-7}}}}\n",
        ),
    ),
    Rule::new(
        RuleId::HEAD_PORT,
        Severity::Warn,
        "the autoscaler asks the head on port 6379",
        "It connects to 6379 on the Pod's own address unless --gcs-address tells it another; only \
         newer Ray releases take that flag.",
        "Keep 6379, or pass --gcs-address in autoscalerOptions.args.",
        Example::new("spec: {headGroupSpec: {rayStartParams: {port: \"6380\"}}}\n"),
        Example::new("spec: {headGroupSpec: {rayStartParams: {port: \"6379\"}}}\n"),
    ),
    Rule::new(
        RuleId::PORTS_DISAGREE,
        Severity::Warn,
        "the port called gcs-server is not the one the head listens on",
        "Services point at the container port: workers then ask a port where nobody listens.",
        "Give both the same number.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - ports: [{name: gcs-server, containerPort: 6380, protocol: TCP}]\n",
        ),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - ports: [{name: gcs-server, containerPort: 6379, protocol: TCP}]\n",
        ),
    ),
    Rule::new(
        RuleId::IMAGE_VERSION,
        Severity::Warn,
        "the sidecar runs another Ray version than the head",
        "Autoscaler and head speak Ray's own protocol, which changes between versions.",
        "Leave autoscalerOptions.image out: the sidecar then runs the head's image.",
        Example::new("spec: {autoscalerOptions: {image: \"registry.example/ray:2.7.1\"}}\n"),
        Example::new("spec: {autoscalerOptions: {image: \"mirror.example/ray:2.52.0\"}}\n"),
    ),
    Rule::new(
        RuleId::IDLE_SHORT,
        Severity::Warn,
        "an idle timeout shorter than a Pod takes to start",
        "Workers end before their work arrives and are started again, without end. Zero is taken as \
         meant.",
        "Take 60 seconds or more unless the image is tiny.",
        Example::new("spec: {autoscalerOptions: {idleTimeoutSeconds: 3}}\n"),
        Example::new("spec: {autoscalerOptions: {idleTimeoutSeconds: 60}}\n"),
    ),
    Rule::new(
        RuleId::MOUNT_SLASH,
        Severity::Warn,
        "write /tmp/ray without a slash at its end",
        "KubeRay compares paths letter by letter and mounts the log volume a second time at what the \
         kubelet takes for the same place.",
        "Write /tmp/ray.",
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - volumeMounts: [{name: scratch, mountPath: /tmp/ray/}]\n\
             \x20       volumes: [{name: scratch, emptyDir: {}}]\n",
        ),
        Example::new(
            "spec:\n  headGroupSpec:\n    template:\n      spec:\n        containers:\n\
             \x20       - volumeMounts: [{name: scratch, mountPath: /tmp/ray}]\n\
             \x20       volumes: [{name: scratch, emptyDir: {}}]\n",
        ),
    ),
];
