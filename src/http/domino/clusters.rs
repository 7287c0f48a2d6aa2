//! What is read from and written to the API server.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::{Client, Error};
use serde_json::Value;

use crate::dialect::Dialect;
use crate::http::objects::{self, Lane, Lanes, Turn, Turns, Written, json, outage, patient};
use crate::http::ops::Finding;
use crate::scaling::principal::OWNER;
use crate::scaling::route::{MOST_ON_A_PAGE, Page};
use crate::scaling::{Fault, Principal, head};
use crate::telemetry::chain;

pub(super) struct Clusters {
    objects: Api<DynamicObject>,
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    turns: Turns<Value>,
    lanes: Lanes,
}

impl Clusters {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            objects: Api::namespaced_with(
                client.clone(),
                namespace,
                &objects::resource(Dialect::Domino),
            ),
            sets: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client, namespace),
            turns: Turns::default(),
            lanes: Lanes::default(),
        }
    }

    /// Writers of one cluster go one after the other.
    pub(super) async fn turn(&self, name: &str) -> Turn<Value> {
        self.turns.wait(name).await
    }

    /// One cluster, if there is one.
    pub(super) async fn get(&self, name: &str, lane: Lane) -> Result<Option<Value>, Fault> {
        objects::get(&self.objects, name, (&self.lanes, lane)).await
    }

    /// The clusters that the caller may see, and where the next page begins.
    pub(super) async fn list(
        &self,
        principal: &Principal,
        page: Page,
    ) -> Result<(Vec<Value>, Option<String>), Fault> {
        let mut parameters = ListParams::default().limit(page.limit.unwrap_or(MOST_ON_A_PAGE));
        if !principal.admin {
            parameters = parameters.labels(&format!("{OWNER}={}", principal.id));
        }
        parameters.continue_token = page.next;
        let mut clusters = Vec::new();
        loop {
            let list = match self.lanes.patient(Lane::Reads, self.objects.list(&parameters)).await {
                Ok(list) => list,
                Err(Error::Api(status)) if [400, 410].contains(&status.code) => {
                    return Err(Fault::bad("this page is too old to be continued; begin anew"));
                }
                Err(error) => return Err(outage("list", &error)),
            };
            let next = list.metadata.continue_.filter(|token| !token.is_empty());
            let objects = list.items.iter().map(json);
            // The selector has done this already; an API server in between might not have.
            clusters.extend(objects.filter(|object| principal.may(object)));
            if next.is_none() || page.limit.is_some() {
                return Ok((clusters, next));
            }
            parameters.continue_token = next;
        }
    }

    /// Patches a cluster.
    pub(super) async fn patch(&self, name: &str, operations: &[Value]) -> Result<Written, Fault> {
        objects::patch(&self.objects, name, operations, false, &self.lanes).await
    }

    /// The head Pod of a cluster.
    pub(super) async fn head(&self, cluster: &str, lane: Lane) -> Result<Option<head::Pod>, Fault> {
        let pod = self.lanes.patient(lane, self.pods.get_opt(&head::pod_name(cluster))).await;
        let pod = pod.map_err(|error| outage("get Pod", &error))?;
        Ok(pod.and_then(|pod| head::Pod::head_of(cluster, &json(&pod))))
    }

    /// Removes the head Pod with this UID; another one of its name stays.
    pub(super) async fn remove_head(&self, cluster: &str, uid: &str) -> Result<(), Fault> {
        let parameters = DeleteParams {
            grace_period_seconds: Some(head::GRACE_SECONDS),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self
            .lanes
            .patient(Lane::Changes, self.pods.delete(&head::pod_name(cluster), &parameters))
            .await
        {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            Err(error) => Err(outage("delete Pod", &error)),
        }
    }

    /// A `StatefulSet` of a cluster and the Pods that a selector finds.
    pub(super) async fn nodes(
        &self,
        set: &str,
        selector: &str,
    ) -> Result<(Option<Value>, Vec<Value>), Fault> {
        let parameters = ListParams::default().labels(selector);
        let (set, pods) = tokio::join!(
            self.lanes.patient(Lane::Reads, self.sets.get_opt(set)),
            self.lanes.patient(Lane::Reads, self.pods.list(&parameters))
        );
        let set = set.map_err(|error| outage("get StatefulSet", &error))?;
        let pods = pods.map_err(|error| outage("list Pods", &error))?;
        Ok((set.as_ref().map(json), pods.items.iter().map(json).collect()))
    }

    /// Whether clusters can be listed; without waiting for anybody's turn.
    pub(super) async fn probe(&self) -> Finding {
        match patient(self.objects.list(&ListParams::default().limit(1))).await {
            Ok(_) => Ok("clusters can be listed".to_owned()),
            Err(error) => Err(format!("failed to list rayclusters: {}", chain(&error))),
        }
    }
}
