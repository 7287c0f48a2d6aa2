//! A plain HTTP/1.1 client over TLS that can stop anywhere, and an HTTP/2 one.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use serde_json::{Value, json};

use crate::server::{PATIENCE, Server};

/// A client that trusts `ca` and offers `protocols`.
pub(crate) fn config(ca: &str, protocols: &[&str]) -> Arc<ClientConfig> {
    config_for(ca, protocols, rustls::ALL_VERSIONS)
}

pub(crate) fn config_for(
    ca: &str,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(server: &Server) -> io::Result<Self> {
        Self::dial(server.address, &config(server.ca.pem(), &["http/1.1"]))
    }

    /// Connects and shakes hands.
    pub(crate) fn dial(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let tls =
            ClientConnection::new(Arc::clone(config), localhost()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// The server's own certificate.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())?;
        self.0.flush()
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> io::Result<Reply> {
        self.send(&head(path, body.len()))?;
        self.send(body)?;
        self.reply()
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))?;
        self.reply()
    }

    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if self.0.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.0.read_exact(&mut body)?;
        Ok(Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// Waits until the server closes, and says how long that took.
    pub(crate) fn until_closed(&mut self) -> std::time::Duration {
        let begun = std::time::Instant::now();
        let mut bytes = [0; 1024];
        // A close without a TLS farewell is an error here, and a close all the same.
        while matches!(self.0.read(&mut bytes), Ok(1..)) {}
        let took = begun.elapsed();
        assert!(took < PATIENCE, "still open");
        took
    }
}

pub(crate) fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")
}

pub(crate) type Sender = SendRequest<UnsyncBoxBody<Bytes, io::Error>>;

/// An HTTP/2 connection, as API servers hold one.
pub(crate) async fn http2(server: &Server) -> Sender {
    let tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(config(server.ca.pem(), &["h2"]));
    let tls = connector.connect(localhost(), tcp).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// The creation of a cluster, padded to `length` bytes or more.
pub(crate) fn review(uid: &str, length: usize) -> String {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "ray.io", "version": "v1", "kind": "RayCluster"},
            "resource": {"group": "ray.io", "version": "v1", "resource": "rayclusters"},
            "name": "c",
            "namespace": "team",
            "operation": "CREATE",
            "userInfo": {"username": "jo"},
            "object": {
                "apiVersion": "ray.io/v1",
                "kind": "RayCluster",
                "metadata": {"name": "c", "namespace": "team", "annotations": {"secret": "s3cr3t"}},
                "spec": {"headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [
                    {"name": "ray-head", "image": "rayproject/ray:2.60.0"},
                ]}}}},
            },
        },
    });
    let mut text = review.to_string();
    let padding = length.saturating_sub(text.len());
    text.push_str(&" ".repeat(padding));
    text
}

/// The uid of an answer.
pub(crate) fn uid(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["response"]["uid"].as_str().unwrap().to_owned()
}
