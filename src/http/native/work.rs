//! One request: the pure core between reads and a write.
//!
//! A write runs as a task of its own, so that a caller who leaves, or a deadline that passes, never
//! leaves a change half made or untold.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Api;
use super::answer::{Done, ok};
use super::clusters::KINDS;
use super::wait::Waiting;
use crate::dialect::{DOMINO, Dialect, RAY};
use crate::http::Rules;
use crate::http::call::{self, Call, peer, to_the_end, values};
use crate::http::identity::{Deed, Somebody};
use crate::http::objects::{Attempts, Lane};
use crate::http::tell::Told;
use crate::scaling::fault::Cause;
use crate::scaling::native::change::{Given, Planned, plan};
use crate::scaling::native::endpoint::{Operation, Target};
use crate::scaling::native::openapi;
use crate::scaling::native::preflight::preflight;
use crate::scaling::native::replay::Key;
use crate::scaling::native::request::{self, Query, USUAL_PAGE, Wanted};
use crate::scaling::native::view::{ClusterList, ClusterState, ClusterSummary, ScaleResult};
use crate::scaling::{Code, Fault};

/// What a request comes to, as far as it goes without waiting for workers.
pub(super) enum Next {
    /// It is done.
    Done(Done),
    /// It is done when the workers have joined.
    Wait(Box<Waiting>),
}

/// A cluster that was found: its kind, and the object.
pub(super) type Found = (Dialect, Value);

/// Who asks, and for what.
#[derive(Clone)]
struct Asked {
    api: Arc<Api>,
    who: Somebody,
    request: String,
    namespace: String,
    name: String,
    query: Query,
}

/// Does what the request asks for; `who` is set once that is known.
pub(super) async fn work(
    api: &Arc<Api>,
    target: Target<'_>,
    request: Request,
    call: &Call,
    who: &mut Option<String>,
) -> Result<Next, Fault> {
    let from = peer(&request);
    let (head, body) = request.into_parts();
    let somebody = api.identities.identify(&head.headers, from).await?;
    *who = Some(somebody.caller.user.clone());
    let query = Query::of(head.uri.query(), openapi::query(target.operation))?;
    let asked = |name: &str, namespace: &str| Asked {
        api: Arc::clone(api),
        who: somebody.clone(),
        request: call.id.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        query: query.clone(),
    };
    if target.operation == Operation::List {
        return asked("", request::namespace(target.namespace)?).list().await;
    }
    let (namespace, name) = request::place(target.namespace, target.name)?;
    let asked = asked(name, namespace);
    let streams = takes_events(&head.headers);
    if target.operation != Operation::Scale {
        return asked.get(streams).await;
    }
    request::is_json(&values(&head.headers, CONTENT_TYPE.as_str()))?;
    let key = request::key(&values(&head.headers, "idempotency-key"))?;
    // The right comes before the body.
    let allowed = asked.allowed("patch").await?;
    let wanted = request::wanted(&call::body(body).await?)?;
    let key = key.map(|key| asked.key(&key, &wanted));
    asked.scale(allowed, wanted, key, streams).await
}

fn takes_events(headers: &HeaderMap) -> bool {
    let accept = values(headers, ACCEPT.as_str());
    accept.iter().any(|it| it.windows(17).any(|part| part == b"text/event-stream"))
}

impl Asked {
    fn deed<'a>(&'a self, verb: &'a str, kind: Dialect) -> Deed<'a> {
        let (group, resource) = (kind.group(), kind.plural());
        Deed { verb, group, resource, namespace: &self.namespace, name: &self.name }
    }

    /// The kinds that the caller may act on so; a fault where there is none.
    async fn allowed(&self, verb: &str) -> Result<Vec<Dialect>, Fault> {
        let mut allowed = Vec::new();
        let group = |dialect: &Dialect| self.query.group.is_none_or(|it| it == dialect.group());
        let wanted: Vec<Dialect> = KINDS.into_iter().filter(group).collect();
        for dialect in &wanted {
            if self.api.identities.may(&self.who, self.deed(verb, *dialect)).await? {
                allowed.push(*dialect);
            }
        }
        if !allowed.is_empty() {
            return Ok(allowed);
        }
        let groups: Vec<&str> = wanted.into_iter().map(Dialect::group).collect();
        Err(Fault::new(
            Code::Unauthorized,
            format!(
                "{} may not {verb} rayclusters ({}) in namespace {}: an administrator gives it with a Role \
                 and a RoleBinding",
                self.who.caller.user,
                groups.join(" or "),
                self.namespace
            ),
        ))
    }

