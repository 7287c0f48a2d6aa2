//! Who asks: looked up, remembered for a moment, and paced.
//!
//! Input: the digest of a credential, the peer, and how to look its owner up. Output: the owner. A
//! look-up is paced by the address that it comes from, and goes on one at a time for each credential;
//! everything else is paced by who it is.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::scaling::known::Known;
use crate::scaling::pace::{Pace, Rate};
use crate::scaling::{Code, Fault};

/// Look-ups at one time.
const AT_ONCE: usize = 32;

pub(super) struct Callers<P> {
    begun: Instant,
    known: Mutex<Known<P>>,
    people: Mutex<Pace>,
    addresses: Mutex<Pace>,
    turns: Semaphore,
}

impl<P: Clone> Callers<P> {
    pub(super) fn new(rate: Rate, lasts: Duration) -> Self {
        Self {
            begun: Instant::now(),
            known: Mutex::new(Known::new(lasts)),
            people: Mutex::new(Pace::new(rate)),
            addresses: Mutex::new(Pace::new(rate)),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Who it is; `look_up` is polled only where that is not known.
    pub(super) async fn identify(
        &self,
        digest: [u8; 32],
        peer: Option<IpAddr>,
        name: impl Fn(&P) -> String,
        look_up: impl Future<Output = Result<P, Fault>>,
    ) -> Result<P, Fault> {
        let caller = match self.recall(&digest) {
            Some(found) => found?,
            None => self.look_up(digest, peer, look_up).await?,
        };
        self.pace(&self.people, &name(&caller))?;
        Ok(caller)
    }

    async fn look_up(
        &self,
        digest: [u8; 32],
        peer: Option<IpAddr>,
        look_up: impl Future<Output = Result<P, Fault>>,
    ) -> Result<P, Fault> {
        let address = peer.map(|peer| peer.to_string()).unwrap_or_default();
        self.pace(&self.addresses, &address)?;
        let busy = |_| Fault::unavailable("too many callers at one time; try again in a moment");
        let _turn = self.turns.acquire().await.map_err(busy)?;
        // While we waited, somebody with the same credential may have been looked up.
        if let Some(found) = self.recall(&digest) {
            return found;
        }
        let found = look_up.await;
        lock(&self.known).put(digest, found.clone(), self.begun.elapsed());
        found
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<Result<P, Fault>> {
        lock(&self.known).get(digest, self.begun.elapsed())
    }

    fn pace(&self, pace: &Mutex<Pace>, caller: &str) -> Result<(), Fault> {
        lock(pace).take(caller, self.begun.elapsed()).map_err(|_| {
            Fault::new(Code::RateLimited, "too many requests; wait a second between them")
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
