//! The rules themselves, by family. Each looks at one state of one cluster.

mod autoscaler;
mod head;
mod kuberay;
mod redis;
mod sidecar;

use serde_json::Value;

use crate::model::{Cluster, Finding, NodeManager, Pointer, Template};

/// One state of one cluster, and what the rules must know beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The cluster.
    pub(super) cluster: &'a Cluster<'a>,
    /// Who makes its Pods.
    pub(super) manager: NodeManager,
    /// A RayJob or RayService owns it, or embeds it.
    pub(super) child: bool,
}

/// The head or a worker group: what has a template, start parameters, resources and labels.
pub(super) struct Section<'a> {
    /// Place of the group.
    pub(super) at: Pointer,
    /// The group itself.
    pub(super) raw: &'a Value,
    /// What it is called in messages.
    pub(super) called: String,
}

impl<'a> Section<'a> {
    /// `rayStartParams.<key>`, where it is text.
    fn param(&self, key: &str) -> Option<&'a str> {
        self.raw.get("rayStartParams")?.get(key)?.as_str()
    }

    /// The place of `rayStartParams.<key>`.
    fn param_at(&self, key: &'static str) -> Pointer {
        self.at.join(&["rayStartParams", key])
    }

    /// Its Pod template.
    pub(super) fn template(&self) -> Template<'a> {
        Template::of(self.raw, &self.at)
    }
}

impl<'a> Subject<'a> {
    /// The head, where there is one, and every worker group.
    pub(super) fn sections(&self) -> Vec<Section<'a>> {
        let head = self.cluster.spec.get("headGroupSpec").filter(|head| head.is_object());
        let head = head.map(|raw| Section {
            at: self.cluster.at.at("headGroupSpec"),
            raw,
            called: "the head".to_owned(),
        });
        let workers = self.cluster.groups.iter().map(|group| Section {
            at: group.at.clone(),
            raw: group.raw,
            called: format!("group \"{}\"", group.label()),
        });
        head.into_iter().chain(workers).collect()
    }
}

/// Everything that the rules say of it.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = sidecar::owner(subject);
    if !subject.cluster.traits.ray {
        return findings;
    }
    findings.extend(kuberay::check(subject));
    findings.extend(redis::check(subject));
    findings.extend(sidecar::check(subject));
    if subject.cluster.autoscaling {
        findings.extend(autoscaler::check(subject));
        findings.extend(head::check(subject));
    }
    findings
}
