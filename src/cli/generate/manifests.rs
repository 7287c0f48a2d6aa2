//! `raywarden generate manifests`: the two webhook configurations as YAML.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::files;
use crate::cli::output::print;
use crate::cli::settings::AccountArgs;
use crate::registration::{Endpoint, Registration};

/// Print or write the two webhook configurations
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  # What deploy/webhook holds:
  raywarden generate manifests --out deploy/webhook

  # With the authority's certificate, ready to apply:
  raywarden generate manifests --ca-file certs/out/ca.crt | kubectl apply -f -

  # caBundle kept by cert-manager:
  raywarden generate manifests --inject-ca-from raywarden-system/raywarden-tls | kubectl apply -f -

  # For a webhook on this machine:
  raywarden generate manifests --url https://127.0.0.1:9443 --ca-file /tmp/rw/ca.crt")]
pub(super) struct ManifestArgs {
    /// Write mutating-webhook.yaml and validating-webhook.yaml there instead of printing both
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The Service's namespace
    #[arg(long, default_value = "raywarden-system", value_name = "NAMESPACE")]
    namespace: String,

    /// The Service's name
    #[arg(long, default_value = "raywarden", value_name = "NAME")]
    service: String,

    /// Reach the webhook by this URL instead of a Service
    #[arg(long, value_parser = base_url, conflicts_with_all = ["namespace", "service"], value_name = "https://HOST:PORT")]
    url: Option<String>,

    /// PEM file of the authorities that sign the webhook's certificate, for caBundle
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Let cert-manager's injector keep caBundle, from this Certificate
    #[arg(long, value_parser = certificate_name, conflicts_with = "ca_file", value_name = "NAMESPACE/CERTIFICATE")]
    inject_ca_from: Option<String>,

    /// Refuse people's writes while no replica of the webhook answers
    #[arg(long)]
    strict_registration: bool,

    #[command(flatten)]
    accounts: AccountArgs,
}

pub(super) fn run(args: ManifestArgs) -> anyhow::Result<()> {
    let out = args.out.clone();
    let registration = registration(args)?;
    let mutating = yaml(&registration.mutating())?;
    let validating = yaml(&registration.validating())?;
    let Some(dir) = out else {
        print(&format!("{mutating}---\n{validating}"))?;
        return Ok(());
    };
    files::directory(&dir)?;
    files::public(&dir.join("mutating-webhook.yaml"), &mutating)?;
    files::public(&dir.join("validating-webhook.yaml"), &validating)?;
    Ok(())
}

fn registration(args: ManifestArgs) -> anyhow::Result<Registration> {
    let endpoint = match args.url {
        Some(url) => Endpoint::Url(url),
        None => Endpoint::Service { namespace: args.namespace, name: args.service },
    };
    Ok(Registration {
        endpoint,
        ca_bundle: args.ca_file.as_deref().map(ca_bundle).transpose()?,
        inject_ca_from: args.inject_ca_from,
        strict: args.strict_registration,
        accounts: args.accounts.accounts(),
    })
}

/// An API server refuses a configuration whose bundle does not parse, in words that name no file.
fn ca_bundle(file: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    ensure!(
        certificates.is_ok_and(|certificates| !certificates.is_empty()),
        "{} holds no certificate; expected PEM sections `CERTIFICATE`",
        file.display()
    );
    Ok(text)
}

fn yaml(object: &Value) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(object).context("failed to write YAML")?;
    Ok(format!("# Written by `raywarden generate manifests`.\n{text}"))
}

/// The base URL of a webhook.
pub(in crate::cli) fn base_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) => {
            Ok(text.to_owned())
        }
        _ => Err("expected https://HOST:PORT without a path".to_owned()),
    }
}

fn certificate_name(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(text.to_owned())
        }
        _ => Err("expected NAMESPACE/CERTIFICATE".to_owned()),
    }
}
