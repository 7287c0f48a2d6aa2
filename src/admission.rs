//! One admission request in, one answer out.
//!
//! [`review`] is total, synchronous and pure: no I/O, no clock, no logging, no panic. The webhook
//! handlers, `raywarden review`, `audit` and everything else that wants to know what raywarden says
//! about an object call it; none of them has a second copy of a rule.
//!
//! Inputs: [`Settings`] and [`PolicySet`], immutable snapshots that the shell swaps as a whole; the
//! [`Phase`]; the [`Review`]. Output: an [`Answer`], independent of wire and terminal.
//!
//! Invariants: a denied answer has no patch; applying the patch and reviewing again gives an empty
//! patch; same input, same bytes out.

pub mod actor;
pub mod gate;
pub mod wire;
pub mod wording;

mod judge;
mod policies;
mod requester;

use std::collections::BTreeMap;

use crate::bounds::Clamp;
use crate::model::{Actor, Finding, Op, Pointer, Severity};

pub use crate::model::settings::{self, Mode, Settings};
pub use crate::policy::PolicySet;
pub use gate::Why;
pub use judge::review;
pub use wire::{GroupKind, Review};

/// Which webhook asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Patches, warns on its own changes, judges what the requester itself wrote.
    Mutate,
    /// Judges the final object, never patches.
    Validate,
    /// Both, as a file on its way to the API server would meet them.
    Offline,
}

impl Phase {
    /// The word used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
            Self::Offline => "offline",
        }
    }
}

/// What raywarden says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the request goes through.
    pub allowed: bool,
    /// Everything the rules have to say, in document order. In audit mode the weights are those of
    /// enforce mode, and `allowed` is true all the same.
    pub findings: Vec<Finding>,
    /// The smallest RFC 6902 patch. Empty when denied, in audit mode and in [`Phase::Validate`].
    pub patch: Vec<Op>,
    /// What mutation would have changed where it may not: audit mode, and [`Phase::Validate`].
    pub unpatched: Vec<Op>,
    /// Who wrote.
    pub actor: Actor,
    /// Audit mode: nothing was denied and nothing patched.
    pub audited: bool,
    /// Why no rule was asked, when none was.
    pub passed: Option<Why>,
    /// Group, kind and name, for the status of a denial.
    pub subject: Subject,
    /// Parent of a generated child, named in its denials.
    pub parent: Option<Parent>,
    /// Counts that a machine wrote and that the patch lowers: machines are not told.
    pub clamps: Vec<Clamp>,
    /// Short facts for the API server's audit log; keys without prefix.
    pub audit_annotations: BTreeMap<String, String>,
}

/// The object that an answer is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// API group, empty for the core group.
    pub group: String,
    /// Kind as the requester wrote it.
    pub kind: String,
    /// Name; empty under `generateName`.
    pub name: String,
}

/// The RayJob or RayService that a child was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// `RayJob` or `RayService`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where the cluster's spec stands in it.
    pub spec: Pointer,
}

impl Answer {
    /// The findings that refuse the request in enforce mode.
    pub fn denials(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Deny)
    }

    /// The findings that a report shows: all but notes.
    pub fn spoken(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity != Severity::Note)
    }

    /// The findings that a person is told of.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warn)
    }
}

#[cfg(test)]
mod tests;
