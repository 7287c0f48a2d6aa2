//! The way to the dashboard of a head: its address, and the token that it asks for.
//!
//! Input: the view of a cluster, the address of its head Pod, a client. Output: a [`Dashboard`], or what
//! is missing in words. Invariant: only the Pod's own address is dialled, never a name that a user wrote.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use serde_json::Value;

use super::{Dashboard, PORT, Token};
use crate::dialect::kuberay::{TOKEN_KEY, TokenAuth};
use crate::model::Cluster;

/// Where the dashboard of a head with this address listens; `None` where it has none yet.
pub fn address(cluster: &Cluster<'_>, ip: &str) -> Option<SocketAddr> {
    let ip: IpAddr = ip.parse().ok()?;
    let (params, _) = cluster.head_params();
    let given = params.get("dashboard-port").and_then(Value::as_str);
    Some(SocketAddr::new(ip, given.and_then(|port| port.parse().ok()).unwrap_or(PORT)))
}

/// The dashboard at that address, with the cluster's token where it asks for one.
pub async fn dashboard(
    client: &Client,
    cluster: &Cluster<'_>,
    namespace: &str,
    address: SocketAddr,
) -> Result<Dashboard, String> {
    let dashboard = Dashboard::new(address);
    match TokenAuth::of(cluster) {
        None => Ok(dashboard),
        Some(TokenAuth::Kubernetes) => {
            Err("the dashboard wants a token of Kubernetes, which is not sent to Pods".to_owned())
        }
        Some(TokenAuth::Secret { name, .. }) => {
            Ok(dashboard.with_token(token(client, namespace, &name).await?))
        }
    }
}

async fn token(client: &Client, namespace: &str, name: &str) -> Result<Token, String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get(name).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("grant get on Secret {name}: the dashboard asks for its token")
        }
        _ => format!("the dashboard's token in Secret {name} could not be read"),
    })?;
    let data = secret.data.unwrap_or_default();
    let text = data.get(TOKEN_KEY).and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
    let none = || format!("Secret {name} holds no {TOKEN_KEY}");
    Token::new(text.ok_or_else(none)?).map_err(|error| error.to_string())
}
