//! Counts of Domino's clusters that were written past admission.
//!
//! `kubectl scale` and scalers write the `scale` subresource, which names no bounds and for which the
//! webhook is not registered by default. A count above the maximum is taken back to it by a patch that
//! tests what it was planned from. One below the minimum stays: zero workers suspend a cluster.

use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::model::template::text;

/// A count above its maximum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What stands there.
    pub count: i64,
    /// The maximum.
    pub max: i64,
    /// RFC 6902: takes it back.
    pub operations: Vec<Value>,
}

/// The excess of a stored cluster of Domino's; `None` where there is none or it is on its way out.
pub fn excess(object: &Value) -> Option<Excess> {
    let view = Dialect::Domino.view(object)?;
    let leaving = view.metadata.get("deletionTimestamp").is_some_and(|it| !it.is_null());
    let group = view.groups.first().filter(|_| !leaving)?;
    let bounds = group.bounds().filter(|bounds| bounds.min <= bounds.max && bounds.max >= 0)?;
    let count = group.replicas.count.number().filter(|count| *count > bounds.max)?;
    let (at, max) = (group.replicas.at.to_json_pointer(), bounds.max);
    let (max_at, uid) = (group.max.at.to_json_pointer(), text(view.metadata, "uid")?);
    let operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": uid}),
        json!({"op": "test", "path": at, "value": count}),
        json!({"op": "test", "path": max_at, "value": max}),
        json!({"op": "replace", "path": at, "value": max}),
    ];
    Some(Excess { count, max, operations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(replicas: i64, scaling: &Value) -> Value {
        json!({
            "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1", "kind": "RayCluster",
            "metadata": {"name": "ray-1", "uid": "u"},
            "spec": {"worker": {"replicas": replicas}, "autoscaling": scaling},
        })
    }

    #[test]
    fn a_count_above_the_maximum_goes_back_to_it_and_nothing_else_changes() {
        let mut object = cluster(50, &json!({"minReplicas": 1, "maxReplicas": 5}));
        let found = excess(&object).unwrap();
        assert_eq!((found.count, found.max), (50, 5));
        let patch: json_patch::Patch = serde_json::from_value(json!(found.operations)).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        assert_eq!(object, cluster(5, &json!({"minReplicas": 1, "maxReplicas": 5})));
        assert_eq!(excess(&object), None);
    }

    #[test]
    fn nothing_is_taken_back_within_bounds_without_bounds_or_from_what_is_leaving() {
        let bounds = json!({"minReplicas": 2, "maxReplicas": 5});
        for (replicas, scaling) in [
            (0, &bounds),
            (1, &bounds),
            (5, &bounds),
            (50, &Value::Null),
            (50, &json!({"minReplicas": 9, "maxReplicas": 5})),
        ] {
            assert_eq!(excess(&cluster(replicas, scaling)), None, "{replicas} {scaling}");
        }
        let mut leaving = cluster(50, &bounds);
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(excess(&leaving), None);
    }
}
