use super::*;
use crate::dialect::Dialect;

fn cluster() -> Value {
    json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "metadata": {"name": "lab", "namespace": "team-a", "uid": "u-1"},
        "spec": {
            "headGroupSpec": {"template": {"spec": {"containers": [{"name": "head"}]}}},
            "workerGroupSpecs": [{"groupName": "small"}],
        },
    })
}

fn services(object: &Value) -> Vec<Value> {
    let cluster = Dialect::RayCluster.view(object).unwrap();
    let domain = "cluster.local";
    wanted(&Plot { cluster: &cluster, namespace: "team-a", uid: "u-1", domain })
}

fn head_group(object: &mut Value) -> &mut Value {
    &mut object["spec"]["headGroupSpec"]
}

fn declare(object: &mut Value, ports: Value) {
    head_group(object)["template"]["spec"]["containers"][0]["ports"] = ports;
}

fn port_names(service: &Value) -> Vec<&str> {
    list(&service["spec"], "ports").iter().filter_map(|port| text(port, "name")).collect()
}

fn named_service<'a>(services: &'a [Value], name: &str) -> Option<&'a Value> {
    services.iter().find(|service| service["metadata"]["name"] == name)
}

#[test]
fn a_head_that_declares_no_ports_is_served_on_the_usual_ones_without_an_address() {
    let services = services(&cluster());
    let [head] = services.as_slice() else { panic!("{services:?}") };
    assert_eq!(head["metadata"]["name"], "lab-head-svc");
    assert_eq!(head["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert_eq!(port_names(head), ["client", "dashboard", "gcs-server", "metrics", "serve"]);
    assert_eq!(head["spec"]["clusterIP"], "None");
    assert_eq!(head["spec"]["publishNotReadyAddresses"], true);
}

#[test]
fn declared_ports_are_served_by_name_and_metrics_always() {
    let mut object = cluster();
    declare(
        &mut object,
        json!([
            {"name": "gcs-server", "containerPort": 6380}, {"containerPort": 9000},
            {"name": "probe", "containerPort": 9000, "protocol": "UDP"},
        ]),
    );
    let services = services(&object);
    assert_eq!(port_names(&services[0]), ["9000-port", "gcs-server", "metrics", "probe"]);
    let ports = &services[0]["spec"]["ports"];
    assert_eq!((&ports[1]["port"], &ports[1]["appProtocol"]), (&json!(6380), &json!("tcp")));
    assert_eq!(ports[3]["protocol"], "UDP");
}

#[test]
fn the_selector_names_only_what_no_template_can_move() {
    let mut object = cluster();
    let metadata =
        json!({"labels": {"app.kubernetes.io/name": "mine", "ray.io/identifier": "mine"}});
    head_group(&mut object)["template"]["metadata"] = metadata;
    let services = services(&object);
    let selector = json!({"ray.io/cluster": "lab", "ray.io/node-type": "head"});
    assert_eq!(services[0]["spec"]["selector"], selector);
    let labels = &services[0]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "mine");
    assert_eq!(labels["ray.io/identifier"], "lab-head");
    assert_eq!(labels["app.kubernetes.io/created-by"], "raywarden");
}

#[test]
fn a_head_exposed_by_type_has_an_address() {
    for (kind, headless) in
        [("NodePort", false), ("LoadBalancer", false), ("ClusterIP", true), ("", true)]
    {
        let mut object = cluster();
        head_group(&mut object)["serviceType"] = json!(kind);
        let services = services(&object);
        assert_eq!(services[0]["spec"].get("clusterIP").is_some(), headless, "{kind}");
    }
}

#[test]
fn a_service_of_the_users_own_is_completed_and_gets_no_port_twice() {
    let mut object = cluster();
    object["spec"]["headServiceAnnotations"] = json!({"a": "ours"});
    head_group(&mut object)["serviceType"] = json!("LoadBalancer");
    head_group(&mut object)["headService"] = json!({
        "metadata": {
            "name": "front", "namespace": "elsewhere", "annotations": {"a": "theirs", "b": "c"},
            "labels": {"ray.io/cluster": "other", "team": "x"},
        },
        "spec": {
            "selector": {"app": "other"}, "sessionAffinity": "ClientIP",
            "ports": [{"port": 443}, {"name": "dashboard", "port": 80, "targetPort": 8265},
                      {"name": "ray", "port": 10001}],
        },
    });
    let services = services(&object);
    let head = &services[0];
    assert_eq!(head["metadata"]["name"], "front");
    assert_eq!(head["metadata"]["namespace"], "team-a");
    assert_eq!(head["metadata"]["annotations"], json!({"a": "ours", "b": "c"}));
    assert_eq!(head["metadata"]["labels"]["ray.io/cluster"], "lab");
    assert_eq!(head["metadata"]["labels"]["team"], "x");
    assert_eq!(head["spec"]["selector"]["ray.io/node-type"], "head");
    assert_eq!(head["spec"]["selector"].get("app"), None);
    assert_eq!(head["spec"]["type"], "LoadBalancer");
    assert_eq!(head["spec"]["sessionAffinity"], "ClientIP");
    let names = ["443-port", "dashboard", "ray", "gcs-server", "metrics", "serve"];
    assert_eq!(port_names(head), names);
    assert_eq!(head["spec"].get("clusterIP"), None);
}

#[test]
fn workers_of_several_hosts_find_each_other_before_they_are_ready() {
    let mut object = cluster();
    object["spec"]["workerGroupSpecs"][0]["numOfHosts"] = json!(2);
    let services = services(&object);
    let workers = named_service(&services, "lab-headless").unwrap();
    assert_eq!(workers["metadata"]["labels"]["ray.io/headless-worker-svc"], "lab");
    assert_eq!(workers["spec"]["clusterIP"], "None");
    assert_eq!(workers["spec"]["publishNotReadyAddresses"], true);
    let selector = json!({"ray.io/cluster": "lab", "ray.io/node-type": "worker"});
    assert_eq!(workers["spec"]["selector"], selector);
}

#[test]
fn ray_serve_gets_its_service_only_when_asked_and_only_with_a_port() {
    let mut object = cluster();
    object["metadata"]["annotations"] = json!({"ray.io/enable-serve-service": "true"});
    declare(
        &mut object,
        json!([
            {"name": "serve-grpc", "containerPort": 9000}, {"name": "serve", "containerPort": 8000},
            {"name": "server", "containerPort": 7000},
        ]),
    );
    let asked = services(&object);
    let serve = named_service(&asked, "lab-serve-svc").unwrap();
    assert_eq!(port_names(serve), ["serve", "serve-grpc"]);
    assert_eq!(serve["spec"]["selector"], json!({"ray.io/cluster": "lab"}));
    assert_eq!(serve["metadata"]["labels"]["ray.io/serve"], "lab-serve");
    declare(&mut object, json!([{"name": "server", "containerPort": 7000}]));
    assert!(named_service(&services(&object), "lab-serve-svc").is_none());
    assert!(named_service(&services(&cluster()), "lab-serve-svc").is_none());
}
