//! Bodies, numbers, names, paths and methods that cannot be read: each with its code, nothing written.

use serde_json::{Value, json};

use super::identity::{ADA, key_of};
use super::old::{self, mended, refuses};
use super::support::request::Answer;
use super::world::WORLD;

/// The documented scale with these bytes.
fn documented(body: &str) -> Answer {
    WORLD.api.send("ada", "POST", "/rayclusterscaler/scale", body)
}

fn later(name: &str, body: &str) -> Answer {
    let path = format!("/ddl_cluster_scaler/scale/rayclusters/{name}");
    WORLD.api.send("ada", "PATCH", &path, body)
}

#[test]
fn d13_every_failure_is_json_with_a_code_and_an_id() {
    WORLD.cluster("ray-failures", ADA);
    let cases = [
        (documented("{"), 400, "bad_request"),
        (documented("[]"), 400, "bad_request"),
        (documented(r#"{"replicas": 5}"#), 400, "bad_request"),
        (documented(r#"{"cluster_name": "ray-failures"}"#), 400, "bad_request"),
        (documented(r#"{"cluster_name": "ray-none", "replicas": 5}"#), 403, "unauthorized"),
        (WORLD.api.scale("root", "ray-none", 5), 404, "not_found"),
        (WORLD.api.scale("html", "ray-failures", 5), 503, "upstream_unavailable"),
        (WORLD.api.scale("denied", "ray-failures", 5), 401, "unauthenticated"),
        (WORLD.api.get("ada", "/raycluster/UPPER_case"), 400, "bad_request"),
    ];
    for (answer, status, code) in cases {
        mended(&answer, &old::html(500), &|it| refuses(it, status, code));
    }
    assert_eq!(WORLD.counts("ray-failures"), (1, 1, 10));
}

#[test]
fn d14_d21_a_count_is_a_whole_number_on_every_route() {
    let object = WORLD.cluster("ray-counted", ADA);
    let counts = ["\"5\"", "2.5", "3.9", "true", "-1", "null", "[5]", "{}", "1e3", "99999999999"];
    for count in counts {
        let body = format!(r#"{{"cluster_name": "ray-counted", "replicas": {count}}}"#);
        let sent_on = old::json(200, &object);
        mended(&documented(&body), &sent_on, &|it| {
            refuses(it, 400, "bad_request") && it.body.contains("replicas is ")
        });
        let converted = old::json(200, &json!({"requested_replicas": 3, "effective_replicas": 3}));
        mended(&later("ray-counted", &body), &converted, &|it| refuses(it, 400, "bad_request"));
    }
    assert_eq!(WORLD.counts("ray-counted"), (1, 1, 10));
}

#[test]
fn d22_a_body_that_is_no_object_is_a_bad_request() {
    WORLD.cluster("ray-shapes", ADA);
    for body in ["[1]", "\"x\"", "5", "null", "true", "", "{\"replicas\": 5", "\u{0}", "{}{}"] {
        mended(&later("ray-shapes", body), &old::html(500), &|it| refuses(it, 400, "bad_request"));
    }
    let twice = later("ray-shapes", r#"{"replicas": 2, "replicas": 9}"#);
    assert!(refuses(&twice, 400, "bad_request") && twice.body.contains("duplicate"), "{twice:?}");
    assert_eq!(WORLD.counts("ray-shapes"), (1, 1, 10));
}

#[test]
fn a_body_may_have_any_content_type_and_no_great_length() {
    WORLD.cluster("ray-typed", ADA);
    let body = r#"{"cluster_name": "ray-typed", "replicas": 2}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [key_of("ada"), ("Content-Type".to_owned(), kind.to_owned())];
        assert_eq!(WORLD.api.call("POST", "/raycluster/scale", &headers, body).status, 200);
    }
    let long = format!(r#"{{"cluster_name": "ray-typed", "x": "{}"}}"#, "x".repeat(70_000));
    mended(&documented(&long), &old::html(500), &|it| refuses(it, 413, "body_too_large"));
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    for name in ["..%2F..%2Fapi%2Fv1%2Fsecrets%2Fx", "a%00b", "ray-1%3Fx", "%2e%2e", "RAY", "ray_1"]
    {
        let answer = WORLD.api.get("root", &format!("/raycluster/{name}"));
        assert!(refuses(&answer, 400, "bad_request"), "{answer:?}");
    }
    let body = r#"{"cluster_name": "../pods/x", "replicas": 2}"#;
    assert!(refuses(
        &WORLD.api.send("root", "POST", "/raycluster/scale", body),
        400,
        "bad_request"
    ));
}

#[test]
fn other_kinds_old_paths_and_wrong_methods_say_what_there_is() {
    let cases = [
        ("GET", "/ddl_cluster_scaler/list/daskclusters", 404, "not_found", "Ray clusters alone"),
        (
            "PATCH",
            "/ddl_cluster_scaler/scale/sparkclusters/s",
            404,
            "not_found",
            "Ray clusters alone",
        ),
        ("GET", "/ddl_cluster_scaler/list/secrets", 400, "invalid_kind", "rayclusters"),
        (
            "GET",
            "/ddl_cluster_scaler_api/list/rayclusters",
            404,
            "not_found",
            "use /ddl_cluster_scaler/",
        ),
        (
            "POST",
            "/ddl_cluster_scaler/restart-head/rayclusters/r",
            404,
            "not_found",
            "restart_head",
        ),
        ("GET", "/ddl_cluster_scaler/head/restart_status/n/p", 404, "not_found", "restart_status"),
        (
            "PATCH",
            "/ddl_cluster_scaler/head-hw-tier/rayclusters/r",
            404,
            "not_found",
            "head_hw_tier_name",
        ),
        ("GET", "/raycluster/list/", 404, "not_found", "/raycluster/list"),
        ("GET", "/", 404, "not_found", "/raycluster/list"),
        ("DELETE", "/raycluster/ray-1", 405, "method_not_allowed", "GET"),
        ("GET", "/raycluster/scale", 405, "method_not_allowed", "POST"),
        ("OPTIONS", "/raycluster/list", 405, "method_not_allowed", "GET"),
    ];
    for (method, path, status, code, words) in cases {
        let answer = WORLD.api.call(method, path, &[key_of("ada")], "");
        mended(&answer, &old::html(status), &|it| refuses(it, status, code));
        let message = answer.json()["message"].as_str().expect("words").to_owned();
        assert!(message.contains(words), "{method} {path}: {message}");
    }
    let post = WORLD.api.call("GET", "/raycluster/scale", &[key_of("ada")], "");
    assert_eq!(post.header("allow"), Some("POST"));
}

#[test]
fn d37_both_prefixes_of_the_documentation_are_served_in_json() {
    WORLD.cluster("ray-prefixes", ADA);
    for prefix in ["/raycluster", "/rayclusterscaler"] {
        let list = WORLD.api.get("ada", &format!("{prefix}/list"));
        mended(&list, &old::html(404), &|it| {
            it.status == 200 && it.json()["ray_clusters"].is_array()
        });
        let one = WORLD.api.get("ada", &format!("{prefix}/ray-prefixes"));
        mended(&one, &old::html(404), &|it| it.status == 200 && it.json()["spec"].is_object());
    }
    let health = WORLD.api.call("GET", "/healthz", &[], "");
    mended(&health, &old::text(200, "{'status': 'Healthy'}"), &|it| {
        serde_json::from_str::<Value>(&it.body).is_ok_and(|body| body["status"] == "healthy")
    });
    assert_eq!(WORLD.api.call("GET", "/readyz", &[], "").json()["status"], "ready");
    assert_eq!(WORLD.api.call("HEAD", "/healthz", &[], "").body, "");
}

#[test]
fn an_id_of_a_request_that_could_forge_a_log_line_is_not_taken_over() {
    for (given, kept) in
        [("abc-1.2_3", true), ("a b", false), ("", false), (&"x".repeat(65), false)]
    {
        let id = ("X-Request-Id".to_owned(), given.to_owned());
        let answer = WORLD.api.call("GET", "/raycluster/list", &[key_of("ada"), id], "");
        assert_eq!(answer.header("x-request-id") == Some(given), kept, "{given}");
    }
}
