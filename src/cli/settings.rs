//! Flags that say what the rules go by, shared by every command that judges.

use clap::{Args, ValueEnum};

use crate::admission::settings::{Accounts, InjectAt, OnReplicasAboveMax, SidecarSize};
use crate::admission::{Mode, PolicySet, Settings};
use crate::model::names::{MAX_LABEL, is_dns_1123};
use crate::model::{NodeManager, Quantity};

/// What the rules go by.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rules")]
pub struct SettingsArgs {
    /// Who makes the Pods of ray.io clusters; `auto`: the controller looks for a KubeRay operator, elsewhere as for kuberay
    #[arg(long, env = "RAYWARDEN_NODE_MANAGER", value_enum, default_value_t = NodeManagerChoice::Auto, value_name = "WHO")]
    node_manager: NodeManagerChoice,

    /// The same for one namespace, before --node-manager (repeatable)
    #[arg(long, env = "RAYWARDEN_NODE_MANAGER_FOR", value_parser = node_manager_for, value_delimiter = ',', value_name = "NAMESPACE=raywarden|kuberay")]
    node_manager_for: Vec<(String, NodeManager)>,

    /// Refuse and patch, or only say what would be refused and patched
    #[arg(long, env = "RAYWARDEN_MODE", value_enum, default_value_t = ModeChoice::Enforce, value_name = "MODE")]
    mode: ModeChoice,

    /// Where the sidecar goes in standalone mode: the stored head template, or the Pod only
    #[arg(long, env = "RAYWARDEN_INJECT_AT", value_enum, default_value_t = InjectAtChoice::Template, value_name = "PLACE")]
    inject_at: InjectAtChoice,

    /// What a person's new cluster with replicas above maxReplicas gets
    #[arg(long, env = "RAYWARDEN_ON_REPLICAS_ABOVE_MAX", value_enum, default_value_t = AboveMaxChoice::Deny, value_name = "OUTCOME")]
    on_replicas_above_max: AboveMaxChoice,

    /// CPU of a new sidecar
    #[arg(long, env = "RAYWARDEN_SIDECAR_CPU", value_parser = quantity, default_value = "500m", value_name = "QUANTITY")]
    sidecar_cpu: String,

    /// Memory of a new sidecar
    #[arg(long, env = "RAYWARDEN_SIDECAR_MEMORY", value_parser = quantity, default_value = "512Mi", value_name = "QUANTITY")]
    sidecar_memory: String,

    /// A size that --sidecar-cpu and --sidecar-memory had before: stored blocks of it are known as
    /// raywarden's (repeatable; in the environment separated by `;`)
    #[arg(long, env = "RAYWARDEN_FORMER_SIDECAR", value_parser = sidecar_size, value_delimiter = ';', value_name = "CPU,MEMORY")]
    former_sidecar: Vec<SidecarSize>,

    /// The highest maxReplicas that a person may write
    #[arg(long, env = "RAYWARDEN_MAX_REPLICAS_CAP", value_parser = clap::value_parser!(i64).range(0..), value_name = "N")]
    max_replicas_cap: Option<i64>,

    /// The most workers that the scaling API takes, and Domino's scale subresource, which holds no bounds
    #[arg(long, env = "RAYWARDEN_SCALE_CEILING", value_parser = clap::value_parser!(i64).range(0..), value_name = "N")]
    scale_ceiling: Option<i64>,

    /// Refuse what would only be warned of where it describes a certain failure
    #[arg(long, env = "RAYWARDEN_STRICT")]
    strict: bool,

    #[command(flatten)]
    accounts: AccountArgs,
}

/// Who is a machine. A given list replaces the default one.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Accounts (user names; `*` is one part between colons)")]
pub struct AccountArgs {
    /// A KubeRay operator (repeatable; replaces the default list, like the ones below)
    #[arg(long = "kuberay-account", env = "RAYWARDEN_KUBERAY_ACCOUNT", value_parser = user_name, value_delimiter = ',', value_name = "USER")]
    kuberay: Vec<String>,

    /// A Kueue controller
    #[arg(long = "kueue-account", env = "RAYWARDEN_KUEUE_ACCOUNT", value_parser = user_name, value_delimiter = ',', value_name = "USER")]
    kueue: Vec<String>,

    /// A Domino distributed-compute operator
    #[arg(long = "domino-account", env = "RAYWARDEN_DOMINO_ACCOUNT", value_parser = user_name, value_delimiter = ',', value_name = "USER")]
    domino: Vec<String>,

    /// raywarden's own controller
    #[arg(long = "own-account", env = "RAYWARDEN_OWN_ACCOUNT", value_parser = user_name, value_delimiter = ',', value_name = "USER")]
    ourselves: Vec<String>,

