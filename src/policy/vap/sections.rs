//! The sections of a policy that the API server can hold.

use super::expression::{Claim, allows, every_container, is_one_of, literal};
use super::{Claims, autoscaling, capacity};
use crate::dialect::kuberay::QUEUE;
use crate::model::RuleId;
use crate::model::cluster::UNBOUNDED;
use crate::policy::spec::{
    BoundsSpec, Enforcement, Exposure, ExposureSpec, ImagesSpec, LabelsSpec, PolicySpec, QueueSpec,
    ServiceAccountsSpec,
};

/// Rules of one's own read variables that are not there.
const VARIABLES: &str = "they read variables that only the webhook has";

/// There is a controller for this already.
const STANDARDS: &str = "the API server's own Pod Security admission holds it over Pods";

/// Claims and what is left over.
pub(super) fn claims(spec: &PolicySpec) -> Claims {
    let mut out = Claims::default();
    let usual = spec.enforcement;
    if let Some(section) = &spec.labels {
        labels(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.service_accounts {
        service_accounts(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.bounds {
        bounds(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.auth {
        auth(section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.exposure {
        exposure(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.queue {
        queue(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.images {
        images(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.ceilings {
        capacity::ceilings(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.resources {
        capacity::resources(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.gpus {
        capacity::gpus(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.sidecar {
        capacity::sidecar(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    if let Some(section) = &spec.autoscaling {
        autoscaling::claims(section, section.enforcement.unwrap_or(usual), &mut out);
    }
    let confined = spec.sidecar.as_ref().is_some_and(|section| section.pod_security.is_some());
    let left = [
        (spec.pod_security.is_some(), "spec.podSecurity", STANDARDS),
        (confined, "spec.sidecar.podSecurity", STANDARDS),
        (!spec.rules.is_empty(), "spec.rules", VARIABLES),
    ];
    for (_, what, why) in left.into_iter().filter(|(there, ..)| *there) {
        out.leave(what, why);
    }
    out
}

fn labels(section: &LabelsSpec, enforcement: Enforcement, out: &mut Claims) {
    for label in &section.required {
        let key = literal(&label.key);
        let holds = |labels: &str| {
            let value = format!("{labels}[{key}]");
            let allowed = allows(&value, &label.values);
            format!("({key} in {labels} && {value} != '' && {allowed})")
        };
        let mut keeps = holds("{labels}");
        if label.on_pods {
            let pods = holds("t.metadata.labels");
            keeps = format!(
                "{keeps} && {{templates}}.all(t, has(t.metadata) && has(t.metadata.labels) && {pods})"
            );
        }
        let allowed = match label.values.join(", ") {
            values if values.is_empty() => "any value".to_owned(),
            values => values,
        };
        let whose = if label.on_pods { " of the object and of each template" } else { "" };
        let message =
            format!("label {}{whose} is missing or not allowed; allowed: {allowed}", label.key);
        out.add(enforcement, Claim::new(RuleId::POLICY_LABELS, keeps, message));
    }
}

fn service_accounts(section: &ServiceAccountsSpec, enforcement: Enforcement, out: &mut Claims) {
    let may = |account: &str| {
        let allowed = allows(account, &section.allowed);
        if section.forbid_default {
            format!("({account} != 'default' && {allowed})")
        } else {
            format!("({allowed})")
        }
    };
    let named = |pod: &str| {
        let account = format!("{pod}.serviceAccountName");
        format!("has({account}) && {account} != '' ? {} : ", may(&account))
    };
    let unnamed = may("'default'");
    let head = "{spec}.headGroupSpec.template.spec";
    let keeps = format!(
        "(!has({{spec}}.headGroupSpec.template.spec) || ({}({{scales}} || {unnamed}))) && \
         {{groups}}.all(g, !has(g.template.spec) || ({}{unnamed})) && \
         {{submitters}}.all(t, !has(t.spec) || ({}{unnamed}))",
        named(head),
        named("g.template.spec"),
        named("t.spec"),
    );
    let allowed = if section.allowed.is_empty() {
        "any account but default".to_owned()
    } else {
        section.allowed.join(", ")
    };
    let message =
        format!("a template runs as a service account that is not allowed; allowed: {allowed}");
    out.add(enforcement, Claim::new(RuleId::POLICY_SERVICE_ACCOUNTS, keeps, message));
}

fn bounds(section: &BoundsSpec, enforcement: Enforcement, out: &mut Claims) {
    if section.require_maximum {
        out.add(
            enforcement,
            Claim::new(
                RuleId::POLICY_MAXIMUM_REQUIRED,
                format!("{{groups}}.all(g, has(g.maxReplicas) && g.maxReplicas != {UNBOUNDED})"),
                "a worker group has no maximum of its own; allowed: a number that somebody chose; \
                 set maxReplicas",
            ),
        );
    }
    if let Some(most) = section.minimum_at_most {
        out.add(
            enforcement,
            Claim::new(
                RuleId::POLICY_MINIMUM_CEILING,
                format!("{{groups}}.all(g, !has(g.minReplicas) || g.minReplicas <= {most})"),
                format!("a worker group keeps too many replicas; allowed: at most {most}; lower minReplicas"),
            ),
        );
    }
}

fn auth(enforcement: Enforcement, out: &mut Claims) {
    out.add(
        enforcement,
        Claim::new(
            RuleId::POLICY_AUTH,
            "has({spec}.authOptions) && has({spec}.authOptions.mode) && \
             {spec}.authOptions.mode == 'token' && has({spec}.rayVersion) && \
             {spec}.rayVersion.matches('^v*(2[.](5[2-9]|[6-9][0-9]|[0-9]{3,})|\
             ([3-9]|[1-9][0-9]+)[.][0-9])')",
            "no token is asked for, or this Ray knows none; allowed: authOptions: {mode: token} with \
             rayVersion 2.52.0 or newer",
        ),
    );
}

fn exposure(section: &ExposureSpec, enforcement: Enforcement, out: &mut Claims) {
    let head = "{spec}.headGroupSpec";
    let service = format!("{head}.headService");
    let of_service = |field: &str, holds: &str| {
        let there = |service: &str| {
            format!("(has({service}) && has({service}.spec) && has({service}.spec.{field}))")
        };
        let serve = "object.spec.serveService";
        let holds = |service: &str| holds.replace("{value}", &format!("{service}.spec.{field}"));
        format!(
            "(!{} || {}) && (request.kind.kind != 'RayService' || !{} || {})",
            there(&service),
            holds(&service),
            there(serve),
            holds(serve)
        )
    };
    let of_type = |kind: &str| {
        format!(
            "(!has({head}.serviceType) || {head}.serviceType != '{kind}') && {}",
            of_service("type", &format!("{{value}} != '{kind}'"))
        )
    };
    let closed = "!has(c.ports) || c.ports.all(o, !has(o.hostPort) || o.hostPort == 0)";
    for way in &section.forbid {
        let (keeps, what) = match way {
            Exposure::Ingress => (
                format!("!has({head}.enableIngress) || !{head}.enableIngress"),
                "an Ingress to the head",
            ),
            Exposure::LoadBalancer => (of_type("LoadBalancer"), "a Service of type LoadBalancer"),
            Exposure::NodePort => (of_type("NodePort"), "a Service of type NodePort"),
            Exposure::ExternalIps => (
                of_service("externalIPs", "{value}.size() == 0"),
                "a Service with external addresses",
            ),
            Exposure::HostPort => (every_container("{pods}", closed), "a port of the node"),
            Exposure::HostNetwork => (
                "{pods}.all(p, !has(p.hostNetwork) || !p.hostNetwork)".to_owned(),
                "Pods in the node's network",
            ),
        };
        let message = format!("{what} opens the cluster to the outside; take it out");
        out.add(enforcement, Claim::new(RuleId::POLICY_EXPOSURE, keeps, message));
    }
}

fn images(section: &ImagesSpec, enforcement: Enforcement, out: &mut Claims) {
    // As container runtimes complete a name.
    let names = |image: &str| {
        format!(
            "[{image}, {image}.matches('^[^/]*$') ? 'docker.io/library/' + {image} : \
             {image}.matches('^(localhost|[^/]*[.:][^/]*)/') ? {image} : 'docker.io/' + {image}]"
        )
    };
    let allowed = is_one_of("i", &section.allowed);
    let may = |image: &str| format!("({image} != '' && {}.exists(i, {allowed}))", names(image));
    let keeps = format!(
        "{} && (!has({{options}}.image) || {})",
        every_container("{pods}", &format!("has(c.image) && {}", may("c.image"))),
        may("{options}.image")
    );
    let message = format!(
        "a container runs an image that is not allowed; allowed: {}",
        section.allowed.join(", ")
    );
    out.add(enforcement, Claim::new(RuleId::POLICY_IMAGES, keeps, message));
}

fn queue(section: &QueueSpec, enforcement: Enforcement, out: &mut Claims) {
    let named = |labels: &str| format!("('{QUEUE}' in {labels} && {labels}['{QUEUE}'] != '')");
    let value = format!("{{labels}}['{QUEUE}']");
    if section.required || !section.allowed.is_empty() {
        let absent = if section.required { "false" } else { "true" };
        let keeps =
            format!("({}) ? ({}) : {absent}", named("{labels}"), allows(&value, &section.allowed));
        let allowed = if section.allowed.is_empty() {
            "the name of a LocalQueue of this namespace".to_owned()
        } else {
            section.allowed.join(", ")
        };
        let message = format!("the label {QUEUE} is missing or not allowed; allowed: {allowed}");
        out.add(enforcement, Claim::new(RuleId::POLICY_QUEUE, keeps, message));
    }
    if section.immutable {
        let old = "variables.old_labels";
        let keeps = format!(
            "oldObject == null || !{} || ({} && {value} == {old}['{QUEUE}'])",
            named(old),
            named("{labels}")
        );
        let message = "a queued cluster stays in its queue; label it as before, or delete it and \
                       create it anew";
        out.add(
            enforcement,
            Claim::new(RuleId::POLICY_QUEUE_IMMUTABLE, keeps, message).of_the_change(),
        );
    }
}
