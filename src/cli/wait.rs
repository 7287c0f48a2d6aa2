//! `raywarden wait`: till the workers of a cluster have joined Ray.
//!
//! Exit status: 0 they have, 1 the time is over, 2 it could not be told.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::follow::{ClusterArgs, Format, Until, summary};
use super::output::print;
use super::{Verdict, context};
use crate::clock::parse_duration;

/// Wait until the workers of a cluster have joined Ray
#[derive(Debug, Args)]
#[command(after_long_help = "\
A Pod that is ready is not yet a node of Ray: the head's dashboard is asked who has joined, from inside the
cluster at the Pod's own address, from elsewhere through the API server's proxy. While it does not answer,
nobody is taken to have joined, nor to be absent.

Exit status: 0 all workers have joined, or as many as --workers says; 1 the time is over; 2 wrong usage,
or there is no such cluster (any more).

Examples:
  # Till everything that the spec wants has joined:
  raywarden wait demo -n team-a --timeout 10m

  # Till two workers of a group have, in a script:
  raywarden wait demo --group gpu --workers 2 -o json | jq .workers.joined

  # As an init container, so that a job begins when its cluster is whole; the Pod's account needs
  # get on rayclusters, list on pods (Domino: get on statefulsets):
  initContainers:
  - {name: workers, image: raywarden:0.1.0, args: [wait, demo, --timeout, 15m]}

The rights it needs: get of rayclusters; list of pods; from outside get of pods/proxy; for Domino's
clusters get of statefulsets.")]
pub struct WaitArgs {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// The worker group; all of them without it
    #[arg(short = 'g', long, value_name = "NAME")]
    group: Option<String>,

    /// So many are enough; without it all that the spec wants
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..), value_name = "N")]
    workers: Option<i64>,

    /// The longest wait; 0 looks once
    #[arg(long, value_parser = parse_duration, default_value = "10m", value_name = "TIME")]
    timeout: Duration,

    /// The form of the answer
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text, value_name = "FORM")]
    output: Format,
}

/// Runs the command.
pub fn run(args: &WaitArgs) -> anyhow::Result<Verdict> {
    let runtime = context::runtime()?;
    runtime.block_on(async {
        let (followed, object) = args.cluster.find().await?;
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
        let until = Until { group: args.group.clone(), workers: args.workers };
        let (state, over) = followed.wait(uid, &until, args.timeout).await?;
        print(&match args.output {
            Format::Text => summary(&state),
            Format::Json => format!("{}\n", serde_json::to_string_pretty(&state)?),
        })?;
        Ok(if over { Verdict::Good } else { Verdict::Bad })
    })
}
