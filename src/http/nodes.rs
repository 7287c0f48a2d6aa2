//! The Pods of a cluster, and what its head says of them.
//!
//! Input: a cluster as read. Output: [`Nodes`], at most a second old. Many who ask about one cluster cost
//! one list and one question. Whatever goes wrong is an "unknown" in words and never an error: a scale
//! that was written is told of as such. Only addresses of Pods of the cluster's UID are dialled.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod as StoredPod;
use kube::api::{Api, ListParams};
use kube::{Client, Error};
use serde_json::Value;

use super::objects::{Lane, Lanes, json};
use crate::clock;
use crate::dialect::Dialect;
use crate::model::Cluster;
use crate::plan::joined::Answer;
use crate::plan::pod::{CLUSTER, NodeType, Phase, Pod, controller_uid};
use crate::ray::proxied::Proxied;
use crate::ray::{Cache, Dashboard, Token, door};
use crate::scaling::native::view::Seen;
use crate::scaling::rollout::Node;
use crate::telemetry::chain;

/// How old an answer may be.
const MOST_AGE: Duration = Duration::from_secs(1);

/// Clusters that are remembered.
const MOST: usize = 4096;

/// How long a head may take to answer; an API has its own deadline.
const DEADLINE: Duration = Duration::from_millis(1500);

/// The same through the API server, which itself waits for long.
const PROXIED: Duration = Duration::from_secs(6);

/// The Pods of a cluster, and what its head says.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// Its Pods.
    pub pods: Vec<Pod>,
    answer: Answer,
    dashboard: Option<String>,
}

impl Nodes {
    /// As the forms of the answers take it.
    pub fn seen(&self) -> Seen<'_> {
        let Self { pods, answer, dashboard } = self;
        Seen { pods, answer, dashboard: dashboard.as_deref() }
    }
}

/// How a dashboard is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// At the Pod's own address, from inside the Kubernetes cluster.
    Direct,
    /// Through the API server's proxy, with the token that the user gave.
    Proxied(Option<Token>),
}

/// Looks at clusters.
pub struct Looks {
    client: Client,
    way: Way,
    cache: Cache<Nodes>,
    lanes: Lanes,
}

impl Looks {
    /// One that asks for itself.
    pub fn new(client: Client, way: Way) -> Self {
        Self { client, way, cache: Cache::new(MOST_AGE, MOST), lanes: Lanes::default() }
    }

    /// The nodes of a cluster.
    pub async fn nodes(&self, object: &Value, dialect: Dialect) -> Nodes {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
        let look = Box::pin(self.look(object, dialect, uid));
        self.cache.answer(uid, clock::now(), look).await
    }

    async fn look(&self, object: &Value, dialect: Dialect, uid: &str) -> Nodes {
        let unknown =
            |why: String| Nodes { pods: Vec::new(), answer: Answer::Unknown(why), dashboard: None };
        let Some(cluster) = dialect.view(object) else {
            return unknown("this object holds no Ray cluster".to_owned());
        };
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("");
        let pods = match dialect {
            Dialect::Domino => self.of_sets(&cluster, namespace, uid).await,
            _ => self.of_label(&cluster, namespace).await,
        };
        let pods = match pods {
            Ok(pods) => pods,
            Err(error) => {
                tracing::warn!(namespace, reason = chain(&error), "Pods could not be listed");
                return unknown("the Pods could not be listed; the log has the reason".to_owned());
            }
        };
        let running = |pod: &&Pod| {
            pod.belongs_to(uid)
                && pod.node_type == NodeType::Head
                && pod.phase == Phase::Running
                && !pod.terminating
        };
        let head = pods.iter().find(running);
        let found = head.and_then(|head| Some((head, door::address(&cluster, &head.ip)?)));
        let Some((head, address)) = found else {
            return Nodes { pods, ..unknown("no head Pod runs".to_owned()) };
        };
        let answer = match &self.way {
            Way::Direct => {
                match door::dashboard(&self.client, &cluster, namespace, address).await {
                    Ok(dashboard) => ask(dashboard).await,
                    Err(why) => Answer::Unknown(why),
                }
            }
            Way::Proxied(token) => {
                let (pod, port, token) = (head.name.as_str(), address.port(), token.as_ref());
                let proxied = Proxied { namespace, pod, port, token };
                let ask = proxied.nodes(&self.client);
                let late = |_| Answer::Unknown("the dashboard gave no answer in time".to_owned());
                tokio::time::timeout(PROXIED, ask).await.unwrap_or_else(late)
            }
        };
        Nodes { pods, answer, dashboard: Some(address.to_string()) }
    }

    async fn of_label(&self, cluster: &Cluster<'_>, namespace: &str) -> Result<Vec<Pod>, Error> {
        let selector = format!("{CLUSTER}={}", cluster.name);
        Ok(self.pods(namespace, &selector).await?.iter().map(Pod::read).collect())
    }

    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Value>, Error> {
        let pods: Api<StoredPod> = Api::namespaced(self.client.clone(), namespace);
        let parameters = ListParams::default().labels(selector);
        Ok(self
            .lanes
            .patient(Lane::Reads, pods.list(&parameters))
            .await?
            .items
            .iter()
            .map(json)
            .collect())
    }

    /// Pods of the StatefulSets that Domino's operator makes for head and workers.
    async fn of_sets(
        &self,
        cluster: &Cluster<'_>,
        namespace: &str,
        uid: &str,
    ) -> Result<Vec<Pod>, Error> {
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), namespace);
        let mut found = Vec::new();
        for (node, node_type) in [(Node::Head, NodeType::Head), (Node::Worker, NodeType::Worker)] {
            let set =
                self.lanes.patient(Lane::Reads, sets.get_opt(&node.set(cluster.name))).await?;
            let Some(set) = set.map(|set| json(&set)) else { continue };
            // One of an operator that sets no owner is known by its name.
            if controller_uid(&set).is_some_and(|owner| owner != uid) {
                continue;
            }
            let set_uid = set.pointer("/metadata/uid").and_then(Value::as_str);
            let group = cluster.groups.first().map_or("", |group| group.label());
            let pods = self.pods(namespace, &node.selector(cluster.name)).await?;
            let own = pods.iter().filter(|pod| set_uid.is_some() && controller_uid(pod) == set_uid);
            found.extend(own.map(|pod| Pod {
                owner: uid.to_owned(),
                node_type,
                group: group.to_owned(),
                ..Pod::read(pod)
            }));
        }
        Ok(found)
    }
}

async fn ask(dashboard: Dashboard) -> Answer {
    dashboard.with_deadline(DEADLINE).nodes_with_names().await
}
