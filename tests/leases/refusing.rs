//! Leases that are refused: by the API server, by the controller, by a ceiling.

use serde_json::json;

use super::api::WORLD;
use super::space::{DOMINO, SOON, cluster};
use super::support::wait::wait_until;
use super::world::{
    after, counts, domino, domino_counts, domino_lease, hour, lease, let_kim_patch, post_as,
    reaches, space,
};

const MERGE: &str = "application/merge-patch+json";

#[test]
fn who_may_not_patch_the_cluster_makes_no_lease_of_it() {
    let space = space("no-right");
    space.create("rayclusters", &cluster("lab", 1));
    let answer = post_as("jo", &space.path("scaleleases"), &lease("night", "lab", 5, hour()));
    assert_eq!(answer.status, 403, "{answer:?}");
    let message = answer.json()["message"].as_str().unwrap_or("").to_owned();
    let words = "you may not patch cluster lab of ray.io in namespace no-right";
    assert!(message.contains(words) && message.contains("the verb patch"), "{message}");

    let_kim_patch(&space);
    // The API server's own copy of the rights lags a little.
    wait_until(SOON, "kim's lease is taken", || {
        let answer = post_as("kim", &space.path("scaleleases"), &lease("night", "lab", 5, hour()));
        (answer.status == 201).then_some(())
    });
    reaches(&space, "night", "Active", "Held");

    // To move the end takes the same right, a label does not.
    let path = format!("{}/night", space.path("scaleleases"));
    let status_of = |change: serde_json::Value| {
        let request = WORLD.plane.request("PATCH", &path).impersonating("jo", &[]);
        request.body(MERGE, &change).send().status
    };
    assert_eq!(status_of(json!({"spec": {"until": after(hour())}})), 403);
    assert_eq!(status_of(json!({"metadata": {"labels": {"a": "b"}}})), 200);
}

#[test]
fn whoever_asks_is_recorded_and_only_the_end_can_be_changed() {
    let space = space("recorded");
    let_kim_patch(&space);
    let mut forged = lease("night", "lab", 5, hour());
    forged["spec"]["requester"] = json!({"username": "admin", "groups": ["system:masters"]});
    let stored = wait_until(SOON, "kim's lease is taken", || {
        let answer = post_as("kim", &space.path("scaleleases"), &forged);
        (answer.status == 201).then(|| answer.json())
    });
    let requester = &stored["spec"]["requester"];
    assert_eq!(requester, &json!({"username": "kim", "groups": ["system:authenticated"]}));
    assert_eq!(stored["spec"]["cluster"]["apiGroup"], "ray.io");

    let path = format!("{}/night", space.path("scaleleases"));
    for change in [
        json!({"spec": {"replicas": 6}}),
        json!({"spec": {"group": "small"}}),
        json!({"spec": {"cluster": {"name": "other"}}}),
        json!({"spec": {"requester": {"username": "admin"}}}),
        json!({"spec": {"requester": null}}),
    ] {
        let (code, answer) = WORLD.call("PATCH", &path, MERGE, &change);
        assert_eq!(code, 422, "{change}: {answer}");
        assert!(answer.to_string().contains("only until can be changed"), "{answer}");
    }
    space.merge("scaleleases", "night", &json!({"spec": {"until": after(hour())}}));
}

#[test]
fn a_right_that_was_taken_away_before_the_lease_acts_refuses_it() {
    let space = space("lost-right");
    let_kim_patch(&space);
    wait_until(SOON, "kim's lease is taken", || {
        let answer = post_as("kim", &space.path("scaleleases"), &lease("night", "lab", 5, hour()));
        (answer.status == 201).then_some(())
    });
    reaches(&space, "night", "Pending", "NoCluster");
    space.delete("rolebindings", "patcher");
    let asked = ["auth", "can-i", "patch", "rayclusters.ray.io", "--as", "kim", "-n", &space.name];
    wait_until(SOON, "kim may not patch", || {
        (!WORLD.plane.kubectl(&asked).status.success()).then_some(())
    });

    space.create("rayclusters", &cluster("lab", 1));

    let message = reaches(&space, "night", "Refused", "NotAllowed");
    assert!(message.contains("kim may not patch cluster lab"), "{message}");
    space.told("LeaseRefused", "kim may not patch cluster lab");
    assert_eq!(counts(&space, "lab"), (1, 0, 10));
}

