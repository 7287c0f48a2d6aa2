//! What tests with real processes share: a control plane, children that cannot outlive the test,
//! and waiting that ends.
#![allow(dead_code, reason = "each test binary uses the part it needs")]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a helper fails the test it serves, with everything it knows"
)]

pub(crate) mod account;
pub(crate) mod control_plane;
pub(crate) mod controller;
pub(crate) mod golden;
pub(crate) mod head;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod ray;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod samples;
pub(crate) mod wait;
pub(crate) mod webhook;
