//! Which replica acts: the holder of a Lease.
//!
//! A Lease is taken and renewed by a write that names the version that was read, so that of two who
//! try one fails. Whether another's Lease has run out is told by how long it was seen unchanged here,
//! never by its holder's clock. The holder acts for two thirds of the Lease's time after it *asked* for
//! its last renewal; a process that was stopped and goes on finds that time gone before it writes.
//! Each time of leading is a term of its own: nothing that was known before goes over into the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::Api;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::apply::posting;
use crate::clock;
use crate::http::ops::Finding;

/// How long to wait for the Lease to be given back.
const LAST: Duration = Duration::from_secs(3);

/// Whether this replica leads.
#[derive(Clone)]
pub(super) struct Leader {
    standing: Arc<Mutex<Standing>>,
    terms: Receiver<Option<CancellationToken>>,
}

/// How this replica stands.
struct Standing {
    /// Till when it leads, by the clock that nobody sets, and by the one that goes on while a whole
    /// machine is stopped.
    until: Option<(Instant, Timestamp)>,
    /// What is told of it.
    finding: Finding,
}

impl Standing {
    fn leads(&self) -> bool {
        self.until.is_some_and(|(until, wall)| Instant::now() < until && clock::now() < wall)
    }
}

impl Leader {
    /// Stands for election till `stop`; the task ends when the Lease was given back.
    pub(super) fn stand(
        client: Client,
        options: &Options,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let finding = Err("the Lease was not looked at yet".to_owned());
        let standing = Arc::new(Mutex::new(Standing { until: None, finding }));
        let (tell, terms) = channel(None);
        let candidate = Candidate {
            api: Api::namespaced(client, &options.namespace),
            name: options.lease.clone(),
            identity: options.identity.clone(),
            // The API counts whole seconds.
            duration: Duration::from_secs(options.lease_duration.as_secs().max(2)),
            known: None,
            seen: (LeaseSpec::default(), Instant::now()),
            standing: Arc::clone(&standing),
            tell,
        };
        (Self { standing, terms }, tokio::spawn(candidate.run(stop)))
    }

    /// Whether this replica may write.
    pub(super) fn leads(&self) -> bool {
        lock(&self.standing).leads()
    }

    /// Waits for the next term, which ends with the token; `None`: there is none any more.
    pub(super) async fn next_term(&mut self) -> Option<CancellationToken> {
        let fresh = |term: &Option<CancellationToken>| {
            term.as_ref().is_some_and(|term| !term.is_cancelled())
        };
        self.terms.wait_for(fresh).await.ok().and_then(|term| term.clone())
    }

    pub(super) fn check(&self) -> impl Fn() -> Finding + Send + Sync + use<> {
        let standing = Arc::clone(&self.standing);
        move || {
            let standing = lock(&standing);
            if standing.leads() { Ok("leads".to_owned()) } else { standing.finding.clone() }
        }
    }
}

fn lock(standing: &Mutex<Standing>) -> MutexGuard<'_, Standing> {
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands for election.
struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    /// The Lease as it was read or written last; `None`: it has to be read.
    known: Option<Lease>,
    /// What it says, and since when that is known here.
    seen: (LeaseSpec, Instant),
    standing: Arc<Mutex<Standing>>,
    tell: Sender<Option<CancellationToken>>,
}

