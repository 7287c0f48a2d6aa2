//! What is written.

use serde_json::{Value, json};

use super::support::wait::wait_until;
use super::world::{SOON, Space, WORLD, code, together};

#[test]
fn a_scale_writes_the_count_and_nothing_else() {
    let space = Space::new("scales");
    let before = space.cluster("demo");
    let result = space.scale("demo", "", &json!({"group": "small", "replicas": 5})).ok();
    assert_eq!((&result["from"], &result["to"]), (&json!(1), &json!(5)), "{result}");
    assert_eq!((&result["changed"], &result["replayed"]), (&json!(true), &json!(false)));
    assert_eq!(result["cluster"]["workers"]["desired"], 5);
    let mut expected = before["spec"].clone();
    expected["workerGroupSpecs"][0]["replicas"] = json!(5);
    let after = space.find("rayclusters", "demo");
    assert_eq!(after["spec"], expected);
    assert_eq!(after["metadata"]["annotations"], Value::Null);
    let again = space.scale("demo", "", &json!({"group": "small", "replicas": 5})).ok();
    assert_eq!(again["changed"], false);
    assert_eq!(
        space.find("rayclusters", "demo")["metadata"]["generation"],
        after["metadata"]["generation"]
    );
}

#[test]
fn a_dry_run_is_judged_and_stores_nothing() {
    let space = Space::new("dry");
    space.cluster("demo");
    let result = space.scale("demo", "?dryRun=All", &json!({"group": "small", "replicas": 5})).ok();
    assert_eq!((&result["dryRun"], &result["changed"]), (&json!(true), &json!(false)));
    assert_eq!(result["to"], 5);
    assert_eq!(space.replicas("demo", 0), 1);
    let above = space.scale("demo", "?dryRun=All", &json!({"group": "small", "replicas": 11}));
    assert_eq!(code(&above), (422, "above-max".to_owned()));
    assert!(space.list("events").is_empty());
}

#[test]
fn a_request_with_a_key_is_done_once_by_whichever_replica() {
    let space = Space::new("keys");
    space.cluster("demo");
    let key = [("Idempotency-Key", "b7c1")];
    let body = json!({"group": "small", "replicas": 5});
    assert_eq!(space.scale_with("demo", "", &key, &body).ok()["changed"], true);
    space.merge("rayclusters", "demo", &json!({"metadata": {"labels": {"touched": "yes"}}}));
    assert_eq!(space.scale("demo", "", &json!({"group": "small", "replicas": 2})).status, 200);
    let other = super::world::Api::start(&WORLD.kubeconfig, &["--rate", "0"]);
    let path = space.path("/demo/scale");
    let again = other.send(&space.ada, "PATCH", &path, &key, &body.to_string()).ok();
    assert_eq!((&again["replayed"], &again["changed"]), (&json!(true), &json!(false)), "{again}");
    assert_eq!(again["to"], 2, "what stands is told");
    assert_eq!(space.replicas("demo", 0), 2);
    let different = space.scale_with("demo", "", &key, &json!({"group": "small", "replicas": 6}));
    assert_eq!(code(&different), (422, "idempotency-key-reused".to_owned()));
}

#[test]
fn the_same_request_sent_many_times_at_once_is_done_once() {
    let space = Space::new("at-once");
    space.cluster("demo");
    let request = (space.ada.clone(), space.path("/demo/scale"), "k-1".to_owned());
    let requests = vec![request; 12];
    let answers =
        together(&WORLD.api, &requests, &json!({"group": "small", "replicas": 7}).to_string());
    let results: Vec<Value> = answers.iter().map(super::support::request::Answer::ok).collect();
    assert_eq!(results.iter().filter(|it| it["changed"] == true).count(), 1, "{results:?}");
    assert!(results.iter().all(|it| it["to"] == 7));
    assert_eq!(space.list("events").len(), 1);
}

