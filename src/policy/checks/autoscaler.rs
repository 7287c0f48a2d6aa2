//! "The autoscaler will crash on this file": what Ray's own code fails on in groups and options.
//! Source: `autoscaling_config.py` of Ray, tried out with Ray 2.60. Asked only under autoscaling.

use serde_json::Value;

use super::{Section, Subject};
use crate::model::cluster::version;
use crate::model::template::{list, member, text};
use crate::model::{Finding, RuleId};

/// A timeout shorter than this ends workers before their Pods have started.
const SHORTEST_IDLE: i64 = 10;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = no_groups(subject).into_iter().collect();
    for section in subject.sections() {
        findings.extend(no_cpu(&section));
        findings.extend(whole_numbers(&section));
        findings.extend(quoting(&section));
        findings.extend(short_idle(section.raw, &section.at.at("idleTimeoutSeconds")));
    }
    let options_at = subject.cluster.options_at().at("idleTimeoutSeconds");
    findings.extend(short_idle(subject.cluster.options(), &options_at));
    findings.extend(multi_host(subject));
    findings.extend(image_version(subject));
    findings
}

fn no_groups(subject: &Subject<'_>) -> Option<Finding> {
    subject.cluster.groups.is_empty().then(|| {
        Finding::warn(
            RuleId::NO_GROUPS,
            subject.cluster.at.at("workerGroupSpecs"),
            "autoscaling is on and there is no worker group: nothing to scale",
            "at least one worker group",
            "add a worker group, or set enableInTreeAutoscaling to false",
        )
    })
}

/// Ray asks, in this order: group resources, start parameters, limits, requests.
fn no_cpu(section: &Section<'_>) -> Option<Finding> {
    let template = section.template();
    let container = template.ray_container()?;
    let resources = container.raw.get("resources");
    let stands = |half: &str| resources.and_then(|all| all.get(half)?.get("cpu")).is_some();
    let by_group = member(section.raw, "resources")
        .and_then(Value::as_object)
        .is_some_and(|map| map.keys().any(|key| key.eq_ignore_ascii_case("cpu")));
    let known = by_group
        || section.raw.get("rayStartParams").is_some_and(|params| params.get("num-cpus").is_some())
        || stands("limits")
        || stands("requests");
    (!known).then(|| {
        Finding::warn(
            RuleId::NO_CPU,
            container.at.join(&["resources"]),
            format!("no CPU figure for {}: the autoscaler stops on it", section.called),
            "a figure in one of the places that it reads",
            "set resources.limits.cpu of the first container, or rayStartParams num-cpus",
        )
    })
}

fn whole_numbers(section: &Section<'_>) -> Vec<Finding> {
    let fault = |key: &'static str| {
        let written = section.param(key)?;
        written.trim().parse::<i64>().is_err().then(|| {
            Finding::warn(
                RuleId::WHOLE_NUMBER,
                section.param_at(key),
                format!("\"{written}\" is no whole number: the autoscaler stops on it"),
                "digits alone",
                format!("write {key} as a whole number, or leave it out and set container limits"),
            )
        })
    };
    ["num-cpus", "num-gpus", "memory"].into_iter().filter_map(fault).collect()
}

/// The autoscaler drops the first and the last character, then every backslash, and parses the rest
/// as JSON with whole numbers.
fn quoting(section: &Section<'_>) -> Option<Finding> {
    let written = section.param("resources")?;
    (!is_well_quoted(written)).then(|| {
        Finding::warn(
            RuleId::QUOTING,
            section.param_at("resources"),
            format!("{written:?} cannot be read by the autoscaler"),
            "a JSON object of whole numbers inside one more pair of quotes",
            r#"write resources: '"{\"slot\": 2}"'"#,
        )
    })
}

fn is_well_quoted(text: &str) -> bool {
    let inner = ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
    let parsed = inner.map(|inner| serde_json::from_str::<Value>(&inner.replace('\\', "")));
    matches!(parsed, Some(Ok(Value::Object(map))) if map.values().all(Value::is_i64))
}

fn short_idle(holder: &Value, at: &crate::model::Pointer) -> Option<Finding> {
    let seconds = holder.get("idleTimeoutSeconds").and_then(Value::as_i64)?;
    (1..SHORTEST_IDLE).contains(&seconds).then(|| {
        Finding::warn(
            RuleId::IDLE_SHORT,
            at.clone(),
            format!("idle after {seconds} s, sooner than most Pods start"),
            "",
            "take 60 or more unless the image is tiny: workers come and go for ever otherwise",
        )
    })
}

/// Slices of TPUs ask for whole slices anyway.
fn multi_host(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = subject.cluster.groups.iter();
    let several = groups.filter_map(|group| {
        let hosts = group.hosts().filter(|hosts| *hosts > 1)?;
        let template = group.template();
        let limits = template.ray_container().and_then(|it| it.raw.get("resources")?.get("limits"));
        let tpu = limits.is_some_and(|limits| limits.get("google.com/tpu").is_some());
        (!tpu).then(|| {
            Finding::warn(
                RuleId::MULTI_HOST,
                group.hosts.at.clone(),
                format!("the autoscaler asks for whole replicas of {hosts} Pods and rounds down"),
                "",
                format!("ask for nodes in multiples of {hosts}: a demand for fewer starts nothing"),
            )
        })
    });
    several.collect()
}

fn image_version(subject: &Subject<'_>) -> Option<Finding> {
    let cluster = subject.cluster;
    let image = text(cluster.options(), "image")?;
    let sidecar = image_tag(image)?;
    let head = cluster.ray_container()?;
    let head_tag = text(head.raw, "image").and_then(image_tag);
    let ray = head_tag.or_else(|| text(cluster.spec, "rayVersion").filter(|it| is_version(it)))?;
    (!same_version(sidecar, ray)).then(|| {
        Finding::warn(
            RuleId::IMAGE_VERSION,
            cluster.options_at().at("image"),
            format!("\"{image}\" is Ray {sidecar}, the head runs Ray {ray}"),
            "",
            "leave the image out: the sidecar then runs the head's image",
        )
    })
}

/// The tag of an image, where it is a Ray version; a digest or another tag says nothing.
fn image_tag(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next()?;
    let (_, tag) = name.split_once(':').filter(|_| !image.contains('@'))?;
    is_version(tag).then_some(tag)
}

fn is_version(text: &str) -> bool {
    version(text).is_some_and(|(major, _)| major < 100)
}

/// `2.52.0-py310` is `2.52.0`.
fn same_version(left: &str, right: &str) -> bool {
    let plain = |text: &str| -> Vec<String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text.chars().take(end).collect::<String>().split('.').map(str::to_owned).collect()
    };
    plain(left).iter().zip(plain(right).iter()).all(|(left, right)| left == right)
}

/// The entries of `autoscalerOptions.volumeMounts` whose folder holds `path`.
pub(super) fn mounts<'a>(options: &'a Value, path: &'a str) -> impl Iterator<Item = &'a Value> {
    list(options, "volumeMounts").iter().filter(move |mount| {
        text(mount, "mountPath").is_some_and(|folder| crate::model::template::covers(folder, path))
    })
}