#[test]
fn a_ceiling_holds_for_leases_as_for_their_requester() {
    let space = space("ceiling");
    space.create("rayclusters", &cluster("lab", 1));
    space.create("scaleleases", &lease("night", "lab", 30, hour()));
    let message = reaches(&space, "night", "Refused", "Denied");
    let words = "spec.workerGroupSpecs[0].maxReplicas: maxReplicas is 30";
    assert!(message.contains(words) && message.contains("refused to admin"), "{message}");
    assert_eq!(counts(&space, "lab"), (1, 0, 10));

    let bounds = json!({"minReplicas": 1, "maxReplicas": 3});
    space.create(DOMINO, &domino("lab", 1, &bounds));
    space.create("scaleleases", &domino_lease("of-domino", "lab", 30, hour()));
    let message = reaches(&space, "of-domino", "Refused", "Denied");
    assert!(message.contains("at most 20"), "{message}");
    assert_eq!(domino_counts(&space, "lab"), (1, 1, 3));
}

#[test]
fn however_many_are_refused_the_next_one_has_its_turn() {
    let space = space("many");
    space.create("rayclusters", &cluster("lab", 1));
    for n in 0..40 {
        space.create("scaleleases", &lease(&format!("greedy-{n:02}"), "lab", 30, hour()));
    }
    space.create("scaleleases", &lease("modest", "lab", 5, hour()));
    reaches(&space, "modest", "Active", "Held");
    let all = space.list("scaleleases");
    let refused = all.iter().filter(|it| it["status"]["phase"] == "Refused").count();
    assert_eq!((refused, counts(&space, "lab")), (40, (5, 0, 10)));
}

#[test]
fn what_no_lease_can_ask_for_is_refused_by_the_schema() {
    let space = space("schema");
    let mut negative = lease("a", "lab", -1, hour());
    negative["spec"]["group"] = json!("small");
    let mut endless = lease("a", "lab", 1, hour());
    endless["spec"].as_object_mut().unwrap().remove("until");
    let mut soon = lease("a", "lab", 1, hour());
    soon["spec"]["until"] = json!("soon");
    let mut named = domino_lease("a", "lab", 1, hour());
    named["spec"]["group"] = json!("worker");
    let mut foreign = lease("a", "lab", 1, hour());
    foreign["spec"]["cluster"]["apiGroup"] = json!("apps");
    for (object, words) in [
        (negative, "spec.replicas"),
        (endless, "spec.until"),
        (soon, "spec.until"),
        (named, "leave group out"),
        (domino_lease("a", "lab", 0, hour()), "0 workers"),
        (foreign, "spec.cluster.apiGroup"),
        (lease("a", &"x".repeat(300), 1, hour()), "spec.cluster.name"),
    ] {
        let (code, answer) =
            WORLD.call("POST", &space.path("scaleleases"), "application/json", &object);
        assert_eq!(code, 422, "{answer}");
        assert!(answer.to_string().contains(words), "{words}: {answer}");
    }
}

#[test]
fn a_cluster_of_several_groups_wants_one_named() {
    let space = space("several");
    let mut object = cluster("lab", 1);
    let mut second = object["spec"]["workerGroupSpecs"][0].clone();
    second["groupName"] = json!("large");
    object["spec"]["workerGroupSpecs"].as_array_mut().unwrap().push(second);
    space.create("rayclusters", &object);
    space.create("scaleleases", &lease("unclear", "lab", 5, hour()));
    let message = reaches(&space, "unclear", "Refused", "GroupUnclear");
    assert!(message.contains("one of small, large"), "{message}");

    let mut clear = lease("clear", "lab", 5, hour());
    clear["spec"]["group"] = json!("large");
    space.create("scaleleases", &clear);
    reaches(&space, "clear", "Active", "Held");
    let groups = &space.cluster("lab")["spec"]["workerGroupSpecs"];
    assert_eq!((&groups[0]["replicas"], &groups[1]["replicas"]), (&json!(1), &json!(5)));
}
