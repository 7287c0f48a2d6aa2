//! Fills the two webhook configurations, which are installed empty.
//!
//! Input: what shall be registered, and the authority. Output: server-side applies, only where what is
//! stored says something else; what others add (a selector, an entry) stays. A configuration is never
//! made here, and one whose `caBundle` cert-manager keeps is left alone.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use super::apply::MANAGER;
use crate::http::ops::Finding;
use crate::registration::{NAME, Registration};
use crate::telemetry::chain;

const GROUP: &str = "admissionregistration.k8s.io";

/// Whoever has one of these lets cert-manager write `caBundle`.
const CERT_MANAGER: &str = "cert-manager.io/inject-";

/// Fills them.
pub(super) struct Registrar {
    client: Client,
    registration: Registration,
}

impl Registrar {
    pub(super) fn new(client: Client, registration: Registration) -> Self {
        Self { client, registration }
    }

    /// Has both say what they shall, with `authority`.
    pub(super) async fn fill(&self, authority: &str) -> Finding {
        let mut registration = self.registration.clone();
        registration.ca_bundle = Some(authority.to_owned());
        for wanted in [registration.mutating(), registration.validating()] {
            self.settle(&wanted).await?;
        }
        Ok("both configurations are filled".to_owned())
    }

    async fn settle(&self, wanted: &Value) -> Result<(), String> {
        let kind = wanted["kind"].as_str().unwrap_or_default();
        let failed = |error: kube::Error| format!("{kind} {NAME}: {}", chain(&error));
        let plural = format!("{}s", kind.to_ascii_lowercase());
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", kind), &plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let Some(stored) = api.get_opt(NAME).await.map_err(failed)? else {
            return Err(format!("{kind} {NAME} is not installed"));
        };
        let annotations = stored.metadata.annotations.iter().flatten();
        if let Some((other, _)) =
            annotations.into_iter().find(|(key, _)| key.starts_with(CERT_MANAGER))
        {
            return Err(format!(
                "{kind} {NAME} is left alone: by {other} cert-manager keeps its caBundle"
            ));
        }
        if says(&stored.data, wanted) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": wanted["apiVersion"],
            "kind": kind,
            "metadata": {"name": NAME},
            "webhooks": wanted["webhooks"],
        });
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch(NAME, &parameters, &Patch::Apply(&patch)).await.map_err(failed)?;
        tracing::info!("filled {kind} {NAME}");
        Ok(())
    }
}

/// Whether what is stored has each entry as it is wanted.
fn says(stored: &Value, wanted: &Value) -> bool {
    let entries = |of: &Value| of["webhooks"].as_array().cloned().unwrap_or_default();
    let stored = entries(stored);
    entries(wanted)
        .iter()
        .all(|it| stored.iter().any(|other| other["name"] == it["name"] && covers(other, it)))
}

/// Whether all that `wanted` says stands in `stored`; defaults of the API server may stand beside it.
fn covers(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            let covered = |key: &str, it: &Value| match stored.get(key) {
                Some(other) => covers(other, it),
                // The API server stores no empty list.
                None => it.as_array().is_some_and(Vec::is_empty),
            };
            wanted.iter().all(|(key, it)| covered(key, it))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len()
                && stored.iter().zip(wanted).all(|(other, it)| covers(other, it))
        }
        _ => stored == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_entries_of_others_are_no_difference_and_anything_else_is() {
        let wanted = json!({"webhooks": [{"name": "a", "rules": [{"scope": "Namespaced"}]}]});
        let mut stored = json!({"webhooks": [
            {"name": "other"},
            {"name": "a", "timeoutSeconds": 10, "rules": [{"scope": "Namespaced"}]},
        ]});
        assert!(says(&stored, &wanted));
        let unconditional = json!({"webhooks": [{"name": "a", "matchConditions": []}]});
        assert!(says(&stored, &unconditional));
        stored["webhooks"][1]["rules"][0]["scope"] = json!("*");
        assert!(!says(&stored, &wanted));
        assert!(!says(&json!({}), &wanted));
    }
}
