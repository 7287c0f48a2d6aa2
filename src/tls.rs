//! The encrypted door: certificates, their exchange while serving, connections and their end.
//!
//! | file | role |
//! | --- | --- |
//! | [`issue`] | pure: an authority and a leaf from names, lifetimes and the time |
//! | [`pair`] | a certificate chain and its key out of two PEM files, or what is wrong with them |
//! | [`resolver`] | the pair in use; a new one takes the next handshake |
//! | [`reload`] | reads the files again, by content |
//! | [`accept`] | connections: deadlines, their number, the drain |
//!
//! Nothing here knows what is said over a connection.

pub mod accept;
mod connection;
pub mod issue;
pub mod pair;
pub mod reload;
pub mod resolver;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};

use resolver::Resolver;

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, whatever pair the resolver holds.
///
/// The process's crypto provider must be installed.
pub fn server_config(resolver: Arc<Resolver>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13, &TLS12])
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}
