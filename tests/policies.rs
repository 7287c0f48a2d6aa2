//! Administrators' policies on a real API server.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper fails the test it serves"
)]

mod support;

use std::time::Duration;

use support::control_plane::{ControlPlane, Options};
use support::wait::wait_until;

const SOON: Duration = Duration::from_mins(1);

const CRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd/rayclusterpolicy.yaml");

#[test]
fn the_definition_explains_itself_and_refuses_what_no_policy_can_say() {
    let plane = ControlPlane::start(Options { crd: Some(CRD.to_owned()), ..Options::default() });
    let explained = wait_until(SOON, "the server publishes the schema", || {
        let explained = plane.kubectl(&["explain", "rayclusterpolicy.spec.ceilings"]);
        explained.status.success().then_some(explained.stdout)
    });
    println!("{explained}");
    for part in ["perCluster", "The most that one cluster may reach", "deny: Refused"] {
        assert!(explained.contains(part), "{part} is not in {explained}");
    }
    let policy = |spec: &str| {
        format!(
            "apiVersion: raywarden.io/v1alpha1\nkind: RayClusterPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        )
    };
    let apply = |spec: &str| plane.kubectl_with("admin", &["apply", "-f", "-"], &policy(spec));
    for (bad, at) in [
        ("{enforcement: block}", "spec.enforcement"),
        ("{ceilings: {perCluster: {pods: many}}}", "spec.ceilings.perCluster.pods"),
        ("{labels: {required: [{values: [a]}]}}", "spec.labels.required[0].key"),
        ("{rules: [{name: r, expression: 'true'}]}", "spec.rules[0].message"),
        ("{ceilngs: {}}", "spec.ceilngs"),
    ] {
        let refusal = apply(bad).refused();
        assert!(refusal.contains(at), "{bad}: {refusal}");
    }
    apply("{ceilings: {perCluster: {pods: 4, cpu: 8, memory: 16Gi, resources: {x: 500m}}}}").ok();
    let stored = plane.get_json(&["rayclusterpolicy", "p"]);
    assert_eq!(stored["spec"]["enforcement"], "audit", "{stored}");
    let listed = plane.kubectl(&["get", "rcp"]).ok();
    assert!(listed.contains("ENFORCEMENT") && listed.contains("BREAKING"), "{listed}");
}
