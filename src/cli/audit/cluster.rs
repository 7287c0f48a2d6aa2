//! A cluster, read page by page with list alone.
//!
//! Input: a kubeconfig context. Output: [`Records`]; each object is dropped as soon as it is judged.
//! What may not be listed is said on standard error, and the rest is judged all the same.

mod rules;

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use serde::de::DeserializeOwned;

use super::super::problem::Problem;
use super::super::trouble::{self, Asked};
use super::super::{context, output};
use super::dates;
use super::record::Records;
use super::{AuditArgs, InForce, Rules};
use crate::control::pages::Pages;
use crate::control::served::{Served, served};
use crate::model::Severity;

/// How often a list that became too old on its way is begun anew.
const RESTARTS: usize = 3;

/// Judges every object of a Ray kind that the context may list, and dates the findings.
pub(super) fn read(
    args: &AuditArgs,
    rules: &mut Rules,
    records: &mut Records,
) -> anyhow::Result<()> {
    let runtime = context::runtime()?;
    runtime.block_on(async {
        let config = context::config(args.context.as_deref(), args.kubeconfig.as_deref()).await?;
        let server = config.cluster_url.to_string();
        records.server.clone_from(&server);
        let client = Client::try_from(config).context("failed to make a client")?;
        let namespace = args.namespace.as_deref();
        let progress = Progress::new();
        let dated = args.since.is_some();
        let stored = args.policies_in_force == InForce::Stored;
        let mut audit =
            Audit { client, server, namespace, dated, stored, rules, records, progress };
        audit.all().await
    })
}

/// What is heard of a list on its way.
enum Heard<T> {
    /// An object.
    Item(T),
    /// A page has ended.
    Page,
    /// The list became too old and begins anew: what was heard so far comes again.
    Anew,
}

/// Every page of a list.
async fn list<T: DeserializeOwned>(
    mut pages: Pages,
    mut hear: impl FnMut(Heard<T>) + Send,
) -> kube::Result<()> {
    let mut restarts = 0;
    loop {
        match pages.next(&mut |item| hear(Heard::Item(item))).await {
            Ok(true) => hear(Heard::Page),
            Ok(false) => return Ok(()),
            Err(error) if trouble::is_expired(&error) && restarts < RESTARTS => {
                restarts += 1;
                hear(Heard::Anew);
                pages.begin_anew();
            }
            Err(error) => return Err(error),
        }
    }
}

/// One audit on its way.
struct Audit<'a> {
    client: Client,
    server: String,
    namespace: Option<&'a str>,
    /// Nothing can be said without the dates.
    dated: bool,
    /// The policies that the cluster holds are asked too.
    stored: bool,
    rules: &'a mut Rules,
    records: &'a mut Records,
    progress: Progress,
}

impl Audit<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        let found = served(&self.client).await;
        let found = found.map_err(|error| trouble::discovering(error, &self.server))?;
        let reports = found.own_reports().cloned();
        let Served { kinds, absent, policies, .. } = found;
        if self.dated && reports.is_none() {
            bail!(dates::not_served(&self.server));
        }
        self.records.absent = absent;
        self.complete_rules(&kinds, policies.filter(|_| self.stored)).await?;
        let mut unread = Vec::new();
        for kind in &kinds {
            if let Err(error) = self.kind(kind).await {
                unread.push(self.unless_forbidden(error, kind)?);
                self.records.unread.push((kind.group.clone(), kind.kind.clone()));
            }
        }
        self.progress.end();
        // With nothing to report, the missing rights are the whole answer.
        if unread.len() == kinds.len()
            && let Some(last) = unread.pop()
        {
            unread.iter().for_each(output::complain);
            return Err(last);
        }
        for error in &unread {
            self.unreadable(error);
        }
        self.namespace_exists().await?;
        match reports {
            Some(reports)
                if self.dated || self.records.drawn || self.records.reach(Severity::Audit) =>
            {
                self.date(&reports).await
            }
            _ => Ok(()),
        }
    }

    /// The error in words, where it is a missing right; every other one ends the audit.
    fn unless_forbidden(
        &self,
        error: kube::Error,
        kind: &ApiResource,
    ) -> anyhow::Result<anyhow::Error> {
        let forbidden = trouble::is_forbidden(&error);
        let asked = Asked { group: &kind.group, plural: &kind.plural, namespace: self.namespace };
        let explained = trouble::listing(error, &self.server, asked);
        if forbidden {
            return Ok(explained);
        }
        self.progress.end();
        Err(explained)
    }

    /// Something is missing from the report.
    fn unreadable(&mut self, error: &anyhow::Error) {
        output::complain(error);
        self.records.problems.push(Problem::error("", format!("{error:#}")));
    }

    /// Judges every object of a kind.
    async fn kind(&mut self, kind: &ApiResource) -> kube::Result<()> {
        let mark = self.records.mark();
        let pages = pages(&self.client, self.namespace, kind);
        let Self { records, rules, progress, .. } = self;
        list(pages, |heard| match heard {
            Heard::Item(object) => records.judge(rules, object),
            Heard::Page => progress.told("judged", records.since(mark), &kind.plural),
            Heard::Anew => records.forget_since(mark),
        })
        .await
    }

    /// When findings were first seen, from the reports that the controller keeps.
    async fn date(&mut self, kind: &ApiResource) -> anyhow::Result<()> {
        let pages = pages(&self.client, self.namespace, kind);
        let mut dating = dates::Dating::of(&mut self.records.objects);
        // Dates that are read twice are the same.
        let heard = list(pages, |heard| {
            if let Heard::Item(report) = heard {
                dating.read(&report);
            }
        });
        let Err(error) = heard.await else { return Ok(()) };
        let error = self.unless_forbidden(error, kind)?;
        // Dates are an extra, unless they are asked for.
        if self.dated {
            Err(error.context("--since asks for when findings were first seen"))
        } else {
            Ok(())
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

/// The objects of a kind, of one namespace or of all.
fn pages(client: &Client, namespace: Option<&str>, kind: &ApiResource) -> Pages {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        None => Api::all_with(client.clone(), kind),
    };
    Pages::of(client.clone(), api.resource_url(), "")
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

    fn told(&mut self, done: &str, count: usize, plural: &str) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() && self.begun.elapsed() > Duration::from_secs(1) {
            self.shown = true;
            let _ = write!(stderr, "\r{done} {count} {plural}\u{1b}[K");
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
