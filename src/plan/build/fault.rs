//! Fault tolerance of Ray's GCS, which keeps its state in a Redis.
//!
//! It is switched on by `gcsFaultToleranceOptions` or, the older way, by an annotation with the
//! variables in the user's hands. Passwords go into variables; on the command line stands only a
//! reference to them.

use serde_json::{Map, Value, json};

use super::env::variable;
use super::{Node, Plot, params};
use crate::dialect::kuberay::{FT_ENABLED, FT_NAMESPACE};
use crate::model::Cluster;
use crate::model::template::{member, text};
use crate::plan::object::{fill_env, put_env};

/// Fields of the options, and the variables and parameters that they become.
const CREDENTIALS: [(&str, &str, &str); 2] = [
    ("redisUsername", "REDIS_USERNAME", "redis-username"),
    ("redisPassword", "REDIS_PASSWORD", "redis-password"),
];

/// Annotations of the head.
pub(super) fn annotations(plot: &Plot<'_>) -> Map<String, Value> {
    let is_on = is_on(plot.cluster);
    let mut annotations = Map::new();
    annotations.insert(FT_ENABLED.to_owned(), json!(is_on.to_string()));
    if is_on {
        annotations.insert(FT_NAMESPACE.to_owned(), json!(storage_namespace(plot)));
    }
    annotations
}

/// Parameters of the head.
pub(super) fn params(plot: &Plot<'_>) -> Vec<(String, String)> {
    let Some(options) = redis(plot.cluster) else { return Vec::new() };
    let credentials = CREDENTIALS.iter().filter(|(field, ..)| member(options, field).is_some());
    credentials.map(|(_, name, key)| ((*key).to_owned(), format!("${name}"))).collect()
}

/// Variables of the Ray container.
pub(super) fn tolerate(node: &Node<'_>, ray: &mut Value) {
    let cluster = node.plot.cluster;
    if !is_on(cluster) {
        return;
    }
    if !node.is_head {
        // Longer than a new head takes; a worker gives up after a minute otherwise.
        fill_env(ray, variable("RAY_gcs_rpc_server_reconnect_timeout_s", "600"));
        return;
    }
    fill_env(ray, variable("RAY_external_storage_namespace", &storage_namespace(node.plot)));
    if let Some(options) = redis(cluster) {
        put_env(ray, variable("RAY_REDIS_ADDRESS", text(options, "redisAddress").unwrap_or("")));
        for (field, name, _) in CREDENTIALS {
            if let Some(credential) = member(options, field) {
                put_env(ray, referring(name, credential));
            }
        }
    } else if let Some(password) = params::given(node.raw, "redis-password") {
        // The clean-up job reads the variable, not the parameter.
        fill_env(ray, variable("REDIS_PASSWORD", password));
    }
}

/// Whether the head's state outlives it.
pub(in crate::plan) fn is_on(cluster: &Cluster<'_>) -> bool {
    member(cluster.spec, "gcsFaultToleranceOptions").is_some()
        || cluster.annotation(FT_ENABLED).is_some_and(|it| it.eq_ignore_ascii_case("true"))
}

/// The options, where they ask for a Redis.
pub(in crate::plan) fn redis<'a>(cluster: &Cluster<'a>) -> Option<&'a Value> {
    let options = member(cluster.spec, "gcsFaultToleranceOptions")?;
    text(options, "backend").is_none_or(|backend| backend == "redis").then_some(options)
}

/// The prefix under which a cluster keeps its state: one of its own unless the user shares one.
fn storage_namespace(plot: &Plot<'_>) -> String {
    let options = member(plot.cluster.spec, "gcsFaultToleranceOptions");
    let named = options.and_then(|options| text(options, "externalStorageNamespace"));
    let named = named.filter(|name| !name.is_empty());
    named.or_else(|| plot.cluster.annotation(FT_NAMESPACE)).unwrap_or(plot.uid).to_owned()
}

/// A variable with the value or the reference of a credential.
fn referring(name: &str, credential: &Value) -> Value {
    let mut entry = json!({"name": name});
    if let Some(entry) = entry.as_object_mut() {
        for key in ["value", "valueFrom"] {
            entry.extend(member(credential, key).map(|it| (key.to_owned(), it.clone())));
        }
    }
    entry
}
