//! Against a server made of one function: what a real one does too rarely to wait for.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use hyper::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::admission::{PolicySet, Settings};
use crate::policy::Policy;

/// What one audit saw, and what the server was asked.
struct Seen {
    complete: anyhow::Result<()>,
    records: Records,
    asked: Vec<String>,
}

/// Audits a server that serves two kinds and answers lists by `answer(path and query)`.
fn audit(
    namespace: Option<&str>,
    answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static,
) -> Seen {
    audit_under(PolicySet::default(), namespace, answer)
}

fn audit_under(
    policies: PolicySet,
    namespace: Option<&str>,
    answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static,
) -> Seen {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        assert_eq!(request.method(), "GET");
        let uri = request.uri().to_string();
        let (code, body) = discovery(&uri).map_or_else(|| answer(&uri), |body| (200, body));
        log.lock().unwrap().push(uri);
        let response =
            Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        async move { Ok::<_, Infallible>(response.unwrap()) }
    });
    let mut rules = Rules { settings: Settings::default(), policies };
    let mut records = Records::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let complete = runtime.block_on(async {
        let mut audit = Audit {
            client: Client::new(service, "default"),
            server: "https://s".to_owned(),
            namespace,
            dated: false,
            stored: true,
            rules: &mut rules,
            records: &mut records,
            progress: Progress::new(),
        };
        audit.all().await
    });
    let asked = asked.lock().unwrap().clone();
    Seen { complete, records, asked }
}

fn discovery(uri: &str) -> Option<Value> {
    let resource = |name: &str, kind: &str| json!({"name": name, "kind": kind, "singularName": "", "namespaced": true, "verbs": ["list"]});
    match uri {
        "/apis" => Some(json!({"groups": [{
            "name": "ray.io", "versions": [{"groupVersion": "ray.io/v1", "version": "v1"}],
        }]})),
        "/apis/ray.io/v1" => Some(json!({"groupVersion": "ray.io/v1", "resources": [
            resource("rayclusters", "RayCluster"), resource("rayjobs", "RayJob"),
        ]})),
        _ => None,
    }
}

fn failure(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no",
        "reason": reason, "code": code});
    (code, status)
}

fn page(names: &[&str], token: &str) -> (u16, Value) {
    let item = |name: &&str| {
        json!({"apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {"name": name, "namespace": "team-a"}, "spec": {}})
    };
    let items: Vec<Value> = names.iter().map(item).collect();
    (
        200,
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"continue": token}, "items": items}),
    )
}

fn names(records: &Records) -> Vec<&str> {
    records.objects.iter().map(|record| record.name.as_str()).collect()
}

#[test]
fn pages_follow_each_other_by_their_token() {
    let seen = audit(None, |uri| match uri {
        _ if uri.contains("rayjobs") => page(&[], ""),
        _ if uri.contains("continue=more") => page(&["c"], ""),
        _ => page(&["a", "b"], "more"),
    });
    seen.complete.unwrap();
    assert!(seen.records.is_complete());
    assert_eq!(names(&seen.records), ["a", "b", "c"]);
    let lists = seen.asked.iter().filter(|uri| uri.contains("rayclusters"));
    assert!(lists.clone().count() == 2 && lists.clone().all(|uri| uri.contains("limit=500")));
}

#[test]
fn a_list_that_became_too_old_is_begun_anew() {
    let turn = Mutex::new(0);
    let seen = audit(None, move |uri| {
        if uri.contains("rayjobs") {
            return page(&[], "");
        }
        *turn.lock().unwrap() += 1;
        match *turn.lock().unwrap() {
            1 | 3 => page(&["a"], "more"),
            2 => failure(410),
            _ => page(&["b"], ""),
        }
    });
    seen.complete.unwrap();
    assert!(seen.records.is_complete());
    assert_eq!(names(&seen.records), ["a", "b"]);
}

#[test]
fn a_list_that_is_always_too_old_is_given_up() {
    let seen =
        audit(None, |uri| if uri.contains("continue") { failure(410) } else { page(&["a"], "x") });
    let said = format!("{:#}", seen.complete.unwrap_err());
    assert!(said.contains("list rayclusters.ray.io") && said.contains("410"), "{said}");
}

