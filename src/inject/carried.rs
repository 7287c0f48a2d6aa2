//! Variables and mounts of the Ray container that the sidecar needs too: TLS and token
//! authentication. References are copied, never secrets; nothing else is, a Redis password least of
//! all.

use serde_json::Value;

use crate::model::template::{covers, list, member, text};
use crate::model::{Cluster, Container};

const TLS: [&str; 4] =
    ["RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"];

const TOKEN: [&str; 4] =
    ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_K8S_TOKEN_AUTH"];

/// What the head carries over to the sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Carried {
    /// Entries of `env`, in the head's order.
    pub(super) env: Vec<Value>,
    /// Entries of `volumeMounts`.
    pub(super) mounts: Vec<Value>,
}

/// What `ray`, the head's Ray container, carries over. Where the spec itself switches TLS or
/// authentication on, the node manager sees to both containers and nothing is copied.
pub(super) fn of(cluster: &Cluster<'_>, ray: &Container<'_>) -> Carried {
    let tls_by_spec = member(cluster.spec, "tlsOptions")
        .is_some_and(|tls| tls.get("enabled") != Some(&Value::Bool(false)));
    let token_by_spec = member(cluster.spec, "authOptions").is_some();
    let wanted = |name: &str| {
        (TLS.contains(&name) && !tls_by_spec) || (TOKEN.contains(&name) && !token_by_spec)
    };
    let env: Vec<Value> = list(ray.raw, "env")
        .iter()
        .filter(|entry| text(entry, "name").is_some_and(wanted))
        .cloned()
        .collect();
    let files: Vec<&str> = env
        .iter()
        .filter_map(|entry| text(entry, "value"))
        .filter(|it| it.starts_with('/'))
        .collect();
    let covering = |mount: &&Value| {
        text(mount, "mountPath").is_some_and(|folder| files.iter().any(|file| covers(folder, file)))
    };
    let mounts = list(ray.raw, "volumeMounts").iter().filter(covering).cloned().collect();
    Carried { env, mounts }
}
