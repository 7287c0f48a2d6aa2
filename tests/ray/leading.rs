//! Two replicas of the controller: one leads, the other takes over.

use std::time::Duration;

use super::world::WORLD;
use crate::support::account::HOME;
use crate::support::controller::Controller;
use crate::support::wait::{wait_for, wait_until};

/// A Lease lasts six seconds, and the other replica asks now and then.
const TAKEN_OVER: Duration = Duration::from_secs(20);

/// A replica with a Lease of its own that looks after no cluster of the other tests.
fn replica() -> Controller {
    let flags = ["--node-manager", "kuberay", "--lease-name", "spare"];
    Controller::begin(&WORLD.account, HOME, &flags)
}

#[test]
fn a_replica_takes_over_from_one_that_was_killed_and_gives_the_lease_back_when_told_to_end() {
    let mut first = replica();
    first.wait_leads();
    let mut second = replica();
    second.wait_ready();
    assert!(second.readyz().1.contains("another replica leads"));
    first.kill();
    wait_until(TAKEN_OVER, "the second one leads", || second.leads().then_some(()));
    second.stop();
    // Given back, not run out: the third need not wait for it.
    let lease = || WORLD.plane.get_json(&["lease", "spare", "-n", HOME])["spec"].clone();
    let holder = lease()["holderIdentity"].clone();
    assert!(holder.is_null() || holder == "", "{holder}");
    let third = replica();
    let soon = wait_for(Duration::from_secs(4), || third.leads().then_some(()));
    assert!(soon.is_some(), "{:?}\n{:#?}", lease(), third.log());
}
