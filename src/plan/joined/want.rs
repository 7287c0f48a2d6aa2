//! Whether an autoscaler that runs also does something.
//!
//! Input: the cluster, its workers, and what waits for resources. Output: [`Want`], something that one
//! more worker of a group would serve. Only plain CPUs are looked at, and only while every worker has
//! joined: a want that is told of wrongly is worse than one that is not.

use k8s_openapi::jiff::Timestamp;

use super::{Demand, Joined};
use crate::model::{Cluster, Group};
use crate::plan::build::params;
use crate::plan::group::{self, is_suspended};

/// Something that waits though there is room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// What waits, as the dashboard lists it.
    pub what: String,
    /// A group that has room and would serve it.
    pub group: String,
    /// Replicas asked for by all groups.
    replicas: i64,
    /// Since when it waits without a change of these.
    pub since: Timestamp,
}

/// What waits now; `before` is what waited when it was looked at last.
pub fn want(
    cluster: &Cluster<'_>,
    joined: &Joined,
    demand: &Demand,
    before: Option<&Want>,
    now: Timestamp,
) -> Option<Want> {
    let replicas = cluster.groups.iter().map(|it| group::demand(it).replicas).sum();
    let workers =
        cluster.groups.iter().map(|it| group::demand(it)).map(|it| it.replicas * it.hosts);
    let all_joined = joined.unknown.is_none()
        && i64::try_from(joined.joined()).is_ok_and(|joined| joined == workers.sum::<i64>());
    if !cluster.autoscaling || !all_joined {
        return None;
    }
    let served = demand.pending.iter().find_map(|line| {
        let cpus = plain_cpus(line)?;
        let group = cluster.groups.iter().find(|group| serves(group, cpus))?;
        Some((line, group.label()))
    });
    let (what, group) = served?;
    let since = before.filter(|before| before.replicas == replicas).map_or(now, |it| it.since);
    Some(Want { what: what.clone(), group: group.to_owned(), replicas, since })
}

/// The CPUs of a line such as `{'CPU': 1.0}: 3+ pending tasks/actors`; `None` where it asks for
/// anything else.
fn plain_cpus(line: &str) -> Option<f64> {
    let (shape, _) = line.strip_prefix('{')?.split_once('}')?;
    let (name, amount) = shape.split_once(':')?;
    (name.trim() == "'CPU'").then(|| amount.trim().parse().ok()).flatten()
}

/// Whether one more replica may come, and has that many CPUs.
fn serves(group: &Group<'_>, cpus: f64) -> bool {
    let demand = group::demand(group);
    let grows = demand.replicas < demand.max && !is_suspended(group);
    grows && params::cpus(group.raw).is_some_and(|own| own >= cpus)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::GroupJoined;
    use super::*;
    use crate::dialect::Dialect;

    fn cluster(replicas: i64, max: i64) -> Value {
        let container = json!({"name": "ray", "resources": {"limits": {"cpu": "1500m"}}});
        json!({
            "metadata": {"name": "lab"},
            "spec": {"enableInTreeAutoscaling": true, "workerGroupSpecs": [{
                "groupName": "pool", "replicas": replicas, "minReplicas": 0, "maxReplicas": max,
                "template": {"spec": {"containers": [container]}},
            }]},
        })
    }

    fn asked(
        object: &Value,
        joined: usize,
        line: &str,
        before: Option<&Want>,
        now: &str,
    ) -> Option<Want> {
        let cluster = Dialect::RayCluster.view(object).unwrap();
        let group = GroupJoined { group: "pool".into(), joined, ..GroupJoined::default() };
        let joined = Joined { groups: vec![group], unknown: None };
        let demand = Demand { pending: vec![line.to_owned()], ..Demand::default() };
        want(&cluster, &joined, &demand, before, now.parse().unwrap())
    }

    const ONE: &str = "2026-01-01T00:00:00Z";
    const TWO: &str = "2026-01-01T00:05:00Z";
    const CPU: &str = "{'CPU': 2.0}: 1+ pending tasks/actors";

    #[test]
    fn what_a_group_with_room_would_serve_waits_since_it_was_seen_first() {
        let object = cluster(1, 2);
        let first = asked(&object, 1, CPU, None, ONE).unwrap();
        assert_eq!((first.group.as_str(), first.what.as_str()), ("pool", CPU));
        let later = asked(&object, 1, CPU, Some(&first), TWO).unwrap();
        assert_eq!(later.since, first.since);
        let grown = asked(&cluster(2, 3), 2, CPU, Some(&later), TWO).unwrap();
        assert_eq!(grown.since, TWO.parse().unwrap(), "a count moved: it does something");
    }

    #[test]
    fn nothing_is_said_of_what_no_group_would_serve_or_while_workers_are_on_their_way() {
        let room = cluster(1, 2);
        for (object, joined, line) in [
            (&cluster(2, 2), 2, CPU),
            (&room, 0, CPU),
            (&room, 1, "{'CPU': 3.0}: 1+ pending tasks/actors"),
            (&room, 1, "{'GPU': 1.0}: 1+ pending tasks/actors"),
            (&room, 1, "{'CPU': 1.0, 'GPU': 1.0}: 1+ pending tasks/actors"),
            (&room, 1, "{'CPU': 1.0} * 4 (PACK): 1+ pending placement groups"),
            (&room, 1, "no shape"),
        ] {
            let want = asked(object, joined, line, None, ONE);
            let expected = line.contains("PACK");
            assert_eq!(want.is_some(), expected, "{line}");
        }
    }
}
