//! What a controller should do next: plain values in, actions out.
//!
//! Input: [`Observed`], what is stored. Output: [`Action`]s, to be carried out one at a time. A plan
//! that was carried out by half and is made again gives the rest, not the same again; a plan of what
//! is as it should be is empty.

pub mod joined;
pub mod pod;
pub mod rbac;
pub mod why;

use serde_json::Value;

/// A cluster and the objects of ours that belong to it, as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The RayCluster.
    pub cluster: &'a Value,
    /// Objects of the names that a plan may want, whoever made them.
    pub existing: &'a [Value],
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// POST; an object of that name that is there already is left alone and looked at again.
    Create(Value),
    /// Server-side apply of an object that is ours and has drifted.
    Mend(Value),
    /// DELETE of an object that is ours and cannot be mended, by the UID that was seen.
    Remove {
        /// `apiVersion`.
        api_version: String,
        /// Kind.
        kind: String,
        /// Name.
        name: String,
        /// The UID that was seen; another object of that name stays.
        uid: String,
    },
    /// An object of our name is somebody else's: nothing is done, and somebody is told.
    Conflict {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
}