#[test]
fn under_rays_autoscaler_only_a_raise_is_written() {
    let space = Space::new("autoscaled");
    let mut object = space.manifest("demo");
    object["spec"]["enableInTreeAutoscaling"] = json!(true);
    object["spec"]["workerGroupSpecs"][0]["replicas"] = json!(3);
    space.create("rayclusters", &object);
    let down = space.scale("demo", "", &json!({"group": "small", "replicas": 2}));
    assert_eq!(code(&down), (409, "autoscaler-owns-replicas".to_owned()));
    let named = json!({"group": "small", "replicas": 4, "workersToDelete": ["demo-w1"]});
    assert_eq!(code(&space.scale("demo", "", &named)).1, "autoscaler-owns-replicas");
    assert_eq!(space.replicas("demo", 0), 3);
    assert_eq!(space.scale("demo", "", &json!({"group": "small", "replicas": 4})).status, 200);
    assert_eq!(space.replicas("demo", 0), 4);
}

#[test]
fn named_workers_go_where_they_are_the_groups_own() {
    let space = Space::new("victims");
    let mut object = space.manifest("demo");
    object["spec"]["workerGroupSpecs"][0]["replicas"] = json!(2);
    let cluster = space.create("rayclusters", &object);
    space.pod(&cluster, "demo-small-worker-a", "small", "127.9.2.1");
    space.pod(&cluster, "demo-small-worker-b", "small", "127.9.2.2");
    space.pod(&cluster, "strange", "small", "127.9.2.3");
    let body = |pods: Value| json!({"group": "small", "replicas": 1, "workersToDelete": pods});
    for pods in [json!(["nobody"]), json!(["demo-small-worker-a", "demo-small-worker-b"])] {
        assert_eq!(code(&space.scale("demo", "", &body(pods))), (422, "no-such-worker".to_owned()));
    }
    // KubeRay deletes by bare name, so admission looks at the name; it is asked as the caller.
    let refused = space.scale("demo", "", &body(json!(["strange"])));
    assert_eq!(code(&refused), (422, "refused".to_owned()));
    assert_eq!(refused.json()["causes"][0]["rule"], "bounds/foreign-victim", "{refused:?}");
    assert_eq!(space.scale("demo", "", &body(json!(["demo-small-worker-b"]))).status, 200);
    let stored = space.find("rayclusters", "demo");
    let group = &stored["spec"]["workerGroupSpecs"][0];
    assert_eq!(group["scaleStrategy"], json!({"workersToDelete": ["demo-small-worker-b"]}));
    assert_eq!(group["replicas"], 1);
}

#[test]
fn what_is_not_scaled_here_says_where_it_is() {
    let space = Space::new("elsewhere");
    let owner = |kind: &str| {
        json!([{"apiVersion": "ray.io/v1", "kind": kind, "name": "serve", "controller": true,
                "uid": "00000000-0000-0000-0000-000000000002"}])
    };
    let with = |name: &str, at: &str, value: Value| {
        let mut object = space.manifest(name);
        let (parent, key) = at.rsplit_once('/').expect("a pointer");
        object.pointer_mut(parent).expect("it is there")[key] = value;
        space.create("rayclusters", &object);
    };
    with("suspended", "/spec/suspend", json!(true));
    with("multikueue", "/spec/managedBy", json!("kueue.x-k8s.io/multikueue"));
    with("service", "/metadata/ownerReferences", owner("RayService"));
    with("job", "/metadata/ownerReferences", owner("RayJob"));
    let body = json!({"group": "small", "replicas": 2});
    for (name, expected, word) in [
        ("suspended", "suspended", "spec.suspend"),
        ("multikueue", "managed-elsewhere", "spec.managedBy"),
        ("service", "parent-owns-replicas", "RayService serve"),
    ] {
        let answer = space.scale(name, "", &body);
        assert_eq!(code(&answer), (409, expected.to_owned()));
        assert!(answer.json()["detail"].as_str().unwrap_or("").contains(word), "{answer:?}");
        assert_eq!(space.replicas(name, 0), 1);
    }
    let job = space.scale("job", "", &body).ok();
    assert_eq!(job["cluster"]["parent"], json!({"kind": "RayJob", "name": "serve"}));
}

#[test]
fn an_installations_ceiling_holds_for_everybody() {
    let space = Space::new("ceiling");
    space.cluster("demo");
    let api = super::world::Api::start(&WORLD.kubeconfig, &["--scale-ceiling", "3"]);
    let path = space.path("/demo/scale");
    let send = |replicas: i64| {
        let body = json!({"group": "small", "replicas": replicas}).to_string();
        api.send(&space.ada, "PATCH", &path, &[], &body)
    };
    assert_eq!(code(&send(4)), (422, "above-ceiling".to_owned()));
    assert_eq!(send(3).status, 200);
}

