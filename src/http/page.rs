//! `/audit`: the audit page, for those who may see it.
//!
//! A reader shows a token of Kubernetes for our audience, in the `Authorization` header or, from a
//! browser, in a form that is posted. No cookie is set: a page of another site, or one that a name
//! was bound anew for, finds nothing to ride on. A reader sees each kind in the namespaces in which they
//! may list it, and no more.
//!
//! Invariants: no token is taken over plain HTTP but on loopback, at both ends as far as a request
//! tells; nothing is judged for somebody who is not known; objects are judged once for all readers of
//! a moment, and one page is made at a time; no answer may be kept, framed or guessed at.

mod answer;
mod visible;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use axum::routing::get;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::Mutex;

use super::call::{body, peer, values};
use super::identity::Identities;
use crate::dialect::Dialect;
use crate::page::{Cluster, Fleet, page as html_of};
use crate::scaling::pace::Rate;
use crate::scaling::{Code, Fault};
use answer::{Told, answered};
use visible::visible;

/// For how long judged objects are good.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// From the head of a request to its answer.
const DEADLINE: Duration = Duration::from_mins(1);

/// For how long a reader, and a right, is known.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Pages that one reader may ask for.
const RATE: Rate = Rate { per_second: 1, burst: 10 };

/// What there is to see, as it is known here; why there is nothing, otherwise. It may take its time.
pub type Source = Arc<dyn Fn() -> Result<Seen, String> + Send + Sync>;

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Kinds that are looked at; of others nothing is shown.
    pub kinds: Vec<Dialect>,
    /// Judged objects of these kinds.
    pub clusters: Vec<Arc<Cluster>>,
    /// When.
    pub made: Timestamp,
    /// What is not among them, and why.
    pub notes: Vec<String>,
}

/// What was judged, and when.
type Kept = (Instant, Arc<Seen>);

/// How requests come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over TLS.
    Tls,
    /// In plain HTTP, so that only loopback is answered.
    Plain,
}

/// Everything that a request needs.
pub struct AuditPage {
    source: Source,
    audience: String,
    identities: Identities,
    transport: Transport,
    kept: Arc<Mutex<Option<Kept>>>,
    /// Whose page is being made.
    turn: Arc<Mutex<()>>,
}

impl AuditPage {
    /// A page of what `source` tells, for tokens that name `audience`.
    pub fn new(client: Client, audience: &str, transport: Transport, source: Source) -> Self {
        Self {
            source,
            audience: audience.to_owned(),
            identities: Identities::new(client, audience, RATE, KNOWN_FOR),
            transport,
            kept: Arc::default(),
            turn: Arc::default(),
        }
    }
}

/// The route, beside whatever else a server answers.
pub fn routes<S: Clone + Send + Sync + 'static>(page: Arc<AuditPage>) -> Router<S> {
    let posted = Arc::clone(&page);
    let shown = get(async move |request: Request| respond(&page, request).await);
    Router::new()
        .route("/audit", shown.post(async move |request: Request| respond(&posted, request).await))
}

async fn respond(page: &AuditPage, request: Request) -> Response {
    let browser = wants_html(&request);
    let mut who = None;
    let outcome = tokio::time::timeout(DEADLINE, work(page, request, &mut who)).await;
    let outcome = outcome.unwrap_or_else(|_| {
        Err(Fault::unavailable("not done in time: the API server is slow; try again"))
    });
    answered(outcome, browser, who.as_deref(), &page.audience)
}

/// Whether people look at the answer.
fn wants_html(request: &Request) -> bool {
    let accepts = values(request.headers(), ACCEPT.as_str());
    request.method() == Method::POST
        || accepts.iter().any(|it| it.windows(9).any(|part| part == b"text/html"))
}

async fn work(page: &AuditPage, request: Request, who: &mut Option<String>) -> Result<Told, Fault> {
    let from = peer(&request);
    if page.transport == Transport::Plain && !is_local(&request, from) {
        return Ok(Told::NotHere);
    }
    let (head, rest) = request.into_parts();
    let headers = match head.method {
        Method::POST => posted(&head.headers, &body(rest).await?)?,
        _ if head.headers.contains_key(AUTHORIZATION) => head.headers,
        _ => return Ok(Told::Ask),
    };
    let somebody = page.identities.identify(&headers, from).await?;
    *who = Some(somebody.caller.user.clone());
    let turn = Arc::clone(&page.turn).lock_owned().await;
    let seen = page.seen().await?;
    let mut notes = seen.notes.clone();
    let visible = visible(&page.identities, &somebody, &seen, &mut notes).await?;
    if visible.is_nothing() {
        return Err(Fault::new(
            Code::Unauthorized,
            format!(
                "{} may list rayclusters (ray.io) or other Ray kinds in none of the namespaces that have \
                 any: an administrator gives it with a Role and a RoleBinding, or for all namespaces with a \
                 ClusterRole and a ClusterRoleBinding",
                somebody.caller.user
            ),
        ));
    }
    let shown = seen.clusters.iter().filter(|cluster| visible.shows(cluster));
    let clusters: Vec<Arc<Cluster>> = shown.cloned().collect();
    let source = if visible.is_everything() {
        "all namespaces".to_owned()
    } else {
        within(&clusters, &somebody.caller.user)
    };
    let fleet = Fleet { source, made: seen.made, clusters, notes };
    let count = fleet.clusters.len();
    // The turn goes along: a reader who leaves ends no work that has begun, and begins none beside it.
    let html = tokio::task::spawn_blocking(move || (html_of(&fleet), turn).0).await;
    html.map(|html| Told::Page(html, count)).map_err(|_| bug())
}

