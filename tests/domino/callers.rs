//! Who asks, and what they may.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raywarden::http::domino::NEEDED;
use serde_json::{Value, json};

use super::identity::{ADA, EVE, bearer_of, key_of};
use super::old::{self, mended, refuses};
use super::operator;
use super::proxy::Fate;
use super::support::run::run;
use super::world::{NAMESPACE, WORLD, counts, manifest};

#[test]
fn d01_nobody_owns_a_cluster_whose_owner_is_empty() {
    let object = WORLD.cluster("ray-ownerless", "");
    let scaled = old::json(200, &object);
    for who in ["denied", "nobody", "unknown"] {
        let answer = WORLD.api.scale(who, "ray-ownerless", 500);
        mended(&answer, &scaled, &|it| refuses(it, 401, "unauthenticated"));
    }
    let answer = WORLD.api.scale("ada", "ray-ownerless", 5);
    assert!(refuses(&answer, 403, "unauthorized"), "{answer:?}");
    assert_eq!(WORLD.counts("ray-ownerless"), (1, 1, 10));
    assert_eq!(counts(&WORLD.api.scale("root", "ray-ownerless", 5).ok()), (5, 5, 6));
}

#[test]
fn d09_an_anonymous_principal_is_nobody_even_as_an_admin() {
    let object = WORLD.cluster("ray-ghost", ADA);
    let shown = old::json(200, &object);
    let path = "/ddl_cluster_scaler/cluster/rayclusters/ray-ghost";
    let answer = WORLD.api.get("anonymous-admin", path);
    mended(&answer, &shown, &|it| refuses(it, 401, "unauthenticated"));
    for who in ["unsaid", "without-id"] {
        let answer = WORLD.api.get(who, path);
        mended(&answer, &shown, &|it| refuses(it, 503, "upstream_unavailable"));
    }
}

#[test]
fn d07_what_is_absent_and_what_is_foreign_look_the_same() {
    WORLD.cluster("ray-foreign", EVE);
    let words = |name: &str| {
        let answer = WORLD.api.get("ada", &format!("/raycluster/{name}"));
        assert!(refuses(&answer, 403, "unauthorized"), "{answer:?}");
        answer.json()["message"].as_str().expect("words").replace(name, "NAME")
    };
    assert_eq!(words("ray-foreign"), words("ray-absent"));
    let absent = WORLD.api.get("ada", "/raycluster/ray-absent");
    mended(&absent, &old::html(500), &|it| refuses(it, 403, "unauthorized"));
    let told = WORLD.api.get("root", "/raycluster/ray-absent");
    mended(&told, &old::html(500), &|it| refuses(it, 404, "not_found"));
}

#[test]
fn an_installation_may_tell_what_is_absent() {
    let (_proxy, api) = WORLD.proxied(&["--tell-absent"]);
    WORLD.cluster("ray-told", EVE);
    assert!(refuses(&api.get("ada", "/raycluster/ray-not-there"), 404, "not_found"));
    assert!(refuses(&api.get("ada", "/raycluster/ray-told"), 403, "unauthorized"));
}

