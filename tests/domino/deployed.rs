//! What `deploy/domino` installs.

use raywarden::http::domino::{NEEDED, NEEDED_EVERYWHERE};
use serde_json::{Value, json};

use super::world::{NAMESPACE, WORLD};

#[test]
fn the_deployed_role_holds_exactly_the_rights_that_are_needed() {
    let rules = |needed: &[(&str, &str, &[&str])]| {
        let rule = |(group, resource, verbs): &(&str, &str, &[&str])| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        needed.iter().map(rule).collect::<Value>()
    };
    let role = WORLD.plane.get_json(&["role", "raywarden-api", "-n", NAMESPACE]);
    assert_eq!(role["rules"], rules(&NEEDED));
    let everywhere = WORLD.plane.get_json(&["clusterrole", "raywarden-api-policies"]);
    assert_eq!(everywhere["rules"], rules(&NEEDED_EVERYWHERE));
}

#[test]
fn both_names_that_users_were_given_lead_to_the_pods_on_port_80() {
    let get = |kind: &str, name: &str| WORLD.plane.get_json(&[kind, name, "-n", "domino-field"]);
    let deployment = get("deployment", "raywarden-api");
    let template = &deployment["spec"]["template"];
    let labels = &template["metadata"]["labels"];
    assert_eq!(labels["nucleus-client"], "true", "what reaches Domino's front end");
    let ports = template["spec"]["containers"][0]["ports"].as_array().expect("ports");
    for name in ["rayclusterscaler-svc", "ddl-cluster-scaler-svc"] {
        let service = get("service", name);
        let selected = service["spec"]["selector"].as_object().expect("a selector");
        assert!(selected.iter().all(|(key, value)| labels[key] == *value), "{service}");
        let port = &service["spec"]["ports"][0];
        assert_eq!(port["port"], 80, "{service}");
        assert!(ports.iter().any(|it| it["name"] == port["targetPort"]), "{service} {deployment}");
    }
    let namespace = WORLD.plane.get_json(&["namespace", "domino-field"]);
    for label in ["domino-compute", "domino-platform"] {
        assert_eq!(namespace["metadata"]["labels"][label], "true", "{namespace}");
    }
}

/// Whether a Deployment has room for a failure, bounds, and checks of more than a process.
fn is_sound(deployment: &Value) -> bool {
    let spec = &deployment["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    spec["replicas"].as_i64() > Some(1)
        && container["resources"]["requests"].is_object()
        && container["resources"]["limits"]["memory"].is_string()
        && container["readinessProbe"]["httpGet"]["path"] == "/readyz"
}

#[test]
fn d36_what_is_deployed_has_replicas_bounds_and_a_role_for_every_binding() {
    let deployment = WORLD.plane.get_json(&["deployment", "raywarden-api", "-n", "domino-field"]);
    let probe = json!({"httpGet": {"path": "/healthz", "port": 6000}});
    let container = json!({"name": "rayclusterscaler", "readinessProbe": probe});
    let pod = json!({"spec": {"containers": [container]}});
    assert!(!is_sound(&json!({"spec": {"replicas": 1, "template": pod}})), "the old chart's");
    assert!(is_sound(&deployment), "{deployment}");
    let binding = WORLD.plane.get_json(&["rolebinding", "raywarden-api", "-n", NAMESPACE]);
    let role = binding["roleRef"]["name"].as_str().expect("a name");
    WORLD.plane.get_json(&["role", role, "-n", NAMESPACE]);
    let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
    assert_eq!(binding["subjects"][0]["name"], *account);
}

/// The charts of today let everybody in.
#[test]
fn d12_only_dominos_namespaces_reach_the_pods() {
    let policy = WORLD.plane.get_json(&["networkpolicy", "raywarden-api", "-n", "domino-field"]);
    let deployment = WORLD.plane.get_json(&["deployment", "raywarden-api", "-n", "domino-field"]);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let selected = policy["spec"]["podSelector"]["matchLabels"].as_object().expect("a selector");
    assert!(selected.iter().all(|(key, value)| labels[key] == *value), "{policy}");
    let rules = policy["spec"]["ingress"].as_array().expect("rules");
    for rule in rules {
        let from = rule["from"].as_array().expect("nobody is let in from everywhere");
        assert!(from.iter().all(|it| it["namespaceSelector"]["matchLabels"].is_object()), "{rule}");
        assert_eq!(rule["ports"], json!([{"protocol": "TCP", "port": "http"}]));
    }
}
