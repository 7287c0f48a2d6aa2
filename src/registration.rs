//! The two webhook configurations, as objects.
//!
//! Pure: where the webhook is and who is a machine come in, JSON goes out. Every request that the
//! rules select and that touches no object under deletion matches exactly one mutating entry (of
//! the kinds that are mutated) and exactly one validating entry: `people` and `machines` carry one
//! condition and its negation. A new `ScaleLease` is mutated alone: its requester is recorded. A
//! `RayClusterPolicy` goes to one validating entry of its own, whoever writes it.
//!
//! Failure policies: mutation and the entry of machines never block, because Ray's v1 autoscaler
//! dies on its sixth refused patch and an operator that is refused stops; people are let through
//! too until the administrator says otherwise.

mod conditions;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::admission::settings::Accounts;
use crate::dialect::{self, Dialect};
use crate::plan::lease::definition::{PLURAL, VERSION};
use crate::policy;

/// The name of both configurations.
pub const NAME: &str = "raywarden";

/// Where API servers reach the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Service in the cluster, port 443.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A base URL without path, for an API server that runs beside the webhook.
    Url(String),
}

/// What a registration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where the webhook is.
    pub endpoint: Endpoint,
    /// PEM of the authorities that sign its certificate. Without it somebody else fills the field.
    pub ca_bundle: Option<String>,
    /// `NAMESPACE/CERTIFICATE` for cert-manager's injector, the one writer of `caBundle` then.
    pub inject_ca_from: Option<String>,
    /// People's writes fail when nobody answers.
    pub strict: bool,
    /// Who is a machine.
    pub accounts: Accounts,
}

impl Registration {
    /// The `MutatingWebhookConfiguration`.
    pub fn mutating(&self) -> Value {
        let conditions = [conditions::not_being_deleted()];
        let mut entry =
            self.entry("mutate.raywarden.io", "/mutate", "Ignore", &clusters(), &conditions);
        set(&mut entry, "reinvocationPolicy", "IfNeeded");
        let lease = self.entry("lease.mutate.raywarden.io", "/mutate", "Ignore", &[leases()], &[]);
        self.configuration("MutatingWebhookConfiguration", &[entry, lease])
    }

    /// The `ValidatingWebhookConfiguration`.
    pub fn validating(&self) -> Value {
        let rules: Vec<Value> = clusters().into_iter().chain([parents()]).collect();
        let entry = |name: &str, failure: &str, who: Value| {
            let conditions = [conditions::not_being_deleted(), who];
            self.entry(name, "/validate", failure, &rules, &conditions)
        };
        let people = if self.strict { "Fail" } else { "Ignore" };
        let entries = [
            entry("people.validate.raywarden.io", people, conditions::people(&self.accounts)),
            entry("machines.validate.raywarden.io", "Ignore", conditions::machines(&self.accounts)),
            self.entry(
                "policies.validate.raywarden.io",
                "/validate",
                "Ignore",
                &[policies()],
                &[conditions::not_being_deleted()],
            ),
        ];
        self.configuration("ValidatingWebhookConfiguration", &entries)
    }

    fn configuration(&self, kind: &str, webhooks: &[Value]) -> Value {
        let mut metadata = json!({
            "name": NAME,
            "labels": {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "webhook"},
        });
        if let Some(certificate) = &self.inject_ca_from {
            set(
                &mut metadata,
                "annotations",
                json!({"cert-manager.io/inject-ca-from": certificate}),
            );
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": metadata,
            "webhooks": webhooks,
        })
    }

    fn entry(
        &self,
        name: &str,
        path: &str,
        failure_policy: &str,
        rules: &[Value],
        conditions: &[Value],
    ) -> Value {
        json!({
            "name": name,
            "clientConfig": self.client_config(path),
            "rules": rules,
            "matchPolicy": "Equivalent",
            "matchConditions": conditions,
            "failurePolicy": failure_policy,
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "admissionReviewVersions": ["v1"],
        })
    }

    fn client_config(&self, path: &str) -> Value {
        let mut config = match &self.endpoint {
            Endpoint::Service { namespace, name } => json!({
                "service": {"namespace": namespace, "name": name, "path": path, "port": 443},
            }),
            Endpoint::Url(base) => json!({"url": format!("{}{path}", base.trim_end_matches('/'))}),
        };
        if let Some(pem) = &self.ca_bundle {
            set(&mut config, "caBundle", STANDARD.encode(pem));
        }
        config
    }
}

fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value.into());
    }
}

/// Ray clusters of both dialects.
fn clusters() -> Vec<Value> {
    [dialect::RAY, dialect::DOMINO].map(|group| rule(group, &["rayclusters"])).into()
}

/// Scale leases that are new: who asked for one never changes.
fn leases() -> Value {
    json!({
        "apiGroups": [dialect::OURS],
        "apiVersions": [VERSION],
        "operations": ["CREATE"],
        "resources": [PLURAL],
        "scope": "Namespaced",
    })
}

/// Our own policies: one that could not be in force is refused. One that gets in while nobody answers
/// is left out by whoever reads it, and its status says so.
fn policies() -> Value {
    json!({
        "apiGroups": [dialect::OURS],
        "apiVersions": [policy::definition::VERSION],
        "operations": ["CREATE", "UPDATE"],
        "resources": [policy::definition::PLURAL],
        "scope": "Cluster",
    })
}

/// Objects that hold a cluster's spec.
fn parents() -> Value {
    let embedding =
        dialect::kinds().filter(|(.., dialect)| matches!(dialect, Dialect::Embedded(_)));
    let resources: Vec<&str> = embedding.map(|(_, _, plural, _)| plural).collect();
    rule(dialect::RAY, &resources)
}

/// Every version is named: a write through v1alpha1 that is converted to v1 for the webhook and
/// patched comes back with other defaults, and every second `kubectl apply` would move the
/// generation.
fn rule(group: &str, resources: &[&str]) -> Value {
    json!({
        "apiGroups": [group],
        "apiVersions": dialect::versions(group),
        "operations": ["CREATE", "UPDATE"],
        "resources": resources,
        "scope": "Namespaced",
    })
}

#[cfg(test)]
mod tests;
