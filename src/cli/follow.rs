//! One cluster, followed by somebody with a kubeconfig or from inside a Pod.
//!
//! Input: flags that say which cluster. Output: the cluster as it stands, and a wait for its workers that
//! draws its progress: a bar on a terminal, a line for each change elsewhere. Everything that is told goes
//! to stderr; what a script reads is the command's own.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use kube::api::{Api, DynamicObject};
use kube::{Client, Config};
use serde_json::Value;

use super::{context, output, trouble};
use crate::dialect::{DOMINO, Dialect, RAY};
use crate::http::nodes::{Looks, Way};
use crate::http::objects;
use crate::plan::pod::Pod;
use crate::scaling::native::view::ClusterState;
use crate::scaling::workers::{GroupState, Workers};

/// Between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

/// Looks without an answer of the API server after which it is given up.
const SILENCES: u32 = 5;

/// Characters of the bar.
const BAR: i64 = 30;

/// Which cluster.
#[derive(Clone, Debug, Args)]
pub(super) struct ClusterArgs {
    /// The RayCluster
    #[arg(value_name = "CLUSTER")]
    pub(super) cluster: String,

    /// Its namespace; the context's own without it, in a Pod the Pod's
    #[arg(short = 'n', long, value_name = "NAME")]
    namespace: Option<String>,

    /// Its API group, where clusters of both have this name
    #[arg(long, value_enum, value_name = "GROUP")]
    api_group: Option<GroupChoice>,

    /// The kubeconfig context; the current one without it
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig; without it and --context, inside a Pod, the Pod's own account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// A file with the cluster's token, where its dashboard asks for one
    #[arg(long, value_name = "FILE")]
    ray_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GroupChoice {
    /// KubeRay's kind
    #[value(name = "ray.io")]
    Ray,
    /// Domino's kind
    #[value(name = "distributed-compute.dominodatalab.com")]
    Domino,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One object, as the scaling API answers
    Json,
}

/// A cluster, and how to look at it.
pub(super) struct Followed {
    pub(super) client: Client,
    pub(super) dialect: Dialect,
    pub(super) api: Api<DynamicObject>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) server: String,
    looks: Looks,
}

impl ClusterArgs {
    /// Finds the cluster.
    pub(super) async fn find(&self) -> anyhow::Result<(Followed, Value)> {
        let config = self.config().await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).context("failed to make a client")?;
        let token = self.ray_token_file.as_deref().map(context::ray_token).transpose()?;
        let way = if inside() && token.is_none() { Way::Direct } else { Way::Proxied(token) };
        let mut found = Vec::new();
        let mut refused = None;
        for dialect in self.dialects() {
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), &namespace, &objects::resource(dialect));
            match objects::find(&api, &self.cluster).await {
                Ok(None) => {}
                Ok(Some(object)) => found.push((dialect, api, serde_json::to_value(object)?)),
                Err(error) if trouble::is_forbidden(&error) => refused = Some(error),
                Err(error) => {
                    let doing = format!("get raycluster {namespace}/{}", self.cluster);
                    return Err(trouble::general(error, &server, &doing));
                }
            }
        }
        if found.len() > 1 {
            bail!(
                "there is a RayCluster {} of {RAY} and one of {DOMINO}: say which with --api-group",
                self.cluster
            );
        }
        let Some((dialect, api, object)) = found.pop() else {
            return Err(match refused {
                Some(error) => trouble::general(error, &server, "get rayclusters"),
                None => anyhow!(
                    "there is no RayCluster {} in namespace {namespace} at {server}; -n names another namespace",
                    self.cluster
                ),
            });
        };
        let looks = Looks::new(client.clone(), way);
        let name = self.cluster.clone();
        Ok((Followed { client, dialect, api, namespace, name, server, looks }, object))
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let named = self.context.is_some() || self.kubeconfig.is_some();
        if inside() && !named && std::env::var_os("KUBECONFIG").is_none() {
            return Config::incluster().context("failed to read the Pod's own account");
        }
        context::config(self.context.as_deref(), self.kubeconfig.as_deref()).await
    }

    fn dialects(&self) -> Vec<Dialect> {
        match self.api_group {
            None => vec![Dialect::RayCluster, Dialect::Domino],
            Some(GroupChoice::Ray) => vec![Dialect::RayCluster],
            Some(GroupChoice::Domino) => vec![Dialect::Domino],
        }
    }
}

/// Whether this runs in a Pod.
fn inside() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// When a wait is over.
#[derive(Clone, Debug)]
pub(super) struct Until {
    /// The group that counts; all without it.
    pub(super) group: Option<String>,
    /// So many have joined; without it all that are wanted.
    pub(super) workers: Option<i64>,
}

impl Until {
    /// The workers that count; `None` where the group is not there.
    pub(super) fn workers(&self, state: &ClusterState) -> Option<Workers> {
        match &self.group {
            None => Some(state.workers.clone()),
            Some(name) => {
                let found = state.groups.iter().find(|group| group.name == *name);
                found.map(|group| group.workers.clone())
            }
        }
    }

    fn is_over(&self, workers: &Workers) -> bool {
        match self.workers {
            None => workers.all_joined,
            Some(wanted) => workers.joined.is_some_and(|joined| joined >= wanted),
        }
    }
}

impl Followed {
    /// The cluster as `object` and its nodes have it.
    pub(super) async fn state(&self, object: &Value) -> anyhow::Result<ClusterState> {
        let nodes = self.looks.nodes(object, self.dialect).await;
        let state = ClusterState::of(object, self.dialect, nodes.seen());
        state.context("this object holds no Ray cluster")
    }

    /// Its Pods.
    pub(super) async fn pods(&self, object: &Value) -> Vec<Pod> {
        self.looks.nodes(object, self.dialect).await.pods
    }

