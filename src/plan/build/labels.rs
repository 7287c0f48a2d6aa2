//! A Pod's metadata: name, owner, labels, annotations.
//!
//! Labels of the group stand over those of the template, as in KubeRay. Those by which a Pod is
//! found again stand over both.

use serde_json::{Map, Value, json};

use super::{Node, Seat, fault};
use crate::dialect::kuberay::OVERWRITE_COMMAND;
use crate::model::names::MAX_LABEL;
use crate::model::template::member;
use crate::plan::object::owners;
use crate::plan::pod::{
    ATTEMPT, CLUSTER, CREATED_BY, GROUP, HOST_INDEX, NODE_TYPE, OURSELVES, REPLICA_INDEX,
    REPLICA_NAME,
};

/// The label by which KubeRay's Services find a node.
pub(in crate::plan) const IDENTIFIER: &str = "ray.io/identifier";

/// The label with the name of the application.
pub(in crate::plan) const APPLICATION: &str = "app.kubernetes.io/name";

/// Whether a node takes traffic of a RayService.
pub(in crate::plan) const SERVE: &str = "ray.io/serve";

/// The metadata of a node, with labels of its place and annotations of its kind.
pub(super) fn metadata(
    node: &Node<'_>,
    name: &str,
    attempt: u64,
    place: &[(&str, String)],
    more: &[(&str, String)],
) -> Value {
    let plot = node.plot;
    let mut annotations = given(node, "annotations");
    annotations.extend(own_annotations(node));
    annotations.insert(ATTEMPT.to_owned(), json!(attempt.to_string()));
    annotations.extend(more.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    let mut labels = labels(node);
    labels.extend(place.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    let mut metadata = json!({"name": name, "namespace": plot.namespace});
    if let Some(map) = metadata.as_object_mut() {
        map.insert("labels".to_owned(), Value::Object(labels));
        map.insert("annotations".to_owned(), Value::Object(annotations));
        map.insert("ownerReferences".to_owned(), owners(plot.cluster.name, plot.uid));
        let finalizers = node.template.pointer("/metadata/finalizers").cloned();
        map.extend(finalizers.map(|list| ("finalizers".to_owned(), list)));
    }
    metadata
}

/// The labels of a worker's place.
pub(super) fn of_seat(seat: &Seat) -> Vec<(&'static str, String)> {
    let mut labels = vec![(REPLICA_INDEX, seat.index.to_string())];
    if let Some(replica) = &seat.replica {
        labels.push((REPLICA_NAME, replica.clone()));
        labels.push((HOST_INDEX, seat.host.to_string()));
    }
    labels
}

fn labels(node: &Node<'_>) -> Map<String, Value> {
    let cluster = node.plot.cluster;
    let kind = if node.is_head { "head" } else { "worker" };
    let mut labels = Map::new();
    let mut put = |key: &str, value: &str| labels.insert(key.to_owned(), json!(value));
    put("ray.io/is-ray-node", "yes");
    put(IDENTIFIER, &identifier(cluster.name, kind));
    put(APPLICATION, "kuberay");
    labels.extend(given(node, "labels"));
    labels
        .extend(member(node.raw, "labels").and_then(Value::as_object).cloned().unwrap_or_default());
    let mut put = |key: &str, value: &str| labels.insert(key.to_owned(), json!(value));
    put(CLUSTER, cluster.name);
    put(NODE_TYPE, kind);
    put(GROUP, node.group);
    put(CREATED_BY, OURSELVES);
    if node.plot.is_of_service() {
        // RayService's own controller lets a head in; a worker's readiness says it all.
        put(SERVE, if node.is_head { "false" } else { "true" });
    }
    labels
}

/// The value of [`IDENTIFIER`]: the last 63 characters, none of them a mark at the beginning.
/// Source: KubeRay's `CheckLabel`.
pub(in crate::plan) fn identifier(cluster: &str, kind: &str) -> String {
    let full = format!("{cluster}-{kind}");
    let surplus = full.chars().count().saturating_sub(MAX_LABEL);
    let tail: String = full.chars().skip(surplus).collect();
    match tail.strip_prefix(|c: char| c.is_ascii_punctuation()) {
        Some(rest) => format!("r{rest}"),
        None => tail,
    }
}

fn own_annotations(node: &Node<'_>) -> Map<String, Value> {
    let mut annotations = Map::new();
    if node
        .plot
        .cluster
        .annotation(OVERWRITE_COMMAND)
        .is_some_and(|it| it.eq_ignore_ascii_case("true"))
    {
        annotations.insert(OVERWRITE_COMMAND.to_owned(), json!("true"));
    }
    if node.is_head {
        annotations.extend(fault::annotations(node.plot));
    }
    annotations
}

/// A map of the template's metadata.
fn given(node: &Node<'_>, key: &str) -> Map<String, Value> {
    let metadata = node.template.get("metadata");
    metadata.and_then(|it| it.get(key)).and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_keeps_its_last_characters_and_begins_with_a_letter() {
        assert_eq!(identifier("lab", "head"), "lab-head");
        let long = identifier(&format!("aaaa-{}", "b".repeat(57)), "head");
        assert_eq!(long, format!("r{}-head", "b".repeat(57)));
        assert_eq!(long.len(), MAX_LABEL);
    }
}