#[test]
fn what_the_api_server_refuses_is_told_cause_by_cause() {
    let space = Space::new("policed");
    space.cluster("demo");
    let policy = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
         "metadata": {"name": "at-most-eight"},
         "spec": {"failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["ray.io"], "apiVersions": ["v1"],
                "operations": ["UPDATE"], "resources": ["rayclusters"]}]},
            "validations": [{"expression": "object.spec.workerGroupSpecs.all(g, g.replicas <= 8)",
                             "message": "at most eight, says the test"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
         "metadata": {"name": "at-most-eight"},
         "spec": {"policyName": "at-most-eight", "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels":
                {"kubernetes.io/metadata.name": "policed"}}}}}]});
    WORLD.plane.apply_yaml(&policy.to_string());
    let refused = wait_until(SOON, "the policy holds", || {
        let answer = space.scale("demo", "?dryRun=All", &json!({"group": "small", "replicas": 9}));
        (answer.status == 422).then_some(answer)
    });
    assert_eq!(code(&refused).1, "refused");
    let problem = refused.json();
    assert!(problem["detail"].as_str().unwrap_or("").contains("at most eight"), "{problem}");
    assert_eq!(space.scale("demo", "", &json!({"group": "small", "replicas": 8})).status, 200);
}

/// An administrator's policy for one namespace.
#[track_caller]
fn apply_policy(name: &str, namespace: &str, spec: &Value) {
    let mut policy = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
        "metadata": {"name": name}, "spec": spec,
    });
    policy["spec"]["match"] = json!({"namespaces": [namespace]});
    WORLD.plane.apply_yaml(&policy.to_string());
}

