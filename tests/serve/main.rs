//! The real binary on a loopback port, spoken to over real TLS.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on ends here"
)]

mod certificates;
mod client;
mod connections;
mod drain;
mod files;
mod manifests;
mod reviews;
mod server;
mod start;
