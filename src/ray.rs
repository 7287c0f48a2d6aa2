//! What the head of a Ray cluster says: a client of its dashboard.
//!
//! | file | role |
//! | --- | --- |
//! | [`token`] | a secret that no log, error or `Debug` shows |
//! | [`wire`] | pure: the dashboard's JSON -> nodes, or what is wrong with it |
//! | [`call`] | one GET within bounds |
//! | [`proxied`] | the same dashboard through the API server's proxy |
//! | [`cache`] | many who ask at the same time, one question |
//! | [`door`] | the address of a head's dashboard, and the token that it asks for |
//!
//! Input: the address of a head Pod. Output: an [`Answer`]. Whatever goes wrong is an
//! [`Answer::Unknown`] in words for a tired person, never an error and never an empty list.
//!
//! Invariants: one deadline from the first packet to the last byte; a cap on the body; redirects are
//! not followed, so the token goes nowhere else.

pub mod cache;
mod call;
pub mod door;
pub mod proxied;
pub mod token;
pub mod wire;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

pub use crate::plan::joined::{Answer, Demand, RayNode};
pub use cache::Cache;
pub use token::Token;

/// The usual port of a dashboard.
pub const PORT: u16 = 8265;

/// How long a question may take where nobody says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// The longest answer that is read.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;

/// TLS in front of a dashboard.
#[derive(Clone)]
pub struct Tls {
    /// Whom to trust, and as whom to speak.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have.
    pub name: ServerName<'static>,
}

/// The dashboard of one head Pod.
#[derive(Clone)]
pub struct Dashboard {
    address: SocketAddr,
    token: Option<Token>,
    tls: Option<Tls>,
    deadline: Duration,
}

impl Dashboard {
    /// A dashboard that asks for no token, over plain HTTP.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, token: None, tls: None, deadline: DEADLINE }
    }

    /// With the token of `RAY_AUTH_MODE=token`.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Over HTTPS.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// With another deadline.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Every node that the head knows, with addresses: current, straight from the head's store.
    pub async fn nodes(&self) -> Answer {
        wire::answer(
            self.within(call::get(self, wire::NODES)).await.and_then(|it| wire::nodes(&it)),
        )
    }

    /// The same with the names of their Pods, which matter where Pods share an address. Those come
    /// from a list that lags some seconds; where it does not come, the names stay empty.
    pub async fn nodes_with_names(&self) -> Answer {
        let both = async {
            let nodes = wire::nodes(&call::get(self, wire::NODES).await?)?;
            let names = async { wire::names(&call::get(self, wire::SUMMARY).await?) };
            // Half of the time, so that a slow list does not cost the answer that is here already.
            let names = tokio::time::timeout(self.deadline / 2, names).await;
            Ok(match names {
                Ok(Ok(names)) => wire::named(nodes, &names),
                Ok(Err(_)) | Err(_) => nodes,
            })
        };
        wire::answer(self.within(both).await)
    }

    /// What waits for resources; `None` where it is not said.
    pub async fn demand(&self) -> Option<Demand> {
        let answer = self.within(call::get(self, wire::DEMAND)).await.ok()?;
        wire::demand(&answer)
    }

    async fn within<T>(
        &self,
        question: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let waited = tokio::time::timeout(self.deadline, question).await;
        waited.unwrap_or_else(|_| Err(format!("no answer within {}", in_words(self.deadline))))
    }
}

/// Everything but the token.
impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("address", &self.address)
            .field("has_token", &self.token.is_some())
            .field("tls", &self.tls.is_some())
            .field("deadline", &self.deadline)
            .finish()
    }
}

fn in_words(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()) {
        Ok(millis) if !millis.is_multiple_of(1_000) => format!("{millis} ms"),
        _ => format!("{} s", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests;