#[test]
fn d07_nothing_is_read_for_somebody_who_is_not_known() {
    // Policies would be listed for nobody in particular, at a moment of their own.
    let (proxy, api) = WORLD.proxied(&["--policies", "none"]);
    let reads = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&reads);
    proxy.decide(move |call| {
        // The readiness probe lists one object from time to time.
        if !call.query.contains("limit=1&") && !call.query.ends_with("limit=1") {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        Fate::Pass
    });
    let routes = [
        ("GET", "/raycluster/list"),
        ("GET", "/raycluster/ray-1"),
        ("POST", "/raycluster/scale"),
        ("GET", "/ddl_cluster_scaler/list/rayclusters"),
        ("PATCH", "/ddl_cluster_scaler/scale/rayclusters/ray-1"),
        ("PATCH", "/ddl_cluster_scaler/restart_head/rayclusters/ray-1"),
        ("GET", "/ddl_cluster_scaler/restart_status/rayclusters/ray-1/head"),
        ("GET", "/ddl_cluster_scaler/restart_head_status/rayclusters/ray-1?started_at=x"),
    ];
    for (method, path) in routes {
        for headers in [vec![], vec![key_of("denied")], vec![key_of("nobody")]] {
            let answer = api.call(method, path, &headers, "not even a body");
            assert!(refuses(&answer, 401, "unauthenticated"), "{method} {path} {answer:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(reads.load(Ordering::Relaxed), 0);
    api.get("ada", "/raycluster/list").ok();
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[test]
fn d04_heads_are_restarted_for_those_alone_who_may() {
    WORLD.cluster("ray-guarded", EVE);
    operator::reconcile("ray-guarded");
    let uid =
        || WORLD.find("pods", "ray-guarded-ray-head-0").expect("a head")["metadata"]["uid"].clone();
    let before = uid();
    let path = "/ddl_cluster_scaler/restart_head/rayclusters/ray-guarded";
    let killed = old::json(202, &json!({"ok": true, "pod": "ray-guarded-ray-head-0"}));
    let nobody = WORLD.api.call("PATCH", path, &[], "");
    mended(&nobody, &killed, &|it| refuses(it, 401, "unauthenticated"));
    let foreign = WORLD.api.send("ada", "PATCH", path, "");
    mended(&foreign, &killed, &|it| refuses(it, 403, "unauthorized"));
    let pods = WORLD.api.send("root", "PATCH", &path.replace("rayclusters", "pods"), "");
    mended(&pods, &killed, &|it| refuses(it, 400, "invalid_kind"));
    assert_eq!(uid(), before);
    let pod = WORLD.find("pods", "ray-guarded-ray-head-0").expect("a head");
    assert!(pod["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn d05_how_a_restart_goes_is_told_to_those_alone_who_may() {
    WORLD.cluster("ray-discreet", EVE);
    operator::reconcile("ray-discreet");
    let leaked = old::json(200, &json!({"ok": true, "status": "restarted_and_ready"}));
    for path in [
        "/ddl_cluster_scaler/restart_head_status/rayclusters/ray-discreet?started_at=2025-10-02T09:30:00Z",
        "/ddl_cluster_scaler/restart_status/rayclusters/ray-discreet/worker",
    ] {
        let nobody = WORLD.api.call("GET", path, &[], "");
        mended(&nobody, &leaked, &|it| refuses(it, 401, "unauthenticated"));
        let foreign = WORLD.api.get("ada", path);
        mended(&foreign, &leaked, &|it| refuses(it, 403, "unauthorized"));
    }
}

#[test]
fn a_credential_goes_verbatim_to_domino_alone_and_a_key_before_a_token() {
    let both = [key_of("ada.verbatim"), bearer_of("eve.verbatim")];
    WORLD.api.call("GET", "/raycluster/list", &both, "").ok();
    let cookie = ("Cookie".to_owned(), "session=verbatim".to_owned());
    let token = ("authorization".to_owned(), "bearer eve.verbatim2".to_owned());
    WORLD.api.call("GET", "/raycluster/list", &[token, cookie], "").ok();
    let asked = WORLD.identity.asked("verbatim");
    let headers: Vec<Value> = asked.iter().map(|asked| json!(asked.headers)).collect();
    assert_eq!(
        headers,
        [
            json!({"x-domino-api-key": "ada.verbatim"}),
            json!({"authorization": "bearer eve.verbatim2"}),
        ]
    );
    assert!(asked.iter().all(|asked| asked.path == "/v4/auth/principal"), "{asked:?}");
}

#[test]
fn a_token_of_the_kubernetes_cluster_is_refused_and_goes_nowhere() {
    let token = WORLD.plane.kubectl(&["create", "token", "default", "-n", "domino-compute"]).ok();
    let token = token.trim();
    for header in [bearer_of(token), key_of(token)] {
        let answer = WORLD.api.call("GET", "/raycluster/list", &[header], "");
        assert!(refuses(&answer, 401, "kubernetes_token"), "{answer:?}");
        assert!(!answer.body.contains(token));
    }
    assert_eq!(WORLD.identity.asked(token), []);
}

#[test]
fn a_caller_is_known_for_a_while_by_the_credential_alone() {
    for _ in 0..5 {
        WORLD.api.get("ada.kept", "/raycluster/list").ok();
    }
    assert_eq!(WORLD.identity.asked("ada.kept").len(), 1);
    WORLD.api.get("ada.kept2", "/raycluster/list").ok();
    assert_eq!(WORLD.identity.asked("ada.kept2").len(), 1);
    let (_proxy, api) = WORLD.proxied(&["--identity-ttl", "0s"]);
    for _ in 0..2 {
        api.get("ada.forgotten", "/raycluster/list").ok();
    }
    assert_eq!(WORLD.identity.asked("ada.forgotten").len(), 2);
}

#[test]
fn d35_one_caller_in_haste_waits_and_others_do_not() {
    let (_proxy, api) = WORLD.proxied(&["--rate", "1", "--burst", "5"]);
    let answers: Vec<_> = (0..12).map(|_| api.get("ada", "/raycluster/list")).collect();
    assert!(answers[..5].iter().all(|it| it.status == 200), "{answers:?}");
    let late = answers.last().expect("an answer");
    mended(late, &old::json(200, &json!({"ray_clusters": []})), &|it| {
        refuses(it, 429, "rate_limited")
    });
    assert_eq!(late.header("retry-after"), Some("1"));
    assert_eq!(api.get("eve", "/raycluster/list").status, 200);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(api.get("ada", "/raycluster/list").status, 200);
}

#[test]
fn a_flood_of_invented_credentials_waits_for_itself() {
    let (_proxy, api) = WORLD.proxied(&["--rate", "1", "--burst", "5"]);
    api.get("ada", "/raycluster/list").ok();
    let statuses: Vec<u16> =
        (0..10).map(|n| api.get(&format!("invented.{n}"), "/raycluster/list").status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(WORLD.identity.asked("invented").len() <= 6);
    assert_eq!(api.get("ada", "/raycluster/list").status, 200, "who is known is not asked about");
}

#[test]
fn d12_the_rights_that_every_test_here_runs_with_are_few_and_spelled_out() {
    // The old charts asked for every verb.
    let few = |verbs: &[&str]| {
        verbs.iter().all(|verb| ["get", "list", "patch", "delete", "create"].contains(verb))
    };
    assert!(NEEDED.iter().all(|(_, _, verbs)| few(verbs)) && !few(&["*"]));
    let secrets = ["-n", NAMESPACE, "get", "secrets"];
    let kubeconfig = format!("--kubeconfig={}", WORLD.kubeconfig.display());
    let refused = WORLD.plane.kubectl(&[&[kubeconfig.as_str()], &secrets[..]].concat()).refused();
    assert!(refused.contains("Forbidden"), "{refused}");
}

#[test]
fn d03_callers_tokens_never_go_to_a_host_that_nobody_named() {
    let mut command = super::support::webhook::raywarden();
    command.args([
        "api",
        "--domino-listen",
        "127.0.0.1:0",
        "--domino-url",
        "http://prod.example.com",
    ]);
    let refused = run(command, "", Duration::from_secs(10)).refused();
    assert!(refused.contains("in clear"), "{refused}");
    let mut help: Command = super::support::webhook::raywarden();
    help.args(["api", "--help"]);
    let help = run(help, "", Duration::from_secs(10)).ok();
    assert!(help.contains("http://nucleus-frontend.domino-platform"), "{help}");
}

#[test]
fn d02_no_credential_is_in_any_log_answer_or_object() {
    let (_proxy, api) = WORLD.proxied(&["--log", "trace", "--log-format", "json"]);
    WORLD.create("rayclusters", &manifest("ray-secretive", ADA));
    operator::reconcile("ray-secretive");
    let whos = ["ada", "eve", "denied", "html", "reset", "redirect", "error", "huge", "slow"];
    let mut answers = Vec::new();
    for who in whos {
        let secret = format!("{who}.hunter2");
        for header in [key_of(&secret), bearer_of(&secret)] {
            let headers = [header];
            answers.push(api.call("GET", "/raycluster/ray-secretive?t=1", &headers, ""));
            let body = r#"{"cluster_name": "ray-secretive", "replicas": 2}"#;
            answers.push(api.call("POST", "/raycluster/scale", &headers, body));
            let tier = r#"{"replicas": 2, "worker_hw_tier_name": "Nope"}"#;
            let path = "/ddl_cluster_scaler/scale/rayclusters/ray-secretive";
            answers.push(api.call("PATCH", path, &headers, tier));
        }
    }
    let basic = ("Authorization".to_owned(), "Basic hunter2".to_owned());
    answers.push(api.call("GET", "/raycluster/list", &[basic], ""));
    assert!(answers.iter().any(|it| it.status == 200) && answers.iter().any(|it| it.status == 503));
    for answer in &answers {
        assert!(!answer.body.contains("hunter2"), "{answer:?}");
        assert!(!answer.headers.iter().any(|(_, value)| value.contains("hunter2")), "{answer:?}");
    }
    let log = api.log();
    assert!(log.contains("\"TRACE\"") && log.contains("answered"));
    let at = |log: &str| log.find("hunter2");
    assert!(at("WARNING:root:X-Domino-Api-Key: ada.hunter2").is_some(), "the old service's line");
    let at = at(&log);
    assert_eq!(at.map(|at| &log[at.saturating_sub(300)..at + 20]), None);
    let stored = WORLD.find("rayclusters", "ray-secretive").expect("a cluster").to_string();
    assert!(!stored.contains("hunter2"));
}
