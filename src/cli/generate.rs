//! `raywarden generate`: manifests and certificates.

mod certs;
pub(super) mod files;
pub(super) mod manifests;

use clap::{Args, Subcommand, ValueEnum};

use super::settings::AccountArgs;
use super::{Verdict, output};
use crate::plan::{lease, report};
use crate::{policy, schema};

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
    /// Print a CRD: that of RayCluster for clusters without KubeRay, of our reports, scale leases or policies
    ///
    /// Never apply that of RayCluster where KubeRay's own is installed: it would replace it.
    Crd {
        /// Which one
        #[arg(value_enum, default_value_t = Definition::Raycluster, value_name = "KIND")]
        kind: Definition,
    },
    /// Print the admission policy of scale leases, and its binding
    ///
    /// With it the API server itself refuses a lease by whoever may not patch the cluster.
    Policy(Box<AccountArgs>),
    /// Write an authority and a server certificate
    Certs(certs::CertArgs),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Definition {
    /// The cluster, of `ray.io`
    Raycluster,
    /// Our report of a cluster
    Rayclusterreport,
    /// A group held at a count for a time
    Scalelease,
    /// What administrators ask of clusters
    Rayclusterpolicy,
}

/// Writes what was asked for.
pub fn run(args: GenerateArgs) -> anyhow::Result<Verdict> {
    match args.what {
        What::Manifests(args) => manifests::run(*args)?,
        What::Crd { kind: Definition::Raycluster } => output::print(&schema::crd_yaml())?,
        What::Crd { kind: Definition::Rayclusterreport } => {
            output::print(&schema::yaml(&report::definition()))?;
        }
        What::Crd { kind: Definition::Scalelease } => {
            output::print(&schema::yaml(&lease::definition::crd()))?;
        }
        What::Crd { kind: Definition::Rayclusterpolicy } => {
            output::print(&schema::yaml(&policy::definition::crd()))?;
        }
        What::Policy(args) => {
            let [policy, binding] = lease::definition::policy(&args.accounts().ourselves);
            output::print(&format!("{}---\n{}", schema::yaml(&policy), schema::yaml(&binding)))?;
        }
        What::Certs(args) => certs::run(&args)?,
    }
    Ok(Verdict::Good)
}
