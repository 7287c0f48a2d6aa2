//! How many Pods the groups of a cluster ask for.
//!
//! Counts are held within their bounds here too, so that a cluster that was written past the webhook
//! gets no Pod too many. Sums are in Pods, not replicas, and saturate at int32, which the status holds.
//! Source: KubeRay's desired, minimal and maximal replicas.

use serde_json::Value;

use super::pod::{NodeType, Phase, Pod};
use crate::model::{Bounds, Cluster, Group};

/// What a group asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Replicas, within bounds.
    pub replicas: i64,
    /// The least.
    pub min: i64,
    /// The most.
    pub max: i64,
    /// Pods of one replica.
    pub hosts: i64,
}

/// Whether the group is suspended on its own.
pub fn is_suspended(group: &Group<'_>) -> bool {
    group.raw.get("suspend") == Some(&Value::Bool(true))
}

/// What a group asks for; nothing where it is suspended or its counts cannot be read.
pub fn demand(group: &Group<'_>) -> Demand {
    let hosts = group.hosts().filter(|hosts| *hosts > 0);
    let (Some(bounds), Some(hosts)) = (group.bounds(), hosts) else {
        return Demand::default();
    };
    let Bounds { min, max } = bounds;
    if is_suspended(group) || min > max {
        return Demand { hosts, ..Demand::default() };
    }
    let replicas = bounds.hold(group.replicas.count).max(0);
    Demand { replicas, min: min.max(0), max: max.max(0), hosts }
}

/// Sums over all groups, in Pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Asked for.
    pub desired: i64,
    /// The least.
    pub min: i64,
    /// The most.
    pub max: i64,
    /// Running and ready.
    pub ready: i64,
    /// Running.
    pub available: i64,
}

/// The sums of a cluster and its Pods.
pub fn totals(cluster: &Cluster<'_>, uid: &str, pods: &[Pod]) -> Totals {
    let sum = |of: fn(&Demand) -> i64| {
        let pods = |group: &Group<'_>| {
            let demand = demand(group);
            of(&demand).saturating_mul(demand.hosts)
        };
        let total = cluster.groups.iter().map(pods).fold(0, i64::saturating_add);
        total.min(i64::from(i32::MAX))
    };
    let count = |holds: fn(&Pod) -> bool| {
        let worker = |pod: &&Pod| {
            pod.belongs_to(uid) && pod.node_type == NodeType::Worker && !pod.terminating
        };
        i64::try_from(pods.iter().filter(worker).filter(|pod| holds(pod)).count()).unwrap_or(0)
    };
    Totals {
        desired: sum(|demand| demand.replicas),
        min: sum(|demand| demand.min),
        max: sum(|demand| demand.max),
        ready: count(Pod::is_ready),
        available: count(|pod| pod.phase == Phase::Running),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::Dialect;

    fn demand_of(group: &Value) -> Demand {
        let object = json!({"spec": {"workerGroupSpecs": [group]}});
        let view = Dialect::RayCluster.view(&object).unwrap();
        demand(&view.groups[0])
    }

    #[test]
    fn replicas_are_held_within_bounds_and_absent_ones_are_the_minimum() {
        for (replicas, expected) in [(json!(9), 5), (json!(0), 2), (json!(3), 3), (json!(null), 2)]
        {
            let group = json!({"replicas": replicas, "minReplicas": 2, "maxReplicas": 5});
            assert_eq!(demand_of(&group).replicas, expected);
        }
        assert_eq!(demand_of(&json!({"minReplicas": 5, "maxReplicas": 2})).replicas, 0);
        assert_eq!(demand_of(&json!({"replicas": 3, "suspend": true})).replicas, 0);
        assert_eq!(demand_of(&json!({"replicas": -3})).replicas, 0);
    }

    #[test]
    fn sums_are_in_pods_and_never_overflow() {
        let object = json!({"spec": {"workerGroupSpecs": [
            {"replicas": 2, "numOfHosts": 4},
            {"replicas": 1},
        ]}});
        let view = Dialect::RayCluster.view(&object).unwrap();
        let totals = totals(&view, "u", &[]);
        assert_eq!((totals.desired, totals.min), (9, 0));
        assert_eq!(totals.max, i64::from(i32::MAX));
    }
}
