//! The typed sections of policies that harden: one place is broken at a time, in head and groups, in
//! containers and init containers, in a RayCluster and in every kind that embeds one, and exactly
//! that place is found.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

#[path = "hardening/defaults.rs"]
mod defaults;
#[path = "hardening/flaws.rs"]
mod flaws;
#[path = "hardening/pods.rs"]
mod pods;
#[path = "hardening/sections.rs"]
mod sections;
#[path = "hardening/world.rs"]
mod world;
