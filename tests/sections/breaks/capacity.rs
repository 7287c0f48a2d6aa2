//! What groups and clusters may reach, and their bounds.
//!
//! A sound cluster reaches 10 workers, five of each group, and 11 Pods. A Pod requests two CPUs and 4Gi, or
//! what its init container limits where that is more; the autoscaler adds half a CPU and 512Mi.

use serde_json::{Value, json};

use super::super::world::{CONTAINERS, ON, SECTIONS};
use super::{Break, Change};

const GROUPS: [&str; 2] = ["workerGroupSpecs[0]", "workerGroupSpecs[1]"];
const GPU: &str = "resources.limits[nvidia.com/gpu]";

/// The key of a ceiling, and what a sound group and a sound cluster reach of it.
const REACHED: [(&str, &str, &str); 6] = [
    ("replicas", "5", "10"),
    ("pods", "5", "11"),
    ("cpu", "10", "22500m"),
    ("memory", "20Gi", "45568Mi"),
    ("gpus", "0", "0"),
    ("resources", "{nvidia.com/gpu: 0}", "{nvidia.com/gpu: 0}"),
];

pub(super) fn breaks() -> Vec<Break> {
    let mut all = Vec::new();
    for (key, of_group, of_cluster) in REACHED {
        for group in GROUPS {
            let place = format!("{group}.maxReplicas");
            let rule = ceiling("policy/group-ceiling", "perGroup", key, of_group);
            all.extend(raised(key, group).into_iter().map(|changes| found(&rule, changes, &place)));
        }
        for (rule, scope) in
            [("policy/cluster-ceiling", "perCluster"), ("policy/namespace-ceiling", "perNamespace")]
        {
            let rule = ceiling(rule, scope, key, of_cluster);
            let ways = GROUPS.iter().flat_map(|group| raised(key, group)).chain(of_head(key));
            all.extend(ways.map(|changes| found(&rule, changes, "workerGroupSpecs")));
        }
    }
    all.extend(bounds());
    all
}

fn ceiling(rule: &'static str, scope: &str, key: &str, most: &str) -> Break {
    Break::new(rule, format!("ceilings: {{{scope}: {{{key}: {most}}}}}")).given(ON)
}

fn found(rule: &Break, changes: Vec<Change>, place: &str) -> Break {
    Break { changes, ..rule.clone() }.found(place)
}

/// Ways to let a group reach more of it.
fn raised(key: &str, group: &str) -> Vec<Vec<Change>> {
    let max = format!("{group}.maxReplicas");
    let bounds = [(max.clone(), json!(6)), (max, Value::Null)];
    let hosts = (format!("{group}.numOfHosts"), json!(2));
    match key {
        "replicas" => bounds.map(|change| vec![change]).into(),
        "pods" => [bounds.as_slice(), &[hosts]].concat().into_iter().map(|it| vec![it]).collect(),
        "gpus" | "resources" => of_containers(key, group),
        _ => {
            [bounds.map(|change| vec![change]).into(), vec![vec![hosts]], of_containers(key, group)]
                .concat()
        }
    }
}

/// The same of the head, its added container counted.
fn of_head(key: &str) -> Vec<Vec<Change>> {
    let mut all = of_containers(key, SECTIONS[0]);
    let options = |path: &str, value: Value| vec![(format!("autoscalerOptions.{path}"), value)];
    match key {
        "cpu" => all.push(options("resources.limits.cpu", json!("501m"))),
        "memory" => all.push(options("resources.limits.memory", json!("513Mi"))),
        "gpus" | "resources" => all.push(options(GPU, json!(1))),
        _ => {}
    }
    all
}

/// Ways to let a Pod request more of it, by each of its containers.
fn of_containers(key: &str, section: &str) -> Vec<Vec<Change>> {
    let each = |container: &str| {
        let alone = container.starts_with("init");
        let more = |path: &str, value: Value| {
            (format!("{section}.template.spec.{container}.{path}"), value)
        };
        Some(match key {
            // An init container runs before the others: it counts where it asks for more than they do.
            "cpu" => more("resources.limits.cpu", json!(if alone { "2501m" } else { "1001m" })),
            "memory" => {
                more("resources.limits.memory", json!(if alone { "4609Mi" } else { "2049Mi" }))
            }
            "gpus" | "resources" => more(GPU, json!(1)),
            _ => return None,
        })
    };
    CONTAINERS.into_iter().filter_map(each).map(|change| vec![change]).collect()
}

fn bounds() -> Vec<Break> {
    let mut all = Vec::new();
    for group in GROUPS {
        let count = |key: &str| format!("{group}.{key}");
        // Without autoscaling the wanted count is what is reached.
        let fixed = Break::new("policy/group-ceiling", "ceilings: {perGroup: {replicas: 1}}");
        all.push(fixed.clone().broken(count("replicas"), json!(2)));
        all.push(fixed.set(count("maxReplicas"), json!(6)));
        let maximum = Break::new("policy/maximum-required", "bounds: {requireMaximum: true}");
        all.push(maximum.clone().broken(count("maxReplicas"), Value::Null));
        all.push(maximum.clone().broken(count("maxReplicas"), json!(2_147_483_647)));
        all.push(maximum.given(ON).broken(count("maxReplicas"), Value::Null));
        let minimum = Break::new("policy/minimum-ceiling", "bounds: {minimumAtMost: 1}");
        all.push(minimum.clone().broken(count("minReplicas"), json!(2)));
        all.push(minimum.given(ON).broken(count("minReplicas"), json!(2)));
    }
    all
}