/// No webhook is registered here, so that whatever refuses is the API itself.
#[test]
fn a_scale_that_breaks_a_policy_is_refused_before_it_is_written_and_names_the_policy() {
    let space = Space::new("budgeted");
    let stored = space.cluster("demo");
    space.domino("ray-1");
    let scale = |name: &str, query: &str, replicas: i64| {
        space.scale(name, query, &json!({"group": "small", "replicas": replicas}))
    };
    assert_eq!(scale("demo", "?dryRun=All", 9).status, 200, "no policy holds yet");
    let ceiling = json!({"enforcement": "deny", "ceilings": {"perGroup": {"replicas": 8}}});
    apply_policy("at-most-eight", "budgeted", &ceiling);
    let refused = wait_until(SOON, "the policy holds", || {
        let answer = scale("demo", "?dryRun=All", 9);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(code(&refused), (422, "refused".to_owned()));
    let problem = refused.json();
    let cause = &problem["causes"][0];
    assert_eq!(cause["policy"], "at-most-eight", "{problem}");
    assert_eq!(cause["rule"], "policy/group-ceiling", "{problem}");
    assert_eq!(cause["field"], "spec.workerGroupSpecs[0].replicas", "{problem}");
    let detail = problem["detail"].as_str().unwrap_or("");
    for part in ["policy at-most-eight", cause["message"].as_str().expect("words")] {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
    assert_eq!(code(&scale("demo", "", 9)), (422, "refused".to_owned()));
    let now = space.find("rayclusters", "demo");
    assert_eq!(now["metadata"]["resourceVersion"], stored["metadata"]["resourceVersion"]);
    assert_eq!(scale("demo", "", 8).status, 200);
    // Its maximum of 10 was above the ceiling before, and a scale does not touch it.
    assert_eq!(space.scale("ray-1", "", &json!({"replicas": 2})).status, 200);
}

#[test]
fn a_policy_that_warns_is_told_with_the_sums_of_the_namespace_and_stops_nothing() {
    let space = Space::new("shared");
    space.cluster("demo");
    space.cluster("other");
    // Each has a head and one worker.
    let share = json!({"enforcement": "warn", "ceilings": {"perNamespace": {"pods": 6}}});
    apply_policy("share", "shared", &share);
    let scale = |query: &str, replicas: i64| {
        let answer = space.scale("demo", query, &json!({"group": "small", "replicas": replicas}));
        answer.ok()["warnings"].clone()
    };
    let warnings = wait_until(SOON, "the policy holds, and the clusters are counted", || {
        let warnings = scale("?dryRun=All", 4);
        (warnings != json!([])).then_some(warnings)
    });
    assert_eq!(warnings[0]["policy"], "share", "{warnings}");
    let words = warnings[0]["message"].as_str().unwrap_or("");
    assert!(words.contains('7'), "4 workers and a head, beside 2: {warnings}");
    assert_eq!(scale("?dryRun=All", 3), json!([]), "6 are allowed");
    assert_eq!(scale("", 4)[0]["policy"], "share");
    assert_eq!(space.replicas("demo", 0), 4);
}

#[test]
fn an_api_that_is_told_so_goes_by_no_policy() {
    let space = Space::new("unbudgeted");
    space.cluster("demo");
    let ceiling = json!({"enforcement": "deny", "ceilings": {"perGroup": {"replicas": 2}}});
    apply_policy("at-most-two", "unbudgeted", &ceiling);
    let body = json!({"group": "small", "replicas": 3});
    wait_until(SOON, "the policy holds where policies are watched", || {
        (space.scale("demo", "?dryRun=All", &body).status == 422).then_some(())
    });
    let api = super::world::Api::start(&WORLD.kubeconfig, &["--policies", "none"]);
    let path = space.path("/demo/scale");
    assert_eq!(api.send(&space.ada, "PATCH", &path, &[], &body.to_string()).status, 200);
}

#[test]
fn the_apis_account_may_watch_what_policies_ask_for() {
    let space = Space::new("watched");
    space.cluster("demo");
    let mut policy = json!({
        "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
        "metadata": {"name": "labelled"},
        "spec": {"enforcement": "deny", "ceilings": {"perGroup": {"replicas": 2}}},
    });
    policy["spec"]["match"] = json!({"namespaceSelector": {"matchLabels": {"budget": "small"}}});
    WORLD.plane.apply_yaml(&policy.to_string());
    let body = json!({"group": "small", "replicas": 3});
    assert_eq!(space.scale("demo", "?dryRun=All", &body).status, 200, "it has no such label");
    WORLD.plane.kubectl(&["label", "namespace", "watched", "budget=small"]).ok();
    wait_until(SOON, "the namespace's label is seen", || {
        (space.scale("demo", "?dryRun=All", &body).status == 422).then_some(())
    });
    assert!(!WORLD.api.log().contains("cannot watch"), "{}", WORLD.api.log());
}

#[test]
fn a_domino_cluster_scales_within_its_maximum() {
    let space = Space::new("domino-scales");
    space.domino("ray-1");
    let result = space.scale("ray-1", "", &json!({"replicas": 5})).ok();
    assert_eq!((&result["group"], &result["to"]), (&json!("worker"), &json!(5)));
    let stored = space.find("domino", "ray-1");
    assert_eq!(stored["spec"]["worker"]["replicas"], 5);
    assert_eq!(stored["spec"]["autoscaling"], json!({"minReplicas": 5, "maxReplicas": 10}));
    assert_eq!(code(&space.scale("ray-1", "", &json!({"replicas": 11}))).1, "above-max");
    assert_eq!(code(&space.scale("ray-1", "", &json!({"replicas": 0}))).1, "zero-workers");
}

#[test]
fn writers_at_once_leave_what_one_of_them_asked_for() {
    let space = Space::new("race");
    space.cluster("demo");
    let path = space.path("/demo/scale");
    let answers: Vec<Vec<super::support::request::Answer>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=6)
            .map(|replicas| {
                let request = (space.ada.clone(), path.clone(), format!("race-{replicas}"));
                let body = json!({"group": "small", "replicas": replicas}).to_string();
                scope.spawn(move || together(&WORLD.api, &[request], &body))
            })
            .collect();
        writers.into_iter().map(|it| it.join().expect("a writer")).collect()
    });
    for (answer, asked) in answers.iter().flatten().zip(1..) {
        assert_eq!(answer.ok()["to"], asked);
    }
    assert!((1..=6).contains(&space.replicas("demo", 0)));
}
