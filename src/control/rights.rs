//! What the controller has to be allowed, and whether it is.
//!
//! At start and from time to time the API server is asked for each right. What is missing keeps
//! readiness down and is named there and in the log, each with the rule that would grant it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio_util::sync::CancellationToken;

use crate::http::ops::Finding;
use crate::registration;

/// API group, resource and verbs. The deployed `ClusterRole` holds exactly these, besides the Lease.
pub const NEEDED: [(&str, &str, &[&str]); 29] = [
    ("ray.io", "rayclusters", &["get", "list", "watch", "patch"]),
    ("ray.io", "rayclusters/status", &["patch"]),
    ("ray.io", "rayjobs", &["list"]),
    ("ray.io", "rayservices", &["list"]),
    ("ray.io", "raycronjobs", &["list"]),
    ("distributed-compute.dominodatalab.com", "rayclusters", &["get", "list", "watch", "patch"]),
    ("", "pods", &["get", "list", "watch", "create", "delete", "patch"]),
    ("", "pods/resize", &["patch"]),
    ("", "services", &["get", "list", "watch", "create", "patch"]),
    ("", "serviceaccounts", &["get", "list", "watch", "create", "patch"]),
    ("", "secrets", &["get", "list", "watch", "create", "patch"]),
    ("rbac.authorization.k8s.io", "roles", &["get", "list", "watch", "create", "patch", "delete"]),
    (
        "rbac.authorization.k8s.io",
        "rolebindings",
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    ("batch", "jobs", &["get", "list", "watch", "create", "patch"]),
    ("raywarden.io", "rayclusterreports", &["get", "list", "create", "patch"]),
    ("wgpolicyk8s.io", "policyreports", &["get", "list", "create", "patch"]),
    ("openreports.io", "reports", &["get", "list", "create", "patch"]),
    ("raywarden.io", "scaleleases", &["get", "list", "watch"]),
    ("raywarden.io", "scaleleases/status", &["patch"]),
    ("raywarden.io", "rayclusterpolicies", &["list", "watch"]),
    ("raywarden.io", "rayclusterpolicies/status", &["patch"]),
    ("", "namespaces", &["list", "watch"]),
    ("events.k8s.io", "events", &["create", "patch"]),
    ("coordination.k8s.io", "leases", &["get", "list"]),
    ("apps", "deployments", &["list"]),
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]),
    ("apiextensions.k8s.io", "customresourcedefinitions", &["get"]),
];

/// The same for one object by its name: the registration, where the certificate is our own.
pub const REGISTERS: [(&str, &str, &str, &[&str]); 2] = [
    (ADMISSION, "mutatingwebhookconfigurations", registration::NAME, &["get", "patch"]),
    (ADMISSION, "validatingwebhookconfigurations", registration::NAME, &["get", "patch"]),
];

const ADMISSION: &str = "admissionregistration.k8s.io";

const BETWEEN: Duration = Duration::from_mins(10);
const WHILE_MISSING: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    registers: bool,
    missing: Arc<Mutex<Option<Vec<String>>>>,
}

impl Rights {
    /// Of a controller that fills the registration or not.
    pub fn of(registers: bool) -> Self {
        Self { registers, ..Self::default() }
    }

    /// The readiness check.
    pub fn check(&self) -> impl Fn() -> Finding + Send + Sync + use<> {
        let missing = Arc::clone(&self.missing);
        move || match &*missing.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Err("not looked at yet".to_owned()),
            Some(missing) if missing.is_empty() => Ok("every right is there".to_owned()),
            Some(missing) => Err(format!("missing, grant them: {}", missing.join("; "))),
        }
    }

    /// Looks again and again, till `stop`.
    pub async fn watch_over(self, client: Client, stop: CancellationToken) {
        loop {
            let wait = match self.ask(&client).await {
                Ok(found) => {
                    let wait = if found.is_empty() { BETWEEN } else { WHILE_MISSING };
                    self.note(found);
                    wait
                }
                Err(error) => {
                    tracing::warn!("failed to look at our own rights: {error}");
                    WHILE_MISSING
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The rights that are missing, as rules.
    async fn ask(&self, client: &Client) -> kube::Result<Vec<String>> {
        let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let all = NEEDED.map(|(group, resource, verbs)| ((group, resource, None), verbs));
        let named =
            REGISTERS.map(|(group, resource, name, verbs)| ((group, resource, Some(name)), verbs));
        let named = named.into_iter().filter(|_| self.registers);
        let mut missing = Vec::new();
        for (what, verbs) in all.into_iter().chain(named) {
            missing.extend(refused(&api, what, verbs).await?);
        }
        Ok(missing)
    }

    fn note(&self, found: Vec<String>) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.as_ref() != Some(&found) {
            for right in &found {
                tracing::error!(right, "a right is missing");
            }
            *missing = Some(found);
        }
    }
}

/// The verbs of one rule that are refused, as the rule that would grant them.
async fn refused(
    api: &Api<SelfSubjectAccessReview>,
    (group, resource, name): (&str, &str, Option<&str>),
    verbs: &[&str],
) -> kube::Result<Option<String>> {
    let mut refused = Vec::new();
    for verb in verbs {
        let review = review(group, resource, name, verb);
        let answer = api.create(&PostParams::default(), &review).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            refused.push(*verb);
        }
    }
    let dotted = if group.is_empty() { "core" } else { group };
    let named = name.map(|name| format!(" called {name}")).unwrap_or_default();
    let rule = format!("{} {resource}{named} ({dotted})", refused.join(","));
    Ok((!refused.is_empty()).then_some(rule))
}

fn review(group: &str, resource: &str, name: Option<&str>, verb: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (resource, None),
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                name: name.map(str::to_owned),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}
