//! The Domino dialect of the scaling API, over HTTP.
//!
//! | file | role |
//! | --- | --- |
//! | [`upstream`] | a GET to Domino, with the caller's credential and within bounds |
//! | [`identity`] | the credential of a request -> who asks |
//! | [`clusters`] | what is read from and written to the API server |
//! | [`work`] | one request: the pure core between reads and a write |
//! | [`answer`] | JSON answers, their headers, their log line |
//!
//! Order of every request: route, credential, identity, pace, body, cluster, right, plan, preflight, write.
//! Nothing is read for somebody who is not known. Invariants: an answer within the deadline; a write that has
//! begun is carried through and told, whether or not anybody waits for it; what Domino or the API server
//! say in their errors goes to the log and not to the caller.

mod answer;
mod clusters;
mod identity;
pub mod upstream;
mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use kube::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clusters::Clusters;
use self::identity::Identities;
use self::upstream::Upstream;
use super::Rules;
use super::call::Call;
use super::counts::{Counts, Dialect as Spoken};
use super::nodes::{Looks, Way};
use super::objects::PATIENCE;
use super::ops::{Finding, Readiness, watched};
use super::tell::Teller;
use crate::scaling::pace::Rate;
use crate::scaling::{Code, Fault, Route, Terms};

/// API group, resource and verbs: what the API needs in the namespace of the clusters, and no more.
pub const NEEDED: [(&str, &str, &[&str]); 4] = [
    ("distributed-compute.dominodatalab.com", "rayclusters", &["get", "list", "patch"]),
    ("apps", "statefulsets", &["get"]),
    ("", "pods", &["get", "list", "delete"]),
    ("events.k8s.io", "events", &["create"]),
];

/// The same for all of the cluster: the administrators' policies, and what they select namespaces by.
pub const NEEDED_EVERYWHERE: [(&str, &str, &[&str]); 2] = [
    ("raywarden.io", "rayclusterpolicies", &["list", "watch"]),
    ("", "namespaces", &["list", "watch"]),
];

/// How the API works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where Domino's clusters are.
    pub namespace: String,
    /// Bounds of what is written.
    pub terms: Terms,
    /// The id of this data plane; tiers of others are refused.
    pub data_plane: Option<String>,
    /// Values of environment variables are not shown.
    pub hides_variables: bool,
    /// Absent clusters are told from those of others.
    pub tells_absent: bool,
    /// How fast one caller may ask.
    pub rate: Rate,
    /// For how long a caller is known.
    pub identity_lasts: Duration,
    /// From the headers of a request to its answer.
    pub deadline: Duration,
    /// Who writes, in Events.
    pub instance: String,
    /// What a change is judged by before it is written.
    pub rules: Rules,
}

/// Everything that a request needs.
pub struct Api {
    options: Options,
    identities: Identities,
    clusters: Clusters,
    teller: Teller,
    upstream: Upstream,
    looks: Looks,
    readiness: Arc<Readiness>,
    counts: Arc<Counts>,
    /// What goes on whether or not anybody waits for it.
    writes: TaskTracker,
}

impl Api {
    /// An API that is ready when `readiness` is.
    pub fn new(
        client: Client,
        upstream: Upstream,
        options: Options,
        readiness: Arc<Readiness>,
        counts: Arc<Counts>,
    ) -> Self {
        let writes = TaskTracker::new();
        Self {
            identities: Identities::new(upstream.clone(), options.rate, options.identity_lasts),
            clusters: Clusters::new(client.clone(), &options.namespace),
            looks: Looks::new(client.clone(), Way::Direct),
            teller: Teller::new(client, &options.instance, writes.clone()),
            upstream,
            options,
            readiness,
            counts,
            writes,
        }
    }

    /// Waits, within bounds, for the writes that nobody waits for any more.
    pub async fn finish(&self) {
        self.writes.close();
        let _ = tokio::time::timeout(PATIENCE, self.writes.wait()).await;
    }
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(respond).with_state(api)
}

async fn respond(State(api): State<Arc<Api>>, request: Request) -> Response {
    let call = Call::of(&request);
    let route = Route::of(&call.method, &call.path);
    let label = route.as_ref().map_or("none", |route| route.as_str());
    let (who, outcome) = match route {
        Ok(route) if route.is_open() => (None, Ok(open(&api, route))),
        Ok(route) => within(Arc::clone(&api), route, request, &call).await,
        Err(fault) => (None, Err(fault)),
    };
    let response = answer::answer(&call, label, who.as_deref(), outcome);
    api.counts.answered(Spoken::Domino, label, response.status().as_u16(), call.begun.elapsed());
    response
}

fn open(api: &Api, route: Route<'_>) -> answer::Answer {
    let faults = api.readiness.faults();
    match route {
        Route::Ready if !faults.is_empty() => answer::not_ready(&faults),
        Route::Ready => answer::state("ready"),
        _ => answer::state("healthy"),
    }
}

type Outcome = (Option<String>, Result<answer::Answer, Fault>);

async fn within(api: Arc<Api>, route: Route<'_>, request: Request, call: &Call) -> Outcome {
    let deadline = api.options.deadline;
    let mut who = None;
    let work = work::work(&api, route, request, call, &mut who);
    let outcome = match tokio::time::timeout(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Fault::new(
            Code::Unavailable,
            "not done in time: Domino or Kubernetes is slow. Look at the cluster before you try \
             again; a change may still be under way",
        )),
    };
    (who, outcome)
}

/// Asks again and again whether the clusters can be listed, till `stop`; the readiness check.
pub fn watch_over(
    client: Client,
    namespace: &str,
    stop: CancellationToken,
) -> impl Fn() -> Finding + Send + Sync + use<> {
    let clusters = Arc::new(Clusters::new(client, namespace));
    watched(stop, move || {
        let clusters = Arc::clone(&clusters);
        async move { clusters.probe().await }
    })
}
