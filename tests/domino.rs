//! `raywarden api` against a real API server with Domino's kind, an identity service behind real TLS
//! and a stub of Domino's operator.
//!
//! Where the service that Domino's users have today is known to have answered otherwise, its recorded
//! answer is beside the test, which must not accept it.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "controller/proxy.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod proxy;

#[path = "domino/api.rs"]
mod api;
#[path = "domino/identity.rs"]
mod identity;
#[path = "domino/old.rs"]
mod old;
#[path = "domino/operator.rs"]
mod operator;
#[path = "domino/world.rs"]
mod world;

#[path = "domino/bodies.rs"]
mod bodies;
#[path = "domino/callers.rs"]
mod callers;
#[path = "domino/clients.rs"]
mod clients;
#[path = "domino/contract.rs"]
mod contract;
#[path = "domino/defects.rs"]
mod defects;
#[path = "domino/deployed.rs"]
mod deployed;
#[path = "domino/malformed.rs"]
mod malformed;
#[path = "domino/outages.rs"]
mod outages;
#[path = "domino/reading.rs"]
mod reading;
#[path = "domino/restarting.rs"]
mod restarting;
#[path = "domino/scaling.rs"]
mod scaling;
#[path = "domino/snippets.rs"]
mod snippets;
#[path = "domino/tiers.rs"]
mod tiers;
#[path = "domino/writers.rs"]
mod writers;
