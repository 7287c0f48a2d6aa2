//! `--node-manager auto`: who else makes nodes is looked up, and looked up again.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::support::control_plane::{ControlPlane, Options};
use super::support::controller::Controller;
use super::support::wait::{wait_for, wait_until};
use super::{SOON, cluster, namespaces, pods, scale, wait_pods};

const LEASE: &str = "ray-operator-leader";

/// A KubeRay operator at home in a namespace renews its Lease, or has stopped to.
fn lease(plane: &ControlPlane, home: &str, live: bool) {
    let now = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%S.000000Z"])
        .output()
        .expect("there is a clock");
    let now = String::from_utf8_lossy(&now.stdout).trim().to_owned();
    let renewed = if live { now } else { "2026-01-01T00:00:00.000000Z".to_owned() };
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": home},
        "spec": {"holderIdentity": "operator", "leaseDurationSeconds": 15, "renewTime": renewed},
    });
    plane.apply_yaml(&lease.to_string());
}

/// The operator's account may write the status of clusters: in one namespace, or in all.
fn allow(plane: &ControlPlane, namespace: Option<&str>) {
    let account = "--serviceaccount=ops:kuberay-operator";
    let role = "--clusterrole=operates-ray";
    match namespace {
        Some(namespace) => plane
            .kubectl(&["create", "rolebinding", "operates", role, account, "-n", namespace])
            .ok(),
        None => plane.kubectl(&["create", "clusterrolebinding", "operates", role, account]).ok(),
    };
}

#[test]
fn auto_makes_nodes_on_its_own_crd_for_as_long_as_no_operator_serves_the_namespace() {
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crd/raycluster.yaml");
    let plane = ControlPlane::start(Options {
        crd: Some(crd.to_owned()),
        controller_manager: true,
        ..Options::default()
    });
    namespaces(&plane, &["team-a", "team-b", "ops"]);
    let rights = ["--verb=update", "--resource=rayclusters.ray.io/status"];
    plane.kubectl(&[&["create", "clusterrole", "operates-ray"][..], &rights].concat()).ok();
    let auto = ["--node-manager", "auto"];
    let mut controller = Controller::begin(plane.kubeconfig("admin"), "ops", &auto);
    controller.wait_leads();
    wait_until(SOON, "readyz says what auto comes to", || {
        controller.readyz().1.contains("auto: makes nodes").then_some(())
    });
    for namespace in ["team-a", "team-b"] {
        plane.apply_yaml(&cluster(namespace, 1));
        wait_pods(&plane, namespace, 2);
    }
    let head = plane.get_json(&["pods", "-n", "team-a", "-l", "ray.io/node-type=head"]);
    let containers = head["items"][0]["spec"]["containers"].as_array().expect("containers");
    assert_eq!(containers.len(), 2, "with the sidecar: {head}");

    // A Lease that somebody made in its own namespace stops nobody elsewhere.
    lease(&plane, "ops", true);
    scale(&plane, "team-a", 2);
    wait_pods(&plane, "team-a", 3);
    // One namespace is served: it stays as it is, the other one grows.
    allow(&plane, Some("team-b"));
    let served = |namespace: &str| {
        // What an account may do is known for a moment.
        let mut replicas = 2;
        let stopped = wait_for(3 * SOON, || {
            replicas += 1;
            thread::sleep(Duration::from_secs(1));
            lease(&plane, "ops", true);
            scale(&plane, namespace, replicas);
            let wanted = usize::try_from(replicas).expect("few") + 1;
            let came = wait_for(SOON / 10, || {
                pods(&plane, namespace).filter(|pods| pods.len() == wanted).map(drop)
            });
            came.is_none().then_some(())
        });
        stopped.is_some()
    };
    assert!(served("team-b"), "{}", controller.report());
    lease(&plane, "ops", true);
    scale(&plane, "team-a", 3);
    wait_pods(&plane, "team-a", 4);
    allow(&plane, None);
    assert!(served("team-a"), "{}", controller.report());
    let page = controller.readyz().1;
    assert!(page.contains("auto: makes no nodes, because a KubeRay operator is alive"), "{page}");

    lease(&plane, "ops", false);
    for namespace in ["team-a", "team-b"] {
        let stored = plane.get_json(&["raycluster", "lab", "-n", namespace]);
        let replicas = stored["spec"]["workerGroupSpecs"][0]["replicas"].as_u64().expect("a count");
        wait_pods(&plane, namespace, usize::try_from(replicas).expect("few") + 1);
    }
}

/// An operator without election: its Deployment, whose Pod is available.
fn deployment(plane: &ControlPlane) {
    let labels = json!({"app.kubernetes.io/component": "kuberay-operator"});
    let pod = json!({"metadata": {"labels": labels},
                     "spec": {"containers": [{"name": "operator", "image": "operator"}]}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "kuberay-operator", "namespace": "team-b", "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    });
    plane.apply_yaml(&deployment.to_string());
    let label = "app.kubernetes.io/component=kuberay-operator";
    let name = wait_until(SOON, "the operator's Pod", || {
        let pods = plane.get_json(&["pods", "-n", "team-b", "-l", label]);
        pods["items"][0]["metadata"]["name"].as_str().map(str::to_owned)
    });
    let ready =
        json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"status": {"phase": "Running", "conditions": [ready]}}).to_string();
    let patch = ["patch", "pod", &name, "-n", "team-b", "--subresource=status", "-p", &status];
    plane.kubectl(&patch).ok();
    wait_until(SOON, "it is available", || {
        let stored = plane.get_json(&["deployment", "kuberay-operator", "-n", "team-b"]);
        (stored["status"]["availableReplicas"] == 1).then_some(())
    });
}

#[test]
fn auto_makes_no_nodes_on_the_crd_of_kuberay() {
    let plane = ControlPlane::start(Options {
        crd: Some("kuberay".to_owned()),
        controller_manager: true,
        ..Options::default()
    });
    namespaces(&plane, &["team-a"]);
    let auto = ["--node-manager", "auto", "--node-manager-for", "team-b=raywarden"];
    let mut controller = Controller::begin(plane.kubeconfig("admin"), "team-a", &auto);
    controller.wait_leads();
    plane.apply_yaml(&cluster("team-a", 1));
    wait_until(SOON, "readyz says why", || {
        let page = controller.readyz().1;
        page.contains("the RayCluster CRD is not the one of raywarden").then_some(())
    });
    namespaces(&plane, &["team-b"]);
    plane.apply_yaml(&cluster("team-b", 1));
    wait_pods(&plane, "team-b", 2);
    assert_eq!(pods(&plane, "team-a").map(|pods| pods.len()), Some(0));

    deployment(&plane);
    // What was known before is known for a moment.
    thread::sleep(Duration::from_secs(3));
    scale(&plane, "team-b", 3);
    let stored = || plane.get_json(&["raycluster", "lab", "-n", "team-b"])["status"].to_string();
    wait_until(SOON, "the condition names the Deployment", || {
        stored().contains("Deployment team-b/kuberay-operator").then_some(())
    });
    assert_eq!(pods(&plane, "team-b").map(|pods| pods.len()), Some(2));
    plane.kubectl(&["delete", "deployment", "kuberay-operator", "-n", "team-b"]).ok();
    wait_pods(&plane, "team-b", 4);
}
