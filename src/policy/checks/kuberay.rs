//! What KubeRay's operator itself refuses, at every reconcile and visible in an Event at best.
//! Source: `ValidateRayClusterSpec` and its helpers of KubeRay 1.6. What only some releases refuse
//! warns.

use serde_json::Value;

use super::{Section, Subject};
use crate::dialect::kuberay::{TOKEN_SINCE, V2_VARIABLE, asks_for_v2, version_value};
use crate::inject::sidecar::{MARK, START_COMMAND};
use crate::model::finding::quoted;
use crate::model::names::{is_label_key, is_label_value};
use crate::model::template::{list, member, position, text};
use crate::model::{Cluster, Finding, NodeManager, RuleId, Severity};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cluster = subject.cluster;
    let mut findings = Vec::new();
    if cluster.head().is_none() {
        findings.extend(headless(cluster));
    }
    for section in subject.sections() {
        findings.extend(no_containers(&section));
        findings.extend(resources_twice(&section));
        findings.extend(labels(&section));
        findings.extend(restart_policy(cluster, &section));
    }
    findings.extend(idle_timeouts(cluster));
    findings.extend(priorities(cluster));
    findings.extend(group_suspend(cluster));
    findings.extend(version_twice(subject));
    findings.extend(reserved_variables(cluster));
    findings.extend(auth(cluster));
    findings.extend(upgrade_strategy(subject));
    findings
}

/// The schema refuses an absent head; an odd one is the schema's too.
fn headless(cluster: &Cluster<'_>) -> Option<Finding> {
    let absent = member(cluster.spec, "headGroupSpec").is_none();
    absent.then(|| missing_containers(&cluster.at.join(&HEAD_CONTAINERS), "the head"))
}

const HEAD_CONTAINERS: [&str; 4] = ["headGroupSpec", "template", "spec", "containers"];

fn missing_containers(at: &crate::model::Pointer, called: &str) -> Finding {
    Finding::deny(
        RuleId::NO_CONTAINERS,
        at.clone(),
        format!("{called} has no container"),
        "at least one; the first runs Ray",
        "add the container with the Ray image",
    )
}

fn no_containers(section: &Section<'_>) -> Option<Finding> {
    let template = section.template();
    let containers = member(template.spec, "containers");
    let empty = containers.is_none_or(|it| it.as_array().is_some_and(Vec::is_empty));
    empty.then(|| missing_containers(&template.field("containers"), &section.called))
}

fn resources_twice(section: &Section<'_>) -> Option<Finding> {
    member(section.raw, "resources")?.as_object().filter(|map| !map.is_empty())?;
    let params = section.raw.get("rayStartParams")?.as_object()?;
    let both: Vec<String> = ["num-cpus", "num-gpus", "memory", "resources"]
        .iter()
        .filter_map(|key| Some(format!("{key}={}", quoted(params.get(*key)?))))
        .collect();
    (!both.is_empty()).then(|| {
        Finding::deny(
            RuleId::RESOURCES_TWICE,
            section.at.at("resources"),
            format!("given beside rayStartParams {}", both.join(", ")),
            "one of the two places",
            "keep resources and take the start parameters out, or the other way round",
        )
    })
}

fn labels(section: &Section<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(written) = section.param("labels") {
        findings.push(Finding::deny(
            RuleId::LABELS,
            section.param_at("labels"),
            format!("{written:?}: start parameters take no labels"),
            "labels in the group's own field",
            "move them to the group's field labels",
        ));
    }
    let map = section.raw.get("labels").and_then(Value::as_object);
    for (key, value) in map.into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        if !is_label_key(key) || !is_label_value(value) {
            findings.push(Finding::deny(
                RuleId::LABELS,
                section.at.at("labels").at(key.clone()),
                format!("{key:?}: {value:?} is no Kubernetes label"),
                "a prefix of DNS names, a slash, at most 63 letters, digits, -, _ and .",
                "rename the label",
            ));
        }
    }
    findings
}

fn restart_policy(cluster: &Cluster<'_>, section: &Section<'_>) -> Option<Finding> {
    let v2 = text(cluster.options(), "version") == Some("v2");
    let template = section.template();
    let policy = text(template.spec, "restartPolicy").filter(|it| !it.is_empty())?;
    (cluster.autoscaling && v2 && policy != "Never").then(|| {
        Finding::deny(
            RuleId::RESTART_POLICY,
            template.field("restartPolicy"),
            format!("{policy} with autoscaler v2"),
            "Never, or nothing",
            "set restartPolicy: Never or leave it out",
        )
    })
}

fn idle_timeouts(cluster: &Cluster<'_>) -> Vec<Finding> {
    let deny = |at, found: String, fix: &str| {
        Finding::deny(RuleId::IDLE_TIMEOUT, at, found, "0 or more seconds, under v2", fix)
    };
    let mut findings = Vec::new();
    let whole = cluster.options().get("idleTimeoutSeconds").and_then(Value::as_i64);
    if let Some(seconds) = whole.filter(|seconds| *seconds < 0) {
        let at = cluster.options_at().at("idleTimeoutSeconds");
        findings.push(deny(at, format!("{seconds} seconds"), "write 0 or more, or leave it out"));
    }
    let v2 = asks_for_v2(cluster);
    for group in &cluster.groups {
        let Some(seconds) = group.raw.get("idleTimeoutSeconds").and_then(Value::as_i64) else {
            continue;
        };
        let at = group.at.at("idleTimeoutSeconds");
        if seconds < 0 {
            findings.push(deny(
                at,
                format!("{seconds} seconds"),
                "write 0 or more, or leave it out",
            ));
        } else if !v2 {
            let found = format!("{seconds} seconds for one group needs autoscaler v2");
            findings.push(deny(
                at,
                found,
                "set autoscalerOptions.version: v2, or use the option there",
            ));
        }
    }
    findings
}

