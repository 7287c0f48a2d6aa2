//! `raywarden scale`: another number of workers, with the caller's own rights.
//!
//! The same plan as the scaling API's, patched by the caller, judged by whatever admission there is. With
//! `--for` a scale lease is made in its place, which gives back what it took. Exit status: 0 done, and all
//! have joined where that was waited for; 1 refused, or not joined in time; 2 it could not begin.

mod lease;

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::Value;

use super::follow::{ClusterArgs, Followed, Format, Until, summary};
use super::output::{self, print};
use super::{Verdict, context, trouble};
use crate::clock::parse_duration;
use crate::http::objects::{Attempts, Written};
use crate::scaling::native::change::{Given, Planned, plan};
use crate::scaling::native::request::Wanted;
use crate::scaling::native::view::ScaleResult;
use crate::scaling::{Code, Fault, Terms};

/// Set the number of workers of a cluster
#[derive(Debug, Args)]
#[command(after_long_help = "\
The count has to lie within the group's bounds; what cannot be written as asked is refused with the way out.
While Ray's autoscaler is on it only goes up: the autoscaler takes workers away itself. --for holds the count
against it for a time, by a ScaleLease that gives back what it took (needs raywarden's controller).

Exit status: 0 done, and with --wait all have joined; 1 refused, or not joined in time; 2 wrong usage, or it
could not begin.

Examples:
  # Five workers, and the prompt back when they have joined Ray:
  raywarden scale demo --group small-group --replicas 5 --wait

  # For two hours, then as before:
  raywarden scale demo -g small-group -r 5 --for 2h --wait

  # Would it be let through?
  raywarden scale demo -r 5 --dry-run=server

  # Without Ray's autoscaler: this worker goes
  raywarden scale demo -r 4 --delete demo-small-group-worker-x7k2p

The rights it needs: get and patch of rayclusters; list of pods for --wait and --delete, and from outside
get of pods/proxy; create and get of scaleleases.raywarden.io for --for.")]
pub struct ScaleArgs {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// The worker group; may be left out where the cluster has but one
    #[arg(short = 'g', long, value_name = "NAME")]
    group: Option<String>,

    /// Replicas of the group
    #[arg(short = 'r', long, value_parser = clap::value_parser!(i32).range(0..), value_name = "N")]
    replicas: i32,

    /// A worker that shall go (repeatable); only without Ray's autoscaler
    #[arg(long, value_name = "POD", conflicts_with = "hold")]
    delete: Vec<String>,

    /// Hold the count for so long, then give back what was there before
    #[arg(long = "for", id = "hold", value_parser = parse_duration, value_name = "TIME")]
    hold: Option<Duration>,

    /// Wait until every worker of the group has joined Ray
    #[arg(short = 'w', long, conflicts_with = "dry_run")]
    wait: bool,

    /// The longest wait
    #[arg(long, value_parser = parse_duration, default_value = "10m", value_name = "TIME")]
    timeout: Duration,

    /// `server`: have it judged by the API server, and store nothing
    #[arg(long, value_enum, value_name = "WHERE")]
    dry_run: Option<DryRun>,

    /// The form of the answer
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text, value_name = "FORM")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// By the API server, admission included
    Server,
}

/// Runs the command.
pub fn run(args: &ScaleArgs) -> anyhow::Result<Verdict> {
    let runtime = context::runtime()?;
    match runtime.block_on(scale(args)) {
        Err(error) => match error.downcast::<Fault>() {
            Ok(fault) => {
                refuse(&fault);
                Ok(Verdict::Bad)
            }
            Err(error) => Err(error),
        },
        Ok(verdict) => Ok(verdict),
    }
}

fn refuse(fault: &Fault) {
    output::note(&fault.message);
    for cause in &fault.causes {
        let rule = if cause.rule.is_empty() { String::new() } else { format!(" [{}]", cause.rule) };
        output::note(&format!("  {}: {}{rule}", cause.field, cause.message));
    }
    if fault.code == Code::AutoscalerOwns {
        output::note("  or hold it for a time: --for 2h");
    }
}

async fn scale(args: &ScaleArgs) -> anyhow::Result<Verdict> {
    let (followed, object) = args.cluster.find().await?;
    if let Some(hold) = args.hold {
        return lease::hold(args, &followed, &object, hold).await;
    }
    let (planned, object) = write(args, &followed, object).await?;
    end(args, &followed, planned, &object).await
}

