//! Fleets to look at.

use std::sync::Arc;

use raywarden::model::{RuleId, Severity};
use raywarden::page::{Cluster, Finding, Fleet, Group, Workers};

/// Tries to leave text, attribute, JSON and script.
pub(crate) const HOSTILE: &str = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">'\"{{data}}<!--\u{2028}\u{202e}";

fn finding(index: usize) -> Finding {
    let rules = [
        (
            RuleId::MIN_MAX,
            Severity::Deny,
            "minReplicas",
            "minReplicas 4 is above maxReplicas 2",
            "minReplicas of at most 2",
            "lower minReplicas or raise maxReplicas",
        ),
        (
            RuleId::UNBOUNDED,
            Severity::Warn,
            "maxReplicas",
            "maxReplicas is not set",
            "",
            "set maxReplicas to what this group may cost",
        ),
        (
            RuleId::NO_CPU,
            Severity::Warn,
            "template.spec.containers[0].resources",
            "the container names no CPU",
            "a request or limit of cpu",
            "set resources.requests.cpu",
        ),
        (
            RuleId::CAP,
            Severity::Audit,
            "maxReplicas",
            "maxReplicas 900 is above the cap of 100",
            "at most 100",
            "lower maxReplicas",
        ),
    ];
    let (rule, weight, field, found, allowed, fix) = rules[index % rules.len()];
    let policy = ["", "", "gpu-budget", "cost-labels"][(index / 3) % 4];
    Finding {
        weight,
        rule: rule.as_str(),
        policy: policy.to_owned(),
        field: format!("spec.workerGroupSpecs[{}].{field}", index % 3),
        found: found.to_owned(),
        allowed: allowed.to_owned(),
        fix: fix.to_owned(),
        since: if index.is_multiple_of(2) {
            "2026-11-01T08:00:00Z".to_owned()
        } else {
            String::new()
        },
    }
}

fn group(index: usize) -> Group {
    let count = i64::try_from(index % 7 + 1).expect("small");
    let known = !index.is_multiple_of(5);
    let hosts = if index.is_multiple_of(9) { 4 } else { 1 };
    Group {
        name: ["small", "gpu-a100", "spot"][index % 3].to_owned(),
        min: Some(count / 3),
        replicas: Some(count),
        max: (!index.is_multiple_of(8)).then_some(8),
        hosts,
        workers: Workers {
            desired: count * hosts,
            live: known.then_some((count * hosts - i64::from(index.is_multiple_of(4))).max(0)),
            joined: (known && !index.is_multiple_of(6)).then_some((count * hosts - 2).max(0)),
        },
    }
}

/// One of many clusters.
pub(crate) fn cluster(index: usize) -> Cluster {
    let groups: Vec<Group> = (0..=index % 3).map(|part| group(index * 3 + part)).collect();
    let sum = |of: fn(&Group) -> Option<i64>| groups.iter().map(of).sum::<Option<i64>>();
    let template = index % 23 == 7;
    let findings = match index % 6 {
        0 => (0..=index % 4).map(|part| finding(index + part)).collect(),
        3 => vec![finding(index)],
        _ => Vec::new(),
    };
    Cluster {
        group: "ray.io".to_owned(),
        kind: if template { "RayJob" } else { "RayCluster" }.to_owned(),
        namespace: format!("team-{}", ["search", "vision", "ads", "labs", "risk"][index % 5]),
        name: format!("{}-{index:05}", ["train", "serve", "notebook", "tune"][index % 4]),
        uid: format!("u{index}"),
        template,
        autoscaling: index.is_multiple_of(2),
        suspended: index % 31 == 4,
        workers: Workers {
            desired: groups.iter().map(|it| it.workers.desired).sum(),
            live: if template { None } else { sum(|it| it.workers.live) },
            joined: if template { None } else { sum(|it| it.workers.joined) },
        },
        groups,
        findings,
    }
}

/// A fleet of so many clusters.
pub(crate) fn fleet(count: usize) -> Fleet {
    Fleet {
        source: "prod (https://10.0.0.1:6443)".to_owned(),
        made: "2026-11-26T09:00:00Z".parse().expect("a moment"),
        clusters: (0..count).map(|index| Arc::new(cluster(index))).collect(),
        notes: if count > 1 { vec!["Skipped: 2 being deleted".to_owned()] } else { Vec::new() },
    }
}

/// A fleet each of whose texts tries to become markup or script.
pub(crate) fn hostile() -> Fleet {
    let mut cluster = cluster(0);
    for text in [&mut cluster.namespace, &mut cluster.name, &mut cluster.kind, &mut cluster.group] {
        HOSTILE.clone_into(text);
    }
    for group in &mut cluster.groups {
        HOSTILE.clone_into(&mut group.name);
    }
    for it in &mut cluster.findings {
        for text in [
            &mut it.policy,
            &mut it.field,
            &mut it.found,
            &mut it.allowed,
            &mut it.fix,
            &mut it.since,
        ] {
            HOSTILE.clone_into(text);
        }
    }
    Fleet {
        source: HOSTILE.to_owned(),
        made: "2026-11-26T09:00:00Z".parse().expect("a moment"),
        clusters: vec![Arc::new(cluster)],
        notes: vec![HOSTILE.to_owned()],
    }
}