/// Where somebody sees something who may not see everything.
fn within(clusters: &[Arc<Cluster>], user: &str) -> String {
    let names: BTreeSet<&str> = clusters.iter().map(|it| it.namespace.as_str()).collect();
    match (names.first(), names.len()) {
        (Some(name), 1) => format!("namespace {name}"),
        (_, count) => format!("the {count} namespaces that {user} may see"),
    }
}

fn bug() -> Fault {
    Fault::new(Code::Internal, "a bug in raywarden; the log names the place")
}

/// Whether both ends of a request are on this machine, as far as it tells: `kubectl port-forward`
/// arrives from loopback, and a name other than loopback's in the browser means a network before it.
fn is_local(request: &Request, from: Option<IpAddr>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or(""));
    let hosts: Vec<&str> = hosts.chain(request.uri().authority().map(Authority::as_str)).collect();
    from.is_some_and(|from| from.to_canonical().is_loopback())
        && !hosts.is_empty()
        && hosts.into_iter().all(is_loopback_name)
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The token of a form, as the header that would carry it.
fn posted(headers: &HeaderMap, form: &[u8]) -> Result<HeaderMap, Fault> {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let kinds = values(headers, CONTENT_TYPE.as_str());
    if !kinds.iter().any(|kind| kind.starts_with(FORM)) {
        return Err(Fault::new(
            Code::UnsupportedMedia,
            "send the token as application/x-www-form-urlencoded, as the form does",
        ));
    }
    let token =
        form_urlencoded::parse(form).find_map(|(key, value)| (key == "token").then_some(value));
    let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Fault::new(Code::Unauthenticated, "the token is missing"))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Fault::new(Code::Unauthenticated, "the token has characters that no token has")
    })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

impl AuditPage {
    /// What there is to see, judged a moment ago at most.
    async fn seen(&self) -> Result<Arc<Seen>, Fault> {
        // Whoever asks meanwhile, even after this reader has left, waits for the same answer.
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        if let Some((at, seen)) = &*kept
            && at.elapsed() < GOOD_FOR
        {
            return Ok(Arc::clone(seen));
        }
        let source = Arc::clone(&self.source);
        let judge = move || {
            let seen = source().map(Arc::new).map_err(Fault::unavailable)?;
            *kept = Some((Instant::now(), Arc::clone(&seen)));
            Ok(seen)
        };
        tokio::task::spawn_blocking(judge).await.map_err(|_| bug())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_loopback() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "localhost.evil.example",
            "10.0.0.1:8080",
            "raywarden",
            "[fe80::1]",
            "127.0.0.1.nip.io",
            ":8080",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn a_request_is_local_where_both_of_its_ends_are() {
        let request = |hosts: &[&str]| {
            let request = Request::builder().uri("/audit");
            let request = hosts.iter().fold(request, |it, host| it.header(HOST, *host));
            request.body(axum::body::Body::empty()).unwrap()
        };
        let at = |peer: &str| Some(peer.parse().unwrap());
        assert!(is_local(&request(&["localhost:8080"]), at("127.0.0.1")));
        assert!(is_local(&request(&["[::1]:8080"]), at("::1")));
        assert!(is_local(&request(&["127.0.0.1"]), at("::ffff:127.0.0.1")));
        assert!(!is_local(&request(&["localhost:8080"]), at("10.0.0.5")));
        assert!(!is_local(&request(&["jump.example:8080"]), at("127.0.0.1")));
        assert!(!is_local(&request(&[]), at("127.0.0.1")));
        assert!(!is_local(&request(&["localhost", "jump.example"]), at("127.0.0.1")));
        assert!(!is_local(&request(&["localhost"]), None));
    }

    #[test]
    fn a_form_carries_one_token_and_nothing_else_does() {
        let form = |kind: &str| {
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())])
        };
        let form_kind = form("application/x-www-form-urlencoded");
        let headers = posted(&form_kind, b"token=+a.b%2Bc%0A").unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer a.b+c");
        assert!(headers[AUTHORIZATION].is_sensitive());
        for body in [&b""[..], b"token=", b"token=a%0Ab", b"other=x"] {
            assert_eq!(posted(&form_kind, body).unwrap_err().code, Code::Unauthenticated);
        }
        assert_eq!(
            posted(&form("text/plain"), b"token=a").unwrap_err().code,
            Code::UnsupportedMedia
        );
    }
}