/// Plans and patches until the patch meets the object that it was planned from.
async fn write(
    args: &ScaleArgs,
    followed: &Followed,
    mut before: Value,
) -> anyhow::Result<(Planned, Value)> {
    let dry_run = args.dry_run.is_some();
    let mut attempts = Attempts::default();
    loop {
        let planned = planned(args, followed, &before).await?;
        if planned.operations.is_empty() {
            return Ok((planned, before));
        }
        attempts.begin(&planned.operations)?;
        let written = patch(followed, &planned.operations, dry_run).await?;
        if let Some(after) = attempts.end(planned.operations.clone(), written).await {
            return Ok((planned, after));
        }
        before = current(followed).await?;
    }
}

async fn current(followed: &Followed) -> anyhow::Result<Value> {
    let Followed { api, name, namespace, server, .. } = followed;
    match api.get_opt(name).await {
        Ok(Some(object)) => Ok(serde_json::to_value(object)?),
        Ok(None) => bail!("RayCluster {namespace}/{name} is gone"),
        Err(error) => Err(trouble::general(error, server, "get the raycluster")),
    }
}

async fn planned(args: &ScaleArgs, followed: &Followed, before: &Value) -> anyhow::Result<Planned> {
    let mut victims = args.delete.clone();
    victims.sort();
    victims.dedup();
    let pods = match victims.as_slice() {
        [] => Vec::new(),
        _ => followed.pods(before).await,
    };
    let wanted = Wanted { group: args.group.clone(), replicas: args.replicas, victims };
    let (dialect, terms) = (followed.dialect, Terms::default());
    Ok(plan(Given { object: before, dialect, pods: &pods, terms }, &wanted, None)?)
}

async fn patch(
    followed: &Followed,
    operations: &[Value],
    dry_run: bool,
) -> anyhow::Result<Written> {
    let patch = serde_json::from_value(Value::Array(operations.to_vec()))?;
    let parameters = PatchParams {
        field_manager: Some("raywarden-scale".to_owned()),
        dry_run,
        ..PatchParams::default()
    };
    let done: kube::Result<DynamicObject> =
        followed.api.patch(&followed.name, &parameters, &Patch::Json::<()>(patch)).await;
    match done {
        Ok(object) => Ok(Written::Done(serde_json::to_value(object)?)),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(Written::Moved),
        Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => {
            Ok(Written::NotSo(Fault::new(Code::Refused, status.message.clone())))
        }
        Err(error) if trouble::is_forbidden(&error) => {
            Err(anyhow!("may not patch rayclusters in namespace {}: {error}", followed.namespace))
        }
        Err(error) => Err(trouble::general(error, &followed.server, "patch the raycluster")),
    }
}

/// Waits where that is wanted, and says how it stands.
async fn end(
    args: &ScaleArgs,
    followed: &Followed,
    planned: Planned,
    object: &Value,
) -> anyhow::Result<Verdict> {
    let dry_run = args.dry_run.is_some();
    let changed = !planned.operations.is_empty();
    if args.output == Format::Text {
        let from = planned.from.map_or_else(|| "-".to_owned(), |from| from.to_string());
        let what = match (changed, dry_run) {
            (true, true) => "would go",
            (true, false) => "goes",
            (false, _) => "stays as it was",
        };
        output::note(&format!("group {} {what}: {from} -> {}", planned.group, planned.to));
    }
    let (state, over) = wait(args, followed, &planned.group, object).await?;
    let result = ScaleResult {
        group: planned.group,
        from: planned.from,
        to: planned.to,
        changed: changed && !dry_run,
        replayed: false,
        dry_run,
        warnings: Vec::new(),
        cluster: state,
    };
    print(&match args.output {
        Format::Text => summary(&result.cluster),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&result)?),
    })?;
    Ok(if over { Verdict::Good } else { Verdict::Bad })
}

/// The state at the end, and whether it is as wanted.
async fn wait(
    args: &ScaleArgs,
    followed: &Followed,
    group: &str,
    object: &Value,
) -> anyhow::Result<(crate::scaling::native::view::ClusterState, bool)> {
    if !args.wait {
        return Ok((followed.state(object).await?, true));
    }
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
    let until = Until { group: Some(group.to_owned()), workers: None };
    followed.wait(uid, &until, args.timeout).await
}
