//! What the controller counts, for Prometheus.
//!
//! Labels are words of ours, never names of users' objects, so that their number is bounded.

use kube::runtime::watcher;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::audit::Audits;
use crate::http::ops::encoded;
use crate::plan::Action;

/// A watch that broke.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Broken {
    watch: &'static str,
    reason: &'static str,
}

/// A step that was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

/// A round for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Round {
    result: &'static str,
}

/// The counters of a process.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    watch_errors: Family<Broken, Counter>,
    steps: Family<Step, Counter>,
    rounds: Family<Round, Counter>,
    foreign: Counter,
    terms: Counter,
    pub(super) audits: Audits,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("raywarden_controller");
        let watch_errors = Family::default();
        let steps = Family::default();
        let rounds = Family::default();
        let (foreign, terms) = (Counter::default(), Counter::default());
        registry.register(
            "watch_errors",
            "Watches that broke and began anew, by what the API server said",
            watch_errors.clone(),
        );
        registry.register("steps", "Steps that were written", steps.clone());
        registry.register("rounds", "Rounds for a cluster, by how they ended", rounds.clone());
        registry.register(
            "foreign_node_manager",
            "Rounds that wrote nothing because another node manager is alive",
            foreign.clone(),
        );
        registry.register("terms", "Times that this replica was elected", terms.clone());
        let audits = Audits::registered(&mut registry);
        Self { registry, watch_errors, steps, rounds, foreign, terms, audits }
    }

    /// A watch broke: logged, and counted.
    pub(super) fn watch_broke_of(&self, watch: &'static str, error: &watcher::Error) {
        let forbidden = error.to_string().contains("forbidden");
        self.watch_broke(watch, forbidden);
        tracing::warn!(
            watch,
            forbidden,
            "a watch broke and begins anew: {}",
            crate::telemetry::chain(error)
        );
    }

    /// `forbidden`: for want of a right.
    fn watch_broke(&self, watch: &'static str, forbidden: bool) {
        let reason = if forbidden { "forbidden" } else { "other" };
        self.watch_errors.get_or_create(&Broken { watch, reason }).inc();
    }

    /// A step was written.
    pub(super) fn wrote(&self, action: &Action) {
        let step = match action {
            Action::Create(_) => "create",
            Action::Mend(_) => "mend",
            Action::Remove { .. } => "remove",
            Action::CreatePod(_) => "create_pod",
            Action::DeletePod { .. } => "delete_pod",
            Action::Patch { .. } => "patch",
            Action::Conflict { .. } | Action::Tell { .. } => return,
        };
        self.steps.get_or_create(&Step { step }).inc();
    }

    /// A status was written.
    pub(super) fn wrote_status(&self) {
        self.steps.get_or_create(&Step { step: "status" }).inc();
    }

    /// A round ended.
    pub(super) fn round(&self, well: bool) {
        let result = if well { "ok" } else { "again" };
        self.rounds.get_or_create(&Round { result }).inc();
    }

    /// Another manager is alive where something was to be written.
    pub(super) fn met_another_manager(&self) {
        self.foreign.inc();
    }

    /// This replica was elected.
    pub(super) fn elected(&self) {
        self.terms.inc();
    }

    /// All of it in the text form of `OpenMetrics`.
    pub(super) fn page(&self) -> String {
        encoded(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_without_the_right_is_counted_apart() {
        let metrics = Metrics::new();
        metrics.watch_broke("pods", true);
        metrics.watch_broke("pods", true);
        metrics.watch_broke("pods", false);
        let page = metrics.page();
        let line = "raywarden_controller_watch_errors_total{watch=\"pods\",reason=\"forbidden\"} 2";
        assert!(page.contains(line), "{page}");
        assert!(page.contains("reason=\"other\"} 1") && page.ends_with("# EOF\n"), "{page}");
    }
}
