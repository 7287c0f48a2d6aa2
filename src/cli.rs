//! The command line: what `raywarden COMMAND` does, its output and its exit code.
//!
//! Exit codes: 0 done, 1 a negative verdict of a command that judges, 2 wrong usage, unreadable
//! input, or no way to begin.

pub mod api;
pub mod audit;
mod context;
pub mod controller;
mod excerpt;
pub mod explain;
pub mod export_vap;
mod follow;
pub mod generate;
pub mod handover;
mod input;
mod logs;
mod manifest;
mod nearest;
pub mod output;
mod paint;
pub mod policies;
mod problem;
mod record;
mod report;
pub mod review;
pub mod scale;
pub mod serve;
pub mod settings;
mod trouble;
pub mod wait;
pub mod why;
mod yaml;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Kubernetes admission webhook and companion controller for Ray clusters.
#[derive(Debug, Parser)]
#[command(
    name = "raywarden",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge manifests or admission reviews, without a cluster
    Review(Box<review::ReviewArgs>),
    /// Judge what is stored in a cluster, read-only
    Audit(Box<audit::AuditArgs>),
    /// Say what keeps a cluster from scaling, and what to do
    Why(Box<why::WhyArgs>),
    /// Set the number of workers of a cluster, and wait for them
    Scale(Box<scale::ScaleArgs>),
    /// Wait until the workers of a cluster have joined Ray
    Wait(Box<wait::WaitArgs>),
    /// Say what a rule means, why, and what to do
    Explain(explain::ExplainArgs),
    /// Write the rules that the API server can hold by itself, as a floor below the webhook
    ExportVap(Box<export_vap::ExportArgs>),
    /// Look after RayClusters: make their nodes and what they need
    Controller(Box<controller::ControllerArgs>),
    /// Serve the scaling API
    Api(Box<api::ApiArgs>),
    /// Pass RayClusters from one node manager to the other
    Handover(Box<handover::HandoverArgs>),
    /// Serve the admission webhook
    Serve(Box<serve::ServeArgs>),
    /// Write manifests and certificates
    Generate(generate::GenerateArgs),
}

/// What a command that ran to its end found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, or nothing wrong.
    Good,
    /// Something was denied or found wanting.
    Bad,
    /// Something could not be read, and was reported where it happened.
    Unreadable,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Verdict> {
        match self.command {
            Command::Review(args) => review::run(&args),
            Command::Audit(args) => audit::run(&args),
            Command::Why(args) => why::run(&args),
            Command::Scale(args) => scale::run(&args),
            Command::Wait(args) => wait::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::ExportVap(args) => export_vap::run(&args),
            Command::Controller(args) => controller::run(*args),
            Command::Api(args) => api::run(*args),
            Command::Handover(args) => handover::run(&args),
            Command::Serve(args) => serve::run(*args),
            Command::Generate(args) => generate::run(args),
        }
    }
}

/// Parses the process's arguments, runs, says what went wrong, and tells the exit code.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => exit_code(cli.run()),
        Err(usage) => {
            // To stdout and 0 for `--help`, to stderr and 2 for a mistake; a reader that has gone
            // away is no failure.
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
    }
}

fn exit_code(result: anyhow::Result<Verdict>) -> ExitCode {
    match result {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Ok(Verdict::Unreadable) => ExitCode::from(2),
        Err(error) => {
            output::complain(&error);
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
