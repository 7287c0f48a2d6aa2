//! What clusters may ask for, as far as the API server can hold it: counts, and what every container
//! has to say. It can compare quantities, and cannot add them up over a list.

use super::Claims;
use super::expression::{Claim, at_most, every_container, list, literal, pods};
use crate::model::RuleId;
use crate::model::accelerator::{OTHERS, UNNAMED_GPUS};
use crate::model::cluster::UNBOUNDED;
use crate::model::requests::is_pod_level;
use crate::policy::spec::{
    CeilingSpec, CeilingsSpec, Enforcement, GpusSpec, ResourcesSpec, SidecarSpec,
};

/// Amounts cannot be summed over lists there.
const SUMS: &str = "an expression there cannot add up quantities";

/// Other objects are not to be seen.
const OTHER_OBJECTS: &str = "an expression there sees one object only";

/// The most replicas that a group reaches, as the engine counts.
fn reach(group: &str) -> String {
    let bound =
        |key: &str, other: i64| format!("(has({group}.{key}) ? int({group}.{key}) : {other})");
    let (min, max) = (bound("minReplicas", 0), bound("maxReplicas", UNBOUNDED));
    let wanted = format!("(has({group}.replicas) ? int({group}.replicas) : {min})");
    format!("[{{scales}} ? {max} : [[{wanted}, {max}].min(), {min}].max(), 0].max()")
}

/// Counts per group and per cluster. A group without a maximum is above every ceiling.
pub(super) fn ceilings(section: &CeilingsSpec, usual: Enforcement, out: &mut Claims) {
    let scopes = [
        ("perGroup", RuleId::POLICY_GROUP_CEILING, &section.per_group),
        ("perCluster", RuleId::POLICY_CLUSTER_CEILING, &section.per_cluster),
    ];
    for (key, rule, ceiling) in scopes {
        let Some(ceiling) = ceiling else { continue };
        let enforcement = ceiling.enforcement.unwrap_or(usual);
        for (part, most) in [("replicas", ceiling.replicas), ("pods", ceiling.pods)] {
            let Some(most) = most else { continue };
            let whose = if key == "perGroup" { "a worker group" } else { "the cluster" };
            let message = format!(
                "{whose} may reach too many {part}; allowed: at most {most}; lower maxReplicas, or \
                 replicas where nothing scales"
            );
            let claim = Claim::new(rule, count(key, part, most), message).about(part);
            out.add(enforcement, claim);
        }
        for part in amounts(ceiling) {
            out.leave(format!("spec.ceilings.{key}.{part}"), SUMS);
        }
    }
    if section.per_namespace.is_some() {
        out.leave("spec.ceilings.perNamespace", OTHER_OBJECTS);
    }
}

fn count(scope: &str, part: &str, most: i64) -> String {
    let hosts = if part == "pods" {
        " * (has(g.numOfHosts) ? [int(g.numOfHosts), 0].max() : 1)"
    } else {
        ""
    };
    let counts = format!("{{groups}}.map(g, {}{hosts})", reach("g"));
    // Only what scales has no end; a wanted count of that size is a number like others.
    let ends = format!(
        "(!{{scales}} || {{groups}}.all(g, has(g.maxReplicas) && g.maxReplicas != {UNBOUNDED}))"
    );
    match (scope, part) {
        ("perGroup", _) => format!("{counts}.all(n, n <= {most}) && {ends}"),
        (_, "pods") => format!("{counts}.sum() + 1 <= {most} && {ends}"),
        _ => format!("{counts}.sum() <= {most} && {ends}"),
    }
}

/// What of a ceiling is an amount.
fn amounts(ceiling: &CeilingSpec) -> Vec<String> {
    let named = [
        (ceiling.cpu.is_some(), "cpu"),
        (ceiling.memory.is_some(), "memory"),
        (ceiling.gpus.is_some(), "gpus"),
    ];
    let named = named.into_iter().filter(|(said, _)| *said).map(|(_, name)| name.to_owned());
    named.chain(ceiling.resources.keys().map(|name| format!("resources.{name}"))).collect()
}

