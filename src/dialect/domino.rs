//! Domino's RayCluster: one worker group at `spec.worker`, bounds at `spec.autoscaling`, no
//! containers and no autoscaler of Ray's.

use serde_json::Value;

use crate::model::template::{NULL, text};
use crate::model::{Cluster, Group, Numeral, Pointer, Traits};

/// Reads the object.
pub(super) fn view(object: &Value) -> Cluster<'_> {
    let metadata = object.get("metadata").unwrap_or(NULL);
    let spec = object.get("spec").unwrap_or(NULL);
    let at = Pointer::of(["spec"]);
    let worker_at = at.at("worker");
    let scaling_at = at.at("autoscaling");
    let raw = spec.get("worker").unwrap_or(NULL);
    let scaling = spec.get("autoscaling").filter(|scaling| scaling.is_object());
    let worker = Group {
        raw,
        name: Some("worker"),
        replicas: Numeral::read(raw, &worker_at, "replicas"),
        min: Numeral::read(scaling.unwrap_or(NULL), &scaling_at, "minReplicas"),
        max: Numeral::read(scaling.unwrap_or(NULL), &scaling_at, "maxReplicas"),
        hosts: Numeral::read(NULL, &worker_at, "numOfHosts"),
        bounded: scaling.is_some(),
        min_default: 1,
        at: worker_at,
    };
    Cluster {
        name: text(metadata, "name").unwrap_or(""),
        metadata,
        spec,
        at,
        autoscaling: false,
        groups: vec![worker],
        submitter: None,
        serve_service: NULL,
        traits: Traits { patchable: true, ray: false, names_pods: false, zero_is_said: true },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Bounds;

    #[test]
    fn an_absent_minimum_counts_as_one() {
        let object =
            json!({"spec": {"autoscaling": {"maxReplicas": 5}, "worker": {"replicas": 3}}});
        let cluster = view(&object);
        let bounds = cluster.groups.first().and_then(Group::bounds);
        assert_eq!(bounds, Some(Bounds { min: 1, max: 5 }));
    }

    #[test]
    fn without_autoscaling_there_are_no_bounds() {
        let object = json!({"spec": {"worker": {"replicas": 3}}});
        assert_eq!(view(&object).groups.first().and_then(Group::bounds), None);
    }
}
