//! The administrators' policies from files: `--policy`.
//!
//! Input: paths. Output: policies as they were written, or a compiled [`PolicySet`]; or every flaw with
//! its file, line and place.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use super::manifest::{self, Object, Piece};
use super::problem::Problem;
use crate::clock;
use crate::policy::vap::Written;
use crate::policy::{Flaw, Policy, PolicySet};

/// Policies that objects are judged by, beside the rules that are built in.
#[derive(Clone, Debug, Default, Args)]
pub struct PolicyArgs {
    /// Files, folders or globs with RayClusterPolicy objects to judge by (repeatable)
    #[arg(long = "policy", value_name = "PATH")]
    policy_files: Vec<PathBuf>,
}

impl PolicyArgs {
    /// Adds the policies of the files to a set.
    pub(super) fn read(&self, set: PolicySet) -> anyhow::Result<PolicySet> {
        let read = read(&self.policy_files)?;
        let policies = read.into_iter().map(|(policy, _)| Arc::new(policy)).collect();
        Ok(PolicySet { policies, now: clock::now().as_second(), ..set })
    }
}

/// The policies of files as they were written; each one compiles.
pub(super) fn written(files: &[PathBuf]) -> anyhow::Result<Vec<Written>> {
    let read = read(files)?.into_iter();
    read.map(|(policy, object)| {
        let spec = serde_json::from_value(object.get("spec").cloned().unwrap_or_default())?;
        Ok(Written { name: policy.name().to_owned(), spec })
    })
    .collect()
}

fn read(files: &[PathBuf]) -> anyhow::Result<Vec<(Policy, Value)>> {
    let mut policies: Vec<(Policy, Value)> = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    manifest::read_all(files, &mut |piece| match piece {
        Piece::Policy(object) => match Policy::compile(&object.value) {
            Ok(policy) if policies.iter().any(|(known, _)| known.name() == policy.name()) => {
                let message = format!("a second policy is called {:?}", policy.name());
                problems.push(
                    Problem::error(object.page.file, message)
                        .at_line(object.line)
                        .help("give every policy a name of its own"),
                );
            }
            Ok(policy) => policies.push((policy, object.value)),
            Err(flaws) => problems.extend(flaws.iter().map(|flaw| told(flaw, &object))),
        },
        Piece::Problem(problem) if problem.is_error() => problems.push(problem),
        Piece::Ray(_) | Piece::Review(_) | Piece::Other | Piece::Problem(_) => {}
    });
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(Problem::line).collect();
        return Err(anyhow!("--policy {}", lines.join("\n       --policy ")));
    }
    if policies.is_empty() && !files.is_empty() {
        return Err(anyhow!("--policy holds no RayClusterPolicy"));
    }
    Ok(policies)
}

/// A flaw at its place in the file.
fn told(flaw: &Flaw, object: &Object<'_>) -> Problem {
    let target = object.page.target(&object.base, &flaw.at, false);
    let line = target.map_or(object.line, |target| target.start.line);
    Problem::error(object.page.file, flaw.to_string()).at_line(line)
}
