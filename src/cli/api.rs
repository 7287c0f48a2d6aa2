//! `raywarden api`: the scaling API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use kube::Client;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::controller::PolicySource;
use super::logs::LogArgs;
use super::serve::certificate::Source;
use super::serve::run::{Signals, bind, certificate_check, runtime};
use super::serve::{CertificateArgs, above_zero, address, count};
use super::settings::SettingsArgs;
use super::{Verdict, context};
use crate::clock::parse_duration;
use crate::control::policies::Policies;
use crate::http::counts::Counts;
use crate::http::domino::upstream::Upstream;
use crate::http::domino::{self, Api, Options};
use crate::http::ops::{Page, Readiness};
use crate::http::{Rules, native, ops_router};
use crate::model::names::is_dns_1123;
use crate::scaling::Terms;
use crate::scaling::pace::Rate;
use crate::tls;
use crate::tls::accept::{Door, Limits};

/// Serve the scaling API
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "\
Two dialects, each on a listener of its own, so that no credential of one travels to the other.

The native one, --api-listen, for ray.io and Domino clusters in every namespace; GET /openapi.json says all:
  GET   /api/v1/namespaces/NS/rayclusters                    (?limit= &continue= &apiGroup=)
  GET   /api/v1/namespaces/NS/rayclusters/NAME[/scale]       (?wait=joined &timeoutSeconds=)
  PATCH /api/v1/namespaces/NS/rayclusters/NAME/scale         {\"group\": G, \"replicas\": 5}
                                                             (?wait=joined &dryRun=All; Idempotency-Key)
A caller sends a token of Kubernetes for this audience and may do what RBAC lets them do on rayclusters: get
and list to read, patch to scale. Answers say how many workers are desired, running, ready and joined, and
which are not. Errors are application/problem+json with a code that stays.

The one of Domino's users, --domino-listen, each for the caller's own clusters, or all of them for an admin
of Domino:
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
and never logged. Errors are {\"error\": CODE, \"message\": ..., \"request_id\": ...}.

In both, a change that the rules or an administrator's policy (RayClusterPolicy) would refuse is refused
before it is written, with their words; each change is a line of the log target `audit` and an Event on
the cluster. Policies see a user of Domino as domino:ID. They hold from their first list on; the API
server's own admission has the last word.

Examples:
  # In the cluster, where the documented address http://rayclusterscaler-svc.domino-field leads here:
  raywarden api --domino-listen :6000 --scale-ceiling 50

  # From a laptop, against Domino's public address:
  raywarden api --domino-listen 127.0.0.1:6000 --context dev \\
    --domino-url https://domino.example.com --domino-ca-file /etc/ssl/certs/ca-certificates.crt
  curl -H \"X-Domino-Api-Key: $DOMINO_USER_API_KEY\" http://127.0.0.1:6000/raycluster/list

  # The native dialect, and a scale that is answered when the workers have joined:
  raywarden api --api-listen :8443 --tls-cert tls.crt --tls-key tls.key
  curl --cacert ca.crt -H \"Authorization: Bearer $(kubectl create token ada --audience raywarden)\" \\
    -X PATCH 'https://raywarden-api:8443/api/v1/namespaces/team-a/rayclusters/demo/scale?wait=joined' \\
    -H 'Content-Type: application/json' -d '{\"replicas\": 5}'

deploy/domino and deploy/api hold the rights that the account needs. Signals: SIGTERM and SIGINT drain and end, SIGHUP reads the certificate files
again. Exit code 0 after a drain, 2 when serving cannot begin.")]
pub struct ApiArgs {
    /// Where callers with a token of Kubernetes are answered; off unless given
    #[arg(long, env = "RAYWARDEN_API_LISTEN", value_parser = address, value_name = "ADDRESS:PORT")]
    api_listen: Option<SocketAddr>,

    /// Answer them in plain HTTP: for a proxy on the same host that speaks TLS, and for tests
    #[arg(long, env = "RAYWARDEN_API_PLAIN_HTTP", requires = "api_listen")]
    api_plain_http: bool,

    /// The audience that their tokens have to name
    #[arg(long, env = "RAYWARDEN_AUDIENCE", default_value = "raywarden", value_name = "NAME")]
    audience: String,

    /// Where Domino's users are answered, in plain HTTP; off unless given
    #[arg(long, env = "RAYWARDEN_DOMINO_LISTEN", value_parser = address, value_name = "ADDRESS:PORT")]
    domino_listen: Option<SocketAddr>,

    /// Answer Domino's users with the certificate too
    #[arg(long, env = "RAYWARDEN_DOMINO_TLS", requires = "domino_listen")]
    domino_tls: bool,

    /// Where liveness, readiness and metrics are answered, in plain HTTP
    #[arg(long, env = "RAYWARDEN_OPS_LISTEN", value_parser = address, default_value = "[::]:8080", value_name = "ADDRESS:PORT")]
    ops_listen: SocketAddr,

    /// The kubeconfig context; without it and --kubeconfig, inside a Pod, the Pod's own account
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Where the administrators' policies come from, by which a change is judged before it is written
    #[arg(long, env = "RAYWARDEN_POLICIES", value_enum, default_value_t = PolicySource::Watch, value_name = "SOURCE")]
    policies: PolicySource,

    #[command(flatten)]
    identity: IdentityArgs,

    #[command(flatten)]
    clusters: ClusterArgs,

    #[command(flatten)]
    certificate: CertificateArgs,

    #[command(flatten)]
    bounds: BoundArgs,

    #[command(flatten)]
    settings: SettingsArgs,

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
    let certificate = args.check()?;
    let upstream = args.domino_listen.map(|_| args.identity.upstream()).transpose()?;
    let mut signals = Signals::install()?;
    let client = context::client(args.context.as_deref(), args.kubeconfig.as_deref()).await?;
    let native = bind_some(args.api_listen).await?;
    let domino = bind_some(args.domino_listen).await?;
    let ops = bind(args.ops_listen).await?;
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    let mut readiness = Readiness::default();
    let mut config = None;
    if let Some(reloader) = certificate.map(Source::load).transpose()? {
        let resolver = reloader.resolver();
        readiness = readiness.with("certificate", certificate_check(&resolver));
        config = Some(tls::server_config(resolver));
        let interval = args.certificate.tls_reload_interval;
        tokio::spawn(reloader.run(interval, Arc::clone(&reload), stop.clone()));
    }
    let rules = args.rules(&client, &stop);
    let dominos = args.domino(rules.clone());
    if native.is_some() {
        let probe = native::watch_over(client.clone(), &args.audience, stop.clone());
        readiness = readiness.with("tokens", probe);
    }
    if domino.is_some() {
        let probe = domino::watch_over(client.clone(), &dominos.namespace, stop.clone());
        readiness = readiness.with("kubernetes", probe);
    }
    let (readiness, counts) = (Arc::new(readiness), Arc::new(Counts::default()));
    let page = Arc::clone(&counts);
    let page: Page = Arc::new(move || page.page());
    let door = |listener, config: Option<&Arc<ServerConfig>>| match config {
        Some(config) => Door::new(listener, Arc::clone(config), args.bounds.limits()),
        None => Door::in_clear(listener, args.bounds.limits()),
    };
    let mut serving = JoinSet::new();
    let mut apis: (Option<Arc<native::Api>>, Option<Arc<Api>>) = (None, None);
    if let Some(listener) = native {
        let options = args.native(rules);
        announce_native(&listener, &options)?;
        let (readiness, counts) = (Arc::clone(&readiness), Arc::clone(&counts));
        let api = Arc::new(native::Api::new(&client, options, readiness, counts, stop.clone()));
        let door = door(listener, config.as_ref().filter(|_| !args.api_plain_http));
        serving.spawn(door.serve(native::router(Arc::clone(&api)), stop.clone()));
        apis.0 = Some(api);
    }
    if let (Some(listener), Some(upstream)) = (domino, upstream) {
        announce(&listener, &dominos, &upstream)?;
        let (readiness, counts) = (Arc::clone(&readiness), Arc::clone(&counts));
        let api = Arc::new(Api::new(client, upstream, dominos, readiness, counts));
        let door = door(listener, config.as_ref().filter(|_| args.domino_tls));
        serving.spawn(door.serve(domino::router(Arc::clone(&api)), stop.clone()));
        apis.1 = Some(api);
    }
    let answering = axum::serve(ops, ops_router(Arc::clone(&readiness), Some(page)));
    tokio::spawn(answering.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future());

    signals.until_end(&reload).await;
    tracing::info!(delay = ?args.bounds.shutdown_delay, "told to end: not ready from now on");
    readiness.drain();
    signals.again_or(args.bounds.shutdown_delay, &reload).await;
    stop.cancel();
    while let Some(drained) = serving.join_next().await {
        let drained = drained.context("the accept loop failed")?;
        if drained.cut > 0 {
            tracing::warn!(connections = drained.cut, "cut what was left after the drain timeout");
        }
    }
    if let Some(api) = apis.0 {
        api.finish().await;
    }
    if let Some(api) = apis.1 {
        api.finish().await;
    }
    Ok(Verdict::Good)
}

async fn bind_some(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(bind(address).await?)),
        None => Ok(None),
    }
}

