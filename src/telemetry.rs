//! Logs: where they go, in which form, from which level on.
//!
//! Everything goes to stderr, so that stdout stays for what a command was asked for. One line per
//! event, as JSON wherever nobody watches.

use std::error::Error;
use std::io::IsTerminal as _;
use std::panic;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    fn is_json(self, terminal: bool) -> bool {
        match self {
            Self::Auto => !terminal,
            Self::Json => true,
            Self::Text => false,
        }
    }
}

/// Installs the log writer of this process; once.
pub fn install(format: LogFormat, filter: EnvFilter) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let lines = Subscriber::builder().with_env_filter(filter).with_writer(std::io::stderr);
    if format.is_json(terminal) {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init()
    } else {
        lines.with_ansi(terminal).finish().try_init()
    }
}

/// Panics become log lines that name the place and nothing else: the payload may quote an object.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: code panicked");
    }));
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_json_unless_somebody_watches_or_asks_otherwise() {
        assert!(LogFormat::Auto.is_json(false));
        assert!(!LogFormat::Auto.is_json(true));
        assert!(LogFormat::Json.is_json(true));
        assert!(!LogFormat::Text.is_json(false));
    }
}
