//! Two replicas of the controller: one leads, the other takes over.

use std::time::Duration;

use super::world::{NAMESPACE, WORLD};
use crate::support::controller::{Controller, HOME};
use crate::support::wait::{wait_for, wait_until};

/// A Lease lasts six seconds, and the other replica asks now and then.
const TAKEN_OVER: Duration = Duration::from_secs(20);

/// They have a Lease of their own and look after no cluster of the other tests.
const FLAGS: [&str; 2] = ["--lease-name=spare", "--node-manager-for=scaled=kuberay"];

fn leads(controller: &Controller) -> bool {
    controller.ready().is_some_and(|answer| answer.body.contains("leader: leads"))
}

#[test]
fn a_replica_takes_over_from_one_that_was_killed_and_gives_the_lease_back_when_told_to_end() {
    assert_eq!(FLAGS[1], format!("--node-manager-for={NAMESPACE}=kuberay"));
    let mut first = Controller::start(&WORLD.account, &FLAGS);
    first.wait_leads();
    let second = Controller::start(&WORLD.account, &FLAGS);
    wait_until(TAKEN_OVER, "the second one is ready, and waits", || {
        second.ready().filter(|answer| answer.body.contains("another replica leads"))
    });
    first.kill();
    wait_until(TAKEN_OVER, "the second one leads", || leads(&second).then_some(()));
    let status = second.stop();
    assert_eq!(status.code(), Some(0));
    // Given back, not run out: the third need not wait for it.
    let lease = || WORLD.plane.get_json(&["lease", "spare", "-n", HOME])["spec"].clone();
    let holder = lease()["holderIdentity"].clone();
    assert!(holder.is_null() || holder == "", "{holder}");
    let third = Controller::start(&WORLD.account, &FLAGS);
    let soon = wait_for(Duration::from_secs(4), || leads(&third).then_some(()));
    assert!(soon.is_some(), "{:?}\n{:#?}", lease(), third.log());
}