impl Candidate {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let asked = (Instant::now(), clock::now());
            let limit = self.duration / 3;
            let tried = tokio::select! {
                () = stop.cancelled() => break,
                tried = tokio::time::timeout(limit, self.attempt()) => tried,
            };
            let leads = match tried {
                Ok(Ok(true)) => self.lead(asked, &stop),
                Ok(Ok(false)) => self.follow(),
                Ok(Err(error)) => self.miss(&crate::telemetry::chain(&error)),
                Err(_) => self.miss("the API server did not answer in time"),
            };
            let wait = if leads { self.duration / 3 } else { self.duration / 6 };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.give_back().await;
    }

    /// Takes or renews the Lease where that may be; whether it is ours now.
    async fn attempt(&mut self) -> kube::Result<bool> {
        if self.known.as_ref().is_none_or(|lease| !holds(spec(lease), &self.identity)) {
            let lease = self.read().await?;
            self.note(lease);
        }
        let Some(lease) = &self.known else { return Ok(false) };
        if !is_free(spec(lease), &self.identity, self.seen.1.elapsed(), self.duration) {
            return Ok(false);
        }
        let mut lease = lease.clone();
        lease.spec = Some(claimed(spec(&lease), &self.identity, self.duration));
        self.write(lease).await
    }

    async fn read(&self) -> kube::Result<Lease> {
        if let Some(lease) = self.api.get_opt(&self.name).await? {
            return Ok(lease);
        }
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        match self.api.create(&posting(), &Lease { metadata, spec: None }).await {
            Err(kube::Error::Api(status)) if status.code == 409 => self.api.get(&self.name).await,
            made => made,
        }
    }

    /// Writes the version that was read; whether it still was that one.
    async fn write(&mut self, lease: Lease) -> kube::Result<bool> {
        // Whether a write without an answer was carried out is not known: it is read again.
        self.known = None;
        match self.api.replace(&self.name, &posting(), &lease).await {
            Ok(lease) => {
                self.note(lease);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, lease: Lease) {
        if self.seen.0 != *spec(&lease) {
            self.seen = (spec(&lease).clone(), Instant::now());
        }
        self.known = Some(lease);
    }

    /// It is ours: a renewal in time goes on with the term, any other begins one.
    fn lead(&self, asked: (Instant, Timestamp), stop: &CancellationToken) -> bool {
        let mut standing = lock(&self.standing);
        let goes_on = standing.leads();
        let time = self.duration * 2 / 3;
        standing.until = Some((asked.0 + time, asked.1 + time));
        standing.finding = Err("the Lease was not renewed in time".to_owned());
        drop(standing);
        if !goes_on {
            tracing::info!("elected: looking at every cluster");
            self.end_term(Some(stop.child_token()));
        }
        true
    }

    /// It is another's.
    fn follow(&self) -> bool {
        let holder = self.seen.0.holder_identity.as_deref().filter(|it| !it.is_empty());
        let who = holder.unwrap_or("nobody yet");
        self.step_down(Ok(format!("another replica leads: {who}")));
        false
    }

    /// Nothing is known of it. What is ours stays ours till its time is up.
    fn miss(&self, why: &str) -> bool {
        tracing::warn!(lease = self.name, "failed to reach the Lease: {why}");
        if lock(&self.standing).leads() {
            return false;
        }
        self.step_down(Err(format!("failed to reach the Lease {}: {why}", self.name)));
        false
    }

    fn step_down(&self, finding: Finding) {
        *lock(&self.standing) = Standing { until: None, finding };
        if self.tell.borrow().is_some() {
            tracing::info!("leads no more");
            self.end_term(None);
        }
    }

    /// Ends a term; another may begin.
    fn end_term(&self, next: Option<CancellationToken>) {
        if let Some(term) = self.tell.send_replace(next) {
            term.cancel();
        }
    }

    async fn give_back(mut self) {
        self.step_down(Ok("ends".to_owned()));
        let Some(mut lease) = self.known.take().filter(|it| holds(spec(it), &self.identity)) else {
            return;
        };
        let given = LeaseSpec { holder_identity: Some(String::new()), ..spec(&lease).clone() };
        lease.spec = Some(given);
        let given = tokio::time::timeout(LAST, self.write(lease)).await;
        if !matches!(given, Ok(Ok(_))) {
            tracing::warn!("the Lease was not given back in time; it ends by itself");
        }
    }
}

fn spec(lease: &Lease) -> &LeaseSpec {
    static NONE: LeaseSpec = LeaseSpec {
        acquire_time: None,
        holder_identity: None,
        lease_duration_seconds: None,
        lease_transitions: None,
        preferred_holder: None,
        renew_time: None,
        strategy: None,
    };
    lease.spec.as_ref().unwrap_or(&NONE)
}

fn holds(lease: &LeaseSpec, identity: &str) -> bool {
    lease.holder_identity.as_deref() == Some(identity)
}

/// Whether a Lease may be taken that was seen as it is for `unchanged`; where it names no time of its
/// own, `duration` is meant.
fn is_free(lease: &LeaseSpec, identity: &str, unchanged: Duration, duration: Duration) -> bool {
    let nobody = lease.holder_identity.as_deref().is_none_or(str::is_empty);
    let own = lease.lease_duration_seconds.and_then(|it| u64::try_from(it).ok());
    let duration = own.map_or(duration, Duration::from_secs);
    nobody || holds(lease, identity) || unchanged >= duration
}

/// The Lease once more in our hands.
fn claimed(lease: &LeaseSpec, identity: &str, duration: Duration) -> LeaseSpec {
    let now = Some(MicroTime(clock::now()));
    let mut next = lease.clone();
    if !holds(lease, identity) {
        next.acquire_time.clone_from(&now);
        next.lease_transitions = Some(lease.lease_transitions.unwrap_or(0).saturating_add(1));
    }
    next.holder_identity = Some(identity.to_owned());
    next.lease_duration_seconds = Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX));
    next.renew_time = now;
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn held_by(who: &str) -> LeaseSpec {
        claimed(&LeaseSpec::default(), who, TEN)
    }

    #[test]
    fn a_lease_of_another_is_free_once_it_was_seen_unchanged_for_its_own_time() {
        let second = Duration::from_secs(1);
        let lease = held_by("other");
        assert!(!is_free(&lease, "me", Duration::from_secs(9), second));
        assert!(is_free(&lease, "me", TEN, Duration::MAX));
        assert!(is_free(&lease, "other", Duration::ZERO, TEN));
        let silent = LeaseSpec { lease_duration_seconds: None, ..lease };
        assert!(!is_free(&silent, "me", second, TEN) && is_free(&silent, "me", TEN, TEN));
    }

    #[test]
    fn a_lease_of_nobody_is_free_at_once() {
        let given_back = LeaseSpec { holder_identity: Some(String::new()), ..held_by("other") };
        assert!(is_free(&given_back, "me", Duration::ZERO, TEN));
        assert!(is_free(&LeaseSpec::default(), "me", Duration::ZERO, TEN));
    }

    #[test]
    fn a_renewal_keeps_the_time_of_taking_and_counts_no_transition() {
        let taken = held_by("me");
        let renewed = claimed(&taken, "me", TEN);
        assert_eq!(renewed.acquire_time, taken.acquire_time);
        assert_eq!((taken.lease_transitions, renewed.lease_transitions), (Some(1), Some(1)));
        assert_eq!(claimed(&renewed, "other", TEN).lease_transitions, Some(2));
    }

    #[test]
    fn who_leads_does_so_for_a_bounded_time() {
        let finding = Ok(String::new());
        let mut standing = Standing { until: None, finding };
        assert!(!standing.leads());
        let (soon, wall) = (Instant::now() + TEN, clock::now() + TEN);
        standing.until = Some((soon, wall));
        assert!(standing.leads());
        standing.until = Some((Instant::now(), wall));
        assert!(!standing.leads());
        standing.until = Some((soon, clock::now()));
        assert!(!standing.leads());
    }
}
