//! The Services of a Ray cluster.
//!
//! Input: a [`Plot`]. Output: the Services that it wants, whole: one for the head, one for workers
//! that talk to each other in groups of several hosts, one for Ray Serve where an annotation asks.
//!
//! Names and labels are KubeRay's. Selectors name only labels that no template can move, and not who
//! made a Pod, so that a Service outlives a handover.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::build::Plot;
use super::build::labels::{APPLICATION, IDENTIFIER, SERVE, identifier};
use super::object::{append, fill, owners, set};
use super::pod::{CLUSTER, CREATED_BY, NODE_TYPE, OURSELVES};
use crate::dialect::kuberay::ORIGINATED_FROM;
use crate::model::Cluster;
use crate::model::template::{NULL, list, member, text};

/// The port of Ray's metrics.
pub(super) const METRICS_PORT: u16 = 8080;

/// The label of the Service for workers, by which KubeRay finds it.
const HEADLESS: &str = "ray.io/headless-worker-svc";

/// The annotation of a cluster that serves by itself.
const ENABLE_SERVE: &str = "ray.io/enable-serve-service";

/// Ports of a head that declares none.
const DEFAULT_PORTS: [(&str, u16); 4] =
    [("client", 10001), ("gcs-server", 6379), ("dashboard", 8265), ("serve", 8000)];

/// The name of the head's Service.
pub fn head_service_name(cluster: &Cluster<'_>) -> String {
    let given = cluster.spec.pointer("/headGroupSpec/headService/metadata/name");
    let given = given.and_then(Value::as_str).filter(|name| !name.is_empty());
    given.map_or_else(|| format!("{}-head-svc", cluster.name), str::to_owned)
}

/// All Services of the cluster.
pub fn wanted(plot: &Plot<'_>) -> Vec<Value> {
    let several = plot.cluster.groups.iter().any(|group| group.hosts().is_some_and(|it| it > 1));
    let serves = plot.cluster.annotation(ENABLE_SERVE) == Some("true");
    let workers = several.then(|| workers(plot));
    let serve = serves.then(|| serve(plot)).flatten();
    [Some(head(plot)), workers, serve].into_iter().flatten().collect()
}

/// The head's Service: the user's own, completed, or a headless one.
fn head(plot: &Plot<'_>) -> Value {
    let cluster = plot.cluster;
    let group = cluster.spec.get("headGroupSpec").unwrap_or(NULL);
    let own = member(group, "headService");
    let mut spec = own.and_then(|it| member(it, "spec")).cloned().unwrap_or_else(|| json!({}));
    set(&mut spec, "selector", json!({CLUSTER: cluster.name, NODE_TYPE: "head"}));
    complete_ports(plot, &mut spec);
    let kind = text(group, "serviceType").filter(|kind| !kind.is_empty());
    if let Some(kind) = kind.filter(|_| text(&spec, "type").is_none_or(str::is_empty)) {
        set(&mut spec, "type", json!(kind));
    }
    if own.is_none() && kind.is_none_or(|kind| kind == "ClusterIP") {
        // There is one head, and workers must find it before it is ready.
        set(&mut spec, "clusterIP", json!("None"));
        set(&mut spec, "publishNotReadyAddresses", json!(true));
    }
    let given = |key: &str| own.and_then(|it| it.get("metadata")?.get(key)?.as_object());
    let mut labels = given("labels").cloned().unwrap_or_default();
    labels.extend(head_labels(plot));
    let mut annotations = given("annotations").cloned().unwrap_or_default();
    let more = member(cluster.spec, "headServiceAnnotations").and_then(Value::as_object);
    annotations.extend(more.cloned().unwrap_or_default());
    service(plot, &head_service_name(cluster), labels, annotations, spec)
}

fn head_labels(plot: &Plot<'_>) -> Map<String, Value> {
    let cluster = plot.cluster;
    let template = cluster.spec.pointer("/headGroupSpec/template/metadata/labels");
    let application = template.and_then(|labels| text(labels, APPLICATION)).unwrap_or("kuberay");
    [
        (CLUSTER, cluster.name),
        (NODE_TYPE, "head"),
        (IDENTIFIER, &identifier(cluster.name, "head")),
        (APPLICATION, application),
        (CREATED_BY, OURSELVES),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), json!(value)))
    .collect()
}

