//! Others who write at the same time: more callers, the operator, the autoscaler, and whoever deletes
//! and makes anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::identity::{ADA, EVE};
use super::old::{self, mended, refuses};
use super::proxy::{Fate, Proxy};
use super::world::{OWNER, SOON, WORLD, counts, manifest};

/// Lets `act` happen once, between the check and the first patch.
fn before_the_patch(proxy: &Proxy, act: impl Fn() + Send + 'static) {
    let done = AtomicBool::new(false);
    proxy.decide(move |call| {
        if call.method == "PATCH" && !done.swap(true, Ordering::Relaxed) {
            act();
        }
        Fate::Pass
    });
}

#[test]
fn d19_a_cluster_made_anew_between_check_and_patch_is_not_patched_for_the_former_owner() {
    let (proxy, api) = WORLD.proxied(&[]);
    let object = WORLD.cluster("ray-anew", ADA);
    before_the_patch(&proxy, || {
        WORLD.delete("rayclusters", "ray-anew");
        WORLD.cluster("ray-anew", EVE);
    });
    let mut patched = object;
    patched["spec"]["worker"]["replicas"] = 5.into();
    let answer = api.patch("ada", "ray-anew", &json!({"replicas": 5}));
    mended(&answer, &old::json(200, &json!({"object": patched})), &|it| {
        refuses(it, 403, "unauthorized")
    });
    assert_eq!(WORLD.counts("ray-anew"), (1, 1, 10));
}

#[test]
fn a_cluster_made_anew_for_the_same_owner_is_judged_anew() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-again", ADA);
    before_the_patch(&proxy, || {
        WORLD.delete("rayclusters", "ray-again");
        let mut object = manifest("ray-again", ADA);
        object["spec"]["autoscaling"]["maxReplicas"] = 3.into();
        WORLD.create("rayclusters", &object);
    });
    let said = api.patch("ada", "ray-again", &json!({"replicas": 5})).ok();
    assert_eq!((&said["effective_replicas"], &said["capped"]), (&json!(3), &json!(true)));
    assert_eq!(WORLD.counts("ray-again"), (3, 3, 3));
}

#[test]
fn a_cluster_deleted_between_check_and_patch_is_gone() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-gone", ADA);
    before_the_patch(&proxy, || WORLD.delete("rayclusters", "ray-gone"));
    assert!(refuses(&api.scale("root", "ray-gone", 5), 404, "not_found"));
    assert_eq!(WORLD.find("rayclusters", "ray-gone"), None);
}

#[test]
fn an_owner_or_a_maximum_that_changes_in_between_is_seen() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-passed-on", ADA);
    before_the_patch(&proxy, || {
        let owner = json!({"metadata": {"labels": {OWNER: EVE}}});
        WORLD.merge("rayclusters", "ray-passed-on", "", &owner);
    });
    assert!(refuses(&api.scale("ada", "ray-passed-on", 5), 403, "unauthorized"));
    assert_eq!(WORLD.counts("ray-passed-on"), (1, 1, 10));

    WORLD.cluster("ray-lowered", ADA);
    before_the_patch(&proxy, || {
        let lower = json!({"spec": {"autoscaling": {"maxReplicas": 2}}});
        WORLD.merge("rayclusters", "ray-lowered", "", &lower);
    });
    let said = api.patch("ada", "ray-lowered", &json!({"replicas": 5})).ok();
    assert_eq!((&said["effective_replicas"], &said["maxReplicas"]), (&json!(2), &json!(2)));
}

#[test]
fn d18_a_status_that_is_written_in_between_is_neither_a_conflict_nor_lost() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-status", ADA);
    before_the_patch(&proxy, || {
        let status = json!({"status": {"clusterStatus": "Running", "workerReplicas": 1}});
        WORLD.merge("rayclusters", "ray-status", "/status", &status);
        let scale = json!({"spec": {"replicas": 4}});
        WORLD.merge("rayclusters", "ray-status", "/scale", &scale);
    });
    let answer = api.scale("ada", "ray-status", 5);
    mended(&answer, &old::html(500), &|it| it.status == 200);
    let shown = answer.json();
    assert_eq!(counts(&shown), (5, 5, 6));
    assert_eq!(shown["status"]["clusterStatus"], "Running");
}

