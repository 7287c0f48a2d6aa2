//! Reads the pair again, on a tick and when told to, or takes what somebody else reads.
//!
//! By content, not by file events: that is right on every kind of volume, and kubelet swaps a
//! symlink of a directory, which a watch of the file misses. A pair that cannot serve, or that has
//! already ended, leaves the one in use where it is; each such content is reported once.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::pair::{Contents, Facts, Pair, PairError, PairFiles};
use super::resolver::Resolver;
use crate::telemetry::chain;

/// Keeps a [`Resolver`] in step with two files.
pub struct Reloader {
    files: PairFiles,
    resolver: Arc<Resolver>,
    clock: fn() -> Timestamp,
    seen: Seen,
}

/// What was found the last time.
enum Seen {
    Contents(Contents),
    Unreadable(String),
}

/// What came of one look.
#[derive(Debug)]
pub enum Look {
    /// The same as the last time, good or bad.
    Unchanged,
    /// The new pair serves from the next handshake on.
    Replaced(Facts),
    /// The new content cannot serve; the old pair stays.
    Kept(Refusal),
}

/// Why a new content is not served.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The files are no pair.
    #[error(transparent)]
    Bad(#[from] PairError),
    /// The pair is of no use at this time.
    #[error("{0}")]
    OutOfTime(String),
}

impl Reloader {
    /// Reads the files for the first time. A pair out of its time is served, since there is none
    /// to keep: readiness says so.
    pub fn start(files: PairFiles, clock: fn() -> Timestamp) -> Result<Self, PairError> {
        let contents = files.read()?;
        Self::start_with(files, contents, clock)
    }

    /// The same with what somebody else has read, and goes on reading.
    pub fn start_with(
        files: PairFiles,
        contents: Contents,
        clock: fn() -> Timestamp,
    ) -> Result<Self, PairError> {
        let pair = files.parse(&contents)?;
        let resolver = Resolver::new(pair);
        Ok(Self { files, resolver, clock, seen: Seen::Contents(contents) })
    }

    /// The resolver that is kept in step.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// Looks at the files once.
    pub fn look(&mut self) -> Look {
        match self.files.read() {
            Ok(contents) => self.consider(contents),
            Err(error) => self.unreadable(error),
        }
    }

    /// Takes what was read just now, where it is news.
    pub fn consider(&mut self, contents: Contents) -> Look {
        if matches!(&self.seen, Seen::Contents(seen) if *seen == contents) {
            return Look::Unchanged;
        }
        let pair = self.usable(&contents);
        self.seen = Seen::Contents(contents);
        match pair {
            Ok(pair) => {
                let facts = pair.facts.clone();
                self.resolver.replace(pair);
                Look::Replaced(facts)
            }
            Err(refusal) => Look::Kept(refusal),
        }
    }

    fn unreadable(&mut self, error: PairError) -> Look {
        let word = format!("{error:?}");
        if matches!(&self.seen, Seen::Unreadable(seen) if *seen == word) {
            return Look::Unchanged;
        }
        self.seen = Seen::Unreadable(word);
        Look::Kept(error.into())
    }

    fn usable(&self, contents: &Contents) -> Result<Pair, Refusal> {
        let pair = self.files.parse(contents)?;
        match pair.facts.fault((self.clock)()) {
            Some(fault) => Err(Refusal::OutOfTime(fault)),
            None => Ok(pair),
        }
    }

    /// Looks every `interval`, and whenever `now` is notified, until `stop`.
    pub async fn run(mut self, interval: Duration, now: Arc<Notify>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = now.notified() => true,
                _ = tick.tick() => false,
            };
            report(&self.look(), asked);
        }
    }
}

/// Logs what came of a look, on a tick or because somebody `asked`.
pub fn report(look: &Look, asked: bool) {
    match look {
        Look::Unchanged if asked => tracing::info!("the certificate is what it was"),
        Look::Unchanged => {}
        Look::Replaced(facts) => tracing::info!(
            fingerprint = facts.fingerprint,
            not_after = %facts.not_after,
            names = facts.names.join(","),
            "a new certificate serves from now on"
        ),
        Look::Kept(refusal) => tracing::error!(
            reason = chain(refusal),
            "the new certificate cannot be used; the certificate in use stays"
        ),
    }
}

#[cfg(test)]
mod tests;