/// Requests and limits that have to be there.
pub(super) fn resources(section: &ResourcesSpec, enforcement: Enforcement, out: &mut Claims) {
    let halves = [
        (RuleId::POLICY_REQUESTS, "requests", &section.requests),
        (RuleId::POLICY_LIMITS, "limits", &section.limits),
    ];
    for (rule, half, names) in halves {
        for name in names {
            let key = literal(name);
            let says = |holder: &str, half: &str| {
                let map = format!("{holder}.resources.{half}");
                format!("(has({map}) && {key} in {map})")
            };
            // A limit counts as a request, which follows it.
            let holds = |holder: &str| {
                let own = says(holder, half);
                let either = match half {
                    "requests" => format!("({own} || {})", says(holder, "limits")),
                    _ => own,
                };
                format!("(has({holder}.resources) && {either})")
            };
            let container = if is_pod_level(name) {
                format!("{} || {}", holds("p"), holds("c"))
            } else {
                holds("c")
            };
            let mut keeps = every_container("{pods}", &container);
            // It gets CPU and memory where nobody says them.
            if !matches!(name.as_str(), "cpu" | "memory") {
                keeps = format!("{keeps} && (!{{adds_sidecar}} || {})", holds("{options}"));
            }
            let message = format!("a container {half} no {name}; set resources.{half}.{name}");
            out.add(enforcement, Claim::new(rule, keeps, message));
        }
    }
}

/// No GPU on the head, neither of Kubernetes nor of Ray.
pub(super) fn gpus(section: &GpusSpec, enforcement: Enforcement, out: &mut Claims) {
    if section.agree {
        out.leave("spec.gpus.agree", SUMS);
    }
    if !section.forbid_on_head {
        return;
    }
    let named = "(n.endsWith('gpu') || n.matches('^nvidia[.]com/mig-[0-9]+g[.][0-9]+gb$'))";
    let counts = if section.resources.is_empty() {
        let unnamed = [UNNAMED_GPUS.as_slice(), OTHERS.as_slice()].concat();
        format!("({named} || (n in {}))", list(&unnamed))
    } else {
        format!("(n in {})", list(&section.resources))
    };
    let nothing = |value: &str| at_most(value, "'0'");
    // What is requested stands before what is limited.
    let holds = |holder: &str| {
        let (requests, limits) =
            (format!("{holder}.resources.requests"), format!("{holder}.resources.limits"));
        let none = |map: &str| nothing(&format!("string({map}[n])"));
        format!(
            "(!has({holder}.resources) || \
             ((!has({requests}) || {requests}.all(n, !{counts} || {})) && \
             (!has({limits}) || {limits}.all(n, !{counts} || (has({requests}) && n in {requests}) || \
             {}))))",
            none(&requests),
            none(&limits)
        )
    };
    let head = "{spec}.headGroupSpec";
    let told = |value: &str| format!("(!isQuantity({value}) || {})", nothing(value));
    let params = format!("{head}.rayStartParams");
    let of_ray = format!(
        "(!has({params}) || !('num-gpus' in {params}) || {}) && (!has({head}.resources) || \
         {head}.resources.all(k, ![k.lowerAscii()].exists(n, {named}) || {}))",
        told(&format!("{params}['num-gpus'].trim()")),
        told(&format!("{head}.resources[k].trim()")),
    );
    let own = pods(&format!("[{head}.template]"));
    let keeps = format!(
        "{} && (!{{adds_sidecar}} || {}) && {of_ray}",
        every_container(&own, &holds("c")),
        holds("{options}")
    );
    let message =
        "the head asks for GPUs; allowed: no GPU on the head; ask for GPUs in a worker group";
    out.add(enforcement, Claim::new(RuleId::POLICY_HEAD_GPU, keeps, message));
}

/// The most that the autoscaler's container may ask for.
pub(super) fn sidecar(section: &SidecarSpec, enforcement: Enforcement, out: &mut Claims) {
    for (name, most) in [("cpu", &section.cpu), ("memory", &section.memory)] {
        let Some(most) = most else { continue };
        let within = |half: &str| {
            let map = format!("{{options}}.resources.{half}");
            let fits = at_most(&format!("string({map}['{name}'])"), &literal(&most.written));
            format!("(!has({map}) || !('{name}' in {map}) || {fits})")
        };
        let keeps = format!(
            "!{{scales}} || !has({{options}}.resources) || ({} && {})",
            within("limits"),
            within("requests")
        );
        let message = format!(
            "autoscalerOptions.resources asks for too much {name}; allowed: at most {most}; ask for \
             less"
        );
        let claim = Claim::new(RuleId::POLICY_SIDECAR, keeps, message);
        out.add(enforcement, claim.about("autoscalerOptions.resources"));
    }
}
