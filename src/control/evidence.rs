//! Whether a KubeRay operator is at work, and where.
//!
//! An operator that is alive renews its leader Lease, or, run without election, has a Deployment of its
//! label with a Pod that is available. It serves the namespaces in which its account
//! may write a RayCluster's status, which the API server itself answers: a tenant's own operator, or a
//! Lease that somebody merely made, stops nobody in other namespaces. The namespace of the Lease always
//! counts as served. Answers are kept for a moment, so that a burst of writes asks once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::sync::Mutex;

use crate::clock;
use crate::dialect::RAY;
use crate::http::access::{is_allowed, on_clusters};

/// The Lease of KubeRay's operator.
const LEASE: &str = "ray-operator-leader";

/// A Lease that was renewed within this time belongs to a live operator.
const ALIVE: Duration = Duration::from_mins(1);

/// The label of KubeRay's operator, in its manifests and its chart.
const OPERATOR: &str = "app.kubernetes.io/component=kuberay-operator";

/// For how long it is known which operators live.
const LEASES_FOR: Duration = Duration::from_secs(2);

/// For how long it is known what an account may do.
const RIGHTS_FOR: Duration = Duration::from_secs(15);

/// The annotation on the CRD that we install.
const OUR_CRD: &str = "raywarden.io/installed-by";

/// What is known of other managers.
pub struct Evidence {
    client: Client,
    accounts: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    live: Option<(Instant, Vec<Operator>)>,
    serves: HashMap<(String, String), (Instant, bool)>,
    crd: Option<(Instant, bool)>,
}

/// An operator that is alive.
#[derive(Clone, PartialEq, Eq)]
struct Operator {
    /// Its namespace.
    home: String,
    /// What shows that it is alive.
    sign: String,
}

impl Evidence {
    /// Evidence about operators that run under one of `accounts`, user names of service accounts.
    pub fn new(client: Client, accounts: Vec<String>) -> Self {
        Self { client, accounts, known: Mutex::default() }
    }

    /// The live operator that serves `namespace`, in words; `None` where there is none.
    pub async fn kuberay_in(&self, namespace: &str) -> kube::Result<Option<String>> {
        let mut known = self.known.lock().await;
        for Operator { home, sign } in self.live(&mut known).await? {
            if home == namespace || self.serves(&mut known, &home, namespace).await? {
                return Ok(Some(format!("a KubeRay operator is alive: {sign}")));
            }
        }
        Ok(None)
    }

    /// Whether nobody else makes nodes anywhere, and why: our own CRD, and no live operator.
    pub async fn alone(&self) -> kube::Result<Result<String, String>> {
        if !self.crd_is_ours().await? {
            return Ok(Err("the RayCluster CRD is not the one of raywarden".to_owned()));
        }
        let live = self.live(&mut *self.known.lock().await).await?;
        Ok(match live.first() {
            Some(operator) => Err(format!("a KubeRay operator is alive: {}", operator.sign)),
            None => Ok("the RayCluster CRD is its own and no KubeRay operator is alive".to_owned()),
        })
    }

    /// Whether the RayCluster CRD is the one that we install.
    pub async fn crd_is_ours(&self) -> kube::Result<bool> {
        let mut known = self.known.lock().await;
        if let Some((_, ours)) = known.crd.filter(|(at, _)| at.elapsed() < RIGHTS_FOR) {
            return Ok(ours);
        }
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let crd = api.get_metadata_opt("rayclusters.ray.io").await?;
        let ours = crd
            .is_some_and(|crd| crd.annotations().get(OUR_CRD).is_some_and(|by| by == "raywarden"));
        known.crd = Some((Instant::now(), ours));
        Ok(ours)
    }

    /// Operators that are alive, each home once.
    async fn live(&self, known: &mut Known) -> kube::Result<Vec<Operator>> {
        if let Some((at, homes)) = &known.live
            && at.elapsed() < LEASES_FOR
        {
            return Ok(homes.clone());
        }
        let mut live = self.renewed().await?;
        for operator in self.deployed().await? {
            if live.iter().all(|other| other.home != operator.home) {
                live.push(operator);
            }
        }
        known.live = Some((Instant::now(), live.clone()));
        Ok(live)
    }

    /// Deployments of operators with a Pod that is available.
    async fn deployed(&self) -> kube::Result<Vec<Operator>> {
        let api: Api<Deployment> = Api::all(self.client.clone());
        let deployments = api.list(&ListParams::default().labels(OPERATOR)).await?;
        let runs = |it: &&Deployment| {
            it.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0) > 0
        };
        let operators = deployments.items.iter().filter(runs).filter_map(|it| {
            let home = it.namespace()?;
            let sign = format!("Deployment {home}/{}", it.name_any());
            Some(Operator { home, sign })
        });
        Ok(operators.collect())
    }

    /// Operators with a Lease that was renewed lately.
    async fn renewed(&self) -> kube::Result<Vec<Operator>> {
        let api: Api<Lease> = Api::all(self.client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={LEASE}"));
        let leases = api.list(&named).await?;
        let is_alive = |lease: &Lease| {
            let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
            let held = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
            held.is_some_and(|holder| !holder.is_empty())
                && renewed
                    .is_some_and(|at| clock::now().duration_since(at.0).unsigned_abs() < ALIVE)
        };
        let operators = leases.items.iter().filter(|lease| is_alive(lease)).filter_map(|lease| {
            let home = lease.namespace()?;
            let sign = format!("Lease {home}/{LEASE}");
            Some(Operator { home, sign })
        });
        Ok(operators.collect())
    }

    /// Whether an operator at home in `home` may look after RayClusters of `namespace`.
    async fn serves(&self, known: &mut Known, home: &str, namespace: &str) -> kube::Result<bool> {
        let pair = (home.to_owned(), namespace.to_owned());
        if let Some((at, serves)) = known.serves.get(&pair)
            && at.elapsed() < RIGHTS_FOR
        {
            return Ok(*serves);
        }
        let prefix = format!("system:serviceaccount:{home}:");
        let usual = format!("{prefix}kuberay-operator");
        let named = self.accounts.iter().filter(|account| account.starts_with(&prefix));
        let mut serves = false;
        for account in named.chain([&usual]) {
            serves = serves || self.may_serve(account, home, namespace).await?;
        }
        known.serves.insert(pair, (Instant::now(), serves));
        Ok(serves)
    }

    async fn may_serve(&self, account: &str, home: &str, namespace: &str) -> kube::Result<bool> {
        let status = ResourceAttributes {
            subresource: Some("status".to_owned()),
            ..on_clusters("update", RAY, namespace, None)
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(account.to_owned()),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{home}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(status),
            ..SubjectAccessReviewSpec::default()
        };
        is_allowed(&self.client, spec).await
    }
}
