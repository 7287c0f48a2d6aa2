//! What stands around Ray in its Pods: one test for each fault that somebody has had there.

use super::*;

#[test]
fn labels_by_which_a_pod_is_found_cannot_be_moved() {
    let mut object = cluster();
    let labels = json!({
        "ray.io/cluster": "other", "ray.io/node-type": "other", "ray.io/group": "other",
        "app.kubernetes.io/created-by": "other", "ray.io/worker-group-replica-index": "9",
        "ray.io/is-ray-node": "no", "ray.io/identifier": "mine", "app.kubernetes.io/name": "mine",
    });
    small(&mut object)["template"]["metadata"]["labels"] = labels.clone();
    small(&mut object)["labels"] = labels;
    let pod = built_worker(&object);
    let wanted = json!({
        "ray.io/cluster": "lab", "ray.io/node-type": "worker", "ray.io/group": "small",
        "app.kubernetes.io/created-by": "raywarden", "ray.io/worker-group-replica-index": "2",
        "ray.io/is-ray-node": "no", "ray.io/identifier": "mine", "app.kubernetes.io/name": "mine",
    });
    assert_eq!(pod["metadata"]["labels"], wanted);
}

#[test]
fn labels_of_the_group_stand_over_those_of_the_template_and_reach_ray_in_order() {
    let mut object = cluster();
    small(&mut object)["template"]["metadata"]["labels"] = json!({"zone": "a", "team": "x"});
    small(&mut object)["labels"] = json!({"zone": "b", "accelerator": "none"});
    let pod = built_worker(&object);
    assert_eq!(pod["metadata"]["labels"]["zone"], "b");
    assert_eq!(pod["metadata"]["labels"]["team"], "x");
    assert!(line(&pod).contains(" --labels=accelerator=none,zone=b "), "{}", line(&pod));
}

#[test]
fn name_and_namespace_of_the_template_are_not_followed() {
    let mut object = cluster();
    let metadata = json!({
        "name": "n", "namespace": "kube-system", "annotations": {"a": "b"}, "finalizers": ["x/y"],
        "ownerReferences": [{"uid": "foreign"}],
    });
    head_group(&mut object)["template"]["metadata"] = metadata;
    let metadata = &built_head(&object)["metadata"];
    assert_eq!(
        (&metadata["name"], &metadata["namespace"]),
        (&json!("lab-head-x"), &json!("team-a"))
    );
    assert_eq!(metadata["annotations"]["a"], "b");
    assert_eq!(metadata["finalizers"], json!(["x/y"]));
    assert_eq!(metadata.get("generateName"), None);
    assert_eq!(metadata["ownerReferences"].as_array().unwrap().len(), 1);
    assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1");
}

#[test]
fn nothing_passes_from_one_pod_to_the_next() {
    let mut object = cluster();
    small(&mut object)["numOfHosts"] = json!(2);
    plotted(&object, |plot| {
        let seat = |host: u32| Seat {
            name: format!("w-{host}"),
            attempt: 0,
            index: 0,
            replica: Some("r".to_owned()),
            host,
        };
        let group = &plot.cluster.groups[0];
        let first = worker(plot, group, &seat(0));
        let mut second = worker(plot, group, &seat(1));
        assert_eq!(second["metadata"]["labels"]["ray.io/replica-host-index"], "1");
        second["metadata"]["labels"]["ray.io/replica-host-index"] = json!("0");
        second["metadata"]["name"] = json!("w-0");
        assert_eq!(first, second);
    });
}

#[test]
fn a_cluster_without_parameters_containers_or_templates_is_built_without_panic() {
    for spec in [json!(null), json!({}), json!({"headGroupSpec": null, "workerGroupSpecs": [{}]})] {
        let mut object = cluster();
        object["spec"] = spec;
        assert_eq!(built_head(&object)["kind"], "Pod");
        plotted(&object, services::wanted);
    }
    let mut object = cluster();
    head_group(&mut object).as_object_mut().unwrap().remove("rayStartParams");
    small(&mut object)["rayStartParams"] = Value::Null;
    assert!(line(&built_head(&object)).contains(" --num-cpus=2 "));
    assert!(line(&built_worker(&object)).contains(" --num-cpus=1 "));
}

