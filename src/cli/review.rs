//! `raywarden review`: what the webhook would say, of files.
//!
//! Input: paths, folders, globs or standard input; manifests or admission reviews. Output: a report
//! on standard output, problems on standard error. Exit status 0 all admitted, 1 something denied,
//! 2 usage or something that could not be read; whatever can be read is judged all the same.
//!
//! Files are read one after the other and judged by every core; the report keeps their order and
//! never holds more than a batch.

mod judge;
mod pool;
mod report;
mod stored;
mod text;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::Verdict;
use super::input::Inputs;
use super::output::{self, Out};
use super::paint::{Color, Paint};
use super::policies::PolicyArgs;
use super::problem::Problem;
use super::settings::SettingsArgs;
use crate::model::Operation;
use judge::Judge;
use report::{Report, Summary};
use stored::Stored;

/// Judge manifests or admission reviews, without a cluster
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit status: 0 all admitted, 1 something denied, 2 usage or unreadable input.

Examples:
  # A file, a folder, a glob, a chart:
  raywarden review -f cluster.yaml
  raywarden review deploy/ 'teams/*/ray*.yaml'
  helm template my-chart | raywarden review -f -

  # A change of what is stored, as somebody else:
  raywarden review -f new.yaml --old <(kubectl get raycluster lab -o yaml) --user ci-bot

  # What the sidecar looks like where raywarden makes the Pods:
  raywarden review -f cluster.yaml --node-manager raywarden --output json

  # With the administrators' policies, as the webhook would hold them:
  raywarden review deploy/ --policy policies/

  # For code scanning and for test reports:
  raywarden review deploy/ --output sarif > raywarden.sarif
  raywarden review deploy/ --output junit > raywarden.xml")]
pub struct ReviewArgs {
    /// A file, folder or quoted glob; `-` is standard input (repeatable)
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,

    /// The same without -f
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// What is done with the objects; UPDATE with --old, CREATE otherwise
    #[arg(long, value_parser = operation, value_name = "CREATE|UPDATE")]
    operation: Option<Operation>,

    /// The stored objects that are updated, matched by kind, namespace and name (repeatable)
    #[arg(long, value_name = "FILE")]
    old: Vec<PathBuf>,

    /// Who writes
    #[arg(long, default_value = "somebody", value_name = "NAME")]
    user: String,

    /// A group of that user (repeatable)
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,

    /// The field manager, such as kubectl-client-side-apply
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,

    /// The namespace of objects that name none
    #[arg(short = 'n', long, default_value = "default", value_name = "NAME")]
    namespace: String,

    /// The form of the report
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text, value_name = "FORM")]
    output: Format,

    /// Colour in text
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,

    /// Only what is denied, and the summary
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    policies: PolicyArgs,

    #[command(flatten)]
    settings: SettingsArgs,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: findings at their lines, and a summary
    Text,
    /// An array, one entry per object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// `JUnit` XML, for test reports
    Junit,
    /// The AdmissionReview that the webhook would answer, one document per object
    Admission,
}

fn operation(text: &str) -> Result<Operation, String> {
    match Operation::parse(text) {
        Some(operation @ (Operation::Create | Operation::Update)) => Ok(operation),
        _ => Err("expected CREATE or UPDATE".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: &ReviewArgs) -> anyhow::Result<Verdict> {
    let paths: Vec<PathBuf> = args.files.iter().chain(&args.paths).cloned().collect();
    if paths.is_empty() {
        bail!("nothing to review: name files, folders or globs with -f, or - for standard input");
    }
    let stored = Stored::read(&args.old)?;
    let updates = args.operation.unwrap_or(if args.old.is_empty() {
        Operation::Create
    } else {
        Operation::Update
    });
    if updates == Operation::Update && args.old.is_empty() {
        bail!("--operation UPDATE needs the stored objects: --old FILE");
    }
    let judge = Judge {
        settings: args.settings.settings(),
        policies: args.policies.read(args.settings.policies())?,
        operation: updates,
        user: &args.user,
        groups: &args.group,
        field_manager: args.field_manager.as_deref(),
        namespace: &args.namespace,
        stored,
    };
    let report = match args.output {
        Format::Text => Report::Text {
            paint: Box::new(Paint::of(args.color, &std::io::stdout())),
            quiet: args.quiet,
        },
        Format::Json => Report::Json,
        Format::Sarif => Report::Sarif,
        Format::Junit => Report::Junit,
        Format::Admission => Report::Admission,
    };
    let (summary, problems) = write(&judge, &report, &paths)?;
    tell(args.color, &problems).context("failed to write to standard error")?;
    if summary.errors > 0 {
        return Ok(Verdict::Unreadable);
    }
    Ok(if summary.denied > 0 { Verdict::Bad } else { Verdict::Good })
}

/// Judges everything and writes the report.
fn write(
    judge: &Judge<'_>,
    report: &Report,
    paths: &[PathBuf],
) -> anyhow::Result<(Summary, Vec<Problem>)> {
    let mut out = Out::stdout();
    let mut summary = Summary::default();
    let mut problems = Vec::new();
    out.put(report.opening())?;
    for batch in pool::batches(judge, report, Inputs::new(paths)) {
        for part in batch {
            summary.count(&part);
            if let Some(text) = &part.text {
                if summary.written > 0 {
                    out.put(report.separator())?;
                }
                out.put(text)?;
                summary.written += 1;
            }
            problems.extend(part.problem);
        }
        if out.is_gone() {
            break;
        }
    }
    if summary.objects == 0 && summary.errors == 0 && !out.is_gone() {
        let problem = summary.nothing_of_ours(paths);
        summary.errors += 1;
        problems.push(problem);
    }
    out.put(report.closing(&summary, &problems))?;
    out.flush()?;
    Ok((summary, problems))
}

fn tell(color: Color, problems: &[Problem]) -> std::io::Result<()> {
    let mut text = String::new();
    let paint = Paint::of(color, &std::io::stderr());
    for problem in problems {
        problem.draw(&mut text, &paint);
    }
    output::print_aside(&text)
}
