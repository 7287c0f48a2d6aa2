//! A proxy in front of an API server that fails as the test says.
//!
//! Plain HTTP on loopback; requests go on as `admin`. A rule looks at each request and decides.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// Where clients and proxies of tests run.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    // A rule may hold a thread for a while.
    LazyLock::new(|| {
        Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
    });

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on, and the answer comes back.
    Pass,
    /// It goes on, and the connection breaks before the answer comes back.
    CutAfter,
    /// The connection breaks.
    Cut,
    /// It goes on after a while.
    #[allow(dead_code, reason = "each test binary uses the part it needs")]
    After(Duration),
    /// It goes no further: this status.
    Answer(u16),
    /// It goes no further: this text with status 200.
    Say(String),
}

/// What a rule sees of a request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Call {
    /// Whether it changes anything but a Lease.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
            && !self.path.contains("/leases")
            && !self.path.contains("accessreview")
    }

    /// Whether it is a watch.
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=")
    }
}

type Rule = Box<dyn FnMut(&Call) -> Fate + Send>;

/// A proxy for as long as the value lives.
pub(crate) struct Proxy {
    kubeconfig: PathBuf,
    rule: Arc<Mutex<Rule>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    listener: AbortHandle,
}

/// A client of the API server that a kubeconfig names.
pub(crate) fn client(kubeconfig: &Path) -> Client {
    RUNTIME.block_on(async {
        let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let mut config = config.expect("a kubeconfig with a context");
        config.read_timeout = None;
        Client::try_from(config).expect("a client")
    })
}

impl Proxy {
    /// Starts one that lets everything pass; its kubeconfig goes into `folder`.
    pub(crate) fn start(upstream: Client, folder: &Path) -> Self {
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let connections = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let accept = accept(listener, upstream, Arc::clone(&rule), Arc::clone(&connections));
        let listener = RUNTIME.spawn(accept).abort_handle();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "only",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "only", "context": {"cluster": "c", "user": "u"}}],
        });
        let kubeconfig = folder.join(format!("proxy-{port}.kubeconfig"));
        std::fs::write(&kubeconfig, config.to_string()).expect("a kubeconfig can be written");
        Self { kubeconfig, rule, connections, listener }
    }

    /// The kubeconfig that leads through it.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on this rule decides.
    pub(crate) fn decide(&self, rule: impl FnMut(&Call) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    /// Breaks every connection that stands, watches included.
    pub(crate) fn cut(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.drain(..).for_each(|connection| connection.abort());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: Client,
    rule: Arc<Mutex<Rule>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = tokio::spawn(serve(stream, upstream.clone(), Arc::clone(&rule)));
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(connection.abort_handle());
    }
}

async fn serve(stream: TcpStream, upstream: Client, rule: Arc<Mutex<Rule>>) {
    let service = service_fn(|request| answer(request, upstream.clone(), Arc::clone(&rule)));
    let http = hyper::server::conn::http1::Builder::new();
    // A broken connection is what this proxy is for.
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

/// An error here breaks the connection.
async fn answer(
    request: Request<Incoming>,
    upstream: Client,
    rule: Arc<Mutex<Rule>>,
) -> Result<Response<Body>, kube::Error> {
    let (mut head, body) = request.into_parts();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
    };
    let fate = (rule.lock().unwrap_or_else(PoisonError::into_inner))(&call);
    let broken = || kube::Error::Service("cut".into());
    let said = |status: u16, text: String| {
        let mut response = Response::new(Body::from(text.into_bytes()));
        *response.status_mut() = status.try_into().expect("a status");
        let json = "application/json".parse().expect("a header");
        response.headers_mut().insert("content-type", json);
        Ok(response)
    };
    match fate {
        Fate::Cut => return Err(broken()),
        Fate::Answer(code) => return said(code, refusal(code)),
        Fate::Say(text) => return said(200, text),
        Fate::After(pause) => tokio::time::sleep(pause).await,
        Fate::Pass | Fate::CutAfter => {}
    }
    let body: Bytes = body.collect().await.map_err(|_| broken())?.to_bytes();
    head.headers.remove("host");
    let request = Request::from_parts(head, Body::from(body.to_vec()));
    if fate == Fate::CutAfter {
        // To its end, even if whoever asks is killed meanwhile.
        let whole = async move {
            if let Ok(response) = upstream.send(request).await {
                drop(response.into_body().collect().await);
            }
        };
        drop(tokio::spawn(whole).await);
        return Err(broken());
    }
    upstream.send(request).await
}

fn refusal(code: u16) -> String {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": "said by the proxy", "code": code,
    });
    status.to_string()
}
