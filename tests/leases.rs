//! Scale leases against a real API server, with the CRD and the admission policy of `deploy/crd`, the
//! webhook registered, and one controller under exactly the rights that it asks for.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

#[path = "controller/api.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod api;
#[path = "controller/proxy.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod proxy;
#[path = "controller/space.rs"]
#[allow(dead_code, reason = "each test binary uses the part it needs")]
mod space;

#[path = "leases/asking.rs"]
mod asking;
#[path = "leases/holding.rs"]
mod holding;
#[path = "leases/refusing.rs"]
mod refusing;
#[path = "leases/world.rs"]
mod world;
