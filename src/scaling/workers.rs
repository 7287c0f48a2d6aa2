//! How far the workers of a cluster have come: wanted, running, ready, joined.
//!
//! Input: the view of a cluster, its Pods, what the head's dashboard answered. Output: [`Workers`],
//! which is also how every answer of the API shows them. Invariants: only Pods of the cluster's UID
//! count; without an answer of the head nobody is said to have joined nor to have not.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::{Cluster, Group};
use crate::plan::joined::{self, Answer};
use crate::plan::pod::{Phase, Pod};

/// The workers of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// Pods that the spec asks for; none while it is suspended.
    #[schema(example = 5)]
    pub desired: i64,
    /// Pods that run, terminating ones left out.
    #[schema(example = 5)]
    pub running: i64,
    /// Pods that are ready.
    #[schema(example = 4)]
    pub ready: i64,
    /// Pods that are nodes of Ray, by what the head says; null where it does not say.
    #[schema(example = 3)]
    pub joined: Option<i64>,
    /// Pods by name that are no nodes of Ray yet; empty where it is not known.
    #[schema(example = json!(["demo-small-worker-x7k2p", "demo-small-worker-q9d4w"]))]
    pub not_joined: Vec<String>,
    /// Whether there are exactly as many Pods as wanted, and all of them have joined.
    pub all_joined: bool,
    /// Why it is not known who has joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// A worker group as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupBounds {
    /// Its name.
    pub name: String,
    /// `replicas` of the spec.
    pub replicas: Option<i64>,
    /// `minReplicas` of the spec, or what its absence means.
    pub min_replicas: Option<i64>,
    /// `maxReplicas` of the spec; null where there is no bound.
    pub max_replicas: Option<i64>,
}

/// The workers of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    /// Its name; `worker` for Domino's clusters.
    #[schema(example = "small-group")]
    pub name: String,
    /// `replicas` of the spec; null where it is absent.
    #[schema(example = 5)]
    pub replicas: Option<i64>,
    /// `minReplicas` of the spec, or what its absence means.
    #[schema(example = 1)]
    pub min_replicas: Option<i64>,
    /// `maxReplicas` of the spec; null where there is no bound.
    #[schema(example = 10)]
    pub max_replicas: Option<i64>,
    /// Pods of one replica.
    #[schema(example = 1)]
    pub hosts: i64,
    /// How far its Pods have come.
    pub workers: Workers,
}

impl GroupBounds {
    /// Of a group alone.
    pub fn of(group: &Group<'_>) -> Self {
        let bounds = group.bounds();
        Self {
            name: group.label().to_owned(),
            replicas: group.replicas.count.number(),
            min_replicas: bounds.map(|bounds| bounds.min),
            max_replicas: bounds.map(|it| it.max).filter(|_| !group.is_unbounded()),
        }
    }
}

impl Workers {
    /// Of every group, in the order of the spec; `pods` are those of the cluster with this UID.
    pub fn of(cluster: &Cluster<'_>, uid: &str, pods: &[Pod], answer: &Answer) -> Vec<GroupState> {
        let (nodes, unknown) = match answer {
            Answer::Known(nodes) => (nodes.as_slice(), None),
            Answer::Unknown(why) => (&[][..], Some(why.clone())),
        };
        let workers = joined::workers(uid, pods, nodes);
        let state = |group: &Group<'_>| {
            let own: Vec<&(&Pod, bool)> =
                workers.iter().filter(|(pod, _)| pod.group == group.label()).collect();
            let counted = |test: &dyn Fn(&Pod) -> bool| {
                whole(own.iter().filter(|(pod, _)| test(pod)).count())
            };
            let joined = whole(own.iter().filter(|(_, joined)| *joined).count());
            let not_joined = own.iter().filter(|(_, joined)| !joined).map(|(pod, _)| &pod.name);
            let desired = desired(cluster, group);
            let known = unknown.is_none();
            let workers = Self {
                desired,
                running: counted(&|pod| pod.phase == Phase::Running),
                ready: counted(&Pod::is_ready),
                joined: known.then_some(joined),
                not_joined: if known { not_joined.cloned().collect() } else { Vec::new() },
                all_joined: known && joined == desired && whole(own.len()) == desired,
                unknown: unknown.clone(),
            };
            let GroupBounds { name, replicas, min_replicas, max_replicas } = GroupBounds::of(group);
            GroupState {
                name,
                replicas,
                min_replicas,
                max_replicas,
                hosts: group.hosts().unwrap_or(1),
                workers,
            }
        };
        cluster.groups.iter().map(state).collect()
    }

    /// All groups together.
    pub fn sum(groups: &[GroupState]) -> Self {
        let all = |one: fn(&Self) -> i64| groups.iter().map(|group| one(&group.workers)).sum();
        let joined: Option<Vec<i64>> = groups.iter().map(|group| group.workers.joined).collect();
        let names = groups.iter().flat_map(|group| group.workers.not_joined.iter().cloned());
        Self {
            desired: all(|it| it.desired),
            running: all(|it| it.running),
            ready: all(|it| it.ready),
            joined: joined.map(|joined| joined.iter().sum()),
            not_joined: names.collect(),
            all_joined: groups.iter().all(|group| group.workers.all_joined),
            unknown: groups.iter().find_map(|group| group.workers.unknown.clone()),
        }
    }
}

