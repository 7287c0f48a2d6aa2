//! The webhook goes and comes back: nothing that runs is stopped by it.

use super::{containers, manifest, versions};
use crate::support::control_plane::{ControlPlane, Options};
use crate::support::wait::wait_until;
use crate::support::webhook::Webhook;

#[test]
fn while_the_webhook_is_down_writes_go_through_and_afterwards_it_is_asked_again() {
    let plane =
        ControlPlane::start(Options { crd: Some("kuberay".to_owned()), ..Options::default() });
    let mut webhook = Webhook::start(&plane, &["--node-manager", "raywarden"]);
    webhook.register(&plane);
    webhook.stop();
    let file = manifest("meanwhile", "default", true, &["minReplicas: 2", "maxReplicas: 5"]);
    plane.apply_yaml(&file);
    let stored = plane.get_json(&["raycluster", "meanwhile"]);
    assert_eq!(containers(&stored), ["ray-head"]);

    webhook.serve();
    let later = manifest("later", "default", true, &["minReplicas: 2", "maxReplicas: 5"]);
    // The API server keeps a connection that failed out of use for a moment.
    wait_until(std::time::Duration::from_secs(30), "the webhook is asked again", || {
        let dry = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let told = plane.kubectl_with("admin", &dry, &later).ok();
        told.contains("RAYWARDEN_MANAGED").then_some(())
    });
    // What was stored in between is not touched by a write that asks for something else.
    plane.kubectl(&["label", "raycluster", "meanwhile", "team=blue"]).ok();
    let labelled = plane.get_json(&["raycluster", "meanwhile"]);
    assert_eq!(labelled["spec"], stored["spec"]);
    plane.apply_yaml(&file);
    assert_eq!(versions(&plane.get_json(&["raycluster", "meanwhile"])).0, "1");
    assert!(webhook.log().contains("meanwhile"), "a decision line for every review");
}
