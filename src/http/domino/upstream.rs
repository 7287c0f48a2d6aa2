//! A GET to Domino.
//!
//! Input: a path, the caller's credential. Output: status and body, or an outage in words without
//! either. Invariants: one deadline from name resolution to the last byte; a cap on the body; redirects
//! are not followed and no proxy is asked, so a credential goes to the configured host alone, and in
//! clear only inside the cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use axum::http::uri::Scheme;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::scaling::{Credential, Fault};
use crate::telemetry::chain;

/// Who the caller is.
pub(super) const PRINCIPAL: &str = "/v4/auth/principal";

/// Every hardware tier.
pub(super) const TIERS: &str = "/v4/hardwareTier";

/// The longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Where Domino is.
#[derive(Clone)]
pub struct Upstream {
    host: String,
    port: u16,
    /// The `Host` header.
    authority: String,
    base: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    deadline: Duration,
}

/// An address that is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadUpstream {
    /// No URL of a host.
    #[error(
        "`{0}` is no URL such as https://domino.example.com or http://nucleus-frontend.domino-platform"
    )]
    NotUrl(String),
    /// Tokens would cross a network in clear.
    #[error(
        "http://{0} is no Service of this cluster, and callers' credentials would travel to it in clear: \
         use https:// with --domino-ca-file"
    )]
    InClear(String),
    /// Nobody to trust.
    #[error(
        "https needs --domino-ca-file, the PEM file of the authorities to trust, such as /etc/ssl/certs/ca-certificates.crt"
    )]
    NoAuthority,
    /// A file without certificates.
    #[error("the file of --domino-ca-file holds no certificate: {0}")]
    BadAuthority(String),
}

impl Upstream {
    /// The Domino at `url`, whose certificate one of the authorities in the PEM text `ca` must have
    /// signed.
    pub fn new(url: &str, ca: Option<&[u8]>, deadline: Duration) -> Result<Self, BadUpstream> {
        let bad = || BadUpstream::NotUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let plain = uri.query().is_none() && !authority.as_str().contains('@');
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (secure, usual) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (true, 443),
            Some(scheme) if *scheme == Scheme::HTTP => (false, 80),
            _ => return Err(bad()),
        };
        if host.is_empty() || !plain {
            return Err(bad());
        }
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
            Some((trusting(ca.ok_or(BadUpstream::NoAuthority)?)?, name))
        } else if is_near(&host) {
            None
        } else {
            return Err(BadUpstream::InClear(host));
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(usual),
            authority: authority.as_str().to_owned(),
            base: uri.path().trim_end_matches('/').to_owned(),
            host,
            tls,
            deadline,
        })
    }

    /// Status and body of a path.
    pub(super) async fn get(
        &self,
        path: &str,
        credential: &Credential,
    ) -> Result<(u16, Bytes), Fault> {
        let waited = tokio::time::timeout(self.deadline, self.ask(path, credential)).await;
        let answer = waited.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        answer.map_err(|reason| {
            tracing::warn!(host = self.host, path, reason, "Domino does not answer");
            Fault::unavailable(
                "Domino does not answer, so nobody's identity can be checked; try again in a moment",
            )
        })
    }

    async fn ask(&self, path: &str, credential: &Credential) -> Result<(u16, Bytes), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| format!("failed to connect ({error})"))?;
        let request = self.request(path, credential)?;
        let Some((connector, name)) = &self.tls else { return exchange(stream, request).await };
        let stream = connector.connect(name.clone(), stream).await;
        exchange(stream.map_err(|error| format!("no TLS ({})", chain(&error)))?, request).await
    }

    fn request(
        &self,
        path: &str,
        credential: &Credential,
    ) -> Result<Request<Empty<Bytes>>, String> {
        let (name, value) = credential.header();
        // The library's own words would quote the value.
        let unfit = || "the credential cannot stand in a header".to_owned();
        let mut secret = HeaderValue::try_from(value).map_err(|_| unfit())?;
        secret.set_sensitive(true);
        Request::get(format!("{}{path}", self.base))
            .header(HOST, &self.authority)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("raywarden/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .header(HeaderName::from_static(name), secret)
            .body(Empty::new())
            .map_err(|_| unfit())
    }
}

/// Everything but what it trusts.
impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authority, base, tls, deadline, .. } = self;
        f.debug_struct("Upstream")
            .field("authority", authority)
            .field("base", base)
            .field("tls", &tls.is_some())
            .field("deadline", deadline)
            .finish_non_exhaustive()
    }
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<(u16, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| chain(&error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // What the connection ends with is seen at the answer and its body too.
    let driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    drop(driver);
    let body = body.map_err(|_| "the body broke off or is too long".to_owned())?;
    Ok((status, body.to_bytes()))
}

fn trusting(ca: &[u8]) -> Result<TlsConnector, BadUpstream> {
    let bad = |why: &dyn fmt::Display| BadUpstream::BadAuthority(why.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(bad(&"no section CERTIFICATE"));
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Whether a host is this machine or a Service of this cluster by its name.
fn is_near(host: &str) -> bool {
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    let parts: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    parts.len() == 1 || parts.get(2) == Some(&"svc") || is_service_of_namespace(&parts)
}

/// `NAME.NAMESPACE`: only where that is not the name of a public domain. Domino's namespaces have a dash
/// or `domino` in their name, top-level domains in ASCII have neither.
fn is_service_of_namespace(parts: &[&str]) -> bool {
    let inside = |name: &str| name.contains('-') || name.contains("domino");
    matches!(parts, [_, namespace] if inside(namespace) && !namespace.starts_with("xn--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(url: &str) -> Result<Upstream, String> {
        Upstream::new(url, None, Duration::from_secs(1)).map_err(|error| error.to_string())
    }

    #[test]
    fn credentials_go_in_clear_to_services_of_the_cluster_alone() {
        for url in [
            "http://nucleus-frontend.domino-platform",
            "http://nucleus-frontend.domino-platform:80/",
            "http://nucleus.plat.svc.cluster.local",
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "http://nucleus-frontend",
        ] {
            assert!(upstream(url).is_ok(), "{url}");
        }
        for url in [
            "http://domino.example.com",
            "http://example.com",
            "http://10.0.0.1",
            "http://a.xn--p1ai",
            "http://a.b.c.svc",
        ] {
            assert!(upstream(url).unwrap_err().contains("in clear"), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_domino_is_refused() {
        for url in ["", "domino", "ftp://a", "https://", "http://u:p@a", "/v4", "http://a?b=c"] {
            assert!(upstream(url).unwrap_err().contains("is no URL"), "{url}");
        }
        assert!(upstream("https://a").unwrap_err().contains("--domino-ca-file"));
        let none = Upstream::new("https://a", Some(b"x"), Duration::ZERO).unwrap_err().to_string();
        assert!(none.contains("no certificate"), "{none}");
    }
}
