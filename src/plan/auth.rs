//! Token authentication: the Secret that is ours to make, and what containers need to use it.
//!
//! Input: the cluster, and a token that the shell drew at random. Output: the Secret, and changes of
//! containers and Pod. A Secret that the user names, and tokens of Kubernetes, are never made here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::build::Plot;
use super::object::{append, fill_env, owners};
use super::pod::{CLUSTER, CREATED_BY, OURSELVES};
use crate::dialect::kuberay::{TOKEN_KEY, TokenAuth, clipped_name};
use crate::model::Cluster;
use crate::model::template::{list, position};

const VOLUME: &str = "ray-token";
const PATH: &str = "/var/run/secrets/ray.io/serviceaccount";

/// The name of the Secret that this cluster needs of us; `None` where it needs none.
pub fn secret_name(cluster: &Cluster<'_>) -> Option<String> {
    match TokenAuth::of(cluster)? {
        TokenAuth::Secret { name, given: false } => Some(name),
        TokenAuth::Secret { .. } | TokenAuth::Kubernetes => None,
    }
}

/// The Secret with a token, for a cluster that [`secret_name`] has a name for. It is made once and
/// never written again: a new token would lock out every node that runs.
pub fn secret(plot: &Plot<'_>, token: &str) -> Value {
    let cluster = plot.cluster.name;
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": clipped_name(cluster),
            "namespace": plot.namespace,
            "labels": {CLUSTER: cluster, CREATED_BY: OURSELVES},
            "ownerReferences": owners(cluster, plot.uid),
        },
        "type": "Opaque",
        "data": {TOKEN_KEY: STANDARD.encode(token)},
    })
}

/// Lets a container call Ray.
pub(super) fn introduce(auth: &TokenAuth, container: &mut Value) {
    for entry in auth.env() {
        fill_env(container, entry);
    }
    let mounts = list(container, "volumeMounts");
    if *auth == TokenAuth::Kubernetes && position(mounts, "name", VOLUME).is_none() {
        let mount = json!({"name": VOLUME, "mountPath": PATH, "readOnly": true});
        append(container, "volumeMounts", mount);
    }
}

/// The volume that tokens of Kubernetes come through.
pub(super) fn add_volume(auth: &TokenAuth, spec: &mut Value) {
    let is_there = position(list(spec, "volumes"), "name", VOLUME).is_some();
    if *auth == TokenAuth::Kubernetes && !is_there {
        let sources = json!([{"serviceAccountToken": {"path": "token"}}]);
        append(spec, "volumes", json!({"name": VOLUME, "projected": {"sources": sources}}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn cluster(name: &str, auth: &Value) -> Value {
        json!({"metadata": {"name": name}, "spec": {"authOptions": auth}})
    }

    fn needed(object: &Value) -> Option<String> {
        secret_name(&Dialect::RayCluster.view(object).unwrap())
    }

    #[test]
    fn a_secret_is_made_only_where_a_token_is_ours_to_give() {
        let token = json!({"mode": "token"});
        assert_eq!(needed(&cluster("lab", &token)).as_deref(), Some("lab"));
        let long = "c".repeat(53);
        assert_eq!(needed(&cluster(&long, &token)), Some("c".repeat(50)));
        for auth in [
            json!(null),
            json!({}),
            json!({"mode": "disabled"}),
            json!({"mode": "token", "secretName": "mine"}),
            json!({"mode": "token", "enableK8sTokenAuth": true}),
        ] {
            assert_eq!(needed(&cluster("lab", &auth)), None, "{auth}");
        }
    }

    #[test]
    fn the_secret_holds_the_token_and_belongs_to_the_cluster() {
        let object = cluster("lab", &json!({"mode": "token"}));
        let cluster = Dialect::RayCluster.view(&object).unwrap();
        let plot = Plot { cluster: &cluster, namespace: "a", uid: "u-1", domain: "cluster.local" };
        let secret = secret(&plot, "t0ken");
        assert_eq!(secret["data"]["auth_token"], "dDBrZW4=");
        assert_eq!(secret["metadata"]["name"], "lab");
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "u-1");
    }
}
