//! A head's dashboard, asked through the API server's proxy.
//!
//! Input: the head Pod. Output: nodes and demand, or a [`Gap`] with its cure.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

use super::read::{Reader, granting};
use super::report::Forward;
use crate::plan::why::Gap;
use crate::ray::proxied::{Proxied, Refusal};
use crate::ray::{Demand, PORT, RayNode, wire};

/// For both questions together: the proxy itself waits half a minute for a Pod that is silent.
const DEADLINE: Duration = Duration::from_secs(6);

/// The dashboard of one head Pod.
pub(super) struct Dashboard<'a> {
    reader: &'a Reader,
    head: String,
    port: u16,
    switched_off: bool,
}

impl<'a> Dashboard<'a> {
    /// The dashboard of the Pod `head`, at the port that the cluster gives it.
    pub(super) fn new(reader: &'a Reader, head: &str, cluster: &Value) -> Self {
        let param = |key: &str| {
            let params = cluster.pointer("/spec/headGroupSpec/rayStartParams");
            params.and_then(|params| params.get(key)).and_then(Value::as_str)
        };
        Self {
            reader,
            head: head.to_owned(),
            port: param("dashboard-port").and_then(|port| port.parse().ok()).unwrap_or(PORT),
            switched_off: param("include-dashboard")
                .is_some_and(|it| it.eq_ignore_ascii_case("false")),
        }
    }

    /// How to look at it oneself.
    pub(super) fn forwarded(&self) -> Forward {
        let context = self.reader.context.as_ref();
        let context = context.map(|context| format!(" --context {context}")).unwrap_or_default();
        let Self { head, port, .. } = self;
        Forward {
            command: format!(
                "kubectl port-forward{context} -n {} pod/{head} {port}",
                self.reader.namespace
            ),
            url: format!("http://localhost:{port}"),
        }
    }

    /// The nodes, and what waits for resources where that is said.
    pub(super) async fn ask(&self) -> Result<(Vec<RayNode>, Option<Demand>), Gap> {
        if self.switched_off {
            return Err(Gap {
                what: "the head runs without a dashboard (rayStartParams include-dashboard)"
                    .to_owned(),
                fix: "take include-dashboard out; it holds for the next head".to_owned(),
            });
        }
        let both = async {
            let nodes =
                wire::nodes(&self.get(wire::NODES).await?).map_err(|what| self.gap(what))?;
            let names = self.get(wire::SUMMARY).await.ok().and_then(|it| wire::names(&it).ok());
            let demand = self.get(wire::DEMAND).await.ok().and_then(|it| wire::demand(&it));
            Ok((wire::named(nodes, &names.unwrap_or_default()), demand))
        };
        tokio::time::timeout(DEADLINE, both).await.unwrap_or_else(|_| {
            Err(self.gap(format!("the dashboard gave no answer within {} s", DEADLINE.as_secs())))
        })
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, Gap> {
        let Self { reader, head, port, .. } = self;
        let token = reader.token.as_ref();
        let proxied = Proxied { namespace: &reader.namespace, pod: head, port: *port, token };
        proxied.get(&reader.client, path).await.map_err(|refusal| match refusal {
            Refusal::NoRight => granting(&reader.namespace, "get", "pods/proxy"),
            Refusal::Unreachable(message) => {
                self.gap(format!("the API server cannot reach the dashboard: {message}"))
            }
            Refusal::Dashboard(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, what) => {
                Gap { what, fix: "give the cluster's token with --ray-token-file".to_owned() }
            }
            Refusal::Dashboard(_, what) | Refusal::Broken(what) => self.gap(what),
        })
    }

    fn gap(&self, what: String) -> Gap {
        let Forward { command, url } = self.forwarded();
        Gap { what, fix: format!("look yourself: {command}, then {url}") }
    }
}
