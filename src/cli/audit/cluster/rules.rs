//! What objects are judged by, as far as the cluster says it: the policies that it holds, and what they
//! read beside an object, which are the labels of namespaces and what all clusters of one may reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::core::ApiResource;
use serde_json::Value;

use super::super::super::{output, trouble};
use super::{Audit, Heard, Pages, list, pages};
use crate::dialect;
use crate::plan::audit;
use crate::policy::{Flaw, Labels, Policy, Usage};

impl Audit<'_> {
    /// Completes the rules; `policies` is the resource of those that the cluster holds.
    pub(super) async fn complete_rules(
        &mut self,
        kinds: &[ApiResource],
        policies: Option<ApiResource>,
    ) -> anyhow::Result<()> {
        let named = self.rules.policies.policies.len();
        if let Some(policies) = policies {
            self.stored_policies(&policies).await?;
        }
        if self.rules.policies.reads_namespaces() {
            let namespaces = self.namespaces().await.map_err(|error| {
                if self.rules.policies.policies.len() > named {
                    error.context("--policies none goes without the policies in force")
                } else {
                    error
                }
            })?;
            self.rules.policies.namespaces = Arc::new(namespaces);
        }
        if self.rules.policies.needs_usage() {
            self.rules.policies.usage = Arc::new(self.usage(kinds).await?);
        }
        Ok(())
    }

    /// Takes in the policies that are in force; one from a file stands for the stored one of its name.
    async fn stored_policies(&mut self, kind: &ApiResource) -> anyhow::Result<()> {
        let mut stored: Vec<Value> = Vec::new();
        let heard = list(pages(&self.client, None, kind), |heard| match heard {
            Heard::Item(policy) => stored.push(policy),
            Heard::Page => {}
            Heard::Anew => stored.clear(),
        });
        if let Err(error) = heard.await {
            let right = format!("{}.{}", kind.plural, kind.group);
            self.unless_forbidden(error, kind)?;
            self.unreadable(&anyhow!(
                "may not list {right}: the policies in force are not known; needs a ClusterRole with the \
                 verbs get and list on them (kubectl create clusterrole raywarden-policies \
                 --verb=get,list --resource={right}), or --policies none to go without"
            ));
            return Ok(());
        }
        let policies = &mut self.rules.policies.policies;
        for object in &stored {
            match Policy::compile(object) {
                Ok(policy) if policies.iter().any(|known| known.name() == policy.name()) => {}
                Ok(policy) => policies.push(Arc::new(policy)),
                Err(flaws) => {
                    let name = object.pointer("/metadata/name").and_then(Value::as_str);
                    let (name, flaws) = (name.unwrap_or_default(), Flaw::listed(&flaws));
                    output::note(&format!("policy {name} is not in force: {flaws}"));
                }
            }
        }
        Ok(())
    }

    /// The labels of the namespaces, which policies select them by.
    async fn namespaces(&self) -> anyhow::Result<BTreeMap<String, Labels>> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        // A list of one: a namespace that is not there is found out later, like any other.
        let fields = self.namespace.map(|name| format!("metadata.name={name}"));
        let pages = Pages::of(self.client.clone(), api.resource_url(), "")
            .of_fields(&fields.unwrap_or_default());
        let mut found = BTreeMap::new();
        let heard = list(pages, |heard| {
            if let Heard::Item(Namespace { metadata, .. }) = heard {
                found
                    .insert(metadata.name.unwrap_or_default(), metadata.labels.unwrap_or_default());
            }
        });
        let doing = "list namespaces, whose labels a policy selects them by,";
        heard.await.map_err(|error| trouble::general(error, &self.server, doing))?;
        Ok(found)
    }

    /// What all clusters of each namespace may reach. What may not be listed is not counted; that it may
    /// not is told when it is to be judged.
    async fn usage(&mut self, kinds: &[ApiResource]) -> anyhow::Result<Usage> {
        let mut usage = Usage::default();
        for kind in kinds {
            let Some(dialect) = dialect::of(&kind.group, &kind.kind).filter(|it| it.holds_pods())
            else {
                continue;
            };
            let (settings, mut count) = (&self.rules.settings, 0);
            let progress = &mut self.progress;
            let heard = list(pages(&self.client, self.namespace, kind), |heard| match heard {
                Heard::Item(object) => {
                    audit::count(&mut usage, settings, &audit::question("", object, false));
                    count += 1;
                }
                Heard::Page => progress.told("counted", count, &kind.plural),
                Heard::Anew => {
                    usage.replace(dialect, Usage::default());
                    count = 0;
                }
            });
            if let Err(error) = heard.await {
                self.unless_forbidden(error, kind)?;
            }
        }
        Ok(usage)
    }
}