/// Whether a cluster, or one of its groups, is suspended.
pub fn is_suspended(part: &Value) -> bool {
    part.get("suspend") == Some(&Value::Bool(true))
}

/// Pods that the spec of a group asks for; none while it, or its cluster, is suspended.
pub fn desired(cluster: &Cluster<'_>, group: &Group<'_>) -> i64 {
    if is_suspended(cluster.spec) || is_suspended(group.raw) {
        return 0;
    }
    let least = group.bounds().map_or(0, |bounds| bounds.min);
    let replicas = group.replicas.count.number().unwrap_or(least);
    replicas.saturating_mul(group.hosts().unwrap_or(1)).max(0)
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::Dialect;
    use crate::plan::joined::RayNode;

    fn pod(name: &str, group: &str, ready: bool, ip: &str) -> Pod {
        let condition = if ready { "True" } else { "False" };
        Pod::read(&json!({
            "metadata": {
                "name": name, "labels": {"ray.io/node-type": "worker", "ray.io/group": group},
                "ownerReferences": [{"controller": true, "uid": "u"}],
            },
            "status": {"phase": "Running", "podIP": ip,
                       "conditions": [{"type": "Ready", "status": condition}]},
        }))
    }

    fn node(ip: &str) -> RayNode {
        RayNode { ip: ip.to_owned(), alive: true, ..RayNode::default() }
    }

    fn of(object: &Value, pods: &[Pod], answer: &Answer) -> (Vec<GroupState>, Workers) {
        let view = Dialect::RayCluster.view(object).unwrap();
        let groups = Workers::of(&view, "u", pods, answer);
        let sum = Workers::sum(&groups);
        (groups, sum)
    }

    fn five() -> Value {
        json!({"spec": {"workerGroupSpecs": [{"groupName": "small", "replicas": 3, "maxReplicas": 9},
                                             {"groupName": "gpu", "replicas": 2, "minReplicas": 1}]}})
    }

    #[test]
    fn three_of_five_have_joined_and_the_others_are_named() {
        let pods = [
            pod("a", "small", true, "1"),
            pod("b", "small", true, "2"),
            pod("c", "small", false, "3"),
            pod("d", "gpu", true, "4"),
            pod("e", "gpu", true, "5"),
        ];
        let answer = Answer::Known(["1", "2", "4"].map(node).to_vec());
        let (groups, sum) = of(&five(), &pods, &answer);
        assert_eq!((sum.desired, sum.running, sum.ready, sum.joined), (5, 5, 4, Some(3)));
        assert_eq!(sum.not_joined, ["c", "e"]);
        assert!(!sum.all_joined);
        assert_eq!(groups[1].workers.not_joined, ["e"]);
        assert_eq!((groups[0].min_replicas, groups[0].max_replicas), (Some(0), Some(9)));
        assert_eq!(groups[1].max_replicas, None);
        let all = Answer::Known(["1", "2", "3", "4", "5"].map(node).to_vec());
        assert!(of(&five(), &pods, &all).1.all_joined);
    }

    #[test]
    fn a_worker_too_many_is_not_all_joined() {
        let object = json!({"spec": {"workerGroupSpecs": [{"groupName": "small", "replicas": 1}]}});
        let pods = [pod("a", "small", true, "1"), pod("b", "small", true, "2")];
        let answer = Answer::Known(["1", "2"].map(node).to_vec());
        let (_, sum) = of(&object, &pods, &answer);
        assert!(!sum.all_joined, "{sum:?}");
    }

    #[test]
    fn without_an_answer_nobody_has_joined_nor_is_missing() {
        let pods = [pod("a", "small", true, "1")];
        let (_, sum) = of(&five(), &pods, &Answer::Unknown("no head Pod runs".to_owned()));
        assert_eq!((sum.joined, sum.not_joined.len(), sum.all_joined), (None, 0, false));
        assert_eq!(sum.unknown.as_deref(), Some("no head Pod runs"));
    }

    #[test]
    fn nobody_is_wanted_while_a_cluster_or_a_group_is_suspended() {
        let mut object = five();
        object["spec"]["workerGroupSpecs"][0]["suspend"] = json!(true);
        assert_eq!(of(&object, &[], &Answer::Known(Vec::new())).1.desired, 2);
        object["spec"]["suspend"] = json!(true);
        let (_, sum) = of(&object, &[], &Answer::Known(Vec::new()));
        assert!(sum.desired == 0 && sum.all_joined);
    }
}
