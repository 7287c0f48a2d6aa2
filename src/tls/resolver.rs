//! The pair in use.
//!
//! Readers never wait: a handshake takes the pair of that moment, a new pair serves the next one.
//! Open connections keep what they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{Facts, Pair};

/// Hands out the pair in use, whatever name the client asks for.
#[derive(Debug)]
pub struct Resolver(ArcSwap<Pair>);

impl Resolver {
    /// Begins with `pair`.
    pub fn new(pair: Pair) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(pair)))
    }

    /// Serves `pair` from the next handshake on.
    pub fn replace(&self, pair: Pair) {
        self.0.store(Arc::new(pair));
    }

    /// What is known of the pair in use.
    pub fn facts(&self) -> Facts {
        self.0.load().facts.clone()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}
