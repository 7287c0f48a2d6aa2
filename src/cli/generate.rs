//! `raywarden generate`: manifests and certificates.

mod certs;
pub(super) mod files;
pub(super) mod manifests;

use clap::{Args, Subcommand, ValueEnum};

use super::{Verdict, output};
use crate::plan::report;
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
    /// Print a CRD: that of RayCluster for clusters without KubeRay, or that of our reports
    ///
    /// Never apply that of RayCluster where KubeRay's own is installed: it would replace it.
    Crd {
        /// Which one
        #[arg(value_enum, default_value_t = Definition::Raycluster, value_name = "KIND")]
        kind: Definition,
    },
    /// Write an authority and a server certificate
    Certs(certs::CertArgs),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Definition {
    /// The cluster, of `ray.io`
    Raycluster,
    /// Our report of a cluster
    Rayclusterreport,
}

/// Writes what was asked for.
pub fn run(args: GenerateArgs) -> anyhow::Result<Verdict> {
    match args.what {
        What::Manifests(args) => manifests::run(*args)?,
        What::Crd { kind: Definition::Raycluster } => output::print(&schema::crd_yaml())?,
        What::Crd { kind: Definition::Rayclusterreport } => {
            output::print(&schema::yaml(&report::definition()))?;
        }
        What::Certs(args) => certs::run(&args)?,
    }
    Ok(Verdict::Good)
}
