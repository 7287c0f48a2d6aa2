//! The audit as a page: one HTML file that needs nothing else.
//!
//! Input: a [`Fleet`], a plain value. Output: HTML in which style and script stand inline, with a
//! Content-Security-Policy that lets in those two by their hashes and nothing else: no network, no
//! frame, no handler in an attribute. Invariants: nothing of an object becomes markup or script; a
//! count that nobody knows is said to be unknown and is never a zero.
//!
//! | file | role |
//! | --- | --- |
//! | [`cluster`] | a judged object, its status and its report -> one entry |
//! | [`sums`] | totals, and findings by rule, policy and namespace |
//! | [`html`] | the page, and the form that asks for a token |

pub mod cluster;
mod html;
mod sums;

pub use html::{POLICY, TOKEN_POLICY, page, token};

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::model::Severity;

/// Everything that a page tells.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// Where the clusters were read: a server, or files.
    pub source: String,
    /// When.
    pub made: Timestamp,
    /// The clusters, and other objects that hold the spec of one.
    pub clusters: Vec<Arc<Cluster>>,
    /// What is not on the page, and why.
    pub notes: Vec<String>,
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// API group, which tells kinds of one name apart.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID; empty for what is not stored.
    #[serde(skip)]
    pub uid: String,
    /// It is the spec of clusters that others make, and has no workers of its own.
    pub template: bool,
    /// Ray's autoscaler is on.
    pub autoscaling: bool,
    /// It is suspended.
    pub suspended: bool,
    /// Its worker groups.
    pub groups: Vec<Group>,
    /// The workers of all groups.
    #[serde(flatten)]
    pub workers: Workers,
    /// What the rules say.
    pub findings: Vec<Finding>,
}

/// Workers, in Pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// What the spec asks for.
    pub desired: i64,
    /// What runs; `None`: unknown.
    pub live: Option<i64>,
    /// What has joined Ray; `None`: unknown.
    pub joined: Option<i64>,
}

/// A worker group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Lower bound, in replicas; `None` where there are no bounds.
    pub min: Option<i64>,
    /// Replicas, where they are written.
    pub replicas: Option<i64>,
    /// Upper bound; `None` where there is none.
    pub max: Option<i64>,
    /// Pods of one replica.
    pub hosts: i64,
    /// Its workers.
    #[serde(flatten)]
    pub workers: Workers,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its weight.
    #[serde(serialize_with = "word")]
    pub weight: Severity,
    /// The rule; empty for what the next write would change.
    pub rule: &'static str,
    /// The administrator's policy that asks for it; empty where the rule holds without one.
    pub policy: String,
    /// Where.
    pub field: String,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
    /// What to do.
    pub fix: String,
    /// When a report first held it; empty where none does.
    pub since: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn word<S: serde::Serializer>(weight: &Severity, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(weight.as_str())
}

impl Cluster {
    /// The heaviest of its findings.
    pub fn weight(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.weight).max()
    }
}

#[cfg(test)]
mod tests;
