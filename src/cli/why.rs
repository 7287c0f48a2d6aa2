//! `raywarden why`: what keeps a cluster from scaling, and what to do.
//!
//! Input: a name and a kubeconfig context. Output: the chain of [`plan::why`](crate::plan::why), as one
//! screen or as JSON. Only the API server is asked, with get and list; the dashboard is reached
//! through its proxy. Nothing is written, and nothing of ours needs to be installed.
//!
//! Exit status: 0 nothing is in the way, 1 something stops it, 2 it could not be told.

mod asked;
mod read;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kube::Client;
use serde_json::Value;

use super::output::{self, print};
use super::settings::SettingsArgs;
use super::{Verdict, context};
use crate::admission::{Phase, Review, review};
use crate::clock::{self, parse_duration};
use crate::model::{Finding, Operation};
use crate::plan::why::{Chain, State, chain};
use report::Report;

/// Say what keeps a cluster from scaling, and what to do
#[derive(Debug, Args)]
#[command(after_long_help = "\
The links, in the order of cause and effect; the first that is blocked is the one to mend first:
  cluster     on its way out, suspended, run elsewhere
  spec        what KubeRay or Ray's autoscaler stops on
  head        the head Pod
  demand      what waits for resources, by the dashboard
  autoscaler  its container: running, out of memory, crash-looping, absent
  caps        minReplicas and maxReplicas of every group
  replicas    Pods that were made, of those that replicas asks for; quota and other refusals
  pods        gates, unschedulable, images, crashes: how many, since when
  joined      workers that are Ray nodes, by the dashboard

Exit status: 0 nothing is in the way, 1 something stops it, 2 wrong usage, or no obstacle was seen
but a link could not be read.

Examples:
  # The current context and its namespace:
  raywarden why demo

  # Another one:
  raywarden why demo --context prod -n team-a

  # For a script: where does it stop?
  raywarden why demo -o json | jq -r '.decides'

The JSON, whose members stay:
  {\"cluster\": {\"namespace\", \"name\"},
   \"verdict\": \"ok\" | \"waiting\" | \"unknown\" | \"blocked\",
   \"decides\": the link that decides, or null,
   \"links\": [{\"name\", \"state\": \"ok\" | \"waiting\" | \"unknown\" | \"blocked\", \"what\", \"fix\"}],
   \"dashboard\": {\"command\", \"url\"} or null}

The rights it needs: get of rayclusters; list of pods and events; get of pods/proxy for the
dashboard. What is missing is said as \"unknown: grant ...\", and the rest is told all the same.")]
pub struct WhyArgs {
    /// The RayCluster (ray.io/v1)
    #[arg(value_name = "CLUSTER")]
    cluster: String,

    /// Its namespace; the context's own without it
    #[arg(short = 'n', long, value_name = "NAME")]
    namespace: Option<String>,

    /// The kubeconfig context; the current one without it
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig; KUBECONFIG or ~/.kube/config without it
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The form of the answer
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text, value_name = "FORM")]
    output: Format,

    /// How long a worker may be ready without being a Ray node
    #[arg(long, value_parser = parse_duration, default_value = "2m", value_name = "TIME")]
    joined_within: Duration,

    /// A file with the cluster's token, where its dashboard asks for one
    #[arg(long, value_name = "FILE")]
    ray_token_file: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One screen, for people
    Text,
    /// One object
    Json,
}

/// Runs the command.
pub fn run(args: &WhyArgs) -> anyhow::Result<Verdict> {
    let runtime = context::runtime()?;
    let report = runtime.block_on(look(args))?;
    let text = match args.output {
        Format::Text => report.text(output::width()),
        Format::Json => format!("{:#}\n", report.json()),
    };
    print(&text)?;
    Ok(verdict(&report.chain))
}

fn verdict(chain: &Chain) -> Verdict {
    match chain.decides().map(|link| link.state) {
        Some(State::Blocked) => Verdict::Bad,
        Some(State::Unknown) => Verdict::Unreadable,
        Some(State::Waiting | State::Ok) | None => Verdict::Good,
    }
}

async fn look(args: &WhyArgs) -> anyhow::Result<Report> {
    let token = args.ray_token_file.as_deref().map(context::ray_token).transpose()?;
    let config = context::config(args.context.as_deref(), args.kubeconfig.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).context("failed to make a client")?;
    let (name, context) = (args.cluster.clone(), args.context.clone());
    let reader = read::Reader { client, server, context, namespace, name, token };
    let cluster = reader.cluster().await?;
    let findings = findings(args, &cluster);
    let (facts, dashboard) = reader.facts(&cluster, &findings, args.joined_within).await?;
    let chain = chain(&facts, clock::now()).context("what was read is no RayCluster")?;
    Ok(Report {
        namespace: reader.namespace.clone(),
        name: args.cluster.clone(),
        chain,
        dashboard: dashboard.map(|it| it.forwarded()),
    })
}

/// What the rules say, as if somebody created the cluster today.
fn findings(args: &WhyArgs, cluster: &Value) -> Vec<Finding> {
    let request = Review::of_manifest(Operation::Create, "why", "", cluster.clone(), None);
    let request = Review { manifest: false, ..request };
    let (settings, policies) = (args.settings.settings(), args.settings.policies());
    review(&settings, &policies, Phase::Validate, &request).findings
}
