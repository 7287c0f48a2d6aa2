//! Against real servers on loopback.

use std::time::Instant;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const NODES: &str = include_str!("../../tests/data/ray/api_v0_nodes.json");
const SUMMARY: &str = include_str!("../../tests/data/ray/nodes_view_summary.json");
const SECRET: &str = "hunter2hunter2";

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn serve(router: Router) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A server that says `words` to whoever connects, and then nothing.
async fn raw(words: &'static [u8]) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(words).await;
                tokio::time::sleep(Duration::from_mins(1)).await;
            });
        }
    });
    address
}

fn unknown(answer: Answer) -> String {
    match answer {
        Answer::Unknown(why) => why,
        Answer::Known(nodes) => panic!("{nodes:?}"),
    }
}

fn known(answer: Answer) -> Vec<RayNode> {
    match answer {
        Answer::Known(nodes) => nodes,
        Answer::Unknown(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn a_good_answer_gives_the_nodes() {
    let router = Router::new().route("/api/v0/nodes", get(|| async { NODES }));
    let dashboard = Dashboard::new(serve(router).await);
    let nodes = known(dashboard.nodes().await);
    assert_eq!(nodes.len(), 5);
    assert!(nodes.iter().all(|node| node.instance.is_empty()));
}

#[tokio::test]
async fn names_are_added_where_they_come_and_missed_by_nobody_where_not() {
    let nodes = || get(|| async { NODES });
    let both =
        Router::new().route("/api/v0/nodes", nodes()).route("/nodes", get(|| async { SUMMARY }));
    let named = known(Dashboard::new(serve(both).await).nodes_with_names().await);
    assert_eq!(named[0].instance, "anchor-head-7psfh");

    let slow = Router::new().route("/api/v0/nodes", nodes()).route(
        "/nodes",
        get(|| async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            SUMMARY
        }),
    );
    let address = serve(slow).await;
    let dashboard = Dashboard::new(address).with_deadline(Duration::from_secs(1));
    assert_eq!(known(dashboard.nodes_with_names().await).len(), 5);
}

#[tokio::test]
async fn a_token_is_asked_for_taken_or_refused_and_never_told() {
    let guarded = |headers: HeaderMap| async move {
        match headers.get(header::AUTHORIZATION) {
            None => (StatusCode::UNAUTHORIZED, "Unauthorized").into_response(),
            Some(it) if it == "Bearer hunter2hunter2" => NODES.into_response(),
            Some(_) => (StatusCode::FORBIDDEN, "Forbidden").into_response(),
        }
    };
    let dashboard = Dashboard::new(serve(Router::new().route("/api/v0/nodes", get(guarded))).await);
    assert!(unknown(dashboard.nodes().await).contains("asks for a token"));
    let right = dashboard.clone().with_token(Token::new(SECRET).unwrap());
    assert_eq!(known(right.nodes().await).len(), 5);
    let wrong = dashboard.with_token(Token::new("hunter2").unwrap());
    let why = unknown(wrong.nodes().await);
    assert!(why.contains("does not take this token"), "{why}");
    assert!(!format!("{why} {wrong:?} {right:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let away = || async { (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]) };
    let address = serve(Router::new().route("/api/v0/nodes", get(away))).await;
    assert!(unknown(Dashboard::new(address).nodes().await).contains("not followed"));
}

#[tokio::test]
async fn one_deadline_holds_however_the_head_hangs() {
    let silent = raw(b"").await;
    let half = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await;
    for address in [silent, half] {
        let begun = Instant::now();
        let dashboard = Dashboard::new(address).with_deadline(Duration::from_millis(200));
        assert_eq!(unknown(dashboard.nodes().await), "no answer within 200 ms");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_huge_body_is_refused_announced_or_not() {
    let announced = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{").await;
    let endless = || async {
        let piece = bytes::Bytes::from(vec![b' '; 64 * 1024]);
        let pieces = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        axum::body::Body::from_stream(pieces)
    };
    let streamed = serve(Router::new().route("/api/v0/nodes", get(endless))).await;
    for address in [announced, streamed] {
        let why = unknown(Dashboard::new(address).nodes().await);
        assert_eq!(why, "the answer is longer than 4 MiB");
    }
}

#[tokio::test]
async fn garbage_is_said_to_be_garbage() {
    let html = serve(Router::new().route("/api/v0/nodes", get(|| async { "<html>" }))).await;
    assert!(unknown(Dashboard::new(html).nodes().await).contains("does not speak like Ray's"));
    let noise = raw(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    assert!(unknown(Dashboard::new(noise).nodes().await).contains("does not speak HTTP"));
    let elsewhere = serve(Router::new()).await;
    assert!(unknown(Dashboard::new(elsewhere).nodes().await).contains("404"));
}

#[tokio::test]
async fn a_closed_port_names_the_address() {
    let (listener, address) = listener().await;
    drop(listener);
    let why = unknown(Dashboard::new(address).nodes().await);
    assert!(why.contains(&address.to_string()) && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn over_https_only_the_trusted_name_is_spoken_to() {
    let pair =
        crate::tls::issue::authority(crate::clock::now(), "ca", Duration::from_hours(1)).unwrap();
    let names = ["head.ray".to_owned()];
    let now = crate::clock::now();
    let leaf = crate::tls::issue::leaf(now, &pair, &names, Duration::from_hours(1)).unwrap();
    let acceptor = acceptor(&leaf);
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", NODES.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(NODES.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(&pair.certificate) {
        roots.add(root).unwrap();
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let as_name = |name: &'static str| {
        let tls = Tls { config: Arc::clone(&config), name: ServerName::try_from(name).unwrap() };
        Dashboard::new(address).with_tls(tls)
    };
    assert_eq!(known(as_name("head.ray").nodes().await).len(), 5);
    assert!(unknown(as_name("other.ray").nodes().await).contains("no TLS"));
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject as _;
    let found = rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes());
    found.collect::<Result<_, _>>().unwrap()
}

fn acceptor(leaf: &crate::tls::issue::Issued) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::pem::PemObject as _;
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates(&leaf.certificate), key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}
