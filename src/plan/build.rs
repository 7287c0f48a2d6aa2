//! The Pods of a Ray cluster: head and workers.
//!
//! Input: a [`Plot`], the cluster as injection left it, and the name that the Pod is to have.
//! Output: the whole Pod, ready for POST. It is what KubeRay makes of the same cluster, so that a
//! live cluster can pass on, but for: names that are given and never generated, `created-by`,
//! annotations of ours, and start commands that hand the process over to Ray, so that a Pod ends
//! when it is told to.
//!
//! Invariants: the template is copied and never shared; what it holds and we do not know stays; the
//! container that runs Ray is the first, whatever its name; the same input gives the same Pod.

mod command;
mod env;
pub(super) mod fault;
mod init;
pub(super) mod labels;
pub(super) mod params;
mod probes;
mod volumes;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::object::{append, set};
use super::pod::RECREATE_HASH;
use super::{auth, recreate, services};
use crate::dialect::Parent;
use crate::dialect::kuberay::{TokenAuth, parent};
use crate::model::names::{HEAD_GROUP, SIDECAR};
use crate::model::template::{NULL, list, position, text};
use crate::model::{Cluster, Group};

/// What all objects of one cluster are built from.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// The cluster as injection left it.
    pub cluster: &'a Cluster<'a>,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// The DNS domain of the Kubernetes cluster, such as `cluster.local`.
    pub domain: &'a str,
}

/// The place that a worker Pod takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The name of the Pod.
    pub name: String,
    /// The attempt that the name was made from.
    pub attempt: u64,
    /// The rank of its replica within the group.
    pub index: u32,
    /// The name of its replica, in groups of several hosts.
    pub replica: Option<String>,
    /// Its rank within the replica.
    pub host: u32,
}

/// The head Pod.
pub fn head(plot: &Plot<'_>, name: &str, attempt: u64) -> Value {
    let node = Node::head(plot);
    let annotations = [(RECREATE_HASH, recreate::of(plot.cluster))];
    pod(labels::metadata(&node, name, attempt, &[], &annotations), spec(&node))
}

/// A worker Pod.
pub fn worker(plot: &Plot<'_>, group: &Group<'_>, seat: &Seat) -> Value {
    let node = Node::worker(plot, group);
    let place = labels::of_seat(seat);
    pod(labels::metadata(&node, &seat.name, seat.attempt, &place, &[]), spec(&node))
}

impl Plot<'_> {
    /// The DNS name under which workers find the head.
    fn head_host(&self) -> String {
        let service = services::head_service_name(self.cluster);
        format!("{service}.{}.svc.{}", self.namespace, self.domain)
    }

    /// The port of Ray's GCS, on the head.
    fn gcs_port(&self) -> &str {
        text(self.cluster.head_params().0, "port").unwrap_or("6379")
    }

    /// Host and port of Ray's GCS.
    fn gcs_address(&self) -> String {
        format!("{}:{}", self.head_host(), self.gcs_port())
    }

    /// Whether the cluster serves a RayService.
    fn is_of_service(&self) -> bool {
        parent(self.cluster).is_some_and(|(parent, _)| parent == Parent::RayService)
    }
}

/// A Pod in the making.
#[derive(Debug)]
struct Node<'a> {
    plot: &'a Plot<'a>,
    is_head: bool,
    /// The name of its group, in labels.
    group: &'a str,
    /// `headGroupSpec` or the worker group.
    raw: &'a Value,
    /// The Pod template.
    template: &'a Value,
    /// The container of the template that runs Ray; null where there is none.
    ray: &'a Value,
    /// The parameters of `ray start`, all of them.
    params: BTreeMap<String, String>,
}

impl<'a> Node<'a> {
    fn head(plot: &'a Plot<'a>) -> Self {
        let raw = plot.cluster.spec.get("headGroupSpec").unwrap_or(NULL);
        Self::of(plot, true, HEAD_GROUP, raw)
    }

    fn worker(plot: &'a Plot<'a>, group: &'a Group<'a>) -> Self {
        Self::of(plot, false, group.label(), group.raw)
    }

    fn of(plot: &'a Plot<'a>, is_head: bool, group: &'a str, raw: &'a Value) -> Self {
        let template = raw.get("template").unwrap_or(NULL);
        let spec = template.get("spec").unwrap_or(NULL);
        let ray = list(spec, "containers").first().unwrap_or(NULL);
        let params = params::of(plot, is_head, raw, ray);
        Self { plot, is_head, group, raw, template, ray, params }
    }

    /// A port that a parameter moves, or else its default.
    fn port(&self, key: &str, default: u16) -> u16 {
        self.params.get(key).and_then(|port| port.parse().ok()).unwrap_or(default)
    }
}

fn pod(metadata: Value, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod"});
    set(&mut pod, "metadata", metadata);
    set(&mut pod, "spec", spec);
    pod
}

fn spec(node: &Node<'_>) -> Value {
    let cluster = node.plot.cluster;
    let given = node.template.get("spec").filter(|spec| spec.is_object());
    let mut spec = given.cloned().unwrap_or_else(|| json!({}));
    if !node.is_head {
        init::wait_for_gcs(node, &mut spec);
    }
    let auth = TokenAuth::of(cluster);
    if let Some(auth) = &auth {
        authenticate(node, auth, &mut spec);
    }
    if node.is_head {
        beside(node, &mut spec, "containers", SIDECAR).for_each(command::let_end);
    }
    init::name_head(node, &mut spec);
    if !node.ray.is_null() {
        let mut ray = node.ray.clone();
        finish_ray(node, auth.as_ref(), &mut ray, &mut spec);
        if let Some(slot) = spec.pointer_mut("/containers/0") {
            *slot = ray;
        }
    }
    if cluster.autoscaling && text(cluster.options(), "version") == Some("v2") {
        // Autoscaler v2 replaces a node that ended and never meets it again.
        set(&mut spec, "restartPolicy", json!("Never"));
    }
    spec
}

/// All that the container that runs Ray gets, in KubeRay's order, which is the order of variables.
fn finish_ray(node: &Node<'_>, auth: Option<&TokenAuth>, ray: &mut Value, spec: &mut Value) {
    fault::tolerate(node, ray);
    if position(list(ray, "ports"), "name", "metrics").is_none() {
        append(ray, "ports", json!({"name": "metrics", "containerPort": services::METRICS_PORT}));
    }
    if let Some(auth) = auth {
        auth::introduce(auth, ray);
    }
    volumes::share_memory(node, ray, spec);
    let line = command::ray_start(node);
    command::run(node, &line, ray);
    env::complete(node, &line, ray);
    probes::complete(node, ray);
}

/// Authentication of the containers beside Ray's own: the sidecar, and the wait for the head.
fn authenticate(node: &Node<'_>, auth: &TokenAuth, spec: &mut Value) {
    auth::add_volume(auth, spec);
    let (list, name) =
        if node.is_head { ("containers", SIDECAR) } else { ("initContainers", init::WAIT) };
    for container in beside(node, spec, list, name) {
        auth::introduce(auth, container);
    }
}

/// Containers of that list and name that do not run Ray itself.
fn beside<'a>(
    node: &Node<'_>,
    spec: &'a mut Value,
    list: &str,
    name: &'a str,
) -> impl Iterator<Item = &'a mut Value> {
    let first_is_ray = usize::from(node.is_head);
    let all = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
    all.skip(first_is_ray).filter(move |it| text(it, "name") == Some(name))
}

#[cfg(test)]
mod tests;