    /// The cluster of the name.
    async fn find(&self, allowed: &[Dialect], lane: Lane) -> Result<Found, Fault> {
        let mut found: Option<Found> = None;
        for dialect in allowed {
            let object = self.api.clusters.get(*dialect, &self.namespace, &self.name, lane).await?;
            match (object, &found) {
                (Some(object), None) => found = Some((*dialect, object)),
                (Some(_), Some(_)) => {
                    return Err(Fault::new(
                        Code::Ambiguous,
                        format!(
                            "there is a RayCluster {} of each API group; say which with ?apiGroup={} or {}",
                            self.name, RAY, DOMINO
                        ),
                    ));
                }
                (None, _) => {}
            }
        }
        found.ok_or_else(|| {
            Fault::new(
                Code::NotFound,
                format!("there is no RayCluster {} in namespace {}", self.name, self.namespace),
            )
        })
    }

    async fn list(&self) -> Result<Next, Fault> {
        let allowed = self.allowed("list").await?;
        let (mut rank, mut mark) = begin(self.query.mark.as_deref())?;
        let mut left = self.query.limit.unwrap_or(USUAL_PAGE);
        let mut page = ClusterList::default();
        while let Some(dialect) = allowed.get(rank) {
            let listed =
                self.api.clusters.list(*dialect, &self.namespace, left, mark.take()).await?;
            let (objects, next) = listed;
            left = left.saturating_sub(u32::try_from(objects.len()).unwrap_or(u32::MAX));
            page.items.extend(objects.iter().filter_map(|it| ClusterSummary::of(it, *dialect)));
            if next.is_none() {
                rank += 1;
            }
            mark = next;
            if left == 0 {
                break;
            }
        }
        if rank < allowed.len() {
            page.mark =
                Some(URL_SAFE_NO_PAD.encode(format!("{rank} {}", mark.unwrap_or_default())));
        }
        ok(&page).map(Next::Done)
    }

    async fn get(self, streams: bool) -> Result<Next, Fault> {
        let allowed = self.allowed("get").await?;
        let (dialect, object) = self.find(&allowed, Lane::Reads).await?;
        let state = self.state(dialect, &object).await?;
        match self.query.wait {
            None => ok(&state).map(Next::Done),
            Some(seconds) => {
                let waiting = Waiting { dialect, state, scale: None, seconds, streams };
                Ok(Next::Wait(Box::new(waiting)))
            }
        }
    }

    async fn state(&self, dialect: Dialect, object: &Value) -> Result<ClusterState, Fault> {
        let nodes = self.api.looks.nodes(object, dialect).await;
        let state = ClusterState::of(object, dialect, nodes.seen());
        state.ok_or_else(|| Fault::new(Code::NotScalable, "this object holds no Ray cluster"))
    }

    /// The key of this request of this caller.
    fn key(&self, key: &str, wanted: &Wanted) -> Key {
        let replicas = wanted.replicas.to_le_bytes();
        let group = wanted.group.as_deref().unwrap_or("");
        let victims = wanted.victims.join(" ");
        let api_group = self.query.group.unwrap_or("");
        let parts = [api_group.as_bytes(), group.as_bytes(), &replicas, victims.as_bytes()];
        Key::of(&self.who.caller.user, key, &parts)
    }

    async fn scale(
        self,
        allowed: Vec<Dialect>,
        wanted: Wanted,
        key: Option<Key>,
        streams: bool,
    ) -> Result<Next, Fault> {
        let called = format!("{allowed:?} {}/{}", self.namespace, self.name);
        let mut turn = self.api.turns.wait(&called).await;
        let writes = self.api.writes.clone();
        let asked = self.clone();
        let (planned, warnings, (dialect, object)) = to_the_end(&writes, async move {
            asked.write(&allowed, &mut turn, &wanted, key.as_ref()).await
        })
        .await?;
        let state = self.state(dialect, &object).await?;
        let result = ScaleResult {
            group: planned.group,
            from: planned.from,
            to: planned.to,
            changed: !planned.operations.is_empty() && !self.query.dry_run,
            replayed: planned.replayed,
            dry_run: self.query.dry_run,
            warnings,
            cluster: state.clone(),
        };
        match self.query.wait.filter(|_| !self.query.dry_run) {
            None => ok(&result).map(Next::Done),
            Some(seconds) => {
                let waiting = Waiting { dialect, state, scale: Some(result), seconds, streams };
                Ok(Next::Wait(Box::new(waiting)))
            }
        }
    }

