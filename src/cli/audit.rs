//! `raywarden audit`: what the rules say of what is already there.
//!
//! Input: a kubeconfig context, read with get and list alone, or files. Output: a table or JSON,
//! objects with findings first. Nothing is written anywhere, and nothing needs to be installed.
//! Objects are judged as if somebody created them today, page by page, and dropped.
//!
//! Exit status: 0 nothing of the weight that fails, 1 something, 2 it could not be read.

mod cluster;
mod files;
mod record;
mod served;
mod table;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Verdict;
use super::output::{self, print};
use super::policies::PolicyArgs;
use super::settings::SettingsArgs;
use crate::admission::{PolicySet, Settings};
use crate::model::Severity;
use record::Records;

/// Judge what is stored in a cluster, read-only
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit status: 0 nothing to refuse, 1 something to refuse (or to warn of with --fail-on warn),
2 something could not be read.

Examples:
  # Everything that the current context may list:
  raywarden audit

  # One namespace of another cluster, for a script:
  raywarden audit --context prod -n team-a --output json

  # What a policy would find before it is rolled out:
  raywarden audit --policy new.yaml

  # Files, as somebody would find them stored:
  raywarden audit -f deploy/

The rights it needs: get and list of rayclusters, and of the other Ray kinds that are served:
rayjobs, rayservices, raycronjobs.")]
pub struct AuditArgs {
    /// The kubeconfig context; the current one without it
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    context: Option<String>,

    /// The kubeconfig; KUBECONFIG or ~/.kube/config without it
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    kubeconfig: Option<PathBuf>,

    /// One namespace; all of them without it
    #[arg(short = 'n', long, value_name = "NAME")]
    namespace: Option<String>,

    /// Files, folders or globs instead of a cluster (repeatable)
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,

    /// The form of the report
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Table, value_name = "FORM")]
    output: Format,

    /// From which weight on the exit status is 1
    #[arg(long, value_enum, default_value_t = FailOn::Deny, value_name = "WEIGHT")]
    fail_on: FailOn,

    #[command(flatten)]
    policies: PolicyArgs,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// An array, one entry per object
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// What would be refused
    Deny,
    /// Warnings too
    Warn,
}

/// What every object is judged by.
struct Rules {
    settings: Settings,
    policies: PolicySet,
}

/// Runs the command.
pub fn run(args: &AuditArgs) -> anyhow::Result<Verdict> {
    let rules = Rules {
        settings: args.settings.settings(),
        policies: args.policies.read(args.settings.policies())?,
    };
    let mut records = Records::default();
    let complete = if args.files.is_empty() {
        cluster::read(args, &rules, &mut records)?
    } else {
        files::read(&args.files, args.namespace.as_deref(), &rules, &mut records)?
    };
    let text = match args.output {
        Format::Table => table::report(&records, output::width()),
        Format::Json => {
            let entries: Vec<Value> = records.objects.iter().map(record::Record::to_json).collect();
            format!("{:#}\n", Value::Array(entries))
        }
    };
    print(&text)?;
    let floor = match args.fail_on {
        FailOn::Deny => Severity::Deny,
        FailOn::Warn => Severity::Warn,
    };
    let fails = records.objects.iter().any(|record| record.weight() >= Some(floor));
    Ok(match (complete, fails) {
        (false, _) => Verdict::Unreadable,
        (true, true) => Verdict::Bad,
        (true, false) => Verdict::Good,
    })
}