/// Adds the head's ports behind the user's own, by name. A port whose name or number the user took
/// is theirs: a second one would have the Service refused, and so would one without a name.
fn complete_ports(plot: &Plot<'_>, spec: &mut Value) {
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = port.get("port").map(|number| json!(format!("{number}-port")));
        fill(port, "name", name.unwrap_or_default());
    }
    let own = list(spec, "ports").to_vec();
    let number =
        |port: &Value| (port.get("port").and_then(Value::as_u64), protocol(port).to_owned());
    let mut names: HashSet<&str> = own.iter().filter_map(|port| text(port, "name")).collect();
    let mut numbers: HashSet<_> = own.iter().map(number).collect();
    let ports = head_ports(plot);
    for (name, port) in &ports {
        let mut port = port.clone();
        set(&mut port, "appProtocol", json!("tcp"));
        if names.insert(name) && numbers.insert(number(&port)) {
            append(spec, "ports", port);
        }
    }
}

/// Ports that the head's Ray container declares, or else the usual ones, by name; metrics always.
fn head_ports(plot: &Plot<'_>) -> BTreeMap<String, Value> {
    let ray = plot.cluster.ray_container();
    let declared = ray.map(|ray| list(ray.raw, "ports")).unwrap_or_default();
    let mut ports: BTreeMap<String, Value> = declared.iter().filter_map(declared_port).collect();
    if ports.is_empty() {
        ports.extend(DEFAULT_PORTS.map(|(name, port)| (name.to_owned(), named(name, port.into()))));
    }
    ports.entry("metrics".to_owned()).or_insert_with(|| named("metrics", METRICS_PORT.into()));
    ports
}

fn declared_port(port: &Value) -> Option<(String, Value)> {
    let number = port.get("containerPort").and_then(Value::as_u64)?;
    let given = text(port, "name").filter(|name| !name.is_empty());
    let name = given.map_or_else(|| format!("{number}-port"), str::to_owned);
    let mut entry = named(&name, number);
    set(&mut entry, "protocol", json!(protocol(port)));
    Some((name, entry))
}

fn named(name: &str, port: u64) -> Value {
    json!({"name": name, "port": port, "targetPort": port, "protocol": "TCP"})
}

fn protocol(port: &Value) -> &str {
    text(port, "protocol").unwrap_or("TCP")
}

/// A name for every worker, from its first second: hosts of one replica look for each other.
fn workers(plot: &Plot<'_>) -> Value {
    let cluster = plot.cluster.name;
    let spec = json!({
        "type": "ClusterIP",
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": {CLUSTER: cluster, NODE_TYPE: "worker"},
    });
    let mut labels = Map::new();
    labels.insert(HEADLESS.to_owned(), json!(cluster));
    labels.insert(CLUSTER.to_owned(), json!(cluster));
    labels.insert(CREATED_BY.to_owned(), json!(OURSELVES));
    service(plot, &format!("{cluster}-headless"), labels, Map::new(), spec)
}

/// The Service of Ray Serve, on every node; `None` where the head declares no port for it.
fn serve(plot: &Plot<'_>) -> Option<Value> {
    let cluster = plot.cluster.name;
    let is_serving = |name: &str| name == "serve" || name.starts_with("serve-");
    let ports = head_ports(plot).into_iter().filter(|(name, _)| is_serving(name));
    let ports: Vec<Value> = ports.map(|(_, port)| port).collect();
    if ports.is_empty() {
        return None;
    }
    let mut spec = json!({"selector": {CLUSTER: cluster}, "ports": ports});
    let kind = plot.cluster.spec.pointer("/headGroupSpec/serviceType").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
        set(&mut spec, "type", json!(kind));
    }
    let labels = [
        ("ray.io/originated-from-cr-name", cluster),
        (ORIGINATED_FROM, "RayCluster"),
        (SERVE, &format!("{cluster}-serve")),
        (CLUSTER, cluster),
        (CREATED_BY, OURSELVES),
    ];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    Some(service(plot, &format!("{cluster}-serve-svc"), labels, Map::new(), spec))
}

fn service(
    plot: &Plot<'_>,
    name: &str,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    spec: Value,
) -> Value {
    let mut metadata = json!({"name": name, "namespace": plot.namespace});
    set(&mut metadata, "labels", Value::Object(labels));
    if !annotations.is_empty() {
        set(&mut metadata, "annotations", Value::Object(annotations));
    }
    set(&mut metadata, "ownerReferences", owners(plot.cluster.name, plot.uid));
    let mut service = json!({"apiVersion": "v1", "kind": "Service"});
    set(&mut service, "metadata", metadata);
    set(&mut service, "spec", spec);
    service
}

#[cfg(test)]
mod tests;
