use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::Dialect;
use crate::inject::for_pod;
use crate::model::Settings;
use crate::plan::pod::{NodeType, Pod};

mod around;
mod start;

/// The cluster that KubeRay's stored Pods were compared with.
fn cluster() -> Value {
    let ports = json!([
        {"name": "gcs-server", "containerPort": 6379, "protocol": "TCP"},
        {"name": "dashboard", "containerPort": 8265, "protocol": "TCP"},
    ]);
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a", "uid": "u-1"},
        "spec": {
            "rayVersion": "2.60.0",
            "enableInTreeAutoscaling": true,
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0"},
                "template": {"spec": {"containers": [{
                    "name": "ray-head", "image": "ray:2.60.0", "ports": ports,
                    "resources": {"limits": {"cpu": "2", "memory": "3Gi"}},
                }]}},
            },
            "workerGroupSpecs": [{
                "groupName": "small", "replicas": 1, "minReplicas": 0, "maxReplicas": 4,
                "numOfHosts": 1, "rayStartParams": {},
                "template": {"spec": {"containers": [{
                    "name": "ray-worker", "image": "ray:2.60.0", "imagePullPolicy": "IfNotPresent",
                    "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
                }]}},
            }],
        },
    })
}

/// What `build` makes of the object, injection done as the controller does it.
fn plotted<T>(object: &Value, build: impl FnOnce(&Plot<'_>) -> T) -> T {
    let object = for_pod(object, &Settings::default());
    let cluster = Dialect::RayCluster.view(&object).unwrap();
    let domain = "cluster.local";
    build(&Plot { cluster: &cluster, namespace: "team-a", uid: "u-1", domain })
}

fn built_head(object: &Value) -> Value {
    plotted(object, |plot| head(plot, "lab-head-x", 0))
}

fn built_worker(object: &Value) -> Value {
    let name = "lab-small-worker-x".to_owned();
    let seat = Seat { name, attempt: 3, index: 2, replica: None, host: 0 };
    plotted(object, |plot| worker(plot, &plot.cluster.groups[0], &seat))
}

fn head_group(object: &mut Value) -> &mut Value {
    &mut object["spec"]["headGroupSpec"]
}

fn head_ray(object: &mut Value) -> &mut Value {
    &mut object["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
}

fn small(object: &mut Value) -> &mut Value {
    &mut object["spec"]["workerGroupSpecs"][0]
}

fn small_ray(object: &mut Value) -> &mut Value {
    &mut object["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
}

/// The container that runs Ray.
fn ray(pod: &Value) -> &Value {
    &pod["spec"]["containers"][0]
}

/// The value of a variable; null where there is none.
fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let env = container["env"].as_array().map_or(&[][..], Vec::as_slice);
    env.iter().find(|entry| entry["name"] == name).map_or(NULL, |entry| &entry["value"])
}

/// The plain line that starts Ray.
fn line(pod: &Value) -> &str {
    variable(ray(pod), "KUBERAY_GEN_RAY_START_CMD").as_str().unwrap()
}

#[test]
fn head_worker_and_service_are_those_of_kuberay_but_for_what_is_ours() {
    let mut pods = json!({"head": built_head(&cluster()), "worker": built_worker(&cluster())});
    pods["services"] = plotted(&cluster(), |plot| json!(services::wanted(plot)));
    let golden = include_str!("../../../tests/golden/plan/pods.json");
    let wanted: Value = serde_json::from_str(golden).unwrap();
    assert_eq!(pods, wanted, "now:\n{pods:#}");
}

#[test]
fn what_is_built_is_read_back_as_what_was_meant() {
    let head = Pod::read(&built_head(&cluster()));
    assert_eq!((head.node_type, head.group.as_str()), (NodeType::Head, "headgroup"));
    assert!(head.belongs_to("u-1"));
    assert_eq!(head.created_by, "raywarden");
    assert_eq!(head.hash, Some(recreate::hash(&cluster())));

    let mut object = cluster();
    small(&mut object)["numOfHosts"] = json!(4);
    let name = "lab-small-worker-y".to_owned();
    let seat = Seat { name, attempt: 7, index: 1, replica: Some("small-abc".to_owned()), host: 3 };
    let pod = plotted(&object, |plot| worker(plot, &plot.cluster.groups[0], &seat));
    let pod = Pod::read(&pod);
    assert_eq!((pod.node_type, pod.group.as_str()), (NodeType::Worker, "small"));
    assert_eq!((pod.index, pod.host, pod.attempt), (Some(1), Some(3), 7));
    assert_eq!(pod.replica.as_deref(), Some("small-abc"));
    assert_eq!(pod.hash, None);
}

/// Templates as users and their tools write them: odd members, own containers and variables.
fn written() -> impl Strategy<Value = Value> {
    let names = prop::sample::subsequence(
        vec![
            "A",
            "FQ_RAY_IP",
            "RAY_IP",
            "RAY_CLUSTER_NAME",
            "RAY_PORT",
            "RAY_ADDRESS",
            "RAY_USAGE_STATS_EXTRA_TAGS",
            "KUBERAY_GEN_RAY_START_CMD",
            "RAY_AUTH_MODE",
        ],
        0..9,
    );
    let env = names.prop_map(|names| -> Value {
        names.iter().map(|name| json!({"name": name, "value": "user"})).collect()
    });
    let env = prop_oneof![4 => env, 1 => Just(Value::Null)];
    let params = prop_oneof![Just(Value::Null), Just(json!({})), Just(json!({"port": "6380"}))];
    let version = prop::sample::select(vec![json!(null), json!("v1"), json!("v2")]);
    let auth = prop::sample::select(vec![
        json!(null),
        json!({"mode": "token"}),
        json!({"mode": "token", "enableK8sTokenAuth": true}),
        json!({"mode": "disabled"}),
    ]);
    (env, params, version, auth, any::<bool>(), any::<bool>(), "[a-z]{1,8}").prop_map(
        |(env, params, version, auth, proxy, stored, word)| {
            let mut object = cluster();
            object["spec"]["autoscalerOptions"] = json!({"version": version});
            object["spec"]["authOptions"] = auth;
            head_group(&mut object)["rayStartParams"] = params.clone();
            small(&mut object)["rayStartParams"] = params;
            for at in ["/spec/headGroupSpec", "/spec/workerGroupSpecs/0"] {
                let pod = &mut object.pointer_mut(at).unwrap()["template"]["spec"];
                pod["containers"][0]["env"] = env.clone();
                pod["containers"][0]["future"] = json!({"x": word});
                pod["futureOfPod"] = json!([word]);
                if proxy {
                    pod["containers"].as_array_mut().unwrap().push(json!({"name": "proxy"}));
                    pod["initContainers"] = json!([{"name": "certs", "env": env}]);
                }
            }
            if stored { for_pod(&object, &Settings::default()).into_owned() } else { object }
        },
    )
}

fn names(entries: &Value) -> Vec<&str> {
    entries.as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

proptest! {
    #[test]
    fn a_built_pod_is_the_users_own_and_has_nothing_twice(object in written()) {
        let (head, worker) = (built_head(&object), built_worker(&object));
        let sidecars = names(&head["spec"]["containers"]);
        prop_assert_eq!(sidecars.iter().filter(|name| **name == "autoscaler").count(), 1);
        prop_assert_eq!(&head, &built_head(&object));
        for (pod, group) in [(&head, &object["spec"]["headGroupSpec"]),
                             (&worker, &object["spec"]["workerGroupSpecs"][0])] {
            let template = &group["template"]["spec"];
            prop_assert_eq!(&ray(pod)["name"], &template["containers"][0]["name"]);
            prop_assert_eq!(&ray(pod)["future"], &template["containers"][0]["future"]);
            prop_assert_eq!(&pod["spec"]["futureOfPod"], &template["futureOfPod"]);
            for kind in ["containers", "initContainers"] {
                for container in pod["spec"][kind].as_array().into_iter().flatten() {
                    let mut names = names(&container["env"]);
                    names.sort_unstable();
                    let all = names.len();
                    names.dedup();
                    prop_assert_eq!(names.len(), all, "{}", container);
                }
            }
        }
    }

    #[test]
    fn injection_leaves_the_hash_as_it_is(object in written()) {
        let injected = for_pod(&object, &Settings::default());
        prop_assert_eq!(recreate::hash(&object), recreate::hash(&injected));
    }
}
