//! `raywarden handover`: passes live RayClusters from one node manager to the other.
//!
//! Each cluster is patched on its own and read back: where a webhook puts the sidecar back at once,
//! that is said. Exit status: 0 all handed over, 1 one was not, 2 it could not begin.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::output::{self, print};
use super::trouble::{self, Asked};
use super::{Verdict, context};
use crate::control::raycluster;
use crate::dialect::RAY;
use crate::model::NodeManager;
use crate::plan::handover;

/// Pass RayClusters from one node manager to the other
#[derive(Debug, Args)]
#[command(after_long_help = "\
Nothing is restarted and no Pod is touched: names, labels and status are the same on both sides.

  --to raywarden   lets the controller adopt the Pods that KubeRay made (annotation raywarden.io/adopt)
  --to kuberay     takes out of the stored object what raywarden put in: the sidecar, its account and
                   the v1/v2 variable, because KubeRay adds its own

Stop the manager that hands over first, and let the webhook know the new one (--node-manager); otherwise
it puts back what is taken out here, which this command then says.

Examples:
  # What would be done, for every cluster of a namespace:
  raywarden handover --to kuberay --all -n team-a --dry-run

  # Two clusters:
  raywarden handover --to raywarden -n team-a lab nightly

  # Before raywarden is uninstalled:
  raywarden handover --to kuberay --all

The rights it needs: get, list and patch of rayclusters.")]
pub struct HandoverArgs {
    /// Who makes the Pods from now on
    #[arg(long, value_enum, value_name = "WHO")]
    to: To,

    /// The clusters, in one namespace
    #[arg(value_name = "CLUSTER", required_unless_present = "all", conflicts_with = "all")]
    clusters: Vec<String>,

    /// Every cluster of the namespace; of all namespaces where none is named
    #[arg(long)]
    all: bool,

    /// The namespace; that of the kubeconfig context where clusters are named
    #[arg(short = 'n', long, value_name = "NAME")]
    namespace: Option<String>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// The kubeconfig context; the current one without it
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig; KUBECONFIG or ~/.kube/config without it
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    /// Our controller
    Raywarden,
    /// A KubeRay operator
    #[value(name = "kuberay")]
    KubeRay,
}

impl To {
    const fn manager(self) -> NodeManager {
        match self {
            Self::Raywarden => NodeManager::Raywarden,
            Self::KubeRay => NodeManager::KubeRay,
        }
    }
}

/// Hands clusters over.
pub fn run(args: &HandoverArgs) -> anyhow::Result<Verdict> {
    let runtime = context::runtime()?;
    runtime.block_on(hand_over(args))
}

async fn hand_over(args: &HandoverArgs) -> anyhow::Result<Verdict> {
    let config = context::config(args.context.as_deref(), args.kubeconfig.as_deref()).await?;
    let server = config.cluster_url.to_string();
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("failed to make a client")?;
    let resource = raycluster();
    let clusters = if args.all {
        let api: Api<DynamicObject> = match &args.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let asked =
            Asked { group: RAY, plural: "rayclusters", namespace: args.namespace.as_deref() };
        let list = api.list(&ListParams::default()).await;
        list.map_err(|error| trouble::listing(error, &server, asked))?.items
    } else {
        named(&client, &resource, &namespace, &args.clusters).await?
    };
    let mut verdict = Verdict::Good;
    if clusters.is_empty() {
        output::note("there is no RayCluster to hand over");
    }
    for cluster in clusters {
        let (said, good) = one(&client, &resource, &cluster, args).await;
        let name = cluster.name_any();
        let namespace = cluster.namespace().unwrap_or_default();
        print(&format!("{namespace}/{name}: {said}\n"))?;
        if !good {
            verdict = Verdict::Bad;
        }
    }
    Ok(verdict)
}

async fn named(
    client: &Client,
    resource: &ApiResource,
    namespace: &str,
    names: &[String],
) -> anyhow::Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
    let mut found = Vec::new();
    for name in names {
        let got = api
            .get_opt(name)
            .await
            .with_context(|| format!("failed to read {namespace}/{name}"))?;
        let Some(cluster) = got else {
            bail!("there is no RayCluster {name} in namespace {namespace}; -n names another");
        };
        found.push(cluster);
    }
    Ok(found)
}

/// Hands one cluster over: what to say, and whether it is done.
async fn one(
    client: &Client,
    resource: &ApiResource,
    cluster: &DynamicObject,
    args: &HandoverArgs,
) -> (String, bool) {
    let to = args.to.manager();
    let object = serde_json::to_value(cluster).unwrap_or(Value::Null);
    let Some(operations) = handover::patch(&object, to) else {
        return ("left alone: spec.managedBy says that it runs elsewhere".to_owned(), true);
    };
    if operations.is_empty() {
        return (format!("nothing to do: {} can make its Pods already", to.as_str()), true);
    }
    let changes: Vec<String> = operations
        .iter()
        .filter(|operation| operation.get("op").is_some_and(|op| op != "test"))
        .map(|operation| {
            let text = |key| operation.get(key).and_then(Value::as_str).unwrap_or("");
            format!("{} {}", text("op"), text("path"))
        })
        .collect();
    if args.dry_run {
        return (format!("would be handed over to {}: {}", to.as_str(), changes.join(", ")), true);
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, resource);
    let patch = match serde_json::from_value(Value::Array(operations)) {
        Ok(patch) => Patch::Json::<()>(patch),
        Err(error) => return (format!("not handed over: {error}"), false),
    };
    match api.patch(&cluster.name_any(), &PatchParams::default(), &patch).await {
        Err(error) => (format!("not handed over: {error}"), false),
        Ok(stored) => {
            let stored = serde_json::to_value(&stored).unwrap_or(Value::Null);
            if handover::patch(&stored, to).is_some_and(|left| left.is_empty()) {
                (format!("handed over to {}: {}", to.as_str(), changes.join(", ")), true)
            } else {
                let hint = format!("let the webhook know first: --node-manager {}", to.as_str());
                (format!("not handed over: a webhook put back what was taken out; {hint}"), false)
            }
        }
    }
}
