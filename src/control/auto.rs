//! What `--node-manager auto` comes to, for readiness and for the webhook in the same process.
//!
//! The controller itself looks anew for each cluster; this looks now and then, over all namespaces:
//! one live operator anywhere means that the webhook leaves head templates as KubeRay needs them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::evidence::Evidence;
use crate::http::ops::Finding;
use crate::model::{NodeManager, Settings};

const BETWEEN: Duration = Duration::from_secs(10);

/// The state of the question.
#[derive(Clone)]
pub(super) struct Auto {
    words: Arc<Mutex<String>>,
    manager: Sender<Option<NodeManager>>,
}

impl Auto {
    pub(super) fn new(settings: &Settings) -> Self {
        let words = settings.node_manager.map_or_else(
            || "auto: not looked at yet".to_owned(),
            |manager| format!("{}, by --node-manager", manager.as_str()),
        );
        Self { words: Arc::new(Mutex::new(words)), manager: channel(settings.node_manager).0 }
    }

    /// Who makes nodes where nothing says so for a namespace; `None`: not known yet.
    pub(super) fn manager(&self) -> Receiver<Option<NodeManager>> {
        self.manager.subscribe()
    }

    pub(super) fn check(&self) -> impl Fn() -> Finding + Send + Sync + use<> {
        let words = Arc::clone(&self.words);
        move || Ok(words.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Looks again and again, till `stop`, where no flag decides.
    pub(super) async fn watch_over(self, evidence: Evidence, stop: CancellationToken) {
        if self.manager.borrow().is_some() {
            return;
        }
        loop {
            match evidence.alone().await {
                Ok(alone) => self.note(&alone),
                // What was found last holds.
                Err(error) => tracing::warn!(
                    "failed to look for another node manager: {}",
                    crate::telemetry::chain(&error)
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(BETWEEN) => {}
            }
        }
    }

    fn note(&self, alone: &Result<String, String>) {
        let (manager, why) = match alone {
            Ok(why) => (NodeManager::Raywarden, why),
            Err(why) => (NodeManager::KubeRay, why),
        };
        let words = match manager {
            NodeManager::Raywarden => format!("auto: makes nodes, because {why}"),
            NodeManager::KubeRay => {
                format!("auto: makes no nodes, because {why}; --node-manager raywarden makes them")
            }
        };
        let news = {
            let mut known = self.words.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, words.clone()) != words
        };
        if news {
            tracing::info!("{words}");
        }
        self.manager.send_if_modified(|known| known.replace(manager) != Some(manager));
    }
}
