//! `raywarden controller` against a real API server: Pods, rights, refusals, other managers, broken
//! connections, and processes that stop, stall and die.
//!
//! One control plane for all tests, one namespace and one controller for each. Nothing runs Pods: a test
//! writes their status.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "controller/api.rs"]
mod api;
#[path = "controller/dying.rs"]
mod dying;
#[path = "controller/proxy.rs"]
mod proxy;
#[path = "controller/space.rs"]
mod space;

#[path = "controller/cleanup.rs"]
mod cleanup;
#[path = "controller/election.rs"]
mod election;
#[path = "controller/faults.rs"]
mod faults;
#[path = "controller/identity.rs"]
mod identity;
#[path = "controller/joined.rs"]
mod joined;
#[path = "controller/lifecycle.rs"]
mod lifecycle;
#[path = "controller/managers.rs"]
mod managers;
#[path = "controller/quota.rs"]
mod quota;
#[path = "controller/replicas.rs"]
mod replicas;
#[path = "controller/scaling.rs"]
mod scaling;
