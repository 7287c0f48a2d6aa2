//! Leases that hold, end, wait for their turn, and meet other writers.

use std::time::Duration;

use serde_json::json;

use super::space::{DOMINO, MOMENT, SOON, autoscaled, cluster};
use super::support::wait::wait_until;
use super::world::{
    after, counts, counts_are, domino, domino_counts, domino_lease, hour, lease, reaches, set,
    space,
};

#[test]
fn a_group_is_held_till_its_time_and_given_back_then() {
    let space = space("expires");
    let mut object = cluster("lab", 1);
    object["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(3);
    space.create("rayclusters", &object);
    space.create("scaleleases", &lease("night", "lab", 5, Duration::from_secs(6)));

    let message = reaches(&space, "night", "Active", "Held");
    assert!(message.contains("group small is held at 5 until "), "{message}");
    assert_eq!(counts(&space, "lab"), (5, 0, 5));
    let stored = space.cluster("lab");
    let note = stored["metadata"]["annotations"]["raywarden.io/scale-lease"].as_str();
    assert!(note.is_some_and(|note| note.contains("\"lease\":\"night\"")), "{note:?}");
    space.told(
        "PatchedCluster",
        "lease night holds group small at 5: replicas 1 -> 5, maxReplicas 3 -> 5",
    );

    reaches(&space, "night", "Ended", "Expired");
    assert_eq!(counts(&space, "lab"), (1, 0, 3));
    let annotations = space.cluster("lab")["metadata"]["annotations"].clone();
    assert!(annotations["raywarden.io/scale-lease"].is_null(), "{annotations}");
}

#[test]
fn under_an_autoscaler_the_minimum_is_held_and_the_maximum_comes_down_with_the_workers() {
    let space = space("autoscaled");
    let mut object = autoscaled("lab", 1);
    object["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(3);
    space.create("rayclusters", &object);
    space.create("scaleleases", &lease("night", "lab", 5, hour()));
    counts_are(&space, "lab", (5, 5, 5));
    reaches(&space, "night", "Active", "Held");

    space.merge("scaleleases", "night", &json!({"spec": {"until": after(Duration::ZERO)}}));

    let message = reaches(&space, "night", "Ended", "Expired");
    assert!(message.contains("comes down as the autoscaler takes workers away"), "{message}");
    counts_are(&space, "lab", (5, 0, 5));
    set(&space, "lab", "replicas", 4);
    counts_are(&space, "lab", (4, 0, 4));
    set(&space, "lab", "replicas", 2);
    counts_are(&space, "lab", (2, 0, 3));
}

#[test]
fn a_lease_that_is_deleted_is_given_back() {
    let space = space("deleted");
    space.create("rayclusters", &cluster("lab", 1));
    space.create("scaleleases", &lease("night", "lab", 5, hour()));
    counts_are(&space, "lab", (5, 0, 10));
    space.delete("scaleleases", "night");
    counts_are(&space, "lab", (1, 0, 10));
}

#[test]
fn bounds_that_somebody_edits_meanwhile_survive() {
    let space = space("edited");
    space.create("rayclusters", &autoscaled("lab", 1));
    space.create("scaleleases", &lease("night", "lab", 5, hour()));
    reaches(&space, "night", "Active", "Held");

    set(&space, "lab", "maxReplicas", 12);
    set(&space, "lab", "minReplicas", 2);
    reaches(&space, "night", "Active", "HeldAgain");
    counts_are(&space, "lab", (5, 5, 12));

    space.delete("scaleleases", "night");
    counts_are(&space, "lab", (5, 2, 12));
}

#[test]
fn whoever_changes_the_count_twice_is_left_to_it() {
    let space = space("contested");
    space.create("rayclusters", &cluster("lab", 1));
    space.create("scaleleases", &lease("night", "lab", 5, hour()));
    reaches(&space, "night", "Active", "Held");

    set(&space, "lab", "replicas", 2);
    reaches(&space, "night", "Active", "HeldAgain");
    assert_eq!(counts(&space, "lab").0, 5);
    set(&space, "lab", "replicas", 3);

    let message = reaches(&space, "night", "Contested", "Contested");
    assert!(message.contains("another writer changed replicas again"), "{message}");
    space.told("LeaseContested", "lease night: ");
    space.stays(MOMENT, "the count", || counts(&space, "lab").0 == 3);
    space.delete("scaleleases", "night");
    space.stays(MOMENT, "the count", || counts(&space, "lab").0 == 3);
}

#[test]
fn the_earlier_lease_holds_and_the_later_takes_over_when_it_ends() {
    let space = space("stacked");
    let mut object = cluster("lab", 1);
    object["spec"]["workerGroupSpecs"][0]["maxReplicas"] = json!(3);
    space.create("rayclusters", &object);
    space.create("scaleleases", &lease("first", "lab", 5, hour()));
    reaches(&space, "first", "Active", "Held");
    space.create("scaleleases", &lease("second", "lab", 7, hour()));
    let message = reaches(&space, "second", "Pending", "HeldByAnother");
    assert!(message.contains("lease first holds group small until "), "{message}");
    assert_eq!(counts(&space, "lab"), (5, 0, 5));

    space.delete("scaleleases", "first");
    reaches(&space, "second", "Active", "Held");
    assert_eq!(counts(&space, "lab"), (7, 0, 7));
    space.delete("scaleleases", "second");
    counts_are(&space, "lab", (1, 0, 3));
}

#[test]
fn a_lease_does_not_outlive_its_cluster() {
    let space = space("recreated");
    space.create("scaleleases", &lease("night", "lab", 5, hour()));
    reaches(&space, "night", "Pending", "NoCluster");
    space.create("rayclusters", &cluster("lab", 1));
    reaches(&space, "night", "Active", "Held");

    space.delete("rayclusters", "lab");
    reaches(&space, "night", "Ended", "ClusterGone");
    wait_until(SOON, "it is gone", || space.find("rayclusters", "lab").is_none().then_some(()));
    space.create("rayclusters", &cluster("lab", 1));
    reaches(&space, "night", "Ended", "ClusterReplaced");
    space.stays(MOMENT, "the count", || counts(&space, "lab") == (1, 0, 10));
}

#[test]
fn dominos_clusters_are_held_with_their_bounds() {
    let space = space("of-domino");
    space.create(DOMINO, &domino("lab", 2, &json!({"maxReplicas": 3})));
    space.create("scaleleases", &domino_lease("night", "lab", 5, hour()));
    reaches(&space, "night", "Active", "Held");
    assert_eq!(domino_counts(&space, "lab"), (5, 5, 5));
    space.delete("scaleleases", "night");
    wait_until(SOON, "it is given back", || {
        (domino_counts(&space, "lab") == (2, -1, 3)).then_some(())
    });
}
