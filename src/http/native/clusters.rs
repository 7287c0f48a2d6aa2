//! Clusters of both API groups at the API server.
//!
//! A group that is not installed has no clusters.

use std::collections::HashMap;

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, Error};
use serde_json::Value;

use crate::dialect::Dialect;
use crate::http::objects::{self, Lane, Lanes, Written, json, outage};
use crate::scaling::Fault;

/// The kinds, in the order in which they are looked at.
pub(super) const KINDS: [Dialect; 2] = [Dialect::RayCluster, Dialect::Domino];

pub(super) struct Clusters {
    client: Client,
    resources: HashMap<Dialect, ApiResource>,
    lanes: Lanes,
}

impl Clusters {
    pub(super) fn new(client: Client) -> Self {
        let resources = KINDS.map(|dialect| (dialect, objects::resource(dialect)));
        Self { client, resources: resources.into(), lanes: Lanes::default() }
    }

    fn api(&self, dialect: Dialect, namespace: &str) -> Option<Api<DynamicObject>> {
        let resource = self.resources.get(&dialect)?;
        Some(Api::namespaced_with(self.client.clone(), namespace, resource))
    }

    /// One cluster, if there is one.
    pub(super) async fn get(
        &self,
        dialect: Dialect,
        namespace: &str,
        name: &str,
        lane: Lane,
    ) -> Result<Option<Value>, Fault> {
        match self.api(dialect, namespace) {
            Some(api) => objects::get(&api, name, (&self.lanes, lane)).await,
            None => Ok(None),
        }
    }

    /// A page of clusters, and where the next one begins.
    pub(super) async fn list(
        &self,
        dialect: Dialect,
        namespace: &str,
        limit: u32,
        mark: Option<String>,
    ) -> Result<(Vec<Value>, Option<String>), Fault> {
        let Some(api) = self.api(dialect, namespace) else { return Ok((Vec::new(), None)) };
        let parameters = ListParams { continue_token: mark, ..ListParams::default() }.limit(limit);
        match self.lanes.patient(Lane::Reads, api.list(&parameters)).await {
            Ok(list) => {
                let next = list.metadata.continue_.filter(|mark| !mark.is_empty());
                Ok((list.items.iter().map(json).collect(), next))
            }
            Err(Error::Api(status)) if status.code == 404 => Ok((Vec::new(), None)),
            Err(Error::Api(status)) if [400, 410].contains(&status.code) => {
                Err(Fault::bad("this page is too old to be continued; begin anew"))
            }
            Err(error) => Err(outage("list", &error)),
        }
    }

    /// Patches a cluster.
    pub(super) async fn patch(
        &self,
        dialect: Dialect,
        (namespace, name): (&str, &str),
        operations: &[Value],
        dry_run: bool,
    ) -> Result<Written, Fault> {
        match self.api(dialect, namespace) {
            Some(api) => objects::patch(&api, name, operations, dry_run, &self.lanes).await,
            None => Ok(Written::Moved),
        }
    }
}