#[test]
fn many_writers_at_once_end_as_one_of_them_asked_and_every_success_was_true() {
    let first = WORLD.cluster("ray-many", ADA);
    let bodies: Vec<String> = (2..42)
        .map(|replicas| json!({"cluster_name": "ray-many", "replicas": replicas}).to_string())
        .collect();
    let answers = WORLD.api.scale_together("ada", &bodies);
    for (answer, asked) in answers.iter().zip(2..) {
        assert_eq!(counts(&answer.ok()), (asked, asked, asked + 1));
    }
    let (replicas, min, max) = WORLD.counts("ray-many");
    assert!((2..42).contains(&replicas) && min == replicas && max == replicas + 1);
    let body = r#"{"cluster_name": "ray-many"}"#;
    let back = WORLD.api.send("ada", "POST", "/raycluster/restore", body).ok();
    assert_eq!(back["spec"]["autoscaling"], first["spec"]["autoscaling"]);
}

#[test]
fn two_replicas_of_the_api_write_one_cluster_without_losing_its_bounds() {
    let (_proxy, other) = WORLD.proxied(&["--rate", "0"]);
    let first = WORLD.cluster("ray-two", ADA);
    std::thread::scope(|scope| {
        for (api, from) in [(&WORLD.api, 2), (&other, 20)] {
            scope.spawn(move || {
                for replicas in from..from + 10 {
                    let answer = api.scale("ada", "ray-two", replicas);
                    assert_eq!(counts(&answer.ok()), (replicas, replicas, replicas + 1));
                }
            });
        }
    });
    let body = r#"{"cluster_name": "ray-two"}"#;
    let back = WORLD.api.send("ada", "POST", "/raycluster/restore", body).ok();
    assert_eq!(back["spec"]["autoscaling"], first["spec"]["autoscaling"]);
}

#[test]
fn an_operator_that_writes_back_what_it_read_before_is_overtaken_by_the_next_scale() {
    let stale = WORLD.cluster("ray-stale", ADA);
    assert_eq!(counts(&WORLD.api.scale("ada", "ray-stale", 5).ok()), (5, 5, 6));
    // The operator's own write is a whole object without the version that it read.
    let spec = json!({"spec": stale["spec"], "metadata": {"annotations": null}});
    WORLD.merge("rayclusters", "ray-stale", "", &spec);
    assert_eq!(WORLD.counts("ray-stale"), (1, 1, 10));
    assert_eq!(counts(&WORLD.api.scale("ada", "ray-stale", 5).ok()), (5, 5, 6));
    let body = r#"{"cluster_name": "ray-stale"}"#;
    let back = WORLD.api.send("ada", "POST", "/raycluster/restore", body).ok();
    assert_eq!(back["spec"]["autoscaling"], stale["spec"]["autoscaling"]);
}

#[test]
fn an_administrator_who_changes_a_bound_meanwhile_keeps_it() {
    WORLD.cluster("ray-edited", ADA);
    WORLD.api.scale("ada", "ray-edited", 5).ok();
    let edit = json!({"spec": {"autoscaling": {"maxReplicas": 7}}});
    WORLD.merge("rayclusters", "ray-edited", "", &edit);
    let body = r#"{"cluster_name": "ray-edited"}"#;
    let back = WORLD.api.send("ada", "POST", "/raycluster/restore", body).ok();
    assert_eq!(counts(&back), (5, 1, 7));
}

#[test]
fn a_cluster_that_never_rests_is_a_conflict_and_not_a_bug() {
    let (proxy, api) = WORLD.proxied(&[]);
    WORLD.cluster("ray-restless", ADA);
    let bound = std::sync::atomic::AtomicI64::new(11);
    proxy.decide(move |call| {
        if call.method == "PATCH" {
            let max = bound.fetch_add(1, Ordering::Relaxed);
            let edit = json!({"spec": {"autoscaling": {"maxReplicas": max}}});
            WORLD.merge("rayclusters", "ray-restless", "", &edit);
        }
        Fate::Pass
    });
    let answer = api.scale("ada", "ray-restless", 5);
    mended(&answer, &old::html(500), &|it| refuses(it, 409, "conflict"));
}

#[test]
fn a_caller_who_leaves_gets_the_whole_change_and_its_audit_line() {
    let (proxy, api) = WORLD.proxied(&["--request-deadline", "1s"]);
    WORLD.cluster("ray-left", ADA);
    let slow = Arc::<AtomicBool>::default();
    proxy.decide(move |call| {
        if call.method == "PATCH" && !slow.swap(true, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(2));
        }
        Fate::Pass
    });
    let answer = api.scale("ada", "ray-left", 5);
    assert!(refuses(&answer, 503, "upstream_unavailable"), "{answer:?}");
    super::support::wait::wait_until(SOON, "the change and its line", || {
        let told = |it: &Value| it["cluster"] == "ray-left";
        (WORLD.counts("ray-left") == (5, 5, 6) && api.lines("audit").iter().any(told)).then_some(())
    });
}
