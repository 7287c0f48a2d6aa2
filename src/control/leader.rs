//! Which replica acts: the holder of a Lease.
//!
//! A process that was stopped and goes on believes for a moment that it still leads. A heartbeat tells:
//! where it is late, nothing is written until it beats again, and by then the Lease was looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Options;
use crate::http::ops::Finding;

const BEAT: Duration = Duration::from_millis(250);

/// A beat this late means that the process was stopped.
const LATE: Duration = Duration::from_secs(2);

/// How long to wait for the Lease to be given back.
const LAST: Duration = Duration::from_secs(3);

/// Whether this replica leads.
#[derive(Clone)]
pub(super) struct Leader {
    leads: Receiver<bool>,
    heart: Arc<Heart>,
}

struct Heart {
    began: Instant,
    last: AtomicU64,
}

impl Heart {
    fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn is_late(&self) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last) > LATE
    }
}

impl Leader {
    /// Stands for election till `stop`; the task ends when the Lease was given back.
    pub(super) async fn stand(
        client: Client,
        options: &Options,
        stop: CancellationToken,
    ) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let seconds = options.lease_duration.as_secs().max(2);
        let lease = || format!("failed to reach Lease {}/{}", options.namespace, options.lease);
        let manager = LeaseManagerBuilder::new(client, &options.lease)
            .with_namespace(&options.namespace)
            .with_identity(&options.identity)
            .with_duration(seconds)
            .with_grace((seconds / 3).max(1))
            .with_field_manager(super::apply::MANAGER)
            .build()
            .await
            .with_context(lease)?;
        let (tell, leads) = channel(false);
        let heart = Arc::new(Heart { began: Instant::now(), last: AtomicU64::new(0) });
        let task = tokio::spawn(hold(manager, tell, Arc::clone(&heart), stop));
        Ok((Self { leads, heart }, task))
    }

    /// Whether this replica may write.
    pub(super) fn leads(&self) -> bool {
        *self.leads.borrow() && !self.heart.is_late()
    }

    /// The state and its changes.
    pub(super) fn state(&self) -> Receiver<bool> {
        self.leads.clone()
    }

    pub(super) fn check(&self) -> impl Fn() -> Finding + Send + Sync + use<> {
        let leads = self.leads.clone();
        move || Ok(if *leads.borrow() { "leads" } else { "another replica leads" }.to_owned())
    }
}

async fn hold(
    manager: LeaseManager,
    tell: Sender<bool>,
    heart: Arc<Heart>,
    stop: CancellationToken,
) {
    let (mut state, task) = manager.watch().await;
    let mut beats = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = beats.tick() => heart.beat(),
            changed = state.changed() => {
                if changed.is_err() {
                    break;
                }
                let _ = tell.send(*state.borrow_and_update());
            }
        }
    }
    let _ = tell.send(false);
    // The manager gives the Lease back when nobody listens any more.
    drop(state);
    if tokio::time::timeout(LAST, task).await.is_err() {
        tracing::warn!("the Lease was not given back in time; it ends by itself");
    }
}
