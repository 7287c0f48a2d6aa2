//! `raywarden export-vap`: what of the rules the API server can hold by itself.
//!
//! Input: policies from files and the accounts that are machines. Output: policies and bindings as
//! YAML; on standard error, or as JSON, which rules they cover and which they cannot hold.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Verdict;
use super::output::{self, print};
use super::policies;
use super::settings::SettingsArgs;
use crate::clock;
use crate::policy::vap::{self, Export};
use crate::schema;

/// Write the rules that the API server can hold by itself, as a floor below the webhook
#[derive(Debug, Args)]
#[command(after_long_help = "\
The API server asks these policies whether or not the webhook answers. They refuse nothing that the
webhook would admit, never a machine and never an autoscaler, and let stored objects stay as they are.

Examples:
  # The built-in rules:
  raywarden export-vap | kubectl apply -f -

  # With the administrators' policies:
  raywarden export-vap --policy policies/ > floor.yaml

  # What it covers and what not:
  raywarden export-vap --policy policies/ --output coverage")]
pub struct ExportArgs {
    /// Files, folders or globs with RayClusterPolicy objects (repeatable)
    #[arg(long = "policy", value_name = "PATH")]
    policy_files: Vec<PathBuf>,

    /// What is printed
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Yaml, value_name = "FORM")]
    output: Format,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Policies and bindings, ready to apply
    Yaml,
    /// Which rules they hold and which they cannot, as JSON
    Coverage,
}

/// Runs the command.
pub fn run(args: &ExportArgs) -> anyhow::Result<Verdict> {
    let written = policies::written(&args.policy_files)?;
    let export = vap::export(&args.settings.settings(), &written, clock::now().as_second());
    match args.output {
        Format::Yaml => {
            let documents: Vec<String> = export.objects.iter().map(schema::yaml).collect();
            print(&documents.join("---\n"))?;
            for left in &export.left {
                let policy = left.policy.as_deref().unwrap_or("built in");
                output::note(&format!("not in it: {} ({policy}): {}", left.what, left.why));
            }
        }
        Format::Coverage => print(&format!("{:#}\n", coverage(&export)))?,
    }
    Ok(Verdict::Good)
}

fn coverage(export: &Export) -> Value {
    let covered = export.covered.iter().map(|covered| {
        let both = ["CREATE", "UPDATE"];
        let operations = if covered.create_only { &both[..1] } else { &both[..] };
        let mut entry = json!({
            "policy": covered.policy, "rule": covered.rule.as_str(), "operations": operations,
        });
        if let (Some(part), Some(entry)) = (covered.part, entry.as_object_mut()) {
            entry.insert("part".to_owned(), json!(part));
        }
        entry
    });
    let left = export
        .left
        .iter()
        .map(|left| json!({"policy": left.policy, "what": left.what, "why": left.why}));
    json!({"covered": covered.collect::<Vec<_>>(), "left": left.collect::<Vec<_>>()})
}
