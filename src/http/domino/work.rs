//! One request: the pure core between reads and a write.
//!
//! A write runs as a task of its own, so that a caller who leaves, or a deadline that passes, never
//! leaves a change half made or untold. It is begun only when it is its turn: who has waited in vain has
//! changed nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::answer::{self, Answer, Asked};
use super::clusters::{Lane, Written};
use super::tell::Told;
use super::upstream::TIERS;
use super::{Api, peer};
use crate::clock;
use crate::scaling::change::{self, Counts};
use crate::scaling::head::{Progress, Restart, Step};
use crate::scaling::rollout::{Node, Rollout};
use crate::scaling::route::{KIND, Page, Shape, parameter};
use crate::scaling::tier::Tier;
use crate::scaling::{
    Change, Code, Credential, Fault, Manner, Principal, Route, head, reply, request,
};

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// How long it may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// How often a change is planned anew because the cluster has changed meanwhile.
const ATTEMPTS: u32 = 6;

/// The pause after the first attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(20);

/// Who asks, for whom everything below is done.
#[derive(Clone)]
struct Caller {
    api: Arc<Api>,
    principal: Principal,
    request: String,
}

/// Does what the request asks for; `who` is set once that is known.
pub(super) async fn work(
    api: &Arc<Api>,
    route: Route<'_>,
    request: Request,
    asked: &Asked,
    who: &mut Option<String>,
) -> Result<Answer, Fault> {
    let from = peer(&request);
    let (head, body) = request.into_parts();
    let (principal, credential) = api.identities.identify(&head.headers, from).await?;
    *who = Some(principal.id.clone());
    let caller = Caller { api: Arc::clone(api), principal, request: asked.id.clone() };
    let query = head.uri.query();
    match route {
        Route::List(shape) => caller.list(shape, Page::of(query)?).await,
        Route::Get(name) => {
            let object = caller.read(request::name(name)?, Lane::Reads).await?;
            Ok(answer::ok(caller.shown(object)))
        }
        Route::ScaleNamed => {
            let (name, replicas) = request::documented(&read(body).await?)?;
            let written = caller.clone().scale(name, Manner::Pinned, replicas, None).await?;
            Ok(answer::ok(caller.shown(written.object)))
        }
        Route::Scale(name) => {
            let name = request::name(name)?.to_owned();
            let wanted = request::scale(&read(body).await?)?;
            let tier = caller.tier(&name, wanted.tier.as_deref(), &credential).await?;
            let tier_id = tier.as_ref().map(|tier| tier.id().to_owned());
            let started = whole_seconds();
            let written =
                caller.clone().scale(name.clone(), Manner::Capped, wanted.replicas, tier).await?;
            let object = caller.shown(written.object);
            let reply = reply::scaled(
                KIND,
                &name,
                wanted.replicas,
                &written.change,
                tier_id.as_deref(),
                started,
                &object,
            );
            Ok(answer::ok(reply))
        }
        Route::RestoreNamed => {
            let name = request::cluster_name(&read(body).await?)?;
            let written = caller.clone().restore(name).await?;
            Ok(answer::ok(caller.shown(written.object)))
        }
        Route::Restore(name) => {
            let written = caller.clone().restore(request::name(name)?.to_owned()).await?;
            Ok(answer::ok(caller.shown(written.object)))
        }
        Route::RestartHead(name) => {
            let name = request::name(name)?.to_owned();
            let tier = request::restart(&read(body).await?)?;
            let tier = caller.tier(&name, tier.as_deref(), &credential).await?;
            caller.restart(name, tier).await
        }
        Route::HeadStatus(name) => {
            caller.head_status(request::name(name)?, parameter(query, "started_at")).await
        }
        Route::Status(name, node) => {
            caller.status(request::name(name)?, node, parameter(query, "started_at")).await
        }
        Route::Health | Route::Ready => Ok(answer::state("healthy")),
    }
}

async fn read(body: axum::body::Body) -> Result<Bytes, Fault> {
    let whole = Limited::new(body, MAX_BODY).collect();
    let Ok(whole) = tokio::time::timeout(BODY_WITHIN, whole).await else {
        return Err(Fault::new(Code::TooSlow, "the body did not arrive in time"));
    };
    match whole {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Fault::new(Code::TooLarge, format!("the body is longer than {MAX_BODY} bytes")))
        }
        Err(_) => Err(Fault::bad("the body broke off")),
    }
}

