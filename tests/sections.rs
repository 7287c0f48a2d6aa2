//! The typed sections of policies. One place is broken at a time, in head and groups, in containers and
//! init containers, in a RayCluster and in every kind that embeds one, and exactly that place is found;
//! beside that, what sections do over time, to old faults and to new clusters.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

#[path = "sections/breaks.rs"]
mod breaks;
#[path = "sections/capacity.rs"]
mod capacity;
#[path = "sections/defaults.rs"]
mod defaults;
#[path = "sections/flaws.rs"]
mod flaws;
#[path = "sections/hardening.rs"]
mod hardening;
#[path = "sections/pods.rs"]
mod pods;
#[path = "sections/table.rs"]
mod table;
#[path = "sections/world.rs"]
mod world;
