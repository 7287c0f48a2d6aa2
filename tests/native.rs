//! `raywarden api` for callers with a token of Kubernetes, against a real API server with KubeRay's kind
//! and Domino's. Heads that say who has joined are small servers of the test's own; `tests/ray.rs` asks
//! the real one.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "native/pods.rs"]
mod pods;
#[path = "native/world.rs"]
mod world;

#[path = "native/bad.rs"]
mod bad;
#[path = "native/callers.rs"]
mod callers;
#[path = "native/commands.rs"]
mod commands;
#[path = "native/document.rs"]
mod document;
#[path = "native/reading.rs"]
mod reading;
#[path = "native/scaling.rs"]
mod scaling;
#[path = "native/waiting.rs"]
mod waiting;