/// What is being done: its name in the log, and the reason of its Event.
#[derive(Clone, Copy)]
struct Doing {
    what: &'static str,
    reason: &'static str,
}

/// A change, and the object after it.
struct Changed {
    change: Change,
    object: Value,
}

impl Caller {
    fn shown(&self, object: Value) -> Value {
        reply::redacted(object, self.api.options.hides_variables)
    }

    /// A cluster that the caller may act on.
    async fn read(&self, name: &str, lane: Lane) -> Result<Value, Fault> {
        match self.api.clusters.get(name, lane).await? {
            Some(object) if self.principal.may(&object) => Ok(object),
            None if self.principal.admin || self.api.options.tells_absent => {
                Err(Fault::new(Code::NotFound, format!("there is no Ray cluster {name}")))
            }
            // The same words whether it exists: names are nobody else's business.
            _ => Err(Fault::new(
                Code::Unauthorized,
                format!("you have no Ray cluster {name}: it belongs to somebody else, or is gone"),
            )),
        }
    }

    async fn list(&self, shape: Shape, page: Page) -> Result<Answer, Fault> {
        let paged = page.limit.is_some();
        let (clusters, next) = self.api.clusters.list(&self.principal, page).await?;
        let clusters: Vec<Value> = clusters.into_iter().map(|object| self.shown(object)).collect();
        let mut body = match shape {
            Shape::Documented => json!({"ray_clusters": clusters}),
            Shape::Counted => json!({"kind": KIND, "count": clusters.len(), "clusters": clusters}),
        };
        if let Some(body) = body.as_object_mut().filter(|_| paged) {
            body.insert("continue".to_owned(), next.unwrap_or_default().into());
        }
        Ok(answer::ok(body))
    }

    /// The tier `name` for a cluster of the caller's: for somebody else's nothing is asked.
    async fn tier(
        &self,
        cluster: &str,
        name: Option<&str>,
        credential: &Credential,
    ) -> Result<Option<Tier>, Fault> {
        let Some(name) = name else { return Ok(None) };
        self.read(cluster, Lane::Changes).await?;
        let (status, body) = self.api.upstream.get(TIERS, credential).await?;
        Tier::find(status, &body, name, self.api.options.data_plane.as_deref()).map(Some)
    }

    async fn scale(
        self,
        name: String,
        manner: Manner,
        replicas: i32,
        tier: Option<Tier>,
    ) -> Result<Changed, Fault> {
        let terms = self.api.options.terms;
        let plan =
            move |object: &Value| change::scale(object, manner, replicas, tier.as_ref(), terms);
        self.change(name, Doing { what: "scale", reason: "Scaled" }, plan).await
    }

    async fn restore(self, name: String) -> Result<Changed, Fault> {
        let doing = Doing { what: "restore", reason: "RestoredBounds" };
        self.change(name, doing, change::restore).await
    }

    /// Plans, patches and tells, to its end.
    async fn change(
        self,
        name: String,
        doing: Doing,
        plan: impl Fn(&Value) -> Result<Change, Fault> + Send + Sync + 'static,
    ) -> Result<Changed, Fault> {
        let turn = self.api.clusters.turn(&name).await;
        let writes = self.api.writes.clone();
        to_the_end(&writes, async move {
            let _turn = turn;
            let planned = |object: &Value| {
                let change = plan(object)?;
                Ok((change.operations.clone(), change))
            };
            let words = |change: &Change| (in_words(change.from), in_words(change.to));
            let (change, object) = self.write(&name, doing, planned, words).await?;
            Ok(Changed { change, object })
        })
        .await
    }

