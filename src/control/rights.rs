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

/// API group, resource and verbs. The deployed `ClusterRole` holds exactly these, besides the Lease.
pub const NEEDED: [(&str, &str, &[&str]); 20] = [
    ("ray.io", "rayclusters", &["get", "list", "watch", "patch"]),
    ("ray.io", "rayclusters/status", &["patch"]),
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
    ("raywarden.io", "rayclusterreports", &["get", "create", "patch"]),
    ("raywarden.io", "scaleleases", &["get", "list", "watch"]),
    ("raywarden.io", "scaleleases/status", &["patch"]),
    ("events.k8s.io", "events", &["create", "patch"]),
    ("coordination.k8s.io", "leases", &["get", "list"]),
    ("apps", "deployments", &["list"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]),
    ("apiextensions.k8s.io", "customresourcedefinitions", &["get"]),
];

const BETWEEN: Duration = Duration::from_mins(10);
const WHILE_MISSING: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    missing: Arc<Mutex<Option<Vec<String>>>>,
}

impl Rights {
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
            let wait = match missing(&client).await {
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

/// The rights that are missing, as rules.
async fn missing(client: &Client) -> kube::Result<Vec<String>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for (group, resource, verbs) in NEEDED {
        let mut refused = Vec::new();
        for verb in verbs {
            let answer = api.create(&PostParams::default(), &review(group, resource, verb)).await?;
            if !answer.status.is_some_and(|status| status.allowed) {
                refused.push(*verb);
            }
        }
        if !refused.is_empty() {
            let dotted = if group.is_empty() { "core" } else { group };
            missing.push(format!("{} {resource} ({dotted})", refused.join(",")));
        }
    }
    Ok(missing)
}

fn review(group: &str, resource: &str, verb: &str) -> SelfSubjectAccessReview {
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
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}