    /// A horizontal Pod autoscaler
    #[arg(long = "hpa-account", env = "RAYWARDEN_HPA_ACCOUNT", value_parser = user_name, value_delimiter = ',', value_name = "USER")]
    hpa: Vec<String>,
}

impl SettingsArgs {
    /// The snapshot that the flags describe.
    pub fn settings(&self) -> Settings {
        let Self {
            node_manager,
            node_manager_for,
            mode,
            inject_at,
            on_replicas_above_max,
            sidecar_cpu,
            sidecar_memory,
            former_sidecar,
            max_replicas_cap,
            scale_ceiling,
            strict: _,
            accounts,
        } = self.clone();
        Settings {
            node_manager: node_manager.into(),
            node_manager_for,
            mode: mode.into(),
            inject_at: inject_at.into(),
            on_replicas_above_max: on_replicas_above_max.into(),
            sidecar: SidecarSize { cpu: sidecar_cpu, memory: sidecar_memory },
            former_sidecars: former_sidecar,
            max_replicas_cap,
            scale_ceiling,
            accounts: accounts.accounts(),
        }
    }

    /// The policies that the flags describe.
    pub fn policies(&self) -> PolicySet {
        PolicySet { strict: self.strict, ..PolicySet::default() }
    }
}

impl AccountArgs {
    /// The accounts that the flags describe.
    pub fn accounts(self) -> Accounts {
        let Self { kuberay, kueue, domino, ourselves, hpa } = self;
        let usual = Accounts::default();
        let or = |given: Vec<String>, usual| if given.is_empty() { usual } else { given };
        Accounts {
            kuberay: or(kuberay, usual.kuberay),
            domino: or(domino, usual.domino),
            kueue: or(kueue, usual.kueue),
            ourselves: or(ourselves, usual.ourselves),
            hpa: or(hpa, usual.hpa),
            garbage_collector: usual.garbage_collector,
        }
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident => $target:ty { $($(#[$variant_doc:meta])* $variant:ident => $value:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl From<$name> for $target {
            fn from(choice: $name) -> Self {
                match choice {
                    $($name::$variant => $value,)+
                }
            }
        }
    };
}

choice!(NodeManagerChoice => Option<NodeManager> {
    Auto => None,
    Raywarden => Some(NodeManager::Raywarden),
    #[value(name = "kuberay")]
    KubeRay => Some(NodeManager::KubeRay),
});

choice!(ModeChoice => Mode {
    Enforce => Self::Enforce,
    Audit => Self::Audit,
});

choice!(InjectAtChoice => InjectAt {
    Template => Self::Template,
    Pod => Self::Pod,
});

choice!(AboveMaxChoice => OnReplicasAboveMax {
    Deny => Self::Deny,
    Clamp => Self::Clamp,
});

fn node_manager_for(text: &str) -> Result<(String, NodeManager), String> {
    let expected = "expected NAMESPACE=raywarden or NAMESPACE=kuberay";
    let (namespace, manager) = text.split_once('=').ok_or(expected)?;
    if namespace.len() > MAX_LABEL || !is_dns_1123(namespace) {
        return Err(format!("`{namespace}` is no namespace name; {expected}"));
    }
    let manager = [NodeManager::Raywarden, NodeManager::KubeRay]
        .into_iter()
        .find(|each| each.as_str() == manager)
        .ok_or_else(|| format!("`{manager}` is no node manager; {expected}"))?;
    Ok((namespace.to_owned(), manager))
}

fn sidecar_size(text: &str) -> Result<SidecarSize, String> {
    let (cpu, memory) = text.split_once(',').ok_or("expected CPU,MEMORY such as 500m,512Mi")?;
    Ok(SidecarSize { cpu: quantity(cpu)?, memory: quantity(memory)? })
}

/// A positive Kubernetes quantity, kept as it is spelled.
fn quantity(text: &str) -> Result<String, String> {
    match Quantity::parse(text) {
        Some(amount) if amount > Quantity::default() => Ok(text.to_owned()),
        _ => Err("expected a quantity above zero, such as 500m, 0.5, 512Mi or 1Gi".to_owned()),
    }
}

fn user_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("expected a user name without spaces".to_owned());
    }
    if let Some(account) = text.strip_prefix("system:serviceaccount:") {
        let parts: Vec<&str> = account.split(':').collect();
        if parts.len() != 2 || parts.contains(&"") {
            return Err("expected system:serviceaccount:NAMESPACE:NAME".to_owned());
        }
    } else if text.contains('/') && !text.contains(':') && !text.contains('@') {
        let account = text.replacen('/', ":", 1);
        return Err(format!(
            "expected a user name; a service account is called system:serviceaccount:{account}"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
