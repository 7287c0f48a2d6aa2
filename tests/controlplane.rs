//! The control plane under the other tests does what they rely on, and leaves nothing behind.

mod support;

use std::env;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::control_plane::{ControlPlane, Options};
use support::process::{Process, signal};
use support::request::Request;
use support::wait::{free_port, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// Set for the process that `a_killed_test_leaves_nothing_behind` kills.
const HOLD: &str = "RAYWARDEN_TEST_HOLD";

#[test]
fn a_control_plane_serves_and_then_leaves_neither_process_nor_folder() {
    let plane = ControlPlane::start(Options::default());

    plane.kubectl_as("alice", &["create", "namespace", "team-a"]).ok();
    assert_eq!(plane.get_json(&["namespace", "team-a"])["status"]["phase"], "Active");
    let versions = plane.kubectl(&["version"]).ok();
    assert!(versions.contains("Server Version: v1."), "{versions}");
    let whoami = plane.kubectl_as("alice", &["auth", "whoami"]).ok();
    assert!(whoami.contains("alice@corp.example"), "{whoami}");
    let machine = ["--as=system:serviceaccount:team-a:ray", "get", "secrets", "-n", "team-a"];
    let refusal = plane.kubectl(&machine).refused();
    assert!(refusal.contains("Forbidden"), "{refusal}");

    let folder = plane.dir().to_owned();
    let servers = ["etcd", "kube-apiserver"].map(|program| plane.pid(program));
    assert!(folder.exists() && servers.into_iter().all(is_alive));
    drop(plane);
    assert!(!folder.exists() && !servers.into_iter().any(is_alive));
}

#[test]
fn a_request_is_sent_exactly_as_the_test_says() {
    let log = env::temp_dir().join(format!("raywarden-audit-{}.log", free_port()));
    let plane = ControlPlane::start(Options {
        audit_log: Some(log.clone()),
        crd: Some("kuberay".to_owned()),
        controller_manager: true,
        ..Options::default()
    });
    plane.apply_yaml(CLUSTER);
    let path = "/apis/ray.io/v1/namespaces/default/rayclusters/small";
    let scale = json!([{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 3}]);

    let answer = plane
        .request_as("argo", "PATCH", path)
        .agent("python-requests/2.32")
        .impersonating("system:serviceaccount:default:small", &["system:masters"])
        .body("application/json-patch+json", &scale)
        .send();

    let cluster = answer.ok();
    assert_eq!(cluster["spec"]["workerGroupSpecs"][0]["replicas"], 3);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let managers = cluster["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|entry| entry["manager"] == "python-requests"));
    let audit = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let write = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|event| event["verb"] == "patch" && event["objectRef"]["name"] == "small")
        .unwrap();
    assert_eq!(write["user"]["username"], "argo");
    assert_eq!(write["impersonatedUser"]["username"], "system:serviceaccount:default:small");
    assert_eq!(plane.get_json(&["serviceaccount", "default"])["kind"], "ServiceAccount");
}

#[test]
fn a_killed_test_leaves_nothing_behind() {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "holds_servers_until_killed", "--nocapture"]).env(HOLD, "yes");
    let mut victim = Process::start(command);
    victim.wait_for_output("}\n", Duration::from_hours(3));
    let held = victim.stdout();
    let held = held.lines().find_map(|line| line.find('{').and_then(|at| line.get(at..))).unwrap();
    let held: Value = serde_json::from_str(held).unwrap();
    let pids = held["pids"].as_array().unwrap();
    let pids: Vec<u32> = pids.iter().map(|pid| pid.as_u64().unwrap().try_into().unwrap()).collect();
    let folder = Path::new(held["dir"].as_str().unwrap());
    assert!(folder.exists() && pids.iter().all(|&pid| is_alive(pid)));

    signal(victim.id(), "KILL");

    wait_until(SOON, "everything gone", || {
        (!folder.exists() && !pids.iter().any(|&pid| is_alive(pid))).then_some(())
    });
}

/// The other half of `a_killed_test_leaves_nothing_behind`; by itself it does nothing.
#[test]
fn holds_servers_until_killed() {
    if env::var_os(HOLD).is_none() {
        return;
    }
    let plane = ControlPlane::start(Options::default());
    let mut sleep = Command::new("sleep");
    sleep.arg("300");
    let sleeper = Process::start(sleep);
    let pids = [plane.pid("etcd"), plane.pid("kube-apiserver"), sleeper.id()];
    println!("{}", json!({"dir": plane.dir(), "pids": pids}));
    thread::sleep(Duration::from_mins(5));
}

#[test]
fn a_server_is_heard_signalled_and_waited_for() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap 'echo bye; exit 7' TERM; echo up; while sleep 0.05; do :; done"]);
    let mut server = Process::start(command);
    server.wait_for_output("up", SOON);
    server.signal("TERM");
    assert_eq!(server.wait(SOON).code(), Some(7));
    server.wait_for_output("bye", SOON);
}

#[test]
fn a_request_nobody_answers_is_an_error_not_a_panic() {
    let url = format!("http://127.0.0.1:{}/", free_port());
    let error = Request::new("GET", &url).try_send().unwrap_err();
    assert!(error.contains("ConnectionRefusedError"), "{error}");
}

/// A zombie has ended, though its parent has not noticed.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

const CLUSTER: &str = "
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: small, namespace: default}
spec:
  headGroupSpec:
    rayStartParams: {}
    template: {spec: {containers: [{name: head, image: ray}]}}
  workerGroupSpecs:
  - groupName: workers
    replicas: 1
    minReplicas: 0
    maxReplicas: 5
    rayStartParams: {}
    template: {spec: {containers: [{name: worker, image: ray}]}}
";
