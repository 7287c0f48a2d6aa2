//! `raywarden serve`: the admission webhook.

pub(super) mod certificate;
mod issued;
pub(super) mod run;

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Verdict;
use super::controller::ControllerFlags;
use super::logs::LogArgs;
use super::settings::SettingsArgs;
use crate::clock::{BadDuration, parse_duration};
use clap::Args;

/// Serve the admission webhook
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "\
Examples:
  # In the cluster, with a mounted Secret; the files are read again when they change:
  raywarden serve --tls-cert /tls/tls.crt --tls-key /tls/tls.key

  # On a laptop, with a certificate made at start; register it with
  #   raywarden generate manifests --url https://127.0.0.1:9443 --ca-file /tmp/rw/ca.crt
  raywarden serve --listen 127.0.0.1:9443 --dev-cert-dir /tmp/rw

  # In the cluster, with a certificate that raywarden issues, keeps in a Secret and registers:
  raywarden serve --with-controller --tls-secret raywarden-tls

  # A small cluster without KubeRay: webhook and controller in one process:
  raywarden serve --with-controller --node-manager raywarden --tls-cert /tls/tls.crt --tls-key /tls/tls.key

  # See what would be refused and patched, refuse and patch nothing:
  raywarden serve --mode audit --tls-cert /tls/tls.crt --tls-key /tls/tls.key

Signals: SIGTERM and SIGINT drain and end (a second one skips --shutdown-delay), SIGHUP reads the
certificate files again. Exit code 0 after a drain, 2 when serving cannot begin.")]
pub struct ServeArgs {
    /// Where to listen; `[::]` takes IPv4 too
    #[arg(long, env = "RAYWARDEN_LISTEN", value_parser = address, default_value = "[::]:9443", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    #[command(flatten)]
    certificate: CertificateArgs,

    #[command(flatten)]
    issued: issued::IssuedArgs,

    /// Look after RayClusters too, in this process, as `raywarden controller` does
    #[arg(long, env = "RAYWARDEN_WITH_CONTROLLER")]
    with_controller: bool,

    /// Note what machines are not told, as --with-controller does: counts that were clamped in the report of
    /// the RayCluster, children that were denied in an Event on their RayJob or RayService
    #[arg(long, env = "RAYWARDEN_WITH_NOTES")]
    with_notes: bool,

    #[command(flatten)]
    work: ControllerFlags,

    #[command(flatten)]
    settings: SettingsArgs,

    #[command(flatten)]
    bounds: BoundArgs,

    #[command(flatten)]
    log: LogArgs,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Certificate")]
pub(super) struct CertificateArgs {
    /// PEM file of the certificate chain, the server's own first
    #[arg(long, env = "RAYWARDEN_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// PEM file of its private key
    #[arg(long, env = "RAYWARDEN_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// How often the two files are compared with what is served
    #[arg(long, env = "RAYWARDEN_TLS_RELOAD_INTERVAL", value_parser = above_zero, default_value = "10s", value_name = "TIME")]
    pub(super) tls_reload_interval: Duration,

    /// For development: make an authority and a certificate at every start, write ca.crt, tls.crt
    /// and tls.key into this directory, and serve them
    #[arg(long, env = "RAYWARDEN_DEV_CERT_DIR", conflicts_with_all = ["tls_cert", "tls_key"], value_name = "DIR")]
    dev_cert_dir: Option<PathBuf>,

    /// Names and addresses that the development certificate serves
    #[arg(
        long,
        env = "RAYWARDEN_DEV_NAMES",
        value_delimiter = ',',
        default_value = "localhost,127.0.0.1,::1",
        value_name = "NAMES"
    )]
    dev_names: Vec<String>,
}

/// Bounds on time and number.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Bounds")]
struct BoundArgs {
    /// From the signal to the moment when nothing new is accepted; readiness fails at once, so that
    /// Services let go first
    #[arg(long, env = "RAYWARDEN_SHUTDOWN_DELAY", value_parser = parse_duration, default_value = "5s", value_name = "TIME")]
    shutdown_delay: Duration,

    /// From that moment to the end of the last call; the rest is cut
    #[arg(long, env = "RAYWARDEN_DRAIN_TIMEOUT", value_parser = parse_duration, default_value = "15s", value_name = "TIME")]
    drain_timeout: Duration,

    /// Connections at one time; one more is closed at once
    #[arg(long, env = "RAYWARDEN_MAX_CONNECTIONS", value_parser = count, default_value = "1024", value_name = "N")]
    max_connections: usize,

    /// Reviews at one time; one more is answered 503 at once
    #[arg(long, env = "RAYWARDEN_MAX_CONCURRENT_REVIEWS", value_parser = count, default_value = "512", value_name = "N")]
    max_concurrent_reviews: usize,

    /// The longest that a review may take, body included; nine tenths of the API server's own
    /// timeout where that is shorter
    #[arg(long, env = "RAYWARDEN_REVIEW_DEADLINE", value_parser = above_zero, default_value = "4s", value_name = "TIME")]
    review_deadline: Duration,

    /// From the TCP connection to the end of the TLS handshake
    #[arg(long, env = "RAYWARDEN_HANDSHAKE_TIMEOUT", value_parser = above_zero, default_value = "5s", value_name = "TIME")]
    handshake_timeout: Duration,

    /// For the headers of the first request
    #[arg(long, env = "RAYWARDEN_HEADER_TIMEOUT", value_parser = above_zero, default_value = "10s", value_name = "TIME")]
    header_timeout: Duration,

    /// For the next request on a kept connection; longer than the 90 s for which API servers keep
    /// theirs, because to close one may meet a call on its way
    #[arg(long, env = "RAYWARDEN_IDLE_TIMEOUT", value_parser = above_zero, default_value = "2m", value_name = "TIME")]
    idle_timeout: Duration,
}

/// Serves until a signal.
pub fn run(args: ServeArgs) -> anyhow::Result<Verdict> {
    run::run(args)
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected ADDRESS:PORT such as 0.0.0.0:9443, [::]:9443 or :9443";
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| expected)?;
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    text.parse().map_err(|_| expected.to_owned())
}

pub(super) fn above_zero(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error: BadDuration| error.to_string())?;
    if time.is_zero() { Err("expected a time above zero".to_owned()) } else { Ok(time) }
}

/// Within what a semaphore can count.
pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=1_000_000).contains(count))
        .ok_or_else(|| "expected a number from 1 to 1000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_alone() {
        assert_eq!(address(":9443").unwrap().to_string(), "[::]:9443");
        assert_eq!(address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        for bad in ["9443", "localhost", ":x", "1.2.3.4"] {
            assert!(address(bad).unwrap_err().contains("such as 0.0.0.0:9443"));
        }
    }

    #[test]
    fn bounds_are_above_zero() {
        assert!(count("0").is_err() && count("x").is_err() && count("12") == Ok(12));
        assert!(above_zero("0").is_err() && above_zero("1s") == Ok(Duration::from_secs(1)));
    }
}
