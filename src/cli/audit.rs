//! `raywarden audit`: what the rules say of what is already there.
//!
//! Input: a kubeconfig context, read with get and list alone, or files; an earlier report, or the
//! reports that the controller keeps, where only what is new counts. Output: a table, JSON, SARIF,
//! `JUnit` or a page. Nothing is written anywhere, and nothing needs to be installed. Objects are judged one
//! by one as if somebody created them today, and dropped.
//!
//! Exit status: 0 nothing of the weight that fails, 1 something, 2 it could not be read.

mod cluster;
mod dates;
mod files;
mod known;
mod page;
mod record;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::Verdict;
use super::output::{self, Out};
use super::policies::PolicyArgs;
use super::report::{junit, sarif};
use super::settings::SettingsArgs;
use crate::admission::{PolicySet, Settings};
use crate::model::Severity;
use dates::Since;
use known::Baseline;
use record::Records;

/// Judge what is stored in a cluster, read-only
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit status: 0 nothing to refuse, 1 something to refuse (or to warn of with --fail-on warn),
2 something could not be read. With --baseline or --since only what is new decides.

Examples:
  # Everything that the current context may list:
  raywarden audit

  # One namespace of another cluster, for a script:
  raywarden audit --context prod -n team-a --output json

  # What a policy would find before it is rolled out, beside those in force: how many objects it is about,
  # which break it:
  raywarden audit --policy new.yaml

  # Files, as somebody would find them stored:
  raywarden audit -f deploy/

  # In a pipeline, fail only for what came since the last report:
  raywarden audit --output json > known.json
  raywarden audit --baseline known.json

  # What the controller first saw in the last week:
  raywarden audit --since 7d

  # For code scanning and for test reports:
  raywarden audit --output sarif > raywarden.sarif
  raywarden audit --output junit > raywarden.xml

  # To look through in a browser, with search and filters:
  raywarden audit --output html > raywarden.html

The rights it needs: get and list of rayclusters, and of the other Ray kinds that are served:
rayjobs, rayservices, raycronjobs; of rayclusterpolicies (raywarden.io), which are asked too
(--policies none goes without); of rayclusterreports (raywarden.io) to say since when; of
namespaces where a policy selects them by labels.")]
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

    /// A JSON report of an earlier run: what it holds is neither shown nor counted, only what is new
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Only what was first seen since then, by the reports that the controller keeps: 7d, 12h,
    /// 2026-11-01, 2026-11-01T08:00:00Z; what no report holds yet is new
    #[arg(long, value_parser = Since::parse, value_name = "TIME", conflicts_with = "files")]
    since: Option<Since>,

    /// From which weight on the exit status is 1
    #[arg(long, value_enum, default_value_t = FailOn::Deny, value_name = "WEIGHT")]
    fail_on: FailOn,

    /// Policies beside those of --policy: those that the cluster holds, of which one of a file stands for
    /// the one of its name
    #[arg(
        long = "policies",
        value_enum,
        default_value_t = InForce::Stored,
        value_name = "WHICH",
        conflicts_with = "files"
    )]
    policies_in_force: InForce,

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
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// `JUnit` XML, for test reports
    Junit,
    /// One HTML file to look through, which needs no network
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// What would be refused
    Deny,
    /// Warnings too
    Warn,
}

/// Policies that nobody names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InForce {
    /// RayClusterPolicy objects of the cluster
    Stored,
    /// There are none
    None,
}

/// What every object is judged by.
struct Rules {
    settings: Settings,
    policies: PolicySet,
}

/// Runs the command.
pub fn run(args: &AuditArgs) -> anyhow::Result<Verdict> {
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let since = args.since.map(Since::moment).transpose()?;
    let mut rules = Rules {
        settings: args.settings.settings(),
        policies: args.policies.read(args.settings.policies())?,
    };
    let mut records = Records { drawn: args.output == Format::Html, ..Records::default() };
    if args.files.is_empty() {
        cluster::read(args, &mut rules, &mut records)?;
    } else {
        files::read(&args.files, args.namespace.as_deref(), &mut rules, &mut records)?;
    }
    records.policies = rules.policies.policies.iter().map(|policy| policy.name().into()).collect();
    if let Some(baseline) = baseline {
        baseline.set_aside(&mut records, args.namespace.as_deref());
    }
    if let Some(since) = since {
        dates::only_since(&mut records, since);
    }
    let floor = match args.fail_on {
        FailOn::Deny => Severity::Deny,
        FailOn::Warn => Severity::Warn,
    };
    let mut out = Out::stdout();
    if args.output == Format::Html {
        let page = page::report(&mut records, args);
        out.put(page).context("failed to write the report")?;
    }
    write(&records, args.output, floor, &mut out).context("failed to write the report")?;
    if args.output != Format::Table {
        for line in table::left_out(&records) {
            output::note(&line);
        }
    }
    Ok(match (records.is_complete(), records.reach(floor)) {
        (false, _) => Verdict::Unreadable,
        (true, true) => Verdict::Bad,
        (true, false) => Verdict::Good,
    })
}

/// Writes the report object by object: it may be long, and is never held as a whole.
fn write<W: Write>(
    records: &Records,
    format: Format,
    floor: Severity,
    out: &mut Out<W>,
) -> io::Result<()> {
    let objects = &records.objects;
    match format {
        Format::Html => {}
        Format::Table => table::report(records, output::width(), out)?,
        Format::Json => {
            out.put("[")?;
            joined(objects.iter().map(|record| record.to_json().to_string()), ",\n", out)?;
            out.put("]\n")?;
        }
        Format::Sarif => {
            out.put(sarif::opening())?;
            joined(objects.iter().filter_map(sarif::results), sarif::SEPARATOR, out)?;
            out.put(sarif::closing(&records.problems))?;
        }
        Format::Junit => {
            out.put(junit::opening("audit"))?;
            joined(objects.iter().map(|record| junit::case(record, floor)), "", out)?;
            out.put(junit::closing(&records.problems))?;
        }
    }
    out.flush()
}

fn joined<W: Write>(
    parts: impl Iterator<Item = String>,
    separator: &str,
    out: &mut Out<W>,
) -> io::Result<()> {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.put(separator)?;
        }
        out.put(part)?;
    }
    Ok(())
}
