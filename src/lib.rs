//! raywarden: admission webhook and companion controller for Ray clusters on Kubernetes.
//!
//! The core takes values and returns values. It knows no clock, network, runtime or logger:
//!
//! | module | role |
//! | --- | --- |
//! | [`model`] | words of the domain: pointers, quantities, cluster view, findings, edits |
//! | [`dialect`] | raw JSON of one API group -> dialect-free [`model::Cluster`] |
//! | [`schema`] | what the API server's structural schema would say, offline |
//! | [`bounds`] | the replica invariant |
//! | [`inject`] | the autoscaler sidecar, put in, kept, taken out |
//! | [`policy`] | the rule catalogue and the rules beside the invariant |
//! | [`admission`] | one review: gate, actor, phases, patch, answer |
//! | [`plan`] | what a controller should do next |
//! | [`scaling`] | the scaling API: requests, callers, guarded changes, replies |
//! | [`page`] | the audit as one HTML file |
//! | [`registration`] | the webhook configurations that send reviews here |
//!
//! The shell feeds it: [`clock`] and [`telemetry`] are its senses, [`tls`] and [`http`] serve,
//! [`ray`] asks a head's dashboard, [`control`] looks after clusters, [`cli`] reads files and clusters.
//! Of [`tls`], `issue` is pure too.
//! A module imports only from modules above it in this list; `tests/architecture.rs` holds that.

pub mod admission;
pub mod bounds;
pub mod cli;
pub mod clock;
pub mod control;
pub mod dialect;
pub mod http;
pub mod inject;
pub mod model;
pub mod page;
pub mod plan;
pub mod policy;
pub mod ray;
pub mod registration;
pub mod scaling;
pub mod schema;
pub mod telemetry;
pub mod tls;
