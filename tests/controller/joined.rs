//! Workers that are ready and no nodes of Ray, with a dashboard whose answers are in the test's hands:
//! a real head forgets no worker on demand.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::managers::now;
use super::space::{MOMENT, SOON, Space, cluster};
use super::support::wait::wait_until;

/// Addresses of nodes that are alive; `None`: it fails.
type Nodes = Arc<Mutex<Option<Vec<String>>>>;

/// A dashboard, till the test's process ends; its port.
fn dashboard(nodes: Nodes) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let alive = nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = answer(stream, alive);
        }
    });
    port
}

fn answer(mut stream: TcpStream, alive: Option<Vec<String>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let body = alive.filter(|_| asked.contains("/api/v0/nodes")).map(|alive| {
        let node = |ip: &String| {
            json!({"node_id": ip, "node_ip": ip, "is_head_node": false, "state": "ALIVE",
                   "state_message": null, "labels": {}})
        };
        let nodes: Vec<Value> = alive.iter().map(node).collect();
        json!({"result": true, "msg": "", "data": {"result": {"result": nodes}}}).to_string()
    });
    let status = if body.is_some() { "200 OK" } else { "500 Internal Server Error" };
    let body = body.unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Marks a Pod as running and ready from now on at an address.
#[track_caller]
fn runs_at(space: &Space, pod: &str, ip: &str) {
    // The API server takes whole seconds here.
    let ready_since = format!("{}Z", now().split('.').next().unwrap_or_default());
    space.pod_status(
        pod,
        &json!({
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": ready_since},
            ],
        }),
    );
}

#[test]
fn a_worker_that_never_joined_is_replaced_where_that_is_wanted_one_of_a_group_at_a_time() {
    let space = Space::new("never-joined");
    let nodes = Nodes::default();
    let mut object = cluster("lab", 4);
    let port = dashboard(Arc::clone(&nodes)).to_string();
    object["spec"]["headGroupSpec"]["rayStartParams"] = json!({"dashboard-port": port});
    let flags = ["--replace-not-joined", "--joined-within", "2s", "--report-interval", "1s"];
    let _controller = space.controller(&flags);
    space.create("rayclusters", &object);
    let four = space.settle("lab", 4);
    let address: BTreeMap<&String, String> =
        four.iter().enumerate().map(|(n, pod)| (pod, format!("127.0.3.{n}"))).collect();
    for (pod, ip) in &address {
        runs_at(&space, pod, ip);
    }
    runs_at(&space, &space.names("lab", "head")[0], "127.0.0.1");

    let told = || space.notes("WorkersNotJoined");
    space.stays(3 * MOMENT, "all workers", || space.names("lab", "worker") == four);
    assert!(told().is_empty(), "a head that does not answer says nothing of workers: {:?}", told());

    let joined: Vec<String> = four.iter().take(2).map(|pod| address[pod].clone()).collect();
    *nodes.lock().unwrap() = Some(joined.clone());
    let first = wait_until(SOON, "one is replaced", || {
        let now = space.names("lab", "worker");
        (now != four && now.len() == 4).then_some(now)
    });
    let kept = |now: &[String]| four.iter().filter(|pod| now.contains(pod)).count();
    assert_eq!(kept(&first), 3, "one at a time: {four:?} {first:?}");
    assert!(four.iter().take(2).all(|pod| first.contains(pod)), "{four:?} {first:?}");
    let second = wait_until(SOON, "the other one is replaced", || {
        let now = space.names("lab", "worker");
        (kept(&now) == 2 && now.len() == 4).then_some(now)
    });
    assert!(told().iter().any(|note| note.contains(&four[2]) && note.contains(&four[3])));

    let fresh = second.iter().filter(|pod| !four.contains(pod)).enumerate();
    let mut all = joined;
    for (n, pod) in fresh {
        let ip = format!("127.0.4.{n}");
        all.push(ip.clone());
        *nodes.lock().unwrap() = Some(all.clone());
        runs_at(&space, pod, &ip);
    }
    space
        .stays(Duration::from_secs(4), "who has joined", || space.names("lab", "worker") == second);
}

#[test]
fn a_worker_that_never_joined_stays_where_nobody_asked_for_more() {
    let space = Space::new("stays-apart");
    let nodes = Nodes::default();
    *nodes.lock().unwrap() = Some(Vec::new());
    let mut object = cluster("lab", 1);
    let port = dashboard(nodes).to_string();
    object["spec"]["headGroupSpec"]["rayStartParams"] = json!({"dashboard-port": port});
    let _controller = space.controller(&["--joined-within", "2s", "--report-interval", "1s"]);
    space.create("rayclusters", &object);
    let one = space.settle("lab", 1);
    runs_at(&space, &one[0], "127.0.3.1");
    runs_at(&space, &space.names("lab", "head")[0], "127.0.0.1");
    space.told("WorkersNotJoined", &one[0]);
    space.stays(2 * MOMENT, "the worker", || space.names("lab", "worker") == one);
}