#[test]
fn what_may_be_listed_is_judged_though_the_rest_may_not() {
    let seen =
        audit(None, |uri| if uri.contains("rayjobs") { failure(403) } else { page(&["a"], "") });
    seen.complete.unwrap();
    assert!(!seen.records.is_complete());
    assert_eq!(names(&seen.records), ["a"]);
}

#[test]
fn a_mistyped_namespace_is_no_clean_bill() {
    let empty = |uri: &str| match uri {
        "/api/v1/namespaces/team-x" => failure(404),
        _ => page(&[], ""),
    };
    let said = audit(Some("team-x"), empty).complete.unwrap_err().to_string();
    assert_eq!(said, "there is no namespace \"team-x\" at https://s");
    let hidden = |uri: &str| match uri {
        "/api/v1/namespaces/team-x" => failure(403),
        _ => page(&[], ""),
    };
    audit(Some("team-x"), hidden).complete.unwrap();
}

/// At most 10 workers in each namespace.
fn ceiling() -> PolicySet {
    let policy = Policy::compile(&json!({
        "metadata": {"name": "share"},
        "spec": {"enforcement": "warn", "ceilings": {"perNamespace": {"replicas": 10}}},
    }));
    PolicySet { policies: vec![Arc::new(policy.unwrap())], ..PolicySet::default() }
}

/// A page of clusters of six workers each.
fn six(names: &[&str], token: &str) -> (u16, Value) {
    let (code, mut list) = page(names, token);
    for item in list["items"].as_array_mut().unwrap() {
        item["spec"] = json!({"headGroupSpec": {}, "workerGroupSpecs": [
            {"groupName": "small", "minReplicas": 0, "replicas": 6, "maxReplicas": 6},
        ]});
    }
    (code, list)
}

fn over_the_ceiling(seen: &Seen) -> Vec<&str> {
    let objects = seen.records.objects.iter();
    let over = objects
        .filter(|record| record.lines.iter().any(|line| line.policy.as_deref() == Some("share")));
    over.map(|record| record.name.as_str()).collect()
}

#[test]
fn what_a_namespace_may_reach_is_counted_over_all_pages_before_anything_is_judged() {
    let seen = audit_under(ceiling(), None, |uri| match uri {
        _ if uri.contains("rayjobs") => page(&[], ""),
        _ if uri.contains("continue=more") => six(&["b"], ""),
        _ => six(&["a"], "more"),
    });
    seen.complete.as_ref().unwrap();
    assert_eq!(over_the_ceiling(&seen), ["a", "b"]);
    let alone = audit_under(ceiling(), None, |uri| {
        if uri.contains("rayjobs") { page(&[], "") } else { six(&["a"], "") }
    });
    assert_eq!(over_the_ceiling(&alone), Vec::<&str>::new());
}

#[test]
fn what_is_counted_of_a_list_that_became_too_old_is_counted_once() {
    let turn = Mutex::new(0);
    // Cluster b is gone when the list begins anew.
    let seen = audit_under(ceiling(), None, move |uri| {
        if uri.contains("rayjobs") {
            return page(&[], "");
        }
        *turn.lock().unwrap() += 1;
        match *turn.lock().unwrap() {
            1 => six(&["b"], "more"),
            2 => failure(410),
            _ => six(&["a"], ""),
        }
    });
    seen.complete.as_ref().unwrap();
    assert_eq!(over_the_ceiling(&seen), Vec::<&str>::new());
}

#[test]
fn clusters_that_may_not_be_counted_are_told_of_once_and_the_rest_is_judged() {
    let seen = audit_under(ceiling(), None, |uri| {
        if uri.contains("rayjobs") { page(&["j"], "") } else { failure(403) }
    });
    seen.complete.as_ref().unwrap();
    assert_eq!(seen.records.problems.len(), 1);
    assert_eq!(names(&seen.records), ["j"]);
}
