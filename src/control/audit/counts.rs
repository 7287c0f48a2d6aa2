//! What audits count, for Prometheus.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Tally;
use super::books::Kind;
use crate::clock;
use crate::model::RuleId;

/// The label of what no rule says: the next write changes a count.
const CHANGED: &str = "by-a-write";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    rule: &'static str,
    severity: &'static str,
}

/// The counters and gauges of audits.
#[derive(Debug, Default)]
pub(in crate::control) struct Audits {
    findings: Family<Labels, Gauge>,
    shown: Mutex<HashSet<Labels>>,
    done: Counter,
    reports: Counter,
    failures: Counter,
    objects: Gauge,
    seconds: Gauge<f64, AtomicU64>,
    last: Gauge,
}

impl Audits {
    /// With their names, on the page.
    pub(in crate::control) fn registered(registry: &mut Registry) -> Self {
        let audits = Self::default();
        let Self { findings, shown: _, done, reports, failures, objects, seconds, last } = &audits;
        registry.register(
            "findings",
            "What the last audits found in stored objects, by rule and weight",
            findings.clone(),
        );
        registry.register("audits", "Audits of everything that is stored", done.clone());
        registry.register("audit_reports", "Reports that audits wrote", reports.clone());
        registry.register(
            "audit_failures",
            "Kinds that audits could not list and reports that they could not write",
            failures.clone(),
        );
        registry.register("audit_objects", "Objects that the last audit judged", objects.clone());
        registry.register(
            "audit_duration_seconds",
            "How long the last audit took, reports included",
            seconds.clone(),
        );
        registry.register(
            "audit_last_timestamp_seconds",
            "When the last audit ended",
            last.clone(),
        );
        audits
    }

    /// Everything was audited.
    pub(super) fn audited(&self, tally: &Tally, took: Duration) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.done.inc();
        self.reports.inc_by(count(tally.written));
        self.failures.inc_by(count(tally.failed));
        self.objects.set(i64::try_from(tally.objects).unwrap_or(i64::MAX));
        self.seconds.set(took.as_secs_f64());
        self.last.set(clock::now().as_second());
    }

    /// A report was written between two audits of everything.
    pub(super) fn reported(&self, well: bool) {
        if well {
            self.reports.inc()
        } else {
            self.failures.inc()
        };
    }

    /// How many findings there are now; none of any kind that is not named.
    pub(super) fn found(&self, findings: &HashMap<Kind, usize>) {
        let labels = |(rule, severity): &Kind| Labels {
            rule: rule.map_or(CHANGED, RuleId::as_str),
            severity: severity.as_str(),
        };
        let now: HashMap<Labels, usize> =
            findings.iter().map(|(kind, count)| (labels(kind), *count)).collect();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.iter().filter(|labels| !now.contains_key(labels)) {
            self.findings.get_or_create(gone).set(0);
        }
        for (labels, count) in now {
            let gauge = self.findings.get_or_create(&labels);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            drop(gauge);
            shown.insert(labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ops::encoded;
    use crate::model::Severity;

    #[test]
    fn a_kind_that_is_found_no_more_is_shown_as_none() {
        let mut registry = Registry::with_prefix("x");
        let audits = Audits::registered(&mut registry);
        let kind = (Some(RuleId::MIN_MAX), Severity::Deny);
        audits.found(&HashMap::from([(kind, 3)]));
        let line =
            |count| format!("x_findings{{rule=\"bounds/min-max\",severity=\"deny\"}} {count}");
        assert!(encoded(&registry).contains(&line(3)), "{}", encoded(&registry));
        audits.found(&HashMap::from([((None, Severity::Warn), 1)]));
        let page = encoded(&registry);
        assert!(page.contains(&line(0)), "{page}");
        assert!(page.contains("{rule=\"by-a-write\",severity=\"warn\"} 1"), "{page}");
    }
}
