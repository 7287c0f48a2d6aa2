//! Who may what, and what goes where.

use std::process::Command;

use serde_json::json;

use super::support::process::Process;
use super::support::request::Request;
use super::support::run::run;
use super::support::wait::{free_port, wait_until};
use super::support::webhook::raywarden;
use super::world::{SOON, Space, WORLD, code, token};

#[test]
fn nobody_is_answered_without_a_token_for_this_audience() {
    let space = Space::new("tokens");
    space.cluster("demo");
    let path = space.path("/demo");
    let plain = WORLD.plane.kubectl(&["create", "token", "ada", "-n", "people"]).ok();
    let forged = format!("{}x", space.ada.trim_end_matches(char::is_alphanumeric));
    let with = |value: &str| vec![("Authorization".to_owned(), value.to_owned())];
    for headers in [
        Vec::new(),
        with("Bearer "),
        with("Basic YWRhOmFkYQ=="),
        with("Bearer opaque"),
        with(&format!("Bearer {}", plain.trim())),
        with(&format!("Bearer {forged}")),
        [with(&format!("Bearer {}", space.ada)), with(&format!("Bearer {}", space.ada))].concat(),
        vec![("X-Domino-Api-Key".to_owned(), "k3y".to_owned())],
    ] {
        let answer = WORLD.api.raw("GET", &path, &headers, "");
        assert_eq!(code(&answer), (401, "unauthenticated".to_owned()), "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(space.get("/demo").status, 200);
}

#[test]
fn a_token_of_the_api_server_itself_is_not_sent_anywhere() {
    let space = Space::new("other-audience");
    let plain = WORLD.plane.kubectl(&["create", "token", "ada", "-n", "people"]).ok();
    let answer = WORLD.api.send(plain.trim(), "GET", &space.path("/demo"), &[], "");
    assert_eq!(answer.status, 401);
    assert!(answer.json()["detail"].as_str().unwrap_or("").contains("not passed on"), "{answer:?}");
}

#[test]
fn a_caller_may_what_rbac_lets_them() {
    let space = Space::new("rights");
    space.cluster("demo");
    let (eve, reader) = (token("eve"), token("reader"));
    let send = |who: &str, method: &str, rest: &str, body: &str| {
        WORLD.api.send(who, method, &space.path(rest), &[], body)
    };
    for (method, rest, body) in [
        ("GET", "", ""),
        ("GET", "/demo", ""),
        ("GET", "/nothing", ""),
        ("PATCH", "/demo/scale", "{"),
    ] {
        let answer = send(&eve, method, rest, body);
        assert_eq!(code(&answer), (403, "unauthorized".to_owned()), "{method} {rest}");
        let detail = answer.json()["detail"].as_str().unwrap_or("").to_owned();
        assert!(detail.starts_with("system:serviceaccount:people:eve may not"), "{detail}");
    }
    assert_eq!(send(&reader, "GET", "/demo", "").status, 200);
    assert_eq!(send(&reader, "GET", "", "").status, 200);
    let body = json!({"group": "small", "replicas": 2}).to_string();
    assert_eq!(code(&send(&reader, "PATCH", "/demo/scale", &body)).0, 403);
    assert_eq!(space.replicas("demo", 0), 1);
}

#[test]
fn a_right_that_was_taken_away_ends_within_the_time_that_it_is_known() {
    let space = Space::new("taken");
    space.cluster("demo");
    assert_eq!(space.get("/demo").status, 200);
    WORLD.plane.kubectl(&["delete", "rolebinding", "ada", "-n", "taken"]).ok();
    wait_until(SOON, "the right has ended", || (space.get("/demo").status == 403).then_some(()));
}

#[test]
fn nothing_of_a_token_is_logged_or_answered() {
    let space = Space::new("secrets");
    space.cluster("demo");
    assert_eq!(space.get("/demo?force=1").status, 400);
    assert_eq!(space.get("/demo").status, 200);
    let signature = space.ada.rsplit('.').next().expect("a signature");
    let log = WORLD.api.log();
    assert!(log.contains("people:ada") && !log.contains(signature));
    assert!(!WORLD.api.metrics().contains("ada"));
}

#[test]
fn a_change_is_a_line_of_the_audit_log_and_an_event() {
    let space = Space::new("told");
    space.cluster("demo");
    let answer = space.scale_with(
        "demo",
        "",
        &[("X-Request-Id", "req-told-1")],
        &json!({"group": "small", "replicas": 4}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-request-id"), Some("req-told-1"));
    let line = wait_until(SOON, "the line", || {
        WORLD.api.lines("audit").into_iter().find(|it| {
            it["fields"]["request_id"] == "req-told-1" || it["request_id"] == "req-told-1"
        })
    });
    let text = line.to_string();
    for part in ["system:serviceaccount:people:ada", "small 1", "small 4", "written"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let event = wait_until(SOON, "the Event", || {
        space.list("events").into_iter().find(|it| it["reason"] == "Scaled")
    });
    assert_eq!(event["regarding"]["name"], "demo");
    let note = event["note"].as_str().unwrap_or("");
    assert!(note.contains("people:ada scale: small 1 to small 4, request req-told-1"), "{note}");
}

#[test]
fn tokens_are_taken_over_tls_and_not_in_clear() {
    let space = Space::new("encrypted");
    space.cluster("demo");
    let folder = WORLD.plane.dir().join("api-tls");
    let port = free_port();
    let mut command = raywarden();
    command.args([
        "api",
        "--api-listen",
        &format!("127.0.0.1:{port}"),
        "--ops-listen",
        "127.0.0.1:0",
    ]);
    command.arg("--kubeconfig").arg(&WORLD.kubeconfig).env_remove("KUBERNETES_SERVICE_HOST");
    let refused = run(clone(&command), "", SOON);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("tokens are not taken in clear"), "{refused:?}");

    command.arg("--dev-cert-dir").arg(&folder).args(["--shutdown-delay", "0s"]);
    let _api = Process::start(command);
    let url = format!("https://127.0.0.1:{port}{}", space.path("/demo"));
    let state = wait_until(SOON, "an answer", || {
        let request = Request::new("GET", &url).trusting(&folder.join("ca.crt")).token(&space.ada);
        request.try_send().ok().filter(|answer| answer.status == 200)
    });
    assert_eq!(state.json()["name"], "demo");
}

fn clone(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).env_remove("KUBERNETES_SERVICE_HOST");
    copy
}
