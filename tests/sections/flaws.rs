//! Sections that ask for nothing, or for what nothing can keep.

use raywarden::policy::Policy;
use serde_json::json;

use super::world::yaml;

#[test]
fn a_section_that_cannot_be_meant_is_refused_at_its_place() {
    let rows = [
        ("podSecurity: {}", "spec.podSecurity"),
        ("podSecurity: {level: privileged}", "spec.podSecurity.level"),
        ("sidecar: {}", "spec.sidecar"),
        ("sidecar: {cpu: many}", "spec.sidecar.cpu"),
        ("auth: {}", "spec.auth"),
        ("exposure: {}", "spec.exposure.forbid"),
        ("exposure: {forbid: [Ingress, Route]}", "spec.exposure.forbid[1]"),
        ("exposure: {forbid: [Ingress, NodePort, Ingress]}", "spec.exposure.forbid[2]"),
        ("queue: {}", "spec.queue"),
        ("queue: {allowed: [a, a]}", "spec.queue.allowed[1]"),
        ("autoscaling: {}", "spec.autoscaling"),
        ("autoscaling: {versions: [v1, v1]}", "spec.autoscaling.versions[1]"),
        ("autoscaling: {upscalingModes: [Default, Default]}", "spec.autoscaling.upscalingModes[1]"),
        ("autoscaling: {idleTimeoutSeconds: {}}", "spec.autoscaling.idleTimeoutSeconds"),
        (
            "autoscaling: {idleTimeoutSeconds: {min: 9, max: 8}}",
            "spec.autoscaling.idleTimeoutSeconds.min",
        ),
        ("autoscaling: {idleTimeoutSeconds: {max: -1}}", "spec.autoscaling.idleTimeoutSeconds.max"),
        ("autoscaling: {defaults: {}}", "spec.autoscaling.defaults"),
        (
            "autoscaling: {mode: Forbidden, defaults: {enable: OptOut}}",
            "spec.autoscaling.defaults.enable",
        ),
        (
            "autoscaling: {versions: [v1], defaults: {version: v2}}",
            "spec.autoscaling.defaults.version",
        ),
        (
            "autoscaling: {upscalingModes: [Default], defaults: {upscalingMode: Aggressive}}",
            "spec.autoscaling.defaults.upscalingMode",
        ),
        (
            "autoscaling: {idleTimeoutSeconds: {max: 60}, defaults: {idleTimeoutSeconds: 61}}",
            "spec.autoscaling.defaults.idleTimeoutSeconds",
        ),
        (
            "autoscaling: {defaults: {idleTimeoutSeconds: -1}}",
            "spec.autoscaling.defaults.idleTimeoutSeconds",
        ),
    ];
    for (spec, place) in rows {
        let policy = json!({"metadata": {"name": "example"}, "spec": yaml(spec)});
        let flaws = Policy::compile(&policy).expect_err(spec);
        let places: Vec<String> = flaws.iter().map(|flaw| flaw.at.to_string()).collect();
        assert_eq!(places, [place], "{spec}: {flaws:?}");
        assert!(flaws[0].message.len() > 10, "{spec}: {}", flaws[0].message);
    }
}

#[test]
fn every_flaw_of_a_policy_is_told_at_once() {
    let spec = yaml("{sidecar: {}, auth: {}, queue: {}}");
    let policy = json!({"metadata": {"name": "example"}, "spec": spec});
    assert_eq!(Policy::compile(&policy).expect_err("three flaws").len(), 3);
}