/// Ray and KubeRay releases differ here, so it warns.
fn priorities(cluster: &Cluster<'_>) -> Vec<Finding> {
    const SINCE: (u32, u32) = (2, 56);
    let old = cluster.ray_version().is_none_or(|version| version < SINCE);
    let unfit = old || !asks_for_v2(cluster);
    let groups = cluster.groups.iter().filter(|_| unfit);
    let set = groups.filter_map(|group| {
        let priority = group.raw.get("priority").and_then(Value::as_i64).filter(|it| *it != 0)?;
        Some(Finding::warn(
            RuleId::PRIORITY,
            group.at.at("priority"),
            format!("{priority}: priorities need Ray 2.56 and autoscaler v2"),
            "",
            "set rayVersion 2.56.0 or newer and autoscalerOptions.version: v2",
        ))
    });
    set.collect()
}

fn group_suspend(cluster: &Cluster<'_>) -> Vec<Finding> {
    let groups = cluster.groups.iter().filter(|_| cluster.autoscaling);
    let suspended = groups.filter(|group| group.raw.get("suspend") == Some(&Value::Bool(true)));
    suspended
        .map(|group| {
            Finding::deny(
                RuleId::GROUP_SUSPEND,
                group.at.at("suspend"),
                "true while autoscaling is on",
                "false, or nothing",
                "suspend the whole cluster, or switch autoscaling off first",
            )
        })
        .collect()
}

/// Standalone, the variable that belongs to the option is our own.
fn version_twice(subject: &Subject<'_>) -> Option<Finding> {
    let cluster = subject.cluster;
    let version = text(cluster.options(), "version").filter(|_| cluster.autoscaling)?;
    let ray = cluster.ray_container()?;
    let index = position(list(ray.raw, "env"), "name", V2_VARIABLE)?;
    let value = ray.env_value(V2_VARIABLE);
    let agrees = value.is_some() && value == version_value(Some(version));
    if subject.manager == NodeManager::Raywarden && agrees {
        return None;
    }
    let finding = Finding::deny(
        RuleId::VERSION_TWICE,
        ray.at.at("env").at(index),
        format!("{V2_VARIABLE} beside autoscalerOptions.version {version}"),
        "one of the two",
        "take the variable out",
    );
    Some(if version == "v2" { finding } else { finding.with(Severity::Warn) })
}

fn reserved_variables(cluster: &Cluster<'_>) -> Vec<Finding> {
    let at = cluster.options_at().at("env");
    let entries = list(cluster.options(), "env").iter().enumerate();
    let reserved = entries.filter_map(|(index, entry)| {
        let name = text(entry, "name").filter(|name| [START_COMMAND, MARK].contains(name))?;
        Some(Finding::deny(
            RuleId::RESERVED_ENV,
            at.at(index).at("name"),
            format!("{name} is set by the node manager"),
            "any other variable",
            format!("take it out; refer to ${START_COMMAND} in args if you need the command"),
        ))
    });
    reserved.collect()
}

fn auth(cluster: &Cluster<'_>) -> Vec<Finding> {
    let Some(auth) = member(cluster.spec, "authOptions") else {
        return Vec::new();
    };
    let at = cluster.at.at("authOptions");
    let deny = |key: &'static str, found: String, fix: &str| {
        let allowed = "token from Ray 2.52, tokens of Kubernetes' own from 2.55, without a Secret";
        Finding::deny(RuleId::AUTH, at.at(key), found, allowed, fix)
    };
    let token = text(auth, "mode") == Some("token");
    let kubernetes = auth.get("enableK8sTokenAuth") == Some(&Value::Bool(true));
    let version = cluster.ray_version();
    let older = |than: (u32, u32)| version.is_none_or(|version| version < than);
    let written = text(cluster.spec, "rayVersion").unwrap_or("nothing");
    let mut findings = Vec::new();
    if token && older(TOKEN_SINCE) {
        let found = format!("token with rayVersion {written}: needs Ray 2.52");
        findings.push(deny("mode", found, "set rayVersion to 2.52.0 or newer"));
    }
    if kubernetes && token && !older(TOKEN_SINCE) && older((2, 55)) {
        let found = format!("true with rayVersion {written}: needs Ray 2.55");
        findings.push(deny("enableK8sTokenAuth", found, "set rayVersion to 2.55.0 or newer"));
    }
    if kubernetes && !token {
        let found = "true without mode: token".to_owned();
        findings.push(deny("enableK8sTokenAuth", found, "set mode: token"));
    }
    if kubernetes && token && text(auth, "secretName").is_some() {
        let found = "given beside enableK8sTokenAuth".to_owned();
        findings.push(deny("secretName", found, "keep one of the two"));
    }
    findings
}

fn upgrade_strategy(subject: &Subject<'_>) -> Option<Finding> {
    let cluster = subject.cluster;
    let strategy = member(cluster.spec, "upgradeStrategy").filter(|_| subject.child)?;
    let kind = text(strategy, "type")?;
    Some(Finding::deny(
        RuleId::UPGRADE_STRATEGY,
        cluster.at.at("upgradeStrategy"),
        format!("{kind} on a cluster that a RayJob or RayService makes"),
        "nothing",
        "take it out: the parent decides about upgrades",
    ))
}
