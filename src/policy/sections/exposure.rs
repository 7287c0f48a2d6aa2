//! Ways in from outside.

use serde_json::Value;

use super::super::compile::{Reader, at};
use super::super::spec::{Enforcement, Exposure, ExposureSpec};
use super::{Breach, Check, Scene};
use crate::dialect::kuberay::SERVE_SERVICE;
use crate::model::finding::quoted;
use crate::model::template::{NULL, list, member};
use crate::model::{Pointer, RuleId};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    forbidden: Vec<Exposure>,
}

/// One rule for the section.
pub(in super::super) fn compile(
    spec: ExposureSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().join(&["exposure", "forbid"]);
    if spec.forbid.is_empty() {
        let message = "forbids nothing; write a list of Ingress, LoadBalancer, NodePort, \
                       ExternalIps, HostPort and HostNetwork";
        reader.flaw(place, message);
    } else {
        reader.twice(&place, spec.forbid.iter().enumerate());
    }
    rule(spec.enforcement, Check::Exposure(Rule { forbidden: spec.forbid }));
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        for way in &self.forbidden {
            match way {
                Exposure::Ingress => ingress(scene, &mut out),
                Exposure::LoadBalancer => service_type("LoadBalancer", scene, &mut out),
                Exposure::NodePort => service_type("NodePort", scene, &mut out),
                Exposure::ExternalIps => external_ips(scene, &mut out),
                Exposure::HostPort => host_ports(scene, &mut out),
                Exposure::HostNetwork => host_network(scene, &mut out),
            }
        }
        out
    }
}

fn breach(at: Pointer, found: String, allowed: &str, fix: &str) -> Breach {
    Breach::new(RuleId::POLICY_EXPOSURE, at, found, allowed, fix)
}

/// The head's section of the spec.
fn head<'a>(scene: &Scene<'a>) -> &'a Value {
    member(scene.cluster().spec, "headGroupSpec").unwrap_or(NULL)
}

/// The Services that a user writes, the head's and a RayService's: called, spec, place of the spec.
fn services<'a>(scene: &Scene<'a>) -> [(&'static str, &'a Value, Pointer); 2] {
    let cluster = scene.cluster();
    let spec = |service| member(service, "spec").unwrap_or(NULL);
    let of_head = member(head(scene), "headService").unwrap_or(NULL);
    let at = cluster.at.join(&["headGroupSpec", "headService", "spec"]);
    [
        ("the head", spec(of_head), at),
        ("Ray Serve", spec(cluster.serve_service), Pointer::of(SERVE_SERVICE).at("spec")),
    ]
}

fn ingress(scene: &Scene<'_>, out: &mut Vec<Breach>) {
    if head(scene).get("enableIngress") == Some(&Value::Bool(true)) {
        let place = scene.cluster().at.join(&["headGroupSpec", "enableIngress"]);
        let found = "true: an Ingress to the head".to_owned();
        out.push(breach(place, found, "false, or nothing", "set it to false, or take it out"));
    }
}

/// Services by their type: the short field for all that the node manager makes, and those that the
/// user writes.
fn service_type(kind: &str, scene: &Scene<'_>, out: &mut Vec<Breach>) {
    let mut judge = |holder: &Value, key: &'static str, at: &Pointer, called: &str| {
        if member(holder, key).and_then(Value::as_str) == Some(kind) {
            let found = format!("{kind:?} opens {called} to the outside");
            let fix = "set ClusterIP, or take it out";
            out.push(breach(at.at(key), found, "ClusterIP, or nothing", fix));
        }
    };
    judge(head(scene), "serviceType", &scene.cluster().at.at("headGroupSpec"), "the head");
    for (called, spec, at) in services(scene) {
        judge(spec, "type", &at, called);
    }
}

fn external_ips(scene: &Scene<'_>, out: &mut Vec<Breach>) {
    for (called, spec, at) in services(scene) {
        let addresses = list(spec, "externalIPs");
        if !addresses.is_empty() {
            let named: Vec<String> = addresses.iter().take(3).map(quoted).collect();
            let found = format!("{called} answers at {}", named.join(", "));
            out.push(breach(at.at("externalIPs"), found, "nothing", "take it out"));
        }
    }
}

fn host_ports(scene: &Scene<'_>, out: &mut Vec<Breach>) {
    for placed in scene.containers() {
        for (index, port) in list(placed.container.raw, "ports").iter().enumerate() {
            let opened = member(port, "hostPort").filter(|it| it.as_i64() != Some(0));
            let Some(opened) = opened else { continue };
            let called = scene.called(placed);
            let found = format!("{called} opens port {} of the node", quoted(opened));
            let place = placed.container.at.at("ports").at(index).at("hostPort");
            out.push(breach(place, found, "0, or nothing", "take hostPort out"));
        }
    }
}

fn host_network(scene: &Scene<'_>, out: &mut Vec<Breach>) {
    for (template, owner) in scene.templates() {
        if template.spec.get("hostNetwork") == Some(&Value::Bool(true)) {
            let found = format!("{owner} runs in the node's network");
            let place = template.field("hostNetwork");
            out.push(breach(place, found, "false, or nothing", "take it out"));
        }
    }
}
