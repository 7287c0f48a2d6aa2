//! What becomes of each field of a RayCluster in standalone mode.
//!
//! Input: a cluster. Output: the fields in it that are not supported and may not be ignored. The table
//! is checked against the CRD's own fields, and the README prints it.

use serde_json::Value;

use crate::model::template::member;
use crate::model::{Cluster, Pointer};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Acted on as KubeRay does.
    Done,
    /// Handed on to Pods, Services or Ray's autoscaler.
    Passed,
    /// Not acted on; the cluster runs without it.
    Ignored,
    /// Not acted on. It closes a door or promises durability, so a cluster that sets it gets no Pods.
    Refused,
}

use Support::{Done, Ignored, Passed, Refused};

impl Support {
    /// The word of the README's table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Done => "done",
            Passed => "passed through",
            Ignored => "unsupported, ignored",
            Refused => "unsupported, no Pods",
        }
    }
}

/// Every field below `spec`, by path; `[]` stands for each entry of a list. What lies below a path of
/// the table shares its fate unless it has a row of its own.
pub const TABLE: [(&str, Support); 37] = [
    ("authOptions", Done),
    ("autoscalerOptions", Passed),
    ("enableInTreeAutoscaling", Done),
    ("gcsFaultToleranceOptions", Done),
    ("gcsFaultToleranceOptions.backend", Done),
    ("gcsFaultToleranceOptions.storage", Refused),
    ("headGroupSpec", Done),
    ("headGroupSpec.enableIngress", Ignored),
    ("headGroupSpec.headService", Done),
    ("headGroupSpec.ingressOptions", Ignored),
    ("headGroupSpec.labels", Done),
    ("headGroupSpec.rayStartParams", Passed),
    ("headGroupSpec.resources", Done),
    ("headGroupSpec.serviceType", Passed),
    ("headGroupSpec.template", Passed),
    ("headServiceAnnotations", Passed),
    ("historyServerOptions", Ignored),
    ("managedBy", Done),
    ("networkPolicy", Refused),
    ("rayVersion", Done),
    ("suspend", Done),
    ("tlsOptions", Refused),
    ("upgradeStrategy", Done),
    ("workerGroupSpecs", Done),
    ("workerGroupSpecs[].groupName", Done),
    ("workerGroupSpecs[].idleTimeoutSeconds", Passed),
    ("workerGroupSpecs[].labels", Done),
    ("workerGroupSpecs[].maxReplicas", Done),
    ("workerGroupSpecs[].minReplicas", Done),
    ("workerGroupSpecs[].numOfHosts", Done),
    ("workerGroupSpecs[].priority", Passed),
    ("workerGroupSpecs[].rayStartParams", Passed),
    ("workerGroupSpecs[].replicas", Done),
    ("workerGroupSpecs[].resources", Done),
    ("workerGroupSpecs[].scaleStrategy", Done),
    ("workerGroupSpecs[].suspend", Done),
    ("workerGroupSpecs[].template", Passed),
];

/// Labels by which KubeRay's gang schedulers are asked for.
const GANG: [&str; 1] = ["ray.io/gang-scheduling-enabled"];

/// The fields of `cluster` that are not supported and may not be ignored, and why.
pub fn refused(cluster: &Cluster<'_>) -> Vec<(Pointer, &'static str)> {
    let spec = cluster.spec;
    let mut found = Vec::new();
    let at = |keys: &[&'static str]| cluster.at.join(keys);
    if member(spec, "networkPolicy").is_some() {
        found.push((
            at(&["networkPolicy"]),
            "it closes the network, and nothing here makes policies",
        ));
    }
    let tls = member(spec, "tlsOptions").and_then(|tls| member(tls, "enabled"));
    if tls == Some(&Value::Bool(true)) {
        found.push((at(&["tlsOptions", "enabled"]), "nothing here issues its certificates"));
    }
    if let Some(fault_tolerance) = member(spec, "gcsFaultToleranceOptions") {
        let rocksdb = fault_tolerance.get("backend").and_then(Value::as_str) == Some("rocksdb");
        if rocksdb || member(fault_tolerance, "storage").is_some() {
            let key = if rocksdb { "backend" } else { "storage" };
            let field = at(&["gcsFaultToleranceOptions", key]);
            found.push((field, "nothing here keeps its volume; backend redis is supported"));
        }
    }
    let gang = GANG.into_iter().filter(|label| cluster.label(label).is_some());
    found.extend(gang.map(|label| {
        let field = Pointer::of(["metadata", "labels"]).at(label);
        (field, "nothing here makes its PodGroup")
    }));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn what_closes_a_door_or_promises_durability_is_refused_and_the_rest_is_not() {
        let refused_in = |spec: Value| {
            let object = json!({"metadata": {"name": "lab"}, "spec": spec});
            let view = Dialect::RayCluster.view(&object).unwrap();
            refused(&view).into_iter().map(|(at, _)| at.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(refused_in(json!({"networkPolicy": {}})), ["spec.networkPolicy"]);
        assert_eq!(
            refused_in(json!({"tlsOptions": {"enabled": true}})),
            ["spec.tlsOptions.enabled"]
        );
        assert!(refused_in(json!({"tlsOptions": {"enabled": false}})).is_empty());
        let rocks = json!({"gcsFaultToleranceOptions": {"backend": "rocksdb", "storage": {}}});
        assert_eq!(refused_in(rocks), ["spec.gcsFaultToleranceOptions.backend"]);
        assert!(
            refused_in(json!({"gcsFaultToleranceOptions": {"redisAddress": "r:1"}})).is_empty()
        );
        assert!(refused_in(json!({"suspend": true, "authOptions": {"mode": "token"}})).is_empty());
    }
}