    /// Reads, checks the right, plans and patches until the patch meets the object that it was planned
    /// from, and tells of it in `words`; the object as it stands then.
    async fn write<T>(
        &self,
        name: &str,
        doing: Doing,
        plan: impl Fn(&Value) -> Result<(Vec<Value>, T), Fault>,
        words: impl Fn(&T) -> (String, String),
    ) -> Result<(T, Value), Fault> {
        let mut refused: Option<(Vec<Value>, Fault)> = None;
        for attempt in 0..ATTEMPTS {
            let before = self.read(name, Lane::Changes).await?;
            let (operations, planned) = plan(&before)?;
            if operations.is_empty() {
                return Ok((planned, before));
            }
            // The very same tests failed on an object that has not changed: it is not them.
            if let Some((_, fault)) = refused.take_if(|(earlier, _)| *earlier == operations) {
                return Err(fault);
            }
            match self.api.clusters.patch(name, &operations).await {
                Ok(Written::Done(after)) => {
                    self.tell(&after, doing, words(&planned), true);
                    return Ok((planned, after));
                }
                Ok(Written::Moved) => refused = None,
                Ok(Written::NotSo(fault)) => refused = Some((operations, fault)),
                Err(fault) => {
                    self.tell(&before, doing, words(&planned), false);
                    return Err(fault);
                }
            }
            tokio::time::sleep(PAUSE.saturating_mul(1 << attempt)).await;
        }
        Err(Fault::new(
            Code::Conflict,
            "this cluster changes faster than it can be written; try again",
        ))
    }

    async fn restart(self, name: String, tier: Option<Tier>) -> Result<Answer, Fault> {
        let turn = self.api.clusters.turn(&name).await;
        let writes = self.api.writes.clone();
        to_the_end(&writes, async move {
            let _turn = turn;
            let now = clock::now();
            let head = self.api.clusters.head(&name, Lane::Changes).await?;
            let planned =
                |object: &Value| match head::step(object, head.as_ref(), tier.as_ref(), now)? {
                    Step::Begin { operations, restart } => Ok((operations, restart)),
                    Step::Join(restart) => Ok((Vec::new(), restart)),
                };
            let words = |restart: &Restart| {
                let tier = tier.as_ref().map(|tier| format!(" of tier {}", tier.id()));
                let from = format!("Pod {} {}", head::pod_name(&name), restart.uid);
                (from, format!("a new Pod{}", tier.unwrap_or_default()))
            };
            let doing = Doing { what: "restart-head", reason: "RestartedHead" };
            let (restart, _) = self.write(&name, doing, planned, words).await?;
            let stands = head.as_ref().is_some_and(|it| it.uid == restart.uid && !it.terminating);
            if stands && !restart.by_rollout {
                self.api.clusters.remove_head(&name, &restart.uid).await?;
            }
            let namespace = &self.api.options.namespace;
            Ok(answer::accepted(reply::restarting(namespace, &name, &restart)))
        })
        .await
    }

    fn tell(&self, cluster: &Value, doing: Doing, (from, to): (String, String), written: bool) {
        let Self { api, principal, request } = self;
        let Doing { what, reason } = doing;
        api.teller.tell(cluster, &Told { principal, request, what, reason, from, to, written });
    }

    async fn head_status(&self, name: &str, since: Option<String>) -> Result<Answer, Fault> {
        let since = request::started_at(since.as_deref())?.ok_or_else(|| {
            Fault::bad("started_at is missing: send what restart_head answered as started_at")
        })?;
        let object = self.read(name, Lane::Reads).await?;
        let head = self.api.clusters.head(name, Lane::Reads).await?;
        let progress = Progress::of(&object, head.as_ref(), Some(since), clock::now());
        let namespace = &self.api.options.namespace;
        Ok(answer::ok(reply::head_status(namespace, name, head.as_ref(), progress, since)))
    }

    async fn status(&self, name: &str, node: Node, since: Option<String>) -> Result<Answer, Fault> {
        let since = request::started_at(since.as_deref())?;
        let object = self.read(name, Lane::Reads).await?;
        let (set, pods) = self.api.clusters.nodes(&node.set(name), &node.selector(name)).await?;
        let rollout = Rollout::of(node, &object, set.as_ref(), &pods, since, clock::now());
        let namespace = &self.api.options.namespace;
        Ok(answer::ok(reply::rollout_status(namespace, name, node, &rollout, since)))
    }
}

fn whole_seconds() -> Timestamp {
    let now = clock::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Runs whether or not anybody waits.
async fn to_the_end<T: Send + 'static>(
    writes: &TaskTracker,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    writes.spawn(work).await.unwrap_or_else(|_| {
        Err(Fault::new(Code::Internal, "a bug in raywarden; the log names the place"))
    })
}

fn in_words(counts: Counts) -> String {
    let word = |count: Option<i64>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let Counts { replicas, bounds } = counts;
    format!("{} [{}..{}]", word(replicas), word(bounds.min), word(bounds.max))
}
