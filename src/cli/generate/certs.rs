//! `raywarden generate certs`: an authority and a server certificate as files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::files;
use crate::cli::output::print;
use crate::clock::{self, parse_duration};
use crate::tls::issue::{self, Issued};

/// Write an authority and a server certificate
#[derive(Debug, Args)]
#[command(after_long_help = "\
Writes ca.crt, ca.key, tls.crt and tls.key. An authority that is already there is used again, so a
second run renews tls.crt and tls.key under the same caBundle; --new-ca makes another.

Examples:
  raywarden generate certs --out certs/out
  kubectl -n raywarden-system create secret tls raywarden-tls \\
    --cert certs/out/tls.crt --key certs/out/tls.key
  raywarden generate manifests --ca-file certs/out/ca.crt | kubectl apply -f -

  # For an API server on this machine:
  raywarden generate certs --out /tmp/rw --name localhost --name 127.0.0.1")]
pub(super) struct CertArgs {
    /// Where to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// A DNS name or IP address of the server (repeatable); without one, those of the Service
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    name: Vec<String>,

    /// The Service's namespace
    #[arg(long, default_value = "raywarden-system", value_name = "NAMESPACE")]
    namespace: String,

    /// The Service's name
    #[arg(long, default_value = "raywarden", value_name = "NAME")]
    service: String,

    /// How long the server certificate lasts; never longer than its authority
    #[arg(long, value_parser = parse_duration, default_value = "365d", value_name = "TIME")]
    lifetime: Duration,

    /// How long a new authority lasts
    #[arg(long, value_parser = parse_duration, default_value = "3650d", value_name = "TIME")]
    ca_lifetime: Duration,

    /// Make a new authority even where one is
    #[arg(long)]
    new_ca: bool,
}

pub(super) fn run(args: &CertArgs) -> anyhow::Result<()> {
    let (ca_crt, ca_key) = (args.out.join("ca.crt"), args.out.join("ca.key"));
    let now = clock::now();
    let known = if args.new_ca { None } else { authority(&ca_crt, &ca_key)? };
    let fresh = known.is_none();
    let authority = match known {
        Some(authority) => authority,
        None => issue::authority(now, "raywarden authority", args.ca_lifetime)?,
    };
    let leaf = issue::leaf(now, &authority, &args.names(), args.lifetime)?;
    files::directory(&args.out)?;
    if fresh {
        files::private(&ca_key, &authority.key)?;
        files::public(&ca_crt, &authority.certificate)?;
    }
    files::private(&args.out.join("tls.key"), &leaf.key)?;
    files::public(&args.out.join("tls.crt"), &leaf.certificate)?;
    print(&format!(
        "wrote tls.crt and tls.key for {} under {} authority in {}\n",
        args.names().join(", "),
        if fresh { "a new" } else { "the present" },
        args.out.display()
    ))?;
    Ok(())
}

impl CertArgs {
    fn names(&self) -> Vec<String> {
        let Self { name, namespace, service, .. } = self;
        if !name.is_empty() {
            return name.clone();
        }
        let host = format!("{service}.{namespace}.svc");
        vec![host.clone(), format!("{host}.cluster.local")]
    }
}

/// The authority of an earlier run; half of one is an error, since writing would destroy it.
fn authority(certificate: &Path, key: &Path) -> anyhow::Result<Option<Issued>> {
    match (certificate.exists(), key.exists()) {
        (false, false) => Ok(None),
        (true, true) => Ok(Some(Issued { certificate: read(certificate)?, key: read(key)? })),
        (there, _) => {
            let (there, missing) = if there { (certificate, key) } else { (key, certificate) };
            anyhow::bail!(
                "{} is there but {} is not: put it back, or make another authority with --new-ca",
                there.display(),
                missing.display()
            )
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))
}
