//! A head's dashboard, asked through the API server's proxy.
//!
//! Input: the head Pod. Output: nodes and demand, or a [`Gap`]. The API server's own refusals are told
//! apart from the dashboard's, for each needs another cure. A token goes in Ray's own header: the
//! proxy keeps `Authorization` for itself.

use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{Request, StatusCode};
use kube::client::Body;
use serde_json::Value;

use super::read::{Reader, granting};
use super::report::Forward;
use crate::plan::why::Gap;
use crate::ray::{Demand, MOST_BYTES, PORT, RayNode, wire};

/// For both questions together: the proxy itself waits half a minute for a Pod that is silent.
const DEADLINE: Duration = Duration::from_secs(6);

/// Ray's header for a token where `Authorization` is taken.
const TOKEN_HEADER: &str = "x-ray-authorization";

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
        let namespace = &reader.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{head}:{port}/proxy{path}");
        let mut request = Request::get(path);
        if let Some(token) = reader.token.as_ref().and_then(crate::ray::Token::header) {
            request = request.header(TOKEN_HEADER, token);
        }
        let request = request.body(Body::empty());
        let request = request.map_err(|_| self.gap("the question could not be put".to_owned()))?;
        let response = reader.client.send(request).await.map_err(|error| {
            self.gap(format!("the API server's proxy does not answer ({error})"))
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| {
            let long = error.is::<LengthLimitError>();
            self.gap(
                if long { "the answer is too long" } else { "the answer broke off" }.to_owned(),
            )
        })?;
        let body = body.to_bytes().to_vec();
        self.judge(status, &body)?;
        Ok(body)
    }

    /// Whether it is an answer; whose refusal it is, where it is one.
    fn judge(&self, status: StatusCode, body: &[u8]) -> Result<(), Gap> {
        if let Some(message) = said_by_api_server(status, body) {
            if status == StatusCode::FORBIDDEN {
                return Err(granting(&self.reader.namespace, "get", "pods/proxy"));
            }
            return Err(self.gap(format!("the API server cannot reach the dashboard: {message}")));
        }
        let Some(what) = wire::refusal(status.as_u16(), self.reader.token.is_some()) else {
            return Ok(());
        };
        let fix = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "give the cluster's token with --ray-token-file".to_owned()
            }
            _ => self.gap(String::new()).fix,
        };
        Err(Gap { what, fix })
    }

    fn gap(&self, what: String) -> Gap {
        let Forward { command, url } = self.forwarded();
        Gap { what, fix: format!("look yourself: {command}, then {url}") }
    }
}

/// The message of a `Status`, in which the API server speaks for itself.
fn said_by_api_server(status: StatusCode, body: &[u8]) -> Option<String> {
    if status.is_success() {
        return None;
    }
    let said: Value = serde_json::from_slice(body).ok()?;
    let kind = said.get("kind").and_then(Value::as_str) == Some("Status");
    let message = said.get("message").and_then(Value::as_str).unwrap_or("no reason given");
    kind.then(|| message.to_owned())
}
