//! `raywarden api`: the scaling API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::logs::LogArgs;
use super::serve::run::{Signals, bind, certificate_check, runtime};
use super::serve::{CertificateArgs, above_zero, address, count};
use super::{Verdict, context};
use crate::clock::parse_duration;
use crate::http::domino::upstream::Upstream;
use crate::http::domino::{self, Api, Options};
use crate::http::ops::Readiness;
use crate::http::ops_router;
use crate::model::names::is_dns_1123;
use crate::scaling::Terms;
use crate::scaling::pace::Rate;
use crate::tls;
use crate::tls::accept::{Door, Limits};

/// Serve the scaling API of Domino's clusters
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "\
Routes, each for the caller's own clusters, or all of them for an admin of Domino:
  GET   /raycluster/list                                     (also under /rayclusterscaler)
  GET   /raycluster/NAME
  POST  /raycluster/scale    {\"cluster_name\": NAME, \"replicas\": 5}   workers 5, minimum 5, maximum 6
  POST  /raycluster/restore  {\"cluster_name\": NAME}                  the bounds of before
  GET   /ddl_cluster_scaler/list/rayclusters, /ddl_cluster_scaler/cluster/rayclusters/NAME
  PATCH /ddl_cluster_scaler/scale/rayclusters/NAME           {\"replicas\": 5}, within the maximum
  PATCH /ddl_cluster_scaler/restore/rayclusters/NAME
  PATCH /ddl_cluster_scaler/restart_head/rayclusters/NAME
  GET   /ddl_cluster_scaler/restart_status/rayclusters/NAME/{head,worker}, .../restart_head_status/...
  GET   /healthz, /readyz

A caller sends `Authorization: Bearer TOKEN` or `X-Domino-Api-Key: KEY`, which is asked about at Domino
and never logged. Errors are {\"error\": CODE, \"message\": ..., \"request_id\": ...}. Each change is a line
of the log target `audit` and an Event on the cluster.

Examples:
  # In the cluster, where the documented address http://rayclusterscaler-svc.domino-field leads here:
  raywarden api --domino-listen :6000 --scale-ceiling 50

  # From a laptop, against Domino's public address:
  raywarden api --domino-listen 127.0.0.1:6000 --context dev \\
    --domino-url https://domino.example.com --domino-ca-file /etc/ssl/certs/ca-certificates.crt
  curl -H \"X-Domino-Api-Key: $DOMINO_USER_API_KEY\" http://127.0.0.1:6000/raycluster/list

The account needs, in --compute-namespace: get, list and patch on rayclusters of
distributed-compute.dominodatalab.com; get on statefulsets (apps); get, list and delete on pods; create
on events (events.k8s.io). Signals: SIGTERM and SIGINT drain and end, SIGHUP reads the certificate files
again. Exit code 0 after a drain, 2 when serving cannot begin.")]
pub struct ApiArgs {
    /// Where Domino's users are answered; off unless given. In plain HTTP unless a certificate is given
    #[arg(long, env = "RAYWARDEN_DOMINO_LISTEN", value_parser = address, value_name = "ADDRESS:PORT")]
    domino_listen: Option<SocketAddr>,

    /// Where liveness and readiness are answered, in plain HTTP
    #[arg(long, env = "RAYWARDEN_OPS_LISTEN", value_parser = address, default_value = "[::]:8080", value_name = "ADDRESS:PORT")]
    ops_listen: SocketAddr,

    /// The kubeconfig context; without it and --kubeconfig, inside a Pod, the Pod's own account
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    #[command(flatten)]
    identity: IdentityArgs,

    #[command(flatten)]
    clusters: ClusterArgs,

    #[command(flatten)]
    certificate: CertificateArgs,

    #[command(flatten)]
    bounds: BoundArgs,

    #[command(flatten)]
    log: LogArgs,
}

/// Who says who the callers are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Domino")]
struct IdentityArgs {
    /// Where Domino is; http only to a Service of this cluster
    #[arg(
        long,
        env = "DOMINO_NUCLEUS_URI",
        default_value = "http://nucleus-frontend.domino-platform",
        value_name = "URL"
    )]
    domino_url: String,

    /// PEM file of the authorities that may have signed Domino's certificate
    #[arg(long, env = "RAYWARDEN_DOMINO_CA_FILE", value_name = "FILE")]
    domino_ca_file: Option<PathBuf>,

    /// The longest that Domino may take to answer
    #[arg(long, env = "RAYWARDEN_DOMINO_TIMEOUT", value_parser = above_zero, default_value = "4s", value_name = "TIME")]
    domino_timeout: Duration,

    /// For how long a caller is known without asking again, by the hash of the credential
    #[arg(long, env = "RAYWARDEN_IDENTITY_TTL", value_parser = parse_duration, default_value = "10s", value_name = "TIME")]
    identity_ttl: Duration,

    /// The id of this data plane: hardware tiers of others are refused
    #[arg(long, env = "RAYWARDEN_DATA_PLANE", value_name = "ID")]
    data_plane: Option<String>,
}

/// What is done with clusters.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Clusters")]
struct ClusterArgs {
    /// The namespace of Domino's clusters
    #[arg(long, env = "COMPUTE_NAMESPACE", value_parser = namespace, default_value = "domino-compute", value_name = "NAME")]
    compute_namespace: String,

    /// The most workers that anybody may scale to, and the highest maximum that a scale raises to
    #[arg(long, env = "RAYWARDEN_SCALE_CEILING", value_parser = clap::value_parser!(i32).range(1..), value_name = "N")]
    scale_ceiling: Option<i32>,

    /// Show no values of environment variables
    #[arg(long, env = "RAYWARDEN_HIDE_VARIABLES")]
    hide_variables: bool,

    /// Answer 404 for a cluster that does not exist; callers then learn which names do
    #[arg(long, env = "RAYWARDEN_TELL_ABSENT")]
    tell_absent: bool,
}

/// Bounds on time and number.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Bounds")]
struct BoundArgs {
    /// Requests of one caller per second; 0 is without bound
    #[arg(long, env = "RAYWARDEN_RATE", default_value = "20", value_name = "N")]
    rate: u32,

    /// Requests of one caller at once
    #[arg(long, env = "RAYWARDEN_BURST", value_parser = clap::value_parser!(u32).range(1..), default_value = "100", value_name = "N")]
    burst: u32,

    /// From the headers of a request to its answer; clients of Domino give up after 15 s
    #[arg(long, env = "RAYWARDEN_REQUEST_DEADLINE", value_parser = above_zero, default_value = "9s", value_name = "TIME")]
    request_deadline: Duration,

    /// Connections at one time; one more is closed at once
    #[arg(long, env = "RAYWARDEN_MAX_CONNECTIONS", value_parser = count, default_value = "1024", value_name = "N")]
    max_connections: usize,

    /// From the signal to the moment when nothing new is accepted
    #[arg(long, env = "RAYWARDEN_SHUTDOWN_DELAY", value_parser = parse_duration, default_value = "5s", value_name = "TIME")]
    shutdown_delay: Duration,

    /// From that moment to the end of the last call; the rest is cut
    #[arg(long, env = "RAYWARDEN_DRAIN_TIMEOUT", value_parser = parse_duration, default_value = "15s", value_name = "TIME")]
    drain_timeout: Duration,
}

fn namespace(text: &str) -> Result<String, String> {
    if is_dns_1123(text) { Ok(text.to_owned()) } else { Err("expected a namespace".to_owned()) }
}

/// Serves until a signal.
pub fn run(args: ApiArgs) -> anyhow::Result<Verdict> {
    args.log.install()?;
    let runtime = runtime()?;
    let result = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(args: ApiArgs) -> anyhow::Result<Verdict> {
    let Some(listen) = args.domino_listen else {
        bail!("nothing to serve: say where Domino's users are answered, --domino-listen :6000");
    };
    let upstream = args.identity.upstream()?;
    let mut signals = Signals::install()?;
    let client = context::client(args.context.as_deref(), args.kubeconfig.as_deref()).await?;
    let (listener, ops) = (bind(listen).await?, bind(args.ops_listen).await?);
    let serves_at = listener.local_addr().context("failed to read the listener's address")?;
    let reloader = args.certificate.optional().map(super::serve::certificate::Source::load);
    let reloader = reloader.transpose()?;

    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    let options = args.options();
    let probe = domino::watch_over(client.clone(), &options.namespace, stop.clone());
    let mut readiness = Readiness::default().with("kubernetes", probe);
    let limits = args.bounds.limits();
    let door = match reloader {
        None => Door::in_clear(listener, limits),
        Some(reloader) => {
            let resolver = reloader.resolver();
            readiness = readiness.with("certificate", certificate_check(&resolver));
            let interval = args.certificate.tls_reload_interval;
            tokio::spawn(reloader.run(interval, Arc::clone(&reload), stop.clone()));
            Door::new(listener, tls::server_config(resolver), limits)
        }
    };
    let readiness = Arc::new(readiness);
    announce(serves_at, &options, &upstream);
    let api = Arc::new(Api::new(client, upstream, options, Arc::clone(&readiness)));
    let serving = tokio::spawn(door.serve(domino::router(Arc::clone(&api)), stop.clone()));
    let answering = axum::serve(ops, ops_router(Arc::clone(&readiness), None));
    tokio::spawn(answering.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future());

    signals.until_end(&reload).await;
    tracing::info!(delay = ?args.bounds.shutdown_delay, "told to end: not ready from now on");
    readiness.drain();
    signals.again_or(args.bounds.shutdown_delay, &reload).await;
    stop.cancel();
    let drained = serving.await.context("the accept loop failed")?;
    api.finish().await;
    if drained.cut > 0 {
        tracing::warn!(connections = drained.cut, "cut what was left after the drain timeout");
    }
    Ok(Verdict::Good)
}

fn announce(address: SocketAddr, options: &Options, upstream: &Upstream) {
    tracing::info!(
        %address,
        namespace = options.namespace,
        ceiling = options.terms.ceiling,
        domino = ?upstream,
        version = env!("CARGO_PKG_VERSION"),
        "serving the Domino scaling API"
    );
    if options.terms.ceiling.is_none() {
        tracing::warn!(
            "no --scale-ceiling: users may raise the maximum of their clusters without bound"
        );
    }
}

impl IdentityArgs {
    fn upstream(&self) -> anyhow::Result<Upstream> {
        let read = |file: &PathBuf| {
            std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))
        };
        let ca = self.domino_ca_file.as_ref().map(read).transpose()?;
        Upstream::new(&self.domino_url, ca.as_deref(), self.domino_timeout).context("--domino-url")
    }
}

impl ApiArgs {
    fn options(&self) -> Options {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Options {
            namespace: self.clusters.compute_namespace.clone(),
            terms: Terms { ceiling: self.clusters.scale_ceiling },
            data_plane: self.identity.data_plane.clone(),
            hides_variables: self.clusters.hide_variables,
            tells_absent: self.clusters.tell_absent,
            rate: Rate { per_second: self.bounds.rate, burst: self.bounds.burst },
            identity_lasts: self.identity.identity_ttl,
            deadline: self.bounds.request_deadline,
            instance: format!("{}-{}", host.trim(), std::process::id()),
        }
    }
}

impl BoundArgs {
    const fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            handshake: Duration::from_secs(5),
            headers: Duration::from_secs(10),
            drain: self.drain_timeout,
        }
    }
}