    /// Plans, judges and patches until the patch meets the object that it was planned from; the object
    /// as it stands then. Nothing but a patch is decided from what the writer before left.
    async fn write(
        &self,
        allowed: &[Dialect],
        turn: &mut Option<Found>,
        wanted: &Wanted,
        key: Option<&Key>,
    ) -> Result<(Planned, Vec<Cause>, Found), Fault> {
        let mut attempts = Attempts::default();
        loop {
            let left = turn.take();
            let is_fresh = left.is_none();
            let (dialect, before) = match left {
                Some(found) => found,
                None => self.find(allowed, Lane::Changes).await?,
            };
            let (planned, warnings) = match self.plan(dialect, &before, wanted, key).await {
                Ok((planned, warnings)) if is_fresh && planned.operations.is_empty() => {
                    return Ok((planned, warnings, (dialect, before)));
                }
                Err(fault) if is_fresh => return Err(fault),
                Ok(planned) if !planned.0.operations.is_empty() => planned,
                Ok(_) | Err(_) => continue,
            };
            attempts.begin(&planned.operations)?;
            let place = (self.namespace.as_str(), self.name.as_str());
            let dry_run = self.query.dry_run;
            let patched =
                self.api.clusters.patch(dialect, place, &planned.operations, dry_run).await;
            match patched {
                Ok(written) => {
                    let operations = planned.operations.clone();
                    if let Some(after) = attempts.end(operations, written).await {
                        if !dry_run {
                            self.tell(&after, &planned, true);
                            *turn = Some((dialect, after.clone()));
                        }
                        return Ok((planned, warnings, (dialect, after)));
                    }
                }
                Err(fault) => {
                    if !dry_run {
                        self.tell(&before, &planned, false);
                    }
                    return Err(fault);
                }
            }
        }
    }

    async fn plan(
        &self,
        dialect: Dialect,
        before: &Value,
        wanted: &Wanted,
        key: Option<&Key>,
    ) -> Result<(Planned, Vec<Cause>), Fault> {
        let nodes = match wanted.victims.as_slice() {
            [] => None,
            _ => Some(self.api.looks.nodes(before, dialect).await),
        };
        let pods = nodes.as_ref().map_or(&[][..], |nodes| nodes.pods.as_slice());
        let terms = self.api.options.terms;
        let planned = plan(Given { object: before, dialect, pods, terms }, wanted, key)?;
        let Rules { settings, policies } = &self.api.options.rules;
        let (caller, cluster) = (&self.who.caller, (before, dialect));
        let warnings = preflight(settings, &policies.borrow(), caller, cluster, &planned)?;
        Ok((planned, warnings))
    }

    fn tell(&self, cluster: &Value, planned: &Planned, written: bool) {
        let group = &planned.group;
        let from = planned.from.map_or_else(|| "-".to_owned(), |from| from.to_string());
        let told = Told {
            who: &self.who.caller.user,
            name: "",
            admin: false,
            request: &self.request,
            what: "scale",
            reason: "Scaled",
            from: format!("{group} {from}"),
            to: format!("{group} {}", planned.to),
            written,
        };
        self.api.teller.tell(cluster, &told);
    }
}

/// Which of the kinds a page begins with, and where in it.
fn begin(mark: Option<&str>) -> Result<(usize, Option<String>), Fault> {
    let Some(mark) = mark else { return Ok((0, None)) };
    let strange = || Fault::bad("continue is none of ours: send what the page before answered");
    let bytes = URL_SAFE_NO_PAD.decode(mark).map_err(|_| strange())?;
    let text = String::from_utf8(bytes).map_err(|_| strange())?;
    let (rank, mark) = text.split_once(' ').ok_or_else(strange)?;
    let rank = rank.parse().ok().filter(|rank| *rank < KINDS.len()).ok_or_else(strange)?;
    Ok((rank, Some(mark.to_owned()).filter(|mark| !mark.is_empty())))
}
