//! All Ray kinds as this replica knows them, judged, for the audit page.
//!
//! Input: the watches of the term, what the controller found when it looked at each cluster last, and the
//! rows that the last audit of everything made of the kinds that are not watched. Output: entries of
//! the page. Nothing is asked of anybody. A replica that does not lead watches
//! nothing, and says who does.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::reflector::Store;
use tokio::sync::watch::Receiver;

use super::audit::Others;
use super::index::{Index, Key};
use super::{Controller, Watches, resources};
use crate::admission::{PolicySet, Settings};
use crate::clock;
use crate::dialect::Dialect;
use crate::http::ops::Finding;
use crate::http::page::{AuditPage, Seen, Source, Transport};
use crate::model::NodeManager;
use crate::page::Cluster;
use crate::plan::audit::{answer, question};

/// What is watched in one term.
#[derive(Clone)]
pub(super) struct Term {
    pub(super) index: Arc<Index>,
    pub(super) store: Store<DynamicObject>,
}

impl Controller {
    /// The audit page of what this replica watches, for tokens that name `audience`.
    pub fn audit_page(&self, audience: &str, transport: Transport) -> AuditPage {
        let audited = Audited {
            watches: Arc::clone(&self.watches),
            settings: self.options.terms.settings.clone(),
            manager: self.auto.manager(),
            policies: self.policies_in_force(),
            others: self.others.subscribe(),
            leader: Box::new(self.leader.check()),
        };
        let source: Source = Arc::new(move || audited.seen());
        AuditPage::new(self.client.clone(), audience, transport, source)
    }
}

/// What the page is made from.
struct Audited {
    watches: Watches,
    settings: Settings,
    manager: Receiver<Option<NodeManager>>,
    policies: Receiver<PolicySet>,
    /// What is not watched. Rows are kept for as long as somebody here can see them.
    others: Receiver<Arc<Others>>,
    leader: Box<dyn Fn() -> Finding + Send + Sync>,
}

impl Audited {
    fn seen(&self) -> Result<Seen, String> {
        let term = super::lock(&self.watches).clone();
        let Some(Term { index, store }) = term else {
            let why = (self.leader)().unwrap_or_else(|why| why);
            return Err(format!(
                "this replica watches no clusters: {why}; forward to the one that leads"
            ));
        };
        if !index.is_complete() {
            return Err("the first lists of the watches are not complete yet; try again".to_owned());
        }
        let manager = self.settings.node_manager.or_else(|| *self.manager.borrow());
        let settings = Settings { node_manager: manager, ..self.settings.clone() };
        let policies = self.policies.borrow().clone();
        let mut leaving = 0;
        let mut clusters = Vec::new();
        for object in store.state() {
            let request = question("", resources::json(&object), false);
            let Some(answer) = answer(&settings, &policies, &request) else {
                leaving += 1;
                continue;
            };
            let mut cluster = Cluster::judged(&request, &answer);
            if let Some(report) = index.report(&Key::of(&object), &cluster.uid) {
                cluster.observed(&report);
            }
            cluster.date(&index.dates(&Key::of(&object), &cluster.uid));
            clusters.push(Arc::new(cluster));
        }
        let others = Arc::clone(&self.others.borrow());
        clusters.extend(others.clusters.iter().cloned());
        let mut notes = others.notes.clone();
        notes.extend(age_of(&others));
        if leaving > 0 {
            notes.push(format!("{leaving} being deleted"));
        }
        let kinds = std::iter::once(Dialect::RayCluster).chain(others.kinds.iter().copied());
        Ok(Seen { kinds: kinds.collect(), clusters, made: clock::now(), notes })
    }
}

/// What of the kinds that are not watched is not known yet, or no longer.
fn age_of(others: &Others) -> Option<String> {
    let Some(made) = others.made else {
        let text =
            "RayJobs, RayServices, RayCronJobs and Domino's clusters, which were not audited yet";
        return Some(text.to_owned());
    };
    let kinds: Vec<String> = others.kinds.iter().map(|kind| kind.called()).collect();
    let at = made.strftime("%Y-%m-%d %H:%M:%S UTC");
    let kinds = (!kinds.is_empty()).then(|| kinds.join(", "))?;
    Some(format!("what became of {kinds} since {at}, when they were audited last"))
}
