//! One request: the pure core between reads and a write.
//!
//! A write runs as a task of its own, so that a caller who leaves, or a deadline that passes, never
//! leaves a change half made or untold. It is begun only when it is its turn: who has waited in vain has
//! changed nothing.

use std::sync::Arc;

use axum::extract::Request;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::upstream::TIERS;
use crate::clock;
use crate::dialect::Dialect;
use crate::http::Rules;
use crate::http::call::{self, Call, peer, to_the_end};
use crate::http::objects::{Attempts, Lane};
use crate::http::tell::Told;
use crate::scaling::change::{self, Counts};
use crate::scaling::head::{Progress, Restart, Step};
use crate::scaling::native::view::ClusterState;
use crate::scaling::rollout::{Node, Rollout};
use crate::scaling::route::{KIND, Page, Shape, parameter};
use crate::scaling::tier::Tier;
use crate::scaling::{
    Change, Code, Credential, Fault, Manner, Principal, Route, head, preflight, reply, request,
};

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
    call: &Call,
    who: &mut Option<String>,
) -> Result<Answer, Fault> {
    let from = peer(&request);
    let (head, body) = request.into_parts();
    let (principal, credential) = api.identities.identify(&head.headers, from).await?;
    *who = Some(principal.id.clone());
    let caller = Caller { api: Arc::clone(api), principal, request: call.id.clone() };
    let query = head.uri.query();
    match route {
        Route::List(shape) => caller.list(shape, Page::of(query)?).await,
        Route::Get(name) => {
            let object = caller.read(request::name(name)?, Lane::Reads).await?;
            Ok(answer::ok(caller.followed(object).await))
        }
        Route::ScaleNamed => {
            let (name, replicas) = request::documented(&call::body(body).await?)?;
            let written = caller.clone().scale(name, Manner::Pinned, replicas, None).await?;
            Ok(answer::ok(caller.followed(written.object).await))
        }
        Route::Scale(name) => {
            let name = request::name(name)?.to_owned();
            let wanted = request::scale(&call::body(body).await?)?;
            let tier = caller.tier(&name, wanted.tier.as_deref(), &credential).await?;
            let tier_id = tier.as_ref().map(|tier| tier.id().to_owned());
            let started = whole_seconds();
            let written =
                caller.clone().scale(name.clone(), Manner::Capped, wanted.replicas, tier).await?;
            let object = caller.followed(written.object).await;
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
            let name = request::cluster_name(&call::body(body).await?)?;
            let written = caller.clone().restore(name).await?;
            Ok(answer::ok(caller.followed(written.object).await))
        }
        Route::Restore(name) => {
            let written = caller.clone().restore(request::name(name)?.to_owned()).await?;
            Ok(answer::ok(caller.followed(written.object).await))
        }
        Route::RestartHead(name) => {
            let name = request::name(name)?.to_owned();
            let tier = request::restart(&call::body(body).await?)?;
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

    /// The same with how far its workers have come.
    async fn followed(&self, object: Value) -> Value {
        let nodes = self.api.looks.nodes(&object, Dialect::Domino).await;
        let state = ClusterState::of(&object, Dialect::Domino, nodes.seen());
        reply::with_workers(self.shown(object), state.as_ref().map(|state| &state.workers))
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
        let mut turn = self.api.clusters.turn(&name).await;
        let writes = self.api.writes.clone();
        to_the_end(&writes, async move {
            let planned = |object: &Value| {
                let change = plan(object)?;
                Ok((change.operations.clone(), change))
            };
            let words = |change: &Change| (in_words(change.from), in_words(change.to));
            let (change, object) = self.write(&name, &mut turn, doing, planned, words).await?;
            Ok(Changed { change, object })
        })
        .await
    }

    /// What admission would say, were the caller to write; `domino:` keeps a name of Domino's from
    /// being taken for an account of Kubernetes.
    fn preflight(&self, before: &Value, operations: &[Value]) -> Result<(), Fault> {
        if operations.is_empty() {
            return Ok(());
        }
        let Rules { settings, policies } = &self.api.options.rules;
        let user = format!("domino:{}", self.principal.id);
        let caller = preflight::Caller { user, groups: Vec::new() };
        let judged = preflight::judge(settings, &policies.borrow(), &caller, before, operations);
        judged.map(|_| ())
    }

    /// Reads, checks the right, plans, judges and patches until the patch meets the object that it was planned
    /// from, and tells of it in `words`; the object as it stands then. Nothing but a patch is decided from
    /// what the writer before left.
    async fn write<T>(
        &self,
        name: &str,
        turn: &mut Option<Value>,
        doing: Doing,
        plan: impl Fn(&Value) -> Result<(Vec<Value>, T), Fault>,
        words: impl Fn(&T) -> (String, String),
    ) -> Result<(T, Value), Fault> {
        let mut attempts = Attempts::default();
        loop {
            let left = turn.take().filter(|object| self.principal.may(object));
            let is_fresh = left.is_none();
            let before = match left {
                Some(object) => object,
                None => self.read(name, Lane::Changes).await?,
            };
            let judged = plan(&before).and_then(|(operations, planned)| {
                self.preflight(&before, &operations)?;
                Ok((operations, planned))
            });
            let (operations, planned) = match judged {
                Ok((operations, planned)) if is_fresh && operations.is_empty() => {
                    return Ok((planned, before));
                }
                Err(fault) if is_fresh => return Err(fault),
                Ok(planned) if !planned.0.is_empty() => planned,
                Ok(_) | Err(_) => continue,
            };
            attempts.begin(&operations)?;
            match self.api.clusters.patch(name, &operations).await {
                Ok(written) => {
                    if let Some(after) = attempts.end(operations, written).await {
                        self.tell(&after, doing, words(&planned), true);
                        *turn = Some(after.clone());
                        return Ok((planned, after));
                    }
                }
                Err(fault) => {
                    self.tell(&before, doing, words(&planned), false);
                    return Err(fault);
                }
            }
        }
    }

    async fn restart(self, name: String, tier: Option<Tier>) -> Result<Answer, Fault> {
        let mut turn = self.api.clusters.turn(&name).await;
        let writes = self.api.writes.clone();
        to_the_end(&writes, async move {
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
            let (restart, _) = self.write(&name, &mut turn, doing, planned, words).await?;
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
        let Principal { id, name, admin } = principal;
        let told = Told { who: id, name, admin: *admin, request, what, reason, from, to, written };
        api.teller.tell(cluster, &told);
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

fn in_words(counts: Counts) -> String {
    let word = |count: Option<i64>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let Counts { replicas, bounds } = counts;
    format!("{} [{}..{}]", word(replicas), word(bounds.min), word(bounds.max))
}