    /// Waits till it is over, or the time is; the last state, and whether it is over.
    pub(super) async fn wait(
        &self,
        uid: &str,
        until: &Until,
        timeout: Duration,
    ) -> anyhow::Result<(ClusterState, bool)> {
        let begun = Instant::now();
        let mut drawn = Drawn::new(&self.name);
        let mut silences = 0;
        loop {
            match self.look(uid).await {
                Ok(state) => {
                    silences = 0;
                    let Some(workers) = until.workers(&state) else {
                        let group = until.group.as_deref().unwrap_or("");
                        bail!("the cluster has no group {group:?}");
                    };
                    drawn.draw(&workers, until.workers, begun.elapsed());
                    let over = until.is_over(&workers);
                    if over || begun.elapsed() >= timeout {
                        drawn.end();
                        return Ok((state, over));
                    }
                }
                Err(Lost::Gone) => {
                    drawn.end();
                    bail!("RayCluster {} was deleted while its workers were waited for", self.name);
                }
                Err(Lost::Silent(error)) => {
                    silences += 1;
                    if silences == SILENCES || begun.elapsed() >= timeout {
                        drawn.end();
                        return Err(trouble::general(error, &self.server, "get the raycluster"));
                    }
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    async fn look(&self, uid: &str) -> Result<ClusterState, Lost> {
        let object = match self.api.get_opt(&self.name).await {
            Ok(Some(object)) => serde_json::to_value(object).unwrap_or(Value::Null),
            Ok(None) => return Err(Lost::Gone),
            Err(error) => return Err(Lost::Silent(error)),
        };
        if object.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid) {
            return Err(Lost::Gone);
        }
        self.state(&object).await.map_err(|_| Lost::Gone)
    }
}

enum Lost {
    Gone,
    Silent(kube::Error),
}

/// What was told of a wait.
struct Drawn {
    name: String,
    live: bool,
    last: String,
}

impl Drawn {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), live: stderr().is_terminal(), last: String::new() }
    }

    fn draw(&mut self, workers: &Workers, wanted: Option<i64>, so_far: Duration) {
        let line = line(workers, wanted);
        if self.live {
            let bar = bar(workers, wanted);
            let whole = format!("{} {bar} {line} {} s", self.name, so_far.as_secs());
            // A line that wraps could not be drawn over.
            let columns =
                terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| width.0);
            let fits: String = whole.chars().take(usize::from(columns).saturating_sub(1)).collect();
            // Where stderr is closed there is nobody to tell.
            let _ = write!(stderr().lock(), "\r\x1b[K{fits}");
        } else if self.last != line {
            output::note(&format!("{}: {line}", self.name));
        }
        self.last = line;
    }

    fn end(&self) {
        if self.live {
            let _ = writeln!(stderr().lock());
        }
    }
}

fn line(workers: &Workers, wanted: Option<i64>) -> String {
    let Workers { desired, running, ready, .. } = workers;
    let of = wanted.unwrap_or(*desired);
    let joined = match (workers.joined, &workers.unknown) {
        (Some(joined), _) => format!("{joined} of {of} joined"),
        (None, Some(why)) => format!("not known who joined ({why})"),
        (None, None) => "not known who joined".to_owned(),
    };
    format!("{joined}, {ready} ready, {running} running")
}

fn bar(workers: &Workers, wanted: Option<i64>) -> String {
    let of = wanted.unwrap_or(workers.desired).max(1);
    let filled = (workers.joined.unwrap_or(0).clamp(0, of) * BAR) / of;
    let part = |count: i64, sign: &str| sign.repeat(usize::try_from(count).unwrap_or(0));
    format!("[{}{}]", part(filled, "#"), part(BAR - filled, "-"))
}

/// What a person reads at the end.
pub(super) fn summary(state: &ClusterState) -> String {
    let ClusterState { namespace, name, groups, .. } = state;
    let said = |group: &GroupState| {
        let number = |count: Option<i64>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let (replicas, min, max) =
            (number(group.replicas), number(group.min_replicas), number(group.max_replicas));
        let missing = match group.workers.not_joined.as_slice() {
            [] => String::new(),
            names => format!("  not joined: {}\n", names.join(", ")),
        };
        let line = line(&group.workers, None);
        let group = &group.name;
        format!(
            "{namespace}/{name} group {group}: replicas {replicas} within {min}..{max}; {line}\n{missing}"
        )
    };
    groups.iter().map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(joined: Option<i64>) -> Workers {
        let unknown = joined.is_none().then(|| "no head Pod runs".to_owned());
        Workers { desired: 5, running: 4, ready: 3, joined, unknown, ..Workers::default() }
    }

    #[test]
    fn progress_says_how_many_of_how_many() {
        assert_eq!(line(&workers(Some(2)), None), "2 of 5 joined, 3 ready, 4 running");
        assert_eq!(line(&workers(Some(2)), Some(3)), "2 of 3 joined, 3 ready, 4 running");
        let unknown = line(&workers(None), None);
        assert_eq!(unknown, "not known who joined (no head Pod runs), 3 ready, 4 running");
        assert_eq!(bar(&workers(Some(2)), None), format!("[{}{}]", "#".repeat(12), "-".repeat(18)));
        assert_eq!(bar(&workers(Some(9)), Some(3)), format!("[{}]", "#".repeat(30)));
    }

    #[test]
    fn enough_workers_are_enough_though_more_are_wanted() {
        let until = Until { group: None, workers: Some(2) };
        assert!(until.is_over(&workers(Some(2))) && !until.is_over(&workers(Some(1))));
        assert!(!until.is_over(&workers(None)));
        let all = Until { group: None, workers: None };
        assert!(!all.is_over(&workers(Some(5))), "not said to be all");
    }
}
