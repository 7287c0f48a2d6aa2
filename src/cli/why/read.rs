//! What the API server tells of one cluster, with get and list.
//!
//! Input: a client and a name. Output: [`Facts`]. A missing right becomes a [`Gap`] with the command
//! that gives it; only the cluster itself must be readable.

use std::time::Duration;

use anyhow::{anyhow, bail};
use k8s_openapi::api::core::v1::{Event as StoredEvent, Pod as StoredPod};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use serde_json::Value;

use super::super::nearest::nearest;
use super::super::trouble;
use super::asked::Dashboard;
use crate::control::raycluster;
use crate::model::Finding;
use crate::plan::pod::CLUSTER;
use crate::plan::why::{Event, Facts, Gap, Seen, facts};
use crate::ray::{Answer, Token};

/// Names that are shown where none is near.
const SHOWN: usize = 10;

/// Where the facts come from.
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) server: String,
    /// The context that was named, for commands that are shown.
    pub(super) context: Option<String>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) token: Option<Token>,
}

impl Reader {
    /// The RayCluster; an error that says where there is one, where there is none here.
    pub(super) async fn cluster(&self) -> anyhow::Result<Value> {
        let Self { name, namespace, server, .. } = self;
        match self.clusters().get(name).await {
            Ok(found) => Ok(serde_json::to_value(found)?),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(self.absent().await),
            Err(error) if trouble::is_forbidden(&error) => bail!(
                "may not get rayclusters.ray.io in namespace {namespace}: {}",
                granting(namespace, "get", "rayclusters.ray.io").fix
            ),
            Err(error) => {
                Err(trouble::general(error, server, &format!("get raycluster {namespace}/{name}")))
            }
        }
    }

    /// Everything else, and the dashboard where there is a head.
    pub(super) async fn facts<'a>(
        &self,
        cluster: &'a Value,
        findings: &'a [Finding],
        threshold: Duration,
    ) -> anyhow::Result<(Facts<'a>, Option<Dashboard<'_>>)> {
        let uid = cluster.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
        let (pods, events) = tokio::join!(self.pods(), self.events(uid));
        let (pods, events) = (pods?, events?);
        let own = pods.as_ref().map_or(&[][..], Vec::as_slice);
        let head = facts::head(own.iter().filter(|seen| seen.pod.belongs_to(uid)));
        let dashboard = head
            .filter(|head| !head.pod.terminating && !head.pod.ip.is_empty())
            .map(|head| Dashboard::new(self, &head.pod.name, cluster));
        let told = match (&dashboard, &pods) {
            (Some(dashboard), _) => dashboard.ask().await,
            (None, Err(gap)) => Err(gap.clone()),
            (None, Ok(_)) => Err(Gap {
                what: "there is no running head Pod to ask".to_owned(),
                fix: String::new(),
            }),
        };
        let (nodes, demand, dashboard_fix) = match told {
            Ok((nodes, demand)) => (Answer::Known(nodes), demand, String::new()),
            Err(gap) => (Answer::Unknown(gap.what), None, gap.fix),
        };
        let facts =
            Facts { cluster, findings, pods, events, nodes, dashboard_fix, demand, threshold };
        Ok((facts, dashboard))
    }

    async fn pods(&self) -> anyhow::Result<Result<Vec<Seen>, Gap>> {
        let parameters = ListParams::default().labels(&format!("{CLUSTER}={}", self.name));
        let found = self.list(&ApiResource::erase::<StoredPod>(&()), &parameters).await?;
        Ok(found.map(|pods| pods.iter().map(Seen::read).collect()))
    }

    async fn events(&self, uid: &str) -> anyhow::Result<Result<Vec<Event>, Gap>> {
        let parameters = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let found = self.list(&ApiResource::erase::<StoredEvent>(&()), &parameters).await?;
        Ok(found.map(|events| events.iter().map(Event::read).collect()))
    }

    /// A list as it is stored, or the right that is missing.
    async fn list(
        &self,
        kind: &ApiResource,
        parameters: &ListParams,
    ) -> anyhow::Result<Result<Vec<Value>, Gap>> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, kind);
        match api.list(parameters).await {
            Ok(list) => {
                let items = list.items.into_iter().map(serde_json::to_value);
                Ok(Ok(items.collect::<Result<_, _>>()?))
            }
            Err(error) if trouble::is_forbidden(&error) => {
                Ok(Err(granting(&self.namespace, "list", &kind.plural)))
            }
            Err(error) => {
                let doing = format!("list {} in namespace {}", kind.plural, self.namespace);
                Err(trouble::general(error, &self.server, &doing))
            }
        }
    }

    fn clusters(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &raycluster())
    }

    /// Why there is nothing of this name, as far as it can be told.
    async fn absent(&self) -> anyhow::Error {
        let Self { name, namespace, server, client, .. } = self;
        let here = self.clusters().list_metadata(&ListParams::default()).await;
        if let Err(kube::Error::Api(status)) = &here
            && status.code == 404
        {
            return anyhow!(
                "RayClusters (ray.io/v1) are not served at {server}: is KubeRay's CRD there?"
            );
        }
        let here: Vec<String> =
            here.into_iter().flatten().filter_map(|it| it.metadata.name).collect();
        let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &raycluster());
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let elsewhere = everywhere.list_metadata(&named).await;
        let elsewhere: Vec<String> =
            elsewhere.into_iter().flatten().filter_map(|it| it.metadata.namespace).collect();
        anyhow!(
            "there is no RayCluster {name:?} in namespace {namespace}{}",
            hint(name, &here, &elsewhere)
        )
    }
}

fn hint(name: &str, here: &[String], elsewhere: &[String]) -> String {
    let listed = |names: &[String]| {
        let shown: Vec<&str> = names.iter().map(String::as_str).take(SHOWN).collect();
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        format!("{}{more}", shown.join(", "))
    };
    let near = nearest(name, here.iter().map(String::as_str));
    let here = match (near.as_slice(), here) {
        ([], []) => String::new(),
        ([], names) => format!("; it has {}", listed(names)),
        (near, _) => format!("; did you mean {}?", near.join(" or ")),
    };
    if elsewhere.is_empty() {
        return here;
    }
    format!("{here}; one of that name is in namespace {}", listed(elsewhere))
}

/// A right that is missing, and the command of an administrator who gives it.
pub(super) fn granting(namespace: &str, verb: &str, resource: &str) -> Gap {
    Gap {
        what: format!("unknown: grant {verb} on {resource} in namespace {namespace}"),
        fix: format!(
            "an administrator gives it with kubectl create role raywarden-why -n {namespace} \
             --verb={verb} --resource={resource}, and a rolebinding to you"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_name_is_answered_with_near_ones_and_other_namespaces() {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let said = hint("dmeo", &names(&["demo", "other"]), &names(&["team-b"]));
        assert_eq!(said, "; did you mean demo?; one of that name is in namespace team-b");
        assert_eq!(hint("x", &names(&["alpha", "beta"]), &[]), "; it has alpha, beta");
        assert_eq!(hint("x", &[], &[]), "");
        let many: Vec<String> = (0..20).map(|n| format!("cluster-number-{n}")).collect();
        assert!(hint("zzz", &many, &[]).ends_with("cluster-number-9, ..."));
    }
}
