//! What a report says of workers, as Ray itself tells it: a Pod that is ready need not be a node.

use std::time::Duration;

use serde_json::Value;

use super::turn;
use super::world::{Cluster, NAMESPACE, SOON, WORLD};
use crate::support::process::{children, signal};
use crate::support::wait::{wait_for, wait_until};

/// Without an autoscaler, which would take the dead worker for an idle one and delete its Pod.
const CLUSTER: &str = r#"
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: reported, namespace: scaled}
spec:
  rayVersion: "2.60.0"
  headGroupSpec:
    rayStartParams: {num-cpus: "0"}
    template: {spec: {containers: [{name: ray-head, image: "local/ray:2.60.0", resources: {limits: {cpu: 1, memory: 2Gi}}}]}}
  workerGroupSpecs:
  - groupName: pool
    replicas: 1
    minReplicas: 1
    maxReplicas: 1
    rayStartParams: {}
    template: {spec: {containers: [{name: ray-worker, image: "local/ray:2.60.0", resources: {limits: {cpu: 1, memory: 1Gi}}}]}}
"#;

/// Far longer than Ray takes to write a silent node off.
const WRITTEN_OFF: Duration = Duration::from_mins(2);

fn report_of(cluster: &str) -> Option<Value> {
    let plane = &WORLD.plane;
    let got = plane.kubectl(&["get", "rcr", cluster, "-n", NAMESPACE, "-o", "json"]);
    let object: Value = serde_json::from_str(&got.stdout).ok()?;
    Some(object["report"].clone())
}

fn report() -> Option<Value> {
    report_of("reported")
}

fn pods(node_type: &str) -> Vec<Value> {
    pods_of("reported", node_type)
}

fn pods_of(cluster: &str, node_type: &str) -> Vec<Value> {
    let labels = format!("ray.io/cluster={cluster},ray.io/node-type={node_type}");
    let list = WORLD.plane.get_json(&["pods", "-n", NAMESPACE, "-l", &labels]);
    list["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_ready_pod_whose_raylet_was_stopped_is_reported_as_not_joined() {
    let _turn = turn();
    WORLD.plane.apply_yaml(CLUSTER);
    let said = wait_for(SOON, || report().filter(|said| said["workers"]["joined"] == 1));
    let said = said.unwrap_or_else(|| panic!("never joined: {:?}", report()));
    assert_eq!(said["dashboard"]["state"], "Answers", "{said}");
    assert_eq!(said["autoscaler"]["state"], "Off", "{said}");
    let head = &pods("head")[0]["status"]["podIP"];
    let address = format!("{}:8265", head.as_str().expect("the head has an address"));
    assert_eq!(said["dashboard"]["address"], address.as_str(), "{said}");

    let worker = pods("worker")[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let raylet = WORLD.lab.pid(&worker, "raylet").expect("it is a node of Ray");
    signal(raylet, "STOP");
    let said = wait_until(WRITTEN_OFF, "the worker is reported", || {
        report().filter(|said| said["workers"]["notJoined"] == 1)
    });
    assert_eq!(said["groups"][0]["notJoined"][0]["pod"], worker.as_str(), "{said}");
    let pod = &pods("worker")[0];
    let conditions = pod["status"]["conditions"].as_array().expect("conditions");
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    assert_eq!(ready.expect("a condition")["status"], "True", "the Pod is as ready as before");
    assert_eq!(pod["metadata"]["name"], worker.as_str(), "no policy replaces it");
    signal(raylet, "KILL");
    WORLD.plane.kubectl(&["delete", "raycluster", "reported", "-n", NAMESPACE]).ok();
}

#[test]
fn an_autoscaler_that_hangs_while_something_waits_is_reported_as_not_operating() {
    let _turn = turn();
    let lab = &WORLD.lab;
    let cluster = Cluster::start("hangs", "v2");
    let state = || report_of("hangs").map(|said| said["autoscaler"].clone());
    let steady = wait_for(SOON, || state().filter(|said| said["state"] == "Running"));
    assert!(steady.is_some(), "{:?}", state());

    let shell = lab.pid(&cluster.head, "autoscaler").expect("the autoscaler runs");
    let autoscaler = *children(shell).first().expect("the shell waits for it");
    signal(autoscaler, "STOP");
    // One fits the worker that is there, the other waits for a second one.
    lab.make_actor(&cluster.head, 1);
    lab.make_actor(&cluster.head, 1);
    let said = wait_for(SOON, || state().filter(|said| said["state"] == "NotOperating"));
    let said = said.unwrap_or_else(|| panic!("{:?} {}", state(), cluster.report()));
    assert!(said["message"].as_str().is_some_and(|it| it.contains("egress")), "{said}");
    assert!(cluster.told().contains("AutoscalerNotOperating"), "{}", cluster.told());

    signal(autoscaler, "CONT");
    cluster.wait_workers(2);
    let again = wait_for(SOON, || state().filter(|said| said["state"] == "Running"));
    assert!(again.is_some(), "{:?}", state());
    cluster.end();
}
