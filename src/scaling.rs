//! The scaling API: what a request asks for, who may, what is written, what is answered.
//!
//! | file | role |
//! | --- | --- |
//! | [`fault`] | what goes wrong, with its code, status and words |
//! | [`request`] | bytes and path parts -> what is asked for, strictly |
//! | [`credential`] | headers -> the one credential that is forwarded |
//! | [`route`] | method, path, query -> what is asked for |
//! | [`preflight`] | what admission says to a change before it is written |
//! | [`principal`] | the identity service's answer -> who asks; whether they may |
//! | [`known`] | callers that were looked up a moment ago |
//! | [`change`] | object + wanted count -> the smallest guarded patch |
//! | [`kept`] | the bounds that a scale took away, and how they come back |
//! | [`tier`] | hardware tiers: chosen by name, written as resources |
//! | [`head`] | the restart of a head, known again by the Pod that it removed |
//! | [`rollout`] | how far a `StatefulSet` has come |
//! | [`reply`] | what of an object may be shown |
//! | [`pace`] | how many requests a caller may send |
//! | [`workers`] | wanted, running, ready and joined workers |
//! | [`native`] | the native dialect |
//!
//! Values in, values out. Invariants: no patch is without a test of the UID and of every value that
//! it was decided from; nobody without an identity owns anything; no fault quotes a credential.

pub mod change;
pub mod credential;
pub mod fault;
pub mod head;
pub mod kept;
pub mod known;
pub mod native;
pub mod pace;
pub mod preflight;
pub mod principal;
pub mod reply;
pub mod request;
pub mod rollout;
pub mod route;
pub mod tier;
pub mod workers;

pub use change::{Change, Manner, Terms};
pub use credential::Credential;
pub use fault::{Code, Fault};
pub use principal::Principal;
pub use route::Route;
