//! The credential of a request -> who asks, at a pace that one caller cannot set for all.
//!
//! A caller that is known is not looked up again for a while. Look-ups are few at a time, and one
//! address has only so many: a flood of invented tokens waits for itself.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::sync::Semaphore;

use super::Ticks;
use super::upstream::{PRINCIPAL, Upstream};
use crate::scaling::credential::{Credential, KEY_HEADER, TOKEN_HEADER};
use crate::scaling::known::Known;
use crate::scaling::pace::{Pace, Rate};
use crate::scaling::{Code, Fault, Principal};

/// Look-ups at one time.
const AT_ONCE: usize = 32;

pub(super) struct Identities {
    upstream: Upstream,
    ticks: Ticks,
    known: Mutex<Known>,
    callers: Mutex<Pace>,
    addresses: Mutex<Pace>,
    turns: Semaphore,
}

impl Identities {
    pub(super) fn new(upstream: Upstream, rate: Rate, lasts: Duration) -> Self {
        Self {
            upstream,
            ticks: Ticks::begin(),
            known: Mutex::new(Known::new(lasts)),
            callers: Mutex::new(Pace::new(rate)),
            addresses: Mutex::new(Pace::new(rate)),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Who asks, and with what.
    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(Principal, Credential), Fault> {
        let values = |name: &str| -> Vec<&[u8]> {
            headers.get_all(name).iter().map(axum::http::HeaderValue::as_bytes).collect()
        };
        let credential = Credential::of(&values(KEY_HEADER), &values(TOKEN_HEADER))?;
        let principal = match self.recall(&credential) {
            Some(found) => found?,
            None => self.look_up(&credential, peer).await?,
        };
        self.pace(&self.callers, &principal.id)?;
        Ok((principal, credential))
    }

    async fn look_up(
        &self,
        credential: &Credential,
        peer: Option<IpAddr>,
    ) -> Result<Principal, Fault> {
        let address = peer.map(|peer| peer.to_string()).unwrap_or_default();
        self.pace(&self.addresses, &address)?;
        let busy = |_| Fault::unavailable("too many callers at one time; try again in a moment");
        let _turn = self.turns.acquire().await.map_err(busy)?;
        // While we waited, somebody with the same credential may have been looked up.
        if let Some(found) = self.recall(credential) {
            return found;
        }
        let answer = self.upstream.get(PRINCIPAL, credential).await;
        let found = answer.and_then(|(status, body)| Principal::read(status, &body));
        lock(&self.known).put(credential.digest(), found.clone(), self.ticks.now());
        found
    }

    fn recall(&self, credential: &Credential) -> Option<Result<Principal, Fault>> {
        lock(&self.known).get(&credential.digest(), self.ticks.now())
    }

    fn pace(&self, pace: &Mutex<Pace>, caller: &str) -> Result<(), Fault> {
        lock(pace).take(caller, self.ticks.now()).map_err(|_| {
            Fault::new(Code::RateLimited, "too many requests; wait a second between them")
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