#[test]
fn probes_follow_the_ports_of_the_parameters() {
    let mut object = cluster();
    let ports = json!({"dashboard-agent-listen-port": "1234", "dashboard-port": "5678"});
    head_group(&mut object)["rayStartParams"] = ports;
    let pod = built_head(&object);
    assert_eq!(
        ray(&pod)["livenessProbe"]["httpGet"],
        json!({"path": "/api/healthz", "port": 1234})
    );
    object["spec"]["rayVersion"] = json!("2.52.1");
    let asked = ray(&built_head(&object))["readinessProbe"]["exec"]["command"][2].to_string();
    assert!(asked.contains(":1234/api/local_raylet_healthz"), "{asked}");
    assert!(asked.contains(" && ") && asked.contains(":5678/api/gcs_healthz"), "{asked}");
}

#[test]
fn probes_ask_in_words_where_the_version_is_old_or_unknown_and_only_once() {
    for version in [json!("2.52.0"), json!("nightly"), json!(null)] {
        let mut object = cluster();
        object["spec"]["rayVersion"] = version;
        let asked = ray(&built_worker(&object))["livenessProbe"]["exec"]["command"].to_string();
        assert!(asked.contains("--tries=1") && !asked.contains("gcs_healthz"), "{asked}");
    }
}

#[test]
fn probes_of_the_user_stand() {
    let mut object = cluster();
    small_ray(&mut object)["livenessProbe"] = json!({"exec": {"command": ["true"]}});
    let pod = built_worker(&object);
    assert_eq!(ray(&pod)["livenessProbe"], json!({"exec": {"command": ["true"]}}));
    assert_eq!(ray(&pod)["readinessProbe"]["timeoutSeconds"], 2);
}

#[test]
fn a_metrics_port_is_declared_once() {
    let mut object = cluster();
    small_ray(&mut object)["ports"] = json!([{"name": "metrics", "containerPort": 9}]);
    assert_eq!(
        ray(&built_worker(&object))["ports"],
        json!([{"name": "metrics", "containerPort": 9}])
    );
}

#[test]
fn shared_memory_is_mounted_unless_the_user_did_or_moved_the_store() {
    let shm = |object: &Value| {
        let pod = built_worker(object);
        names(&pod["spec"]["volumes"]).contains(&"shared-mem")
    };
    assert!(shm(&cluster()));
    let mut mounted = cluster();
    small_ray(&mut mounted)["volumeMounts"] = json!([{"name": "own", "mountPath": "/dev/shm/"}]);
    assert!(!shm(&mounted));
    let mut moved = cluster();
    small(&mut moved)["rayStartParams"]["plasma-directory"] = json!("/data");
    assert!(!shm(&moved));
}

#[test]
fn shared_memory_is_as_large_as_the_limit_or_else_the_request_or_else_unbounded() {
    for (resources, limit) in [
        (json!({"limits": {"memory": "1500M"}, "requests": {"memory": "1G"}}), json!("1500M")),
        (json!({"requests": {"memory": "1G"}}), json!("1G")),
        (json!({}), json!(null)),
    ] {
        let mut object = cluster();
        small_ray(&mut object)["resources"] = resources;
        assert_eq!(built_worker(&object)["spec"]["volumes"][0]["emptyDir"]["sizeLimit"], limit);
    }
}

#[test]
fn the_wait_for_the_head_comes_last_and_has_what_tls_needs() {
    let mut object = cluster();
    let pod = &mut small(&mut object)["template"]["spec"];
    pod["initContainers"] = json!([{"name": "certs"}]);
    pod["containers"][0]["env"] = json!([{"name": "RAY_USE_TLS", "value": "1"}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "tls", "mountPath": "/tls"}]);
    pod["containers"][0]["securityContext"] = json!({"runAsUser": 7});
    let pod = built_worker(&object);
    let init = &pod["spec"]["initContainers"];
    assert_eq!(names(init), ["certs", "wait-gcs-ready"]);
    assert_eq!(variable(&init[1], "RAY_USE_TLS"), "1");
    assert_eq!(init[1]["volumeMounts"], json!([{"name": "tls", "mountPath": "/tls"}]));
    assert_eq!(init[1]["securityContext"], json!({"runAsUser": 7}));
    assert_eq!(variable(&init[0], "RAY_IP"), "lab-head-svc");
}

