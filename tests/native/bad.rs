//! Everything malformed: each with its code and words, and nothing written.

use serde_json::json;

use super::world::{Space, WORLD, code};

struct Bad<'a> {
    path: String,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    status: u16,
    code: &'a str,
    words: &'a str,
}

fn table(space: &Space) -> Vec<Bad<'static>> {
    let scale = |query: &str, body: &'static str, status, code, words| Bad {
        path: space.path(&format!("/demo/scale{query}")),
        headers: &[],
        body,
        status,
        code,
        words,
    };
    let body = |body, words| scale("", body, 400, "bad-request", words);
    let query = |query: &str, words| {
        scale(query, "{\"group\":\"small\",\"replicas\":2}", 400, "bad-request", words)
    };
    let at = |rest: &str, status, code, words| Bad {
        path: space.path(rest),
        headers: &[],
        body: "{\"replicas\":2}",
        status,
        code,
        words,
    };
    let header = |headers, status, code, words| Bad {
        path: space.path("/demo/scale"),
        headers,
        body: "{\"group\":\"small\",\"replicas\":2}",
        status,
        code,
        words,
    };
    vec![
        body("[]", "cannot be read"),
        body("{", "cannot be read"),
        body("5", "cannot be read"),
        body("{}", "replicas is missing"),
        body("{\"group\":\"small\"}", "replicas is missing"),
        body("{\"replicas\":1,\"replicas\":2}", "there twice"),
        body("{\"replicas\":2,\"force\":true}", "\"force\" is no field"),
        body("{\"Replicas\":2}", "\"Replicas\" is no field"),
        body("{\"replicas\":\"2\"}", "replicas is \"2\""),
        body("{\"replicas\":2.0}", "replicas is 2.0"),
        body("{\"replicas\":-1}", "replicas is -1"),
        body("{\"replicas\":null}", "replicas is null"),
        body("{\"replicas\":true}", "replicas is true"),
        body("{\"replicas\":99999999999}", "replicas is 99999999999"),
        body("{\"replicas\":1e1}", "replicas is 10.0"),
        body("{\"replicas\":2}", "group is missing; this cluster has small, gpu"),
        body("{\"replicas\":2,\"group\":5}", "group is 5"),
        body("{\"replicas\":2,\"group\":\"\"}", "group is \"\""),
        body(
            "{\"replicas\":2,\"group\":\"small\",\"workersToDelete\":\"a\"}",
            "workersToDelete has \"a\"",
        ),
        body(
            "{\"replicas\":2,\"group\":\"small\",\"workersToDelete\":[5]}",
            "workersToDelete has 5",
        ),
        body(
            "{\"replicas\":2,\"group\":\"small\",\"workersToDelete\":[\"../x\"]}",
            "workersToDelete has",
        ),
        scale("", "{\"replicas\":2,\"group\":\"big\"}", 404, "not-found", "it has small, gpu"),
        scale("", "{\"replicas\":11,\"group\":\"small\"}", 422, "above-max", "maxReplicas is 10"),
        scale("", "{\"replicas\":3,\"group\":\"gpu\"}", 422, "above-max", "maxReplicas is 2"),
        query("?wait=ready", "wait is \"ready\"; expected joined"),
        query("?timeoutSeconds=5", "goes with wait=joined"),
        query("?wait=joined&timeoutSeconds=0", "from 1 to 600"),
        query("?wait=joined&timeoutSeconds=1e2", "from 1 to 600"),
        query("?dryRun=yes", "dryRun is \"yes\""),
        query("?apiGroup=apps", "expected ray.io or"),
        query("?limit=5", "\"limit\" is no parameter here"),
        query("?wait=joined&wait=joined", "there twice"),
        at("/Demo/scale", 400, "bad-request", "cannot be the name"),
        at("/demo_1/scale", 400, "bad-request", "cannot be the name"),
        at("/..%2Fx/scale", 400, "bad-request", "cannot be the name"),
        at("//scale", 400, "bad-request", "cannot be the name"),
        at("/nobody/scale", 404, "not-found", "there is no RayCluster nobody"),
        at("/demo/scale/", 404, "not-found", "nothing at this path"),
        at("/demo", 405, "method-not-allowed", "takes GET, HEAD"),
        header(
            &[("Content-Type", "text/plain")],
            415,
            "unsupported-media-type",
            "application/json",
        ),
        header(&[("Idempotency-Key", "")], 400, "bad-request", "visible ASCII"),
        header(&[("Idempotency-Key", "a b")], 400, "bad-request", "visible ASCII"),
        header(&[("Idempotency-Key", "a"), ("Idempotency-Key", "b")], 400, "bad-request", "twice"),
    ]
}

#[test]
fn everything_malformed_has_its_code_and_words_and_writes_nothing() {
    let space = Space::new("bad");
    let before = space.cluster("demo");
    for bad in table(&space) {
        let answer = WORLD.api.send(&space.ada, "PATCH", &bad.path, bad.headers, bad.body);
        let about = format!("{} {:?} {}", bad.path, bad.headers, bad.body);
        assert_eq!(code(&answer), (bad.status, bad.code.to_owned()), "{about}: {answer:?}");
        let detail = answer.json()["detail"].as_str().unwrap_or("").to_owned();
        assert!(detail.contains(bad.words), "{about}: {detail}");
    }
    let long = format!("{{\"replicas\":2,\"group\":\"{}\"}}", "x".repeat(70_000));
    let answer = WORLD.api.send(&space.ada, "PATCH", &space.path("/demo/scale"), &[], &long);
    assert_eq!(code(&answer), (413, "body-too-large".to_owned()));
    let long = "n".repeat(70);
    let answer = WORLD.api.send(
        &space.ada,
        "GET",
        &format!("/api/v1/namespaces/{long}/rayclusters"),
        &[],
        "",
    );
    assert_eq!(code(&answer), (400, "bad-request".to_owned()));
    for mark in ["x", "OQ", "MSA", "%FF"] {
        let answer = space.get(&format!("?continue={mark}"));
        assert!(
            [400, 200].contains(&answer.status) && (answer.status == 400 || mark == "MSA"),
            "{mark} {answer:?}"
        );
    }
    let after = space.find("rayclusters", "demo");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
}

#[test]
fn one_caller_cannot_take_the_time_of_the_others() {
    let space = Space::new("paced");
    space.cluster("demo");
    let api = super::world::Api::start(&WORLD.kubeconfig, &["--rate", "1", "--burst", "3"]);
    let get = |who: &str| api.send(who, "GET", &space.path("/demo"), &[], "");
    let answers: Vec<u16> = (0..8).map(|_| get(&space.ada).status).collect();
    assert!(answers.contains(&429) && answers.first() == Some(&200), "{answers:?}");
    let late = (0..8).map(|_| get(&space.ada)).find(|answer| answer.status == 429).expect("one");
    assert_eq!(code(&late), (429, "rate-limited".to_owned()));
    assert_eq!(late.header("retry-after"), Some("1"));
    let reader = super::world::token("reader");
    assert_eq!(json!(get(&reader).status), 200);
}
