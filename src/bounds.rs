//! The invariant: `minReplicas <= replicas <= maxReplicas` for every worker group.
//!
//! Input: a [`Change`]. Output: edits that mend what may be mended, and findings. Three steps, in
//! this order:
//!
//! 1. [`carry()`]: an incoming count is replaced by the live one where the writer did not mean it;
//! 2. [`mend()`]: counts are raised to the minimum and clamped to the maximum;
//! 3. [`judge()`]: what is left is refused or warned of.
//!
//! [`scope`] judges what Ray's autoscaler itself wrote, [`scale`] Domino's `scale` subresource.
//!
//! Invariants: only groups that the request touched are changed or refused; groups are matched by
//! name, never by index; a cluster's own autoscaler is never refused a count; what was mended needs
//! no mending when it comes again.

mod carry;
mod counts;
mod names;
pub mod scale;
pub mod scope;
mod victims;

pub use carry::{REPLICAS_ANNOTATION, carry};
pub use counts::{Clamp, clamps, mend};

use crate::model::{Change, Finding};

/// What the rules about counts, names and victims say of the cluster as it stands.
pub fn judge(change: &Change<'_>) -> Vec<Finding> {
    let mut findings = names::judge(change);
    findings.extend(counts::judge(change));
    findings.extend(victims::judge(change));
    findings
}
