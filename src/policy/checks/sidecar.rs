//! Rules about the sidecar, its owner and its queue.

use super::Subject;
use crate::dialect::kuberay::{
    ELASTIC, ORIGINATED_FROM, V2_VARIABLE, parent, queue_managed, switches_to_v2,
};
use crate::inject::{INJECT_ANNOTATION, has_foreign_sidecar, sidecar::is_marked};
use crate::model::names::SIDECAR;
use crate::model::template::{list, position};
use crate::model::{Cluster, Finding, NodeManager, Pointer, RuleId};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cluster = subject.cluster;
    let mut findings = Vec::new();
    findings.extend(reserved(cluster));
    findings.extend(handmade(cluster));
    findings.extend(opt_out(cluster));
    if queue_managed(cluster) {
        findings.extend(not_elastic(cluster));
        findings.extend(head_group(cluster));
    }
    findings.extend(child_label(cluster));
    findings
}

/// Kinds that no controller of a standalone installation acts on.
pub(super) fn owner(subject: &Subject<'_>) -> Vec<Finding> {
    let embedded = subject.cluster.traits.ray && !subject.cluster.traits.patchable;
    if subject.manager == NodeManager::KubeRay || !embedded {
        return Vec::new();
    }
    vec![Finding::warn(
        RuleId::NOTHING_RUNS,
        Pointer::of(["kind"]),
        "nothing here runs this: raywarden runs RayClusters alone",
        "",
        "create a RayCluster, or install a KubeRay operator",
    )]
}

fn reserved(cluster: &Cluster<'_>) -> Option<Finding> {
    if !cluster.autoscaling || !has_foreign_sidecar(cluster) {
        return None;
    }
    let container = cluster.head()?.container(SIDECAR)?;
    Some(Finding::deny(
        RuleId::SIDECAR_NAME,
        container.at.at("name"),
        format!("\"{SIDECAR}\" is the name of the container that autoscaling adds last"),
        "any other name while enableInTreeAutoscaling is true",
        "take the container out and use autoscalerOptions, or rename it",
    ))
}

fn handmade(cluster: &Cluster<'_>) -> Vec<Finding> {
    let Some(head) = cluster.head().filter(|_| !cluster.autoscaling) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if let Some(container) = head.container(SIDECAR).filter(|it| !is_marked(it)) {
        findings.push(Finding::warn(
            RuleId::HANDMADE,
            container.at.at("name"),
            "an autoscaler by hand: nobody gives it an account or makes room for its victims",
            "",
            "set enableInTreeAutoscaling: true and take the container out",
        ));
    }
    let Some(ray) = head.ray_container() else {
        return findings;
    };
    if switches_to_v2(&ray) {
        let index = position(list(ray.raw, "env"), "name", V2_VARIABLE).unwrap_or(0);
        findings.push(Finding::warn(
            RuleId::HANDMADE,
            ray.at.at("env").at(index),
            format!(
                "{V2_VARIABLE} while enableInTreeAutoscaling is not true: newer KubeRay refuses it"
            ),
            "",
            "set enableInTreeAutoscaling: true, or take the variable out",
        ));
    }
    findings
}

fn opt_out(cluster: &Cluster<'_>) -> Option<Finding> {
    let value = cluster.annotation(INJECT_ANNOTATION).filter(|value| *value != "disabled")?;
    Some(Finding::warn(
        RuleId::OPT_OUT,
        Pointer::of(["metadata", "annotations", INJECT_ANNOTATION]),
        format!("\"{value}\" opts out of nothing"),
        "disabled",
        "write \"disabled\", or take the annotation out",
    ))
}

fn not_elastic(cluster: &Cluster<'_>) -> Option<Finding> {
    let elastic = cluster.annotation(ELASTIC) == Some("true");
    (cluster.autoscaling && !elastic).then(|| {
        Finding::warn(
            RuleId::NOT_ELASTIC,
            cluster.at.at("enableInTreeAutoscaling"),
            "Kueue refuses autoscaling of a cluster that is no elastic job",
            "",
            format!("annotate {ELASTIC}: \"true\", or set the flag to false"),
        )
    })
}

fn head_group(cluster: &Cluster<'_>) -> Option<Finding> {
    let group = cluster.groups.iter().find(|group| group.name == Some("head"))?;
    Some(Finding::warn(
        RuleId::QUEUE_HEAD_GROUP,
        group.at.at("groupName"),
        "Kueue refuses a worker group called \"head\"",
        "any other name",
        "rename the group",
    ))
}

fn child_label(cluster: &Cluster<'_>) -> Option<Finding> {
    let kind = cluster.label(ORIGINATED_FROM).filter(|_| cluster.traits.patchable)?;
    parent(cluster).is_none().then(|| {
        Finding::warn(
            RuleId::CHILD_LABEL,
            Pointer::of(["metadata", "labels", ORIGINATED_FROM]),
            format!("\"{kind}\", but no controller owns this cluster"),
            "",
            "take the label out: KubeRay treats the cluster as somebody's child",
        )
    })
}
