//! `raywarden controller`: looks after RayClusters.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::logs::LogArgs;
use super::serve::run::{Signals, bind, runtime};
use super::serve::{above_zero, address};
use super::settings::SettingsArgs;
use super::{Verdict, context};
use crate::clock::parse_duration;
use crate::control::{Controller, Options, ReportOptions};
use crate::http::page::{self, AuditPage, Transport};
use crate::http::{ops::Readiness, ops_router};
use crate::plan::Terms;

/// Look after RayClusters: make their nodes and what they need
#[derive(Debug, Args)]
#[command(after_long_help = "\
In standalone mode (--node-manager raywarden) the controller makes account, Role and binding of Ray's
autoscaler, Services, head and workers, follows every scale write, and writes the status. Beside KubeRay
it makes nothing. With `auto` it makes nodes only where the RayCluster CRD is raywarden's own and no
KubeRay operator is alive.

Examples:
  # In the cluster:
  raywarden controller --node-manager raywarden

  # From a laptop, for one namespace, while KubeRay looks after the others:
  raywarden controller --context dev --node-manager kuberay --node-manager-for team-a=raywarden

  # The audit as a page, in a browser, for what its reader may list:
  kubectl -n raywarden-system port-forward deploy/raywarden 8080
  kubectl create token ada --audience raywarden     # then http://localhost:8080/audit

GET /readyz?verbose on the operations port says what is missing. Signals: SIGTERM and SIGINT give the
Lease back and end. Exit code 0 after that, 2 when it cannot begin.")]
pub struct ControllerArgs {
    /// Where liveness, readiness and metrics are answered, in plain HTTP; on loopback, by which
    /// kubectl port-forward arrives, the audit page too
    #[arg(long, env = "RAYWARDEN_OPS_LISTEN", value_parser = address, default_value = "[::]:8080", value_name = "ADDRESS:PORT")]
    ops_listen: SocketAddr,

    #[command(flatten)]
    work: ControllerFlags,

    #[command(flatten)]
    settings: SettingsArgs,

    #[command(flatten)]
    log: LogArgs,
}

/// How the controller works.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Controller")]
pub(super) struct ControllerFlags {
    /// The kubeconfig context; without it and --kubeconfig, inside a Pod, the Pod's own account
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The namespace of the Lease by which one replica leads; the Pod's own without it
    #[arg(long, env = "POD_NAMESPACE", default_value = "raywarden-system", value_name = "NAME")]
    lease_namespace: String,

    /// The name of the Lease
    #[arg(
        long,
        env = "RAYWARDEN_LEASE",
        default_value = "raywarden-controller",
        value_name = "NAME"
    )]
    lease_name: String,

    /// Who this replica is; the Pod's name, or host name and process, without it
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,

    /// How long a Lease lasts that is not renewed
    #[arg(long, env = "RAYWARDEN_LEASE_DURATION", value_parser = above_zero, default_value = "15s", value_name = "TIME")]
    lease_duration: Duration,

    /// Clusters that are looked after at one time
    #[arg(long, env = "RAYWARDEN_CONCURRENCY", value_parser = clap::value_parser!(u16).range(1..=256), default_value = "16", value_name = "N")]
    concurrency: u16,

    /// The DNS domain of the Kubernetes cluster
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local", value_name = "DOMAIN")]
    cluster_domain: String,

    /// Replace a terminating worker only when it is gone
    #[arg(long, env = "RAYWARDEN_REPLACE_AFTER_GONE")]
    replace_after_gone: bool,

    /// After this time a workersToDelete none of whose Pods exists is cleared
    #[arg(long, env = "RAYWARDEN_STALE_VICTIMS_AFTER", value_parser = parse_duration, default_value = "5m", value_name = "TIME")]
    stale_victims_after: Duration,

    /// A worker that is ready for longer than this without a node of Ray has not joined
    #[arg(long, env = "RAYWARDEN_JOINED_WITHIN", value_parser = above_zero, default_value = "2m", value_name = "TIME")]
    joined_within: Duration,

    /// An autoscaler that runs and lets something wait for longer than this, though a group has room, is not operating
    #[arg(long, env = "RAYWARDEN_AUTOSCALER_ACTS_WITHIN", value_parser = above_zero, default_value = "5m", value_name = "TIME")]
    autoscaler_acts_within: Duration,

    /// Replace workers that have not joined, one of a group at a time, never while the head does not answer
    #[arg(long, env = "RAYWARDEN_REPLACE_NOT_JOINED")]
    replace_not_joined: bool,

    /// The longest time between two looks at a cluster to which nothing happens
    #[arg(long, env = "RAYWARDEN_REPORT_INTERVAL", value_parser = above_zero, default_value = "5m", value_name = "TIME")]
    report_interval: Duration,

    /// The longest time between two audits of everything that is stored
    #[arg(long, env = "RAYWARDEN_AUDIT_INTERVAL", value_parser = above_zero, default_value = "10m", value_name = "TIME")]
    audit_interval: Duration,

    /// Which reports are kept in the cluster
    #[arg(long, env = "RAYWARDEN_REPORTS", value_enum, default_value_t = ReportsChoice::All, value_name = "WHICH")]
    reports: ReportsChoice,

    /// Where the administrators' policies come from. Without it they are watched wherever a controller runs
    #[arg(long, env = "RAYWARDEN_POLICIES", value_enum, value_name = "SOURCE")]
    policies: Option<PolicySource>,

    /// For this long the Pods of a group that left the spec stay
    #[arg(long, env = "RAYWARDEN_ORPHAN_GRACE", value_parser = parse_duration, default_value = "1m", value_name = "TIME")]
    orphan_grace: Duration,

    #[command(flatten)]
    page: PageArgs,
}