#[test]
fn a_wait_of_the_users_own_is_not_doubled() {
    let mut object = cluster();
    small(&mut object)["template"]["spec"]["initContainers"] = json!([{"name": "wait-gcs-ready"}]);
    assert_eq!(names(&built_worker(&object)["spec"]["initContainers"]), ["wait-gcs-ready"]);
}

#[test]
fn init_containers_of_the_head_learn_where_it_will_be() {
    let mut object = cluster();
    head_group(&mut object)["template"]["spec"]["initContainers"] =
        json!([{"name": "certs", "env": null}]);
    let init = &built_head(&object)["spec"]["initContainers"];
    assert_eq!(names(init), ["certs"]);
    assert_eq!(variable(&init[0], "FQ_RAY_IP"), "lab-head-svc.team-a.svc.cluster.local");
}

#[test]
fn under_autoscaler_v2_no_pod_restarts_and_under_v1_the_template_decides() {
    for (version, policy) in [("v2", json!("Never")), ("v1", json!("OnFailure"))] {
        let mut object = cluster();
        object["spec"]["autoscalerOptions"] = json!({"version": version});
        for group in ["/spec/headGroupSpec", "/spec/workerGroupSpecs/0"] {
            object.pointer_mut(group).unwrap()["template"]["spec"]["restartPolicy"] =
                json!("OnFailure");
        }
        assert_eq!(built_head(&object)["spec"]["restartPolicy"], policy);
        assert_eq!(built_worker(&object)["spec"]["restartPolicy"], policy);
        let switch = json!(if version == "v2" { "true" } else { "false" });
        assert_eq!(*variable(ray(&built_head(&object)), "RAY_enable_autoscaler_v2"), switch);
        assert_eq!(*variable(ray(&built_worker(&object)), "RAY_enable_autoscaler_v2"), Value::Null);
    }
}

#[test]
fn without_autoscaling_nothing_of_the_autoscalers_is_built() {
    let mut object = cluster();
    object["spec"]["enableInTreeAutoscaling"] = json!(false);
    object["spec"]["autoscalerOptions"] = json!({"version": "v2"});
    let pod = built_head(&object);
    assert_eq!(names(&pod["spec"]["containers"]), ["ray-head"]);
    assert_eq!(pod["spec"].get("restartPolicy"), None);
    assert_eq!(pod["spec"].get("serviceAccountName"), None);
    assert!(!line(&pod).contains("no-monitor"));
    assert!(!names(&pod["spec"]["volumes"]).contains(&"ray-logs"));
}

#[test]
fn redis_options_become_variables_references_and_annotations() {
    let mut object = cluster();
    let reference = json!({"secretKeyRef": {"name": "redis", "key": "password"}});
    object["spec"]["gcsFaultToleranceOptions"] = json!({
        "redisAddress": "redis:6379", "redisUsername": {"value": "ray"},
        "redisPassword": {"valueFrom": reference},
    });
    let pod = built_head(&object);
    assert_eq!(variable(ray(&pod), "RAY_REDIS_ADDRESS"), "redis:6379");
    assert_eq!(variable(ray(&pod), "REDIS_USERNAME"), "ray");
    assert_eq!(variable(ray(&pod), "RAY_external_storage_namespace"), "u-1");
    let env = ray(&pod)["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "REDIS_PASSWORD", "valueFrom": reference})));
    let part = " --redis-password=$REDIS_PASSWORD  --redis-username=$REDIS_USERNAME ";
    assert!(line(&pod).contains(part), "{}", line(&pod));
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["ray.io/ft-enabled"], "true");
    assert_eq!(annotations["ray.io/external-storage-namespace"], "u-1");
    // The sidecar has no business with Redis.
    assert!(!pod["spec"]["containers"][1].to_string().contains("REDIS"));

    let worker = built_worker(&object);
    assert_eq!(variable(ray(&worker), "RAY_gcs_rpc_server_reconnect_timeout_s"), "600");
    assert!(!worker.to_string().contains("redis"));
    assert_eq!(worker["metadata"]["annotations"].get("ray.io/ft-enabled"), None);
}