fn announce_native(listener: &TcpListener, options: &native::Options) -> anyhow::Result<()> {
    let address = listener.local_addr().context("failed to read the listener's address")?;
    tracing::info!(
        %address,
        audience = options.audience,
        ceiling = options.terms.ceiling,
        version = env!("CARGO_PKG_VERSION"),
        "serving the native scaling API"
    );
    Ok(())
}

fn announce(listener: &TcpListener, options: &Options, upstream: &Upstream) -> anyhow::Result<()> {
    let address = listener.local_addr().context("failed to read the listener's address")?;
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
    Ok(())
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
    /// That there is something to serve, and a certificate where one is needed.
    fn check(&self) -> anyhow::Result<Option<Source>> {
        if self.api_listen.is_none() && self.domino_listen.is_none() {
            bail!(
                "nothing to serve: say where callers are answered, --api-listen :8443 with a \
                 certificate, or where Domino's users are, --domino-listen :6000"
            );
        }
        let certificate = self.certificate.optional();
        let needed = (self.api_listen.is_some() && !self.api_plain_http) || self.domino_tls;
        if needed && certificate.is_none() {
            bail!(
                "tokens are not taken in clear: give --tls-cert and --tls-key (or --dev-cert-dir), or \
                 --api-plain-http behind a proxy that speaks TLS"
            );
        }
        Ok(certificate)
    }

    fn terms(&self) -> Terms {
        let ceiling = self.settings.settings().scale_ceiling;
        Terms { ceiling: ceiling.map(|it| i32::try_from(it).unwrap_or(i32::MAX)) }
    }

    fn rate(&self) -> Rate {
        Rate { per_second: self.bounds.rate, burst: self.bounds.burst }
    }

    /// What changes are judged by, the administrators' policies with it.
    fn rules(&self, client: &Client, stop: &CancellationToken) -> Rules {
        let (settings, base) = (self.settings.settings(), self.settings.policies());
        let policies = match self.policies {
            PolicySource::Watch => {
                // Ceilings of namespaces only warn, and Domino's users are told no warnings.
                let sums = self.api_listen.map(|_| settings.clone());
                Policies::watch(client.clone(), base, sums, stop.clone()).set()
            }
            PolicySource::None => watch::channel(base).1,
        };
        Rules { settings, policies }
    }

    fn native(&self, rules: Rules) -> native::Options {
        native::Options {
            audience: self.audience.clone(),
            terms: self.terms(),
            rate: self.rate(),
            identity_lasts: self.identity.identity_ttl,
            deadline: self.bounds.request_deadline,
            instance: instance(),
            rules,
        }
    }

    fn domino(&self, rules: Rules) -> Options {
        Options {
            namespace: self.clusters.compute_namespace.clone(),
            terms: self.terms(),
            data_plane: self.identity.data_plane.clone(),
            hides_variables: self.clusters.hide_variables,
            tells_absent: self.clusters.tell_absent,
            rate: self.rate(),
            identity_lasts: self.identity.identity_ttl,
            deadline: self.bounds.request_deadline,
            instance: instance(),
            rules,
        }
    }
}

/// This process, in Events.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

impl BoundArgs {
    const fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            handshake: Duration::from_secs(5),
            headers: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            drain: self.drain_timeout,
        }
    }
}
