//! The account of the autoscaler may do what the autoscaler does, and nothing else.

use serde_json::{Value, json};

use super::world::{NAMESPACE, SOON, WORLD};
use crate::support::request::Answer;
use crate::support::wait::wait_until;

/// Suspended, so that it has an account and a Role but no Pods.
fn suspended(name: &str) -> String {
    let container = |name: &str| json!([{"name": name, "image": "local/ray:2.60.0"}]);
    let spec = |name: &str| json!({"spec": {"containers": container(name)}});
    let group = json!({"groupName": "small", "replicas": 1, "minReplicas": 1, "maxReplicas": 2,
                       "rayStartParams": {"num-cpus": "1"}, "template": spec("ray-worker")});
    json!({
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "suspend": true,
            "enableInTreeAutoscaling": true,
            "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": spec("ray-head")},
            "workerGroupSpecs": [group],
        },
    })
    .to_string()
}

#[test]
fn the_account_of_an_autoscaler_reaches_its_own_cluster_and_no_other() {
    let plane = &WORLD.plane;
    for name in ["mine", "other"] {
        plane.apply_yaml(&suspended(name));
        wait_until(SOON, "the controller makes the binding", || {
            let binding = format!("raywarden-{name}");
            let found = plane.kubectl(&["get", "rolebinding", &binding, "-n", NAMESPACE]);
            found.status.success().then_some(())
        });
    }
    let bystander = json!({"apiVersion": "v1", "kind": "Pod",
                           "metadata": {"name": "bystander", "namespace": NAMESPACE},
                           "spec": {"containers": [{"name": "x", "image": "x"}]}});
    plane.apply_yaml(&bystander.to_string());
    let token = plane.kubectl(&["create", "token", "raywarden-mine", "-n", NAMESPACE]).ok();
    let ask = |method: &str, path: &str, body: Option<(&str, &Value)>| -> Answer {
        let request = plane.request(method, path).token(token.trim());
        body.into_iter().fold(request, |request, (kind, body)| request.body(kind, body)).send()
    };
    let clusters = format!("/apis/ray.io/v1/namespaces/{NAMESPACE}/rayclusters");
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let replicas =
        json!([{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 2}]);
    let patch = Some(("application/json-patch+json", &replicas));

    // The authorizer learns of the binding by a watch.
    wait_until(SOON, "the account's rights", || {
        (ask("GET", &format!("{clusters}/mine"), None).status == 200).then_some(())
    });
    let patched = ask("PATCH", &format!("{clusters}/mine"), patch).ok();
    assert_eq!(patched["spec"]["workerGroupSpecs"][0]["replicas"], 2);
    assert_eq!(ask("GET", &pods, None).status, 200);

    let other = format!("{clusters}/other");
    let one = format!("{pods}/bystander");
    let create = Some(("application/json", &bystander));
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let refused = [
        ("GET", &other, None),
        ("PATCH", &other, patch),
        ("GET", &clusters, None),
        ("DELETE", &format!("{clusters}/mine"), None),
        ("PATCH", &format!("{clusters}/mine/status"), patch),
        ("POST", &pods, create),
        ("DELETE", &one, None),
        ("DELETE", &pods, None),
        ("GET", &secrets, None),
        ("GET", &"/api/v1/namespaces/default/pods".to_owned(), None),
    ];
    for (method, path, body) in refused {
        let answer = ask(method, path, body);
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
    for name in ["mine", "other"] {
        plane.kubectl(&["delete", "raycluster", name, "-n", NAMESPACE]).ok();
    }
}
