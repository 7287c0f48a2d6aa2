//! A head's dashboard, asked through the API server's proxy.
//!
//! Input: the head Pod and a path. Output: the body of a 200, or whose refusal it was: those of the API
//! server need another cure than the dashboard's own. Invariant: a cap on the body; a token goes in Ray's
//! own header, because the proxy keeps `Authorization` for itself.

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use super::{Answer, MOST_BYTES, Token, wire};

/// Ray's header for a token where `Authorization` is taken.
const TOKEN_HEADER: &str = "x-ray-authorization";

/// The dashboard of one head Pod.
#[derive(Clone, Copy, Debug)]
pub struct Proxied<'a> {
    /// The head's namespace.
    pub namespace: &'a str,
    /// The head Pod.
    pub pod: &'a str,
    /// The dashboard's port.
    pub port: u16,
    /// The token of `RAY_AUTH_MODE=token`.
    pub token: Option<&'a Token>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The right `get` on `pods/proxy` is missing.
    NoRight,
    /// The API server cannot reach the Pod.
    Unreachable(String),
    /// The dashboard itself refuses.
    Dashboard(StatusCode, String),
    /// The connection broke, or the answer is too long.
    Broken(String),
}

impl Proxied<'_> {
    /// One answer.
    pub async fn get(&self, client: &Client, path: &str) -> Result<Vec<u8>, Refusal> {
        let Self { namespace, pod, port, token } = self;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}");
        let mut request = Request::get(path);
        if let Some(token) = token.and_then(Token::header) {
            request = request.header(TOKEN_HEADER, token);
        }
        let request = request.body(Body::empty());
        let request =
            request.map_err(|_| Refusal::Broken("the question could not be put".to_owned()))?;
        let response = client.send(request).await.map_err(|error| {
            Refusal::Broken(format!("the API server's proxy does not answer ({error})"))
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| {
            let long = error.is::<LengthLimitError>();
            let what = if long { "the answer is too long" } else { "the answer broke off" };
            Refusal::Broken(what.to_owned())
        })?;
        let body = body.to_bytes().to_vec();
        if let Some(message) = said_by_api_server(status, &body) {
            return Err(match status {
                StatusCode::FORBIDDEN => Refusal::NoRight,
                _ => Refusal::Unreachable(message),
            });
        }
        match wire::refusal(status.as_u16(), token.is_some()) {
            None => Ok(body),
            Some(what) => Err(Refusal::Dashboard(status, what)),
        }
    }

    /// Every node, with the names of their Pods where those come.
    pub async fn nodes(&self, client: &Client) -> Answer {
        let nodes = match self.get(client, wire::NODES).await {
            Ok(body) => wire::nodes(&body),
            Err(refusal) => Err(self.in_words(&refusal)),
        };
        let Ok(nodes) = nodes else { return wire::answer(nodes) };
        let names = self.get(client, wire::SUMMARY).await.ok();
        let names = names.and_then(|body| wire::names(&body).ok()).unwrap_or_default();
        Answer::Known(wire::named(nodes, &names))
    }

    fn in_words(&self, refusal: &Refusal) -> String {
        match refusal {
            Refusal::NoRight => {
                format!("unknown: grant get on pods/proxy in namespace {}", self.namespace)
            }
            Refusal::Unreachable(message) => {
                format!("the API server cannot reach the dashboard: {message}")
            }
            Refusal::Dashboard(_, what) | Refusal::Broken(what) => what.clone(),
        }
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
