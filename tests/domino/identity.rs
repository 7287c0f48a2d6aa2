//! A stub of Domino's front end behind real TLS. What it does depends on the credential: `ada`, `eve`
//! and `root` are known, others make it slow, broken or lying.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use raywarden::tls::issue::{Issued, authority, leaf};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::proxy::RUNTIME;

/// Ids as Domino makes them.
pub(crate) const ADA: &str = "655cb2de368ad4624b1e7d7b";
pub(crate) const EVE: &str = "5d1cb2de368ad4624b1e7d7c";
pub(crate) const ROOT: &str = "5a00b2de368ad4624b1e7d7d";

/// A header that proves somebody's identity; what comes after a dot makes another credential of the
/// same person.
pub(crate) fn key_of(who: &str) -> (String, String) {
    ("X-Domino-Api-Key".to_owned(), who.to_owned())
}

pub(crate) fn bearer_of(who: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("Bearer {who}"))
}

/// What was asked: path, and the credential headers as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Identity {
    port: u16,
    ca: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Identity {
    /// Serves on loopback; the certificate of its authority goes into `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let now = k8s_openapi::jiff::Timestamp::now();
        let day = Duration::from_hours(24);
        let signer = authority(now, "stub of Domino", day).expect("an authority");
        let pair = leaf(now, &signer, &["localhost".to_owned()], day).expect("a certificate");
        let ca = folder.join("domino-ca.crt");
        std::fs::write(&ca, &signer.certificate).expect("the folder is ours");
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        RUNTIME.spawn(accept(listener, acceptor(&pair), Arc::clone(&asked)));
        Self { port, ca, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }

    /// What was asked with a credential that holds `word`.
    pub(crate) fn asked(&self, word: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |it: &&Asked| it.headers.values().any(|value| value.contains(word));
        asked.iter().filter(holds).cloned().collect()
    }
}

fn acceptor(pair: &Issued) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a pair")))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, asked: Arc<Mutex<Vec<Asked>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&asked)));
            let http = hyper::server::conn::http1::Builder::new();
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

type Said = Response<Full<Bytes>>;

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Asked>>>,
) -> Result<Said, std::io::Error> {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let names = ["x-domino-api-key", "authorization", "cookie", "x-request-id"];
    let headers: HashMap<String, String> = names
        .iter()
        .filter_map(|name| header(name).map(|value| ((*name).to_owned(), value)))
        .collect();
    let credential = header("x-domino-api-key").or_else(|| header("authorization"));
    let credential = credential.unwrap_or_default();
    let secret = credential.split(' ').next_back().unwrap_or("");
    let who = secret.split('.').next().unwrap_or("").to_owned();
    let path = request.uri().path().to_owned();
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Asked { path: path.clone(), headers });
    let said = match who.as_str() {
        "slow" => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            json(200, &principal(ADA, "slow", true))
        }
        "reset" => return Err(std::io::Error::other("reset")),
        "huge" => text(200, &" ".repeat(8 * 1024 * 1024)),
        "html" => text(200, "<html>please log in</html>"),
        "cut" => text(200, r#"{"isAnonymous": false, "isAd"#),
        "redirect" => {
            let mut said = text(302, "");
            said.headers_mut().insert("location", "/thief".parse().expect("a header"));
            said
        }
        "error" => text(500, "java.lang.NullPointerException at com.example"),
        "denied" => text(403, "<html>forbidden</html>"),
        "nobody" => json(200, &json!({"isAnonymous": true, "isAdmin": false})),
        "anonymous-admin" => {
            let mut said = principal(ROOT, "ghost", true);
            said["isAnonymous"] = true.into();
            json(200, &said)
        }
        "unsaid" => {
            json(200, &json!({"isAdmin": true, "canonicalId": ADA, "canonicalName": "unsaid"}))
        }
        "without-id" => json(200, &principal("", "without", true)),
        _ if path == "/v4/hardwareTier" => tiers(&who),
        "ada" | "listless" | "plain-list" => json(200, &principal(ADA, "ada", false)),
        "eve" => json(200, &principal(EVE, "eve", false)),
        "root" => json(200, &principal(ROOT, "root", true)),
        _ => text(401, "who is that?"),
    };
    Ok(said)
}

fn principal(id: &str, name: &str, admin: bool) -> Value {
    json!({
        "isAnonymous": false, "isAdmin": admin, "canonicalId": id, "canonicalName": name,
        "allowedSystemOperations": [], "featureFlags": ["x"], "booleanSettings": [],
    })
}

fn tiers(who: &str) -> Said {
    let tier = |name: &str, archived: bool| {
        json!({
            "id": format!("{}-k8s", name.to_lowercase()), "name": name, "nodePool": "default",
            "hwtResources": {"cores": 2, "memory": {"value": 4, "unit": "GiB"}},
            "hwtFlags": {"isArchived": archived, "isVisible": true},
        })
    };
    let with = |name: &str, part: &str, value: Value| {
        let mut tier = tier(name, false);
        tier[part] = value;
        tier
    };
    let mut slice = with(
        "Slice",
        "gpuConfiguration",
        json!({"numberOfGpus": 1, "gpuKey": "nvidia.com/mig-1g.5gb"}),
    );
    slice["hwtResources"]["memory"]["unit"] = "GB".into();
    let list = json!([
        tier("Small", false),
        tier("Medium", false),
        tier("Old", true),
        slice,
        with("Gpu", "gpuConfiguration", json!({"numberOfGpus": 2})),
        with("Poolless", "nodePool", Value::Null),
        with("Zoned", "availabilityZones", json!(["z1"])),
    ]);
    match who {
        "listless" => text(500, "no tiers"),
        "plain-list" => json(200, &list),
        _ => json(200, &json!({"hardwareTiers": list})),
    }
}

fn json(status: u16, body: &Value) -> Said {
    text(status, &body.to_string())
}

fn text(status: u16, body: &str) -> Said {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    Response::builder().status(status).body(body).expect("an answer")
}
