use std::sync::Arc;

use cel::{Context, Env, Value as Cel};

use super::*;

fn registration() -> Registration {
    Registration {
        endpoint: Endpoint::Service {
            namespace: "raywarden-system".to_owned(),
            name: "raywarden".to_owned(),
        },
        ca_bundle: None,
        inject_ca_from: None,
        strict: false,
        accounts: Accounts::default(),
    }
}

fn webhooks(configuration: &Value) -> &Vec<Value> {
    configuration["webhooks"].as_array().unwrap()
}

/// The entries of a configuration that a request goes to, as an API server picks them.
fn matches(configuration: &Value, request: &Value) -> Vec<String> {
    let picked = webhooks(configuration).iter().filter(|entry| {
        selects(&entry["rules"], request)
            && entry["matchConditions"]
                .as_array()
                .unwrap()
                .iter()
                .all(|condition| holds(condition["expression"].as_str().unwrap(), request))
    });
    picked.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

fn selects(rules: &Value, request: &Value) -> bool {
    let has = |list: &Value, word: &Value| list.as_array().unwrap().contains(word);
    rules.as_array().unwrap().iter().any(|rule| {
        has(&rule["apiGroups"], &request["resource"]["group"])
            && has(&rule["apiVersions"], &request["resource"]["version"])
            && has(&rule["resources"], &request["resource"]["resource"])
            && has(&rule["operations"], &request["operation"])
    })
}

fn holds(expression: &str, request: &Value) -> bool {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    let program = env.compile(expression).unwrap();
    let mut context = Context::with_env(Arc::new(env));
    let null = Value::Null;
    for (name, value) in [
        ("request", request),
        ("object", request.get("object").unwrap_or(&null)),
        ("oldObject", request.get("oldObject").unwrap_or(&null)),
    ] {
        context.add_variable(name, value).unwrap();
    }
    match program.execute(&context) {
        Ok(Cel::Bool(holds)) => holds,
        other => panic!("{other:?} from {expression} for {request}"),
    }
}

fn request(kind: &str, operation: &str, user: &str, old: &Value) -> Value {
    let (group, version, resource) = match kind {
        "Domino" => ("distributed-compute.dominodatalab.com", "v1alpha1", "rayclusters".to_owned()),
        kind => ("ray.io", "v1", format!("{}s", kind.to_lowercase())),
    };
    let kind = if kind == "Domino" { "RayCluster" } else { kind };
    json!({
        "operation": operation,
        "namespace": "team",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
        "userInfo": {"username": user},
        "object": {"metadata": {"generateName": "x-"}},
        "oldObject": old,
    })
}

#[test]
fn a_new_scale_lease_goes_to_one_mutating_entry_and_a_changed_one_to_none() {
    let (mutating, validating) = (registration().mutating(), registration().validating());
    for (operation, entries) in [("CREATE", &["lease.mutate.raywarden.io"][..]), ("UPDATE", &[])] {
        let mut request = request("RayCluster", operation, "jo", &old("c", &json!({})));
        request["resource"] =
            json!({"group": "raywarden.io", "version": "v1alpha1", "resource": "scaleleases"});
        assert_eq!(matches(&mutating, &request), entries);
        assert_eq!(matches(&validating, &request), [""; 0]);
    }
}

fn account(name: &str) -> String {
    format!("system:serviceaccount:team:{name}")
}

fn old(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

fn head(account: &str) -> Value {
    json!({"headGroupSpec": {"template": {"spec": {"serviceAccountName": account}}}})
}

/// Old objects with every step of the path to the account absent once.
fn shapes() -> Vec<Value> {
    let mut shapes =
        vec![Value::Null, json!({"metadata": {"name": "c"}}), old("c", &head("named"))];
    for spec in [
        json!({}),
        json!({"headGroupSpec": {}}),
        json!({"headGroupSpec": {"template": {}}}),
        json!({"headGroupSpec": {"template": {"spec": {}}}}),
    ] {
        shapes.push(old("c", &spec));
    }
    shapes.push(old(&"l".repeat(53), &json!({})));
    shapes
}

#[test]
fn every_request_goes_to_one_mutating_and_one_validating_entry() {
    let (mutating, validating) = (registration().mutating(), registration().validating());
    let mut users: Vec<String> = ["jo", "system:admin", ""].map(str::to_owned).into();
    users.extend(["c", "named", "raywarden-c", "other", "default"].map(account));
    users.extend(Accounts::default().kuberay);
    users.extend(Accounts::default().garbage_collector);
    let mut count = 0;
    for kind in ["RayCluster", "Domino", "RayJob", "RayService", "RayCronJob"] {
        let mutated = usize::from(kind == "RayCluster" || kind == "Domino");
        for user in &users {
            for old in shapes() {
                let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
                let request = request(kind, operation, user, &old);
                assert_eq!(matches(&mutating, &request).len(), mutated, "{request}");
                assert_eq!(matches(&validating, &request).len(), 1, "{request}");
                count += 1;
            }
        }
    }
    assert!(count > 400);
}

#[test]
fn an_object_under_deletion_goes_nowhere() {
    let mut old = old("c", &head("named"));
    old["metadata"]["deletionTimestamp"] = json!("2026-11-25T12:00:00Z");
    let request = request("RayCluster", "UPDATE", "jo", &old);
    assert!(matches(&registration().mutating(), &request).is_empty());
    assert!(matches(&registration().validating(), &request).is_empty());
}

fn validator(kind: &str, user: &str, old: &Value) -> String {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let request = request(kind, operation, user, old);
    matches(&registration().validating(), &request).remove(0)
}

#[test]
fn operators_and_the_clusters_own_autoscaler_are_machines() {
    let machines = "machines.validate.raywarden.io";
    for names in
        [Accounts::default().kuberay, Accounts::default().ourselves, Accounts::default().kueue]
    {
        for name in names {
            assert_eq!(validator("RayCluster", &name, &Value::Null), machines, "{name}");
            assert_eq!(validator("RayJob", &name, &old("j", &json!({}))), machines, "{name}");
        }
    }
    let long = format!("{}-{}", "a".repeat(5), "b".repeat(47));
    for (user, old) in [
        ("named", old("c", &head("named"))),
        ("raywarden-c", old("c", &head("raywarden-c"))),
        ("raywarden-c", old("c", &json!({}))),
        ("c", old("c", &json!({}))),
        (&dialect::kuberay::clipped_name(&long), old(&long, &json!({}))),
        (
            &dialect::kuberay::clipped_name(&format!("a1{}", "b".repeat(49))),
            old(&format!("a1{}", "b".repeat(49)), &json!({})),
        ),
        (&crate::model::names::own_account(&long), old(&long, &json!({}))),
    ] {
        assert_eq!(validator("RayCluster", &account(user), &old), machines, "{user}");
    }
}

#[test]
fn everybody_else_is_people() {
    let people = "people.validate.raywarden.io";
    let cluster = || old("c", &head("named"));
    for user in [
        account("other"),
        account(""),
        "system:serviceaccount:else:named".to_owned(),
        "named".to_owned(),
    ] {
        assert_eq!(validator("RayCluster", &user, &cluster()), people, "{user}");
    }
    assert_eq!(validator("RayCluster", &account("named"), &Value::Null), people);
    assert_eq!(validator("RayJob", &account("j"), &old("j", &head("named"))), people);
    assert_eq!(validator("Domino", &account("c"), &cluster()), people);
}

#[test]
fn a_pattern_of_accounts_reaches_every_namespace() {
    let mut registration = registration();
    registration.accounts.kuberay = vec!["system:serviceaccount:*:kuberay-operator".to_owned()];
    let request = request("RayCluster", "CREATE", &account("kuberay-operator"), &Value::Null);
    let entry = matches(&registration.validating(), &request);
    assert_eq!(entry, ["machines.validate.raywarden.io"]);
}

#[test]
fn an_empty_list_of_accounts_still_compiles() {
    let mut registration = registration();
    let none = Vec::new;
    registration.accounts = Accounts {
        kuberay: none(),
        domino: none(),
        kueue: none(),
        ourselves: none(),
        hpa: none(),
        garbage_collector: none(),
    };
    let request = request("RayCluster", "CREATE", "jo", &Value::Null);
    assert_eq!(matches(&registration.validating(), &request), ["people.validate.raywarden.io"]);
}

#[test]
fn only_people_are_ever_refused_for_want_of_an_answer() {
    let mut registration = registration();
    for (strict, people) in [(false, "Ignore"), (true, "Fail")] {
        registration.strict = strict;
        let (mutating, validating) = (registration.mutating(), registration.validating());
        for entry in webhooks(&mutating).iter().chain(webhooks(&validating)) {
            let is_people = entry["name"] == "people.validate.raywarden.io";
            assert_eq!(entry["failurePolicy"], if is_people { people } else { "Ignore" });
            assert_eq!(entry["timeoutSeconds"], 5);
            assert_eq!(entry["sideEffects"], "None");
            assert_eq!(entry["matchPolicy"], "Equivalent");
        }
        assert_eq!(webhooks(&mutating)[0]["reinvocationPolicy"], "IfNeeded");
    }
}

#[test]
fn an_endpoint_is_a_service_or_a_url_and_has_one_writer_of_its_bundle() {
    let mut registration = registration();
    let config =
        |registration: &Registration| webhooks(&registration.mutating())[0]["clientConfig"].clone();
    assert_eq!(
        config(&registration),
        json!({"service": {
            "namespace": "raywarden-system", "name": "raywarden", "path": "/mutate", "port": 443,
        }})
    );
    registration.endpoint = Endpoint::Url("https://127.0.0.1:9443/".to_owned());
    registration.ca_bundle = Some("pem".to_owned());
    assert_eq!(
        config(&registration),
        json!({"url": "https://127.0.0.1:9443/mutate", "caBundle": "cGVt"})
    );
    registration.inject_ca_from = Some("ns/cert".to_owned());
    let annotations = registration.mutating()["metadata"]["annotations"].clone();
    assert_eq!(annotations, json!({"cert-manager.io/inject-ca-from": "ns/cert"}));
}
