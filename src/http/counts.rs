//! What the scaling API counts, for Prometheus.
//!
//! Labels are words of ours and statuses, never names of users or of their objects, so that their number
//! is bounded.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::ops::encoded;

/// Which routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Dialect {
    /// `/api/v1`.
    Native,
    /// What Domino's users were given.
    Domino,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    dialect: Dialect,
    operation: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Took {
    dialect: Dialect,
    operation: &'static str,
}

/// The counters of a process.
#[derive(Debug)]
pub struct Counts {
    registry: Registry,
    answered: Family<Answered, Counter>,
    took: Family<Took, Histogram, fn() -> Histogram>,
}

impl Default for Counts {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("raywarden_api");
        let answered = Family::default();
        // From 1 ms to 8 s; a wait for workers is longer, and so in the last one.
        let took = Family::new_with_constructor(
            (|| Histogram::new(exponential_buckets(0.001, 2.0, 14))) as fn() -> Histogram,
        );
        registry.register(
            "requests",
            "Requests of the scaling API, by how they were answered",
            answered.clone(),
        );
        registry.register("request_seconds", "How long answers took", took.clone());
        Self { registry, answered, took }
    }
}

impl Counts {
    /// A request was answered.
    pub fn answered(&self, dialect: Dialect, operation: &'static str, status: u16, took: Duration) {
        self.answered.get_or_create(&Answered { dialect, operation, status }).inc();
        self.took.get_or_create(&Took { dialect, operation }).observe(took.as_secs_f64());
    }

    /// As Prometheus reads it.
    pub fn page(&self) -> String {
        encoded(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_words_of_ours() {
        let counts = Counts::default();
        counts.answered(Dialect::Native, "getRayCluster", 200, Duration::from_millis(3));
        let page = counts.page();
        let line = r#"raywarden_api_requests_total{dialect="Native",operation="getRayCluster",status="200"} 1"#;
        assert!(page.contains(line), "{page}");
        assert!(page.contains("raywarden_api_request_seconds_count"), "{page}");
    }
}
