//! Flags about logs, shared by the commands that run for long.

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::telemetry::{self, LogFormat};

/// Logs, on stderr.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(super) struct LogArgs {
    /// The form of a line
    #[arg(long, env = "RAYWARDEN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto, value_name = "FORMAT")]
    log_format: LogFormat,

    /// From which level on: error, warn, info, debug, trace, or directives such as
    /// `info,decision=off`
    #[arg(long, env = "RAYWARDEN_LOG", value_parser = directives, default_value = "info", value_name = "LEVEL")]
    log: String,
}

impl LogArgs {
    /// Installs the log writer of this process; panics become lines too.
    pub(super) fn install(&self) -> anyhow::Result<()> {
        telemetry::install(self.log_format, EnvFilter::try_new(&self.log)?)?;
        telemetry::log_panics();
        Ok(())
    }
}

fn directives(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            Err(format!("{error}; expected a level or directives such as info,decision=off"))
        }
    }
}
