//! What every container of every template is asked: images, resources, GPUs.

use serde_json::{Value, json};

use super::super::world::{CONTAINERS, ON, SECTIONS, SUBMITTERS, template};
use super::{Break, Change};

const IMAGES: &str = "images: {allowed: ['registry.example/*']}";
const HEAD_GPU: &str = "gpus: {forbidOnHead: true}";
const GPU: &str = "resources.limits[nvidia.com/gpu]";

/// A rule that every container is held to, with what breaks it: policy, path, value, place.
type Row = (&'static str, &'static str, &'static str, Value, &'static str);

fn of_containers() -> Vec<Row> {
    let (requests, limits) = ("resources: {requests: [cpu, memory]}", "resources: {limits: [cpu]}");
    let foreign = json!("elsewhere.example/ray:1");
    vec![
        ("policy/images", IMAGES, "image", foreign, "image"),
        ("policy/images", IMAGES, "image", Value::Null, "image"),
        (
            "policy/requests",
            requests,
            "resources.limits.memory",
            Value::Null,
            "resources.requests[memory]",
        ),
        ("policy/limits", limits, "resources.limits.cpu", Value::Null, "resources.limits[cpu]"),
        ("policy/limits", limits, "resources", Value::Null, "resources.limits[cpu]"),
    ]
}

pub(super) fn breaks() -> Vec<Break> {
    let mut all = Vec::new();
    for (rule, policy, path, value, place) in of_containers() {
        let each = |inside: String| {
            Break::new(rule, policy)
                .set(format!("{inside}.{path}"), value.clone())
                .found(format!("{inside}.{place}"))
        };
        for (section, container) in every_container() {
            all.push(each(format!("{section}.template.spec.{container}")));
        }
        for (kind, submitter) in SUBMITTERS {
            for container in CONTAINERS {
                let inside = format!("{submitter}.spec.{container}");
                let given = (submitter, template("submit"));
                all.push(each(inside).given(given).only_in(kind));
            }
        }
    }
    all.push(
        Break::new("policy/images", IMAGES)
            .given(ON)
            .broken("autoscalerOptions.image", json!("elsewhere.example/ray:1")),
    );
    for (rule, half) in [("policy/requests", "requests"), ("policy/limits", "limits")] {
        // The container that is added gets CPU and memory by itself, and nothing else.
        let each = Break::new(rule, format!("resources: {{{half}: [cpu, ephemeral-storage]}}"))
            .all_given(&storage());
        let (path, value) = ON;
        let place = format!("autoscalerOptions.resources.{half}[ephemeral-storage]");
        all.push(each.set(path, value).found(place));
    }
    all.extend(head_gpus());
    all.extend(gpu_agreement());
    all
}

fn every_container() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |section| CONTAINERS.into_iter().map(move |container| (section, container));
    SECTIONS.into_iter().flat_map(of)
}

/// Every container limits its storage.
fn storage() -> Vec<Change> {
    let path = |(section, container)| {
        format!("{section}.template.spec.{container}.resources.limits.ephemeral-storage")
    };
    every_container().map(|container| (path(container), json!("1Gi"))).collect()
}

fn head_gpus() -> Vec<Break> {
    let rule = || Break::new("policy/head-gpu", HEAD_GPU);
    let mut all = Vec::new();
    for (section, container) in every_container() {
        let inside = format!("{section}.template.spec.{container}");
        if section != "headGroupSpec" {
            all.push(rule().set(format!("{inside}.{GPU}"), json!(1)));
            continue;
        }
        all.push(rule().broken(format!("{inside}.{GPU}"), json!(1)));
        let request = format!("{inside}.resources.requests[amd.com/gpu]");
        all.push(rule().broken(request, json!(1)));
        let listed = "gpus: {forbidOnHead: true, resources: [example.com/chip]}";
        let chip = format!("{inside}.resources.limits[example.com/chip]");
        all.push(Break::new("policy/head-gpu", listed).broken(chip, json!(1)));
    }
    for (kind, submitter) in SUBMITTERS {
        let gpu = format!("{submitter}.spec.containers[0].{GPU}");
        all.push(rule().given((submitter, template("submit"))).set(gpu, json!(1)).only_in(kind));
    }
    all.push(rule().given(ON).broken(format!("autoscalerOptions.{GPU}"), json!(1)));
    all.push(rule().broken("headGroupSpec.rayStartParams[num-gpus]", json!("1")));
    all.push(rule().broken("headGroupSpec.resources[GPU]", json!("1")));
    all
}

fn gpu_agreement() -> Vec<Break> {
    let rule = |policy| Break::new("policy/gpu-agreement", policy);
    let known = "gpus: {agree: true}";
    let mut all = Vec::new();
    for section in SECTIONS {
        let told = format!("{section}.rayStartParams[num-gpus]");
        let limits = format!("{section}.template.spec.containers[0].resources.limits");
        let amd = format!("{limits}[amd.com/gpu]");
        all.push(rule(known).broken(told.clone(), json!("1")));
        let agreed = rule(known).given((told.clone(), json!("1"))).given((amd.clone(), json!("1")));
        all.push(agreed.clone().broken(told.clone(), json!("2")));
        all.push(agreed.set(amd, json!("2")).found(told.clone()));
        all.push(rule(known).broken(format!("{section}.resources[GPU]"), json!("1")));
        let listed = "gpus: {agree: true, resources: [example.com/chip]}";
        let chip = format!("{limits}[example.com/chip]");
        let agreed = rule(listed).given((told.clone(), json!("1"))).given((chip, json!(1)));
        all.push(agreed.broken(told, json!("2")));
    }
    all
}