/// The audit page.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Audit page")]
struct PageArgs {
    /// Show nobody the audit page at /audit
    #[arg(long, env = "RAYWARDEN_NO_AUDIT_PAGE")]
    no_audit_page: bool,

    /// The audience that the tokens of its readers have to name
    #[arg(long, env = "RAYWARDEN_AUDIENCE", default_value = "raywarden", value_name = "NAME")]
    audience: String,
}

/// Which reports are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportsChoice {
    /// `RayClusterReport`, and `PolicyReport` (wgpolicyk8s.io) or `Report` (openreports.io) where installed
    All,
    /// None, and no dashboard is asked; audits go on in metrics and in the log
    None,
}

/// Where the administrators' policies come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PolicySource {
    /// RayClusterPolicy objects of the cluster, watched
    Watch,
    /// There are none
    None,
}

impl ControllerFlags {
    /// Whether policies are watched, where nothing says so `usually`.
    pub(super) fn watches_policies(&self, usually: bool) -> bool {
        self.policies.map_or(usually, |source| source == PolicySource::Watch)
    }

    /// The audit page of a controller, unless the flags ask for none.
    pub(super) fn audit_page(
        &self,
        controller: &Controller,
        transport: Transport,
    ) -> Option<AuditPage> {
        let PageArgs { no_audit_page, audience } = &self.page;
        (!no_audit_page).then(|| controller.audit_page(audience, transport))
    }

    /// A client as the flags ask for, or as the Pod's own account.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        context::client(self.context.as_deref(), self.kubeconfig.as_deref()).await
    }

    /// Who this replica is.
    pub(super) fn identity(&self) -> String {
        let process = || {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{}-{}", host.trim(), std::process::id())
        };
        self.identity.clone().filter(|it| !it.is_empty()).unwrap_or_else(process)
    }

    /// The options that the flags describe.
    pub(super) fn options(&self, settings: &SettingsArgs) -> anyhow::Result<Options> {
        let reports = self.reports == ReportsChoice::All;
        if self.replace_not_joined && !reports {
            bail!(
                "--replace-not-joined needs what reports are made from, which nodes joined: leave \
                 out --reports none"
            );
        }
        Ok(Options {
            terms: Terms {
                settings: settings.settings(),
                domain: self.cluster_domain.clone(),
                waits_for_gone: self.replace_after_gone,
                stale_after: self.stale_victims_after,
                orphan_grace: self.orphan_grace,
                ..Terms::default()
            },
            namespace: self.lease_namespace.clone(),
            lease: self.lease_name.clone(),
            identity: self.identity(),
            lease_duration: self.lease_duration,
            concurrency: self.concurrency,
            policies: settings.policies(),
            watches_policies: self.watches_policies(true),
            reports: reports.then(|| ReportOptions {
                joined_within: self.joined_within,
                acts_within: self.autoscaler_acts_within,
                replaces: self.replace_not_joined,
                stuck_after: Terms::default().stuck_after,
                at_rest: self.report_interval,
            }),
            audit_interval: self.audit_interval,
            certificate: None,
        })
    }
}

/// Runs until a signal.
pub fn run(args: ControllerArgs) -> anyhow::Result<Verdict> {
    args.log.install()?;
    let runtime = runtime()?;
    let result = runtime.block_on(control(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn control(args: ControllerArgs) -> anyhow::Result<Verdict> {
    let mut signals = Signals::install()?;
    let client = args.work.client().await?;
    let ops = bind(args.ops_listen).await?;
    let listens_at = ops.local_addr().context("failed to read the listener's address")?;
    let options = args.work.options(&args.settings)?;
    tracing::info!(
        identity = options.identity,
        lease = format!("{}/{}", options.namespace, options.lease),
        ops = %listens_at,
        version = env!("CARGO_PKG_VERSION"),
        "looking after RayClusters"
    );
    let stop = CancellationToken::new();
    let ends = stop.clone();
    tokio::spawn(async move {
        signals.until_end(&tokio::sync::Notify::new()).await;
        tracing::info!("told to end");
        ends.cancel();
    });
    let controller = Controller::stand(client, options, stop.clone());
    let readiness = Arc::new(controller.checked_in(Readiness::default()));
    let page = controller.metrics();
    let mut router = ops_router(readiness, Some(page));
    if let Some(page) = args.work.audit_page(&controller, Transport::Plain) {
        router = router.merge(page::routes(Arc::new(page)));
    }
    let answering = router.into_make_service_with_connect_info::<SocketAddr>();
    let answering = axum::serve(ops, answering);
    let answering = answering.with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(answering.into_future());
    controller.run().await?;
    Ok(Verdict::Good)
}
