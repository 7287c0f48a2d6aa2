//! `raywarden generate`: manifests and certificates.

mod certs;
pub(super) mod files;
mod manifests;

use clap::{Args, Subcommand};

use super::{Verdict, output};
use crate::schema;

/// Write manifests and certificates
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print or write the two webhook configurations
    Manifests(Box<manifests::ManifestArgs>),
    /// Print the RayCluster CRD for clusters without KubeRay
    ///
    /// Never apply it where KubeRay's own is installed: it would replace it.
    Crd,
    /// Write an authority and a server certificate
    Certs(certs::CertArgs),
}

/// Writes what was asked for.
pub fn run(args: GenerateArgs) -> anyhow::Result<Verdict> {
    match args.what {
        What::Manifests(args) => manifests::run(*args)?,
        What::Crd => output::print(&schema::crd_yaml())?,
        What::Certs(args) => certs::run(&args)?,
    }
    Ok(Verdict::Good)
}
