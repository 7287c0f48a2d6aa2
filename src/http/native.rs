//! The native dialect of the scaling API, over HTTP.
//!
//! | file | role |
//! | --- | --- |
//! | [`clusters`] | clusters of both API groups at the API server |
//! | [`work`] | one request: the pure core between reads and a write |
//! | [`wait`] | till every worker has joined, with or without telling of it |
//! | [`answer`] | JSON answers and problems, their headers, their log line |
//!
//! Order of every request: endpoint, token, pace, right, body, cluster, plan, preflight, write. Nothing is
//! read for somebody who is not known. Invariants: whoever waits for workers holds nothing but their own
//! connection; a write that has begun is carried through and told, whether or not anybody waits for it.

mod answer;
mod clusters;
mod wait;
mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use kube::Client;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::answer::Done;
use self::clusters::Clusters;
use self::work::Next;
use super::Rules;
use super::call::Call;
use super::counts::{Counts, Dialect as Spoken};
use super::identity::Identities;
use super::nodes::{Looks, Way};
use super::objects::{PATIENCE, Turns};
use super::ops::{Finding, Readiness, watched};
use super::tell::Teller;
use crate::scaling::native::endpoint::{Operation, Target};
use crate::scaling::pace::Rate;
use crate::scaling::{Code, Fault, Terms};

/// API group, resource and verbs: what the API needs in the namespaces that it serves, and no more.
pub const NEEDED: [(&str, &str, &[&str]); 9] = [
    ("ray.io", "rayclusters", &["get", "list", "watch", "patch"]),
    ("distributed-compute.dominodatalab.com", "rayclusters", &["get", "list", "watch", "patch"]),
    ("", "pods", &["list"]),
    ("apps", "statefulsets", &["get"]),
    ("events.k8s.io", "events", &["create"]),
    ("raywarden.io", "rayclusterpolicies", &["list", "watch"]),
    ("", "namespaces", &["list", "watch"]),
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
];

/// Requests that wait for workers at one time.
const WAITERS: usize = 256;

/// How the API works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The audience that tokens have to name.
    pub audience: String,
    /// Bounds of what is written.
    pub terms: Terms,
    /// How fast one caller may ask.
    pub rate: Rate,
    /// For how long a caller, and a right, is known.
    pub identity_lasts: Duration,
    /// From the headers of a request to its answer, waiting for workers apart.
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
    looks: Looks,
    teller: Teller,
    turns: Turns<work::Found>,
    readiness: Arc<Readiness>,
    counts: Arc<Counts>,
    waiters: Arc<Semaphore>,
    /// Ends the waiting.
    stop: CancellationToken,
    /// What goes on whether or not anybody waits for it.
    writes: TaskTracker,
}

impl Api {
    /// An API that is ready when `readiness` is; nobody waits for workers after `stop`.
    pub fn new(
        client: &Client,
        options: Options,
        readiness: Arc<Readiness>,
        counts: Arc<Counts>,
        stop: CancellationToken,
    ) -> Self {
        let writes = TaskTracker::new();
        Self {
            identities: Identities::new(
                client.clone(),
                &options.audience,
                options.rate,
                options.identity_lasts,
            ),
            clusters: Clusters::new(client.clone()),
            looks: Looks::new(client.clone(), Way::Direct),
            teller: Teller::new(client.clone(), &options.instance, writes.clone()),
            turns: Turns::default(),
            waiters: Arc::new(Semaphore::new(WAITERS)),
            options,
            readiness,
            counts,
            stop,
            writes,
        }
    }

    /// Waits, within bounds, for the writes that nobody waits for any more.
    pub async fn finish(&self) {
        self.writes.close();
        let _ = tokio::time::timeout(PATIENCE, self.writes.wait()).await;
    }
}

/// Asks again and again whether the API server looks at tokens, till `stop`; the readiness check.
pub fn watch_over(
    client: Client,
    audience: &str,
    stop: CancellationToken,
) -> impl Fn() -> Finding + Send + Sync + use<> {
    let rate = Rate { per_second: 0, burst: 0 };
    let identities = Arc::new(Identities::new(client, audience, rate, Duration::ZERO));
    watched(stop, move || {
        let identities = Arc::clone(&identities);
        async move { identities.probe().await }
    })
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(respond).with_state(api)
}

async fn respond(State(api): State<Arc<Api>>, request: Request) -> Response {
    let call = Call::of(&request);
    let target = Target::of(&call.method, &call.path);
    let label = target.as_ref().map_or("none", |target| target.operation.as_str());
    let (who, outcome) = match target {
        Ok(target) if target.operation.is_open() => (None, Ok(open(&api, target.operation))),
        Ok(target) => within(Arc::clone(&api), target, request, &call).await,
        Err(fault) => (None, Err(fault)),
    };
    let response = answer::answer(&call, label, who.as_deref(), outcome);
    api.counts.answered(Spoken::Native, label, response.status().as_u16(), call.begun.elapsed());
    response
}

fn open(api: &Api, operation: Operation) -> Done {
    let faults = api.readiness.faults();
    match operation {
        Operation::Document => answer::document(),
        Operation::Ready if !faults.is_empty() => answer::not_ready(&faults),
        Operation::Ready => answer::state("ready"),
        _ => answer::state("healthy"),
    }
}

type Outcome = (Option<String>, Result<Done, Fault>);

async fn within(api: Arc<Api>, target: Target<'_>, request: Request, call: &Call) -> Outcome {
    let deadline = api.options.deadline;
    let mut who = None;
    let work = work::work(&api, target, request, call, &mut who);
    let outcome = match tokio::time::timeout(deadline, work).await {
        Ok(Ok(Next::Wait(waiting))) => wait::answer(Arc::clone(&api), *waiting, call).await,
        Ok(Ok(Next::Done(done))) => Ok(done),
        Ok(Err(fault)) => Err(fault),
        Err(_) => Err(Fault::new(
            Code::Unavailable,
            "not done in time: Kubernetes is slow. Look at the cluster before you try again; a change \
             may still be under way",
        )),
    };
    (who, outcome)
}
