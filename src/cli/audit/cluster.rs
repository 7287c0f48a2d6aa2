//! A cluster, read page by page with list alone.
//!
//! Input: a kubeconfig context. Output: [`Records`]; the objects are dropped page by page.
//! What may not be listed is said on standard error, and the rest is judged all the same.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;

use super::super::trouble::{self, Asked};
use super::super::{context, output};
use super::record::Records;
use super::served::{Served, served};
use super::{AuditArgs, Rules};

/// Objects of one page.
const PAGE: u32 = 250;

/// How often a list that became too old on its way is begun anew.
const RESTARTS: usize = 3;

/// Judges every object of a Ray kind that the context may list; whether all could be read.
pub(super) fn read(args: &AuditArgs, rules: &Rules, records: &mut Records) -> anyhow::Result<bool> {
    let runtime = context::runtime()?;
    runtime.block_on(async {
        let config = context::config(args.context.as_deref(), args.kubeconfig.as_deref()).await?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).context("failed to make a client")?;
        let namespace = args.namespace.as_deref();
        let progress = Progress::new();
        let mut audit = Audit { client, server, namespace, rules, records, progress };
        audit.all().await
    })
}

/// One audit on its way.
struct Audit<'a> {
    client: Client,
    server: String,
    namespace: Option<&'a str>,
    rules: &'a Rules,
    records: &'a mut Records,
    progress: Progress,
}

impl Audit<'_> {
    async fn all(&mut self) -> anyhow::Result<bool> {
        let found = served(&self.client).await;
        let Served { kinds, absent } =
            found.map_err(|error| trouble::discovering(error, &self.server))?;
        self.records.absent = absent;
        let mut unread = Vec::new();
        for kind in &kinds {
            let Err(error) = self.kind(kind).await else { continue };
            let forbidden = trouble::is_forbidden(&error);
            let asked =
                Asked { group: &kind.group, plural: &kind.plural, namespace: self.namespace };
            let explained = trouble::listing(error, &self.server, asked);
            if !forbidden {
                self.progress.end();
                return Err(explained);
            }
            unread.push(explained);
        }
        self.progress.end();
        // With nothing to report, the missing rights are the whole answer.
        if unread.len() == kinds.len()
            && let Some(last) = unread.pop()
        {
            unread.iter().for_each(output::complain);
            return Err(last);
        }
        unread.iter().for_each(output::complain);
        self.namespace_exists().await?;
        Ok(unread.is_empty())
    }

    /// Every page of a kind.
    async fn kind(&mut self, kind: &ApiResource) -> kube::Result<()> {
        let api: Api<DynamicObject> = match self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        };
        let mark = self.records.mark();
        let mut restarts = 0;
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = match api.list(&parameters).await {
                // What was judged so far comes again.
                Err(error) if trouble::is_expired(&error) && restarts < RESTARTS => {
                    restarts += 1;
                    self.records.forget_since(mark);
                    parameters = ListParams::default().limit(PAGE);
                    continue;
                }
                page => page?,
            };
            for object in page.items {
                let value = serde_json::to_value(&object).map_err(kube::Error::SerdeError)?;
                self.records.judge(self.rules, "", value, false);
            }
            self.progress.told(self.records.since(mark), &kind.plural);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// A mistyped namespace is an empty list to the API server, and no clean bill to its reader.
    async fn namespace_exists(&self) -> anyhow::Result<()> {
        let Some(name) = self.namespace.filter(|_| self.records.is_empty()) else {
            return Ok(());
        };
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        // Whoever may not look stays with the empty report.
        if let Ok(None) = namespaces.get_opt(name).await {
            bail!("there is no namespace {name:?} at {}", self.server);
        }
        Ok(())
    }
}

/// A line on a terminal once it takes longer than a second.
struct Progress {
    begun: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), shown: false }
    }

    fn told(&mut self, count: usize, plural: &str) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() && self.begun.elapsed() > Duration::from_secs(1) {
            self.shown = true;
            let _ = write!(stderr, "\rjudged {count} {plural}\u{1b}[K");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests;