#[test]
fn fault_tolerance_by_annotation_leaves_the_users_variables() {
    let mut object = cluster();
    object["metadata"]["annotations"] =
        json!({"ray.io/ft-enabled": "TRUE", "ray.io/external-storage-namespace": "shared"});
    head_group(&mut object)["rayStartParams"]["redis-password"] = json!("secret");
    head_ray(&mut object)["env"] = json!([{"name": "RAY_REDIS_ADDRESS", "value": "redis:1"}]);
    let pod = built_head(&object);
    assert_eq!(variable(ray(&pod), "RAY_REDIS_ADDRESS"), "redis:1");
    assert_eq!(variable(ray(&pod), "REDIS_PASSWORD"), "secret");
    assert_eq!(variable(ray(&pod), "RAY_external_storage_namespace"), "shared");
    assert_eq!(pod["metadata"]["annotations"]["ray.io/external-storage-namespace"], "shared");
}

#[test]
fn a_token_reaches_ray_the_sidecar_and_the_wait_and_nobody_else() {
    let mut object = cluster();
    object["spec"]["authOptions"] = json!({"mode": "token", "secretName": "mine"});
    small(&mut object)["template"]["spec"]["initContainers"] = json!([{"name": "certs"}]);
    let containers = &mut head_group(&mut object)["template"]["spec"]["containers"];
    containers.as_array_mut().unwrap().push(json!({"name": "proxy"}));
    let (head, worker) = (built_head(&object), built_worker(&object));
    let init = &worker["spec"]["initContainers"];
    let containers = &head["spec"]["containers"];
    assert_eq!(names(containers), ["ray-head", "proxy", "autoscaler"]);
    let entry = json!({
        "name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "auth_token"}},
    });
    for container in [&containers[0], &containers[2], ray(&worker), &init[1]] {
        assert_eq!(variable(container, "RAY_AUTH_MODE"), "token");
        assert!(container["env"].as_array().unwrap().contains(&entry), "{container}");
    }
    assert_eq!(containers[1], json!({"name": "proxy"}));
    assert_eq!(variable(&init[0], "RAY_AUTH_MODE"), NULL);
}

#[test]
fn tokens_of_kubernetes_come_through_a_volume() {
    let mut object = cluster();
    object["spec"]["authOptions"] = json!({"mode": "token", "enableK8sTokenAuth": true});
    let mount = json!({
        "name": "ray-token", "mountPath": "/var/run/secrets/ray.io/serviceaccount", "readOnly": true,
    });
    let (head, worker) = (built_head(&object), built_worker(&object));
    let containers = &head["spec"]["containers"];
    for container in
        [&containers[0], &containers[1], ray(&worker), &worker["spec"]["initContainers"][0]]
    {
        assert_eq!(variable(container, "RAY_ENABLE_K8S_TOKEN_AUTH"), "true");
        assert!(container["volumeMounts"].as_array().unwrap().contains(&mount), "{container}");
        assert!(!container.to_string().contains("secretKeyRef"));
    }
    for pod in [&head, &worker] {
        let volumes = names(&pod["spec"]["volumes"]);
        assert_eq!(volumes.iter().filter(|name| **name == "ray-token").count(), 1);
    }
}

#[test]
fn nodes_of_a_ray_service_are_let_in_by_label_and_readiness() {
    let mut object = cluster();
    let owner =
        json!({"apiVersion": "ray.io/v1", "kind": "RayService", "name": "s", "controller": true});
    object["metadata"]["ownerReferences"] = json!([owner]);
    let (head, worker) = (built_head(&object), built_worker(&object));
    assert_eq!(head["metadata"]["labels"]["ray.io/serve"], "false");
    assert_eq!(worker["metadata"]["labels"]["ray.io/serve"], "true");
    let ready = &ray(&worker)["readinessProbe"];
    assert_eq!(ready["failureThreshold"], 1);
    assert!(ready["exec"]["command"][2].as_str().unwrap().contains(":8000/-/healthz"));
    assert!(ray(&worker)["livenessProbe"].get("httpGet").is_some());
    assert_eq!(variable(ray(&worker), "RAY_SERVE_KV_TIMEOUT_S"), "5");
    assert_eq!(built_worker(&cluster())["metadata"]["labels"].get("ray.io/serve"), None);
}
