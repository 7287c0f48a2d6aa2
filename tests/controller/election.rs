//! Who acts: of any number of controllers at most one at a time, whatever happens to it.

use std::time::{Duration, Instant};

use super::api::WORLD;
use super::dying::proxy;
use super::faults::made_and_deleted;
use super::proxy::Fate;
use super::space::{SOON, Space, cluster};
use super::support::controller::{Controller, new_lease};
use super::support::wait::wait_until;

#[test]
fn of_two_controllers_one_acts_and_the_other_takes_over() {
    let space = Space::new("two");
    let lease = new_lease();
    let flags = ["--lease-name", &lease];
    let mut first = space.controller(&flags);
    wait_until(SOON, "the first leads", || first.leads().then_some(()));
    let second = space.controller(&flags);
    space.create("rayclusters", &cluster("lab", 3));
    let three = space.settle("lab", 3);
    assert!(first.leads() && !second.leads());
    assert_eq!(made_and_deleted(&space), (4, 0));

    first.pause();
    space.scale("lab", 5);
    wait_until(SOON, "the second leads", || second.leads().then_some(()));
    let five = space.settle("lab", 5);
    space.scale("lab", 6);
    first.resume();
    let six = space.settle("lab", 6);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(space.settle("lab", 6), six);

    assert!(three.iter().all(|it| five.contains(it)) && five.iter().all(|it| six.contains(it)));
    assert_eq!(made_and_deleted(&space), (7, 0), "{:?}", space.writes());
    assert!(second.leads() && !first.leads());
    second.stop();
    wait_until(SOON, "the first leads again", || first.leads().then_some(()));
    space.scale("lab", 2);
    space.settle("lab", 2);
    assert_eq!(made_and_deleted(&space), (7, 4));
}

#[test]
fn a_leader_that_was_stopped_for_less_than_its_lease_goes_on() {
    let space = Space::new("nap");
    let mut only = space.controller(&[]);
    space.create("rayclusters", &cluster("lab", 1));
    space.settle("lab", 1);
    for workers in [2, 3] {
        only.pause();
        space.scale("lab", workers);
        std::thread::sleep(Duration::from_secs(5));
        only.resume();
        space.settle("lab", usize::try_from(workers).expect("few"));
    }
    assert_eq!(made_and_deleted(&space), (4, 0), "{:?}", space.writes());
}

#[test]
fn a_leader_that_is_cut_off_from_its_lease_stops_before_another_begins() {
    let space = Space::new("cut-off");
    let proxy = proxy();
    let lease = new_lease();
    let flags = ["--lease-name", &lease];
    let first = Controller::start(proxy.kubeconfig(), &space.name, &flags);
    wait_until(SOON, "the first leads", || first.leads().then_some(()));
    let second = space.controller(&flags);
    space.create("rayclusters", &cluster("lab", 2));
    let two = space.settle("lab", 2);

    proxy.decide(|call| if call.path.contains("/leases") { Fate::Answer(500) } else { Fate::Pass });
    let mut stopped = false;
    wait_until(SOON, "the second leads", || {
        let after = second.leads();
        let before = first.leads();
        assert!(!(before && after), "both lead");
        stopped |= !before;
        after.then_some(())
    });
    assert!(stopped, "{}", first.report());
    assert!(first.readyz().1.contains("failed to reach the Lease"), "{}", first.readyz().1);

    space.scale("lab", 4);
    let four = space.settle("lab", 4);
    proxy.decide(|_| Fate::Pass);
    wait_until(SOON, "the first stands by", || {
        first.readyz().1.contains("[+] leader: another replica leads").then_some(())
    });
    assert!(two.iter().all(|it| four.contains(it)));
    assert_eq!(made_and_deleted(&space), (5, 0), "{:?}", space.writes());
}

#[test]
fn of_many_that_stand_at_once_never_two_lead() {
    let space = Space::new("many");
    let lease = new_lease();
    let flags = ["--lease-name", &lease, "--lease-duration", "4s"];
    let mut many: Vec<Controller> = (0..4)
        .map(|_| Controller::launch(WORLD.plane.kubeconfig("admin"), &space.name, &flags))
        .collect();
    space.create("rayclusters", &cluster("lab", 3));
    while let Some(one) = many.pop() {
        let mut leaders = 0;
        let until = Instant::now() + SOON;
        while leaders == 0 && Instant::now() < until {
            leaders = many.iter().chain([&one]).filter(|it| it.leads()).count();
            assert!(leaders < 2, "{leaders} lead");
        }
        assert_eq!(leaders, 1);
        if many.len().is_multiple_of(2) {
            one.kill();
        } else {
            one.stop();
        }
        space.settle("lab", 3);
    }
    assert_eq!(made_and_deleted(&space), (4, 0), "{:?}", space.writes());
}
