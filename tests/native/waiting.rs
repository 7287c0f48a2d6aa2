//! Till the workers have joined.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::head::Head;
use super::world::{Space, WORLD, code};

/// A cluster of five workers at 127.9.N.1 to 5, none of which has joined.
fn five(space: &Space, name: &str, net: u8) -> (Head, Vec<String>) {
    let head = Head::start();
    let mut object = space.manifest(name);
    object["spec"]["headGroupSpec"]["rayStartParams"]["dashboard-port"] =
        head.port.to_string().into();
    object["spec"]["workerGroupSpecs"][0]["replicas"] = json!(1);
    let cluster = space.create("rayclusters", &object);
    space.pod(&cluster, &format!("{name}-head"), "headgroup", "127.0.0.1");
    let ips: Vec<String> = (1..=5).map(|n| format!("127.9.{net}.{n}")).collect();
    for (index, ip) in ips.iter().enumerate() {
        space.pod(&cluster, &format!("{name}-w{index}"), "small", ip);
    }
    (head, ips)
}

#[test]
fn a_scale_that_waits_is_answered_when_all_have_joined() {
    let space = Space::new("waits");
    let (head, ips) = five(&space, "demo", 11);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            for ip in &ips {
                thread::sleep(Duration::from_millis(600));
                head.joins(ip);
            }
        });
        space.scale(
            "demo",
            "?wait=joined&timeoutSeconds=40",
            &json!({"group": "small", "replicas": 5}),
        )
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = answer.json();
    assert_eq!(result["cluster"]["workers"]["joined"], 5, "{result}");
    assert_eq!((&result["to"], &result["changed"]), (&json!(5), &json!(true)));
}

#[test]
fn a_wait_that_ends_before_says_who_is_missing() {
    let space = Space::new("in-vain");
    let (head, ips) = five(&space, "demo", 12);
    for ip in &ips[..3] {
        head.joins(ip);
    }
    let answer = space.scale(
        "demo",
        "?wait=joined&timeoutSeconds=2",
        &json!({"group": "small", "replicas": 5}),
    );
    assert_eq!(answer.status, 202, "{answer:?}");
    let workers = &answer.json()["cluster"]["workers"];
    assert_eq!((&workers["joined"], &workers["allJoined"]), (&json!(3), &json!(false)));
    assert_eq!(workers["notJoined"], json!(["demo-w3", "demo-w4"]));
    assert_eq!(space.replicas("demo", 0), 5, "the scale stands");
    assert_eq!(space.get("/demo/scale?wait=joined&timeoutSeconds=1").status, 202);
}

/// The events of a stream: name and data.
fn events(body: &str) -> Vec<(String, Value)> {
    let part = |event: &str, key: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or("").trim().to_owned()
    };
    body.split("\n\n")
        .filter(|event| event.contains("event:"))
        .map(|event| {
            let data = serde_json::from_str(&part(event, "data:")).expect("data is JSON");
            (part(event, "event:"), data)
        })
        .collect()
}

#[test]
fn progress_is_streamed_and_ends_with_the_last_one() {
    let space = Space::new("streams");
    let (head, ips) = five(&space, "demo", 13);
    space.merge("rayclusters", "demo", &json!({"metadata": {"labels": {"x": "y"}}}));
    let path = space.path("/demo/scale?wait=joined&timeoutSeconds=40");
    let body = json!({"group": "small", "replicas": 5}).to_string();
    let accept = [("Accept", "text/event-stream")];
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            for part in [&ips[..3], &ips[3..]] {
                thread::sleep(Duration::from_millis(3500));
                for ip in part {
                    head.joins(ip);
                }
            }
        });
        WORLD.api.send(&space.ada, "PATCH", &path, &accept, &body)
    });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events = events(&answer.body);
    let joined: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| name == "progress")
        .map(|(_, state)| &state["workers"]["joined"])
        .collect();
    assert_eq!(joined.first(), Some(&&json!(0)), "{events:?}");
    assert!(joined.contains(&&json!(3)), "{events:?}");
    let (name, last) = events.last().expect("an event");
    assert_eq!(name, "joined");
    assert_eq!(last["cluster"]["workers"]["joined"], 5, "{last}");
    assert_eq!(last["to"], 5);
}

#[test]
fn a_cluster_that_is_deleted_or_made_anew_is_not_waited_for() {
    let space = Space::new("gone");
    let (_head, _) = five(&space, "demo", 14);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(2));
            space.delete("rayclusters", "demo");
            space.cluster("demo");
        });
        space.get("/demo?wait=joined&timeoutSeconds=60")
    });
    assert_eq!(code(&answer), (404, "not-found".to_owned()));
}
