//! The snippets that Domino's users were given, unedited, where the names in them lead to us.
//!
//! The test runs itself again in a network and a mount namespace of its own, and there everything: the
//! control plane, Domino's stub, the API on port 80, the token endpoint of a workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::api::Api;
use super::identity::ADA;
use super::proxy::RUNTIME;
use super::support::ray::venv;
use super::support::run::run;
use super::world::{WORLD, counts};

/// The host of the documented addresses.
const SERVICE: &str = "rayclusterscaler-svc.domino-field";

/// Set where the names lead to us.
const APART: &str = "RAYWARDEN_TEST_APART";

/// Both snippets, and what their bytes come to as they were published.
const SNIPPETS: [(&str, &str); 2] = [
    ("by_token.py", "9dd9d5232d099e070849e279d017bf9f94a0b793818443b36ae793f25907fdc3"),
    ("by_key.py", "fe4b0fec60f5b5c4c547b8462a402bdf1fa98be08ea16e576a3fd84403d61e4e"),
];

/// What a workspace's token endpoint and its environment hold.
const TOKEN: &str = "ada.workspace.token";
const KEY: &str = "ada.workspace.key";

/// The other programs are built before, where there is a network.
const BUILD: Duration = Duration::from_hours(3);
const ALL_OF_IT: Duration = Duration::from_mins(3);

#[test]
fn both_documented_snippets_run_unedited_and_scale_to_five() {
    if std::env::var_os(APART).is_some() {
        return as_documented();
    }
    let namespaces = match namespaces() {
        Ok(arguments) => arguments,
        Err(missing) => return skip(&missing),
    };
    run(Command::new(beside("../tools/build.sh")), "", BUILD).ok();
    venv();
    let mut again = Command::new("unshare");
    again.args(namespaces).args(["--", "python3"]).arg(beside("apart.py")).arg(SERVICE);
    again.arg(std::env::current_exe().expect("a test knows its file"));
    again.args(["--exact", "--nocapture"]);
    again.arg("snippets::both_documented_snippets_run_unedited_and_scale_to_five");
    again.env(APART, "1");
    let ran = run(again, "", ALL_OF_IT);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.report());
}

#[test]
fn the_snippets_are_those_that_were_published_byte_for_byte() {
    for (name, digest) in SNIPPETS {
        let bytes = std::fs::read(snippet(name)).expect("it is committed");
        assert_eq!(format!("{:x}", Sha256::digest(bytes)), digest, "{name}");
    }
}

/// Beside this file.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/domino").join(name)
}

fn snippet(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/domino/snippets").join(name)
}

/// How `unshare` makes both namespaces here, or what is missing.
fn namespaces() -> Result<Vec<&'static str>, String> {
    let ways = [vec!["--net", "--mount"], vec!["--map-root-user", "--net", "--mount"]];
    let mut missing = String::new();
    for way in ways {
        let mut probe = Command::new("unshare");
        // What `apart.py` will do.
        probe.args(&way).args(["--", "mount", "--bind", "/etc/hosts", "/etc/hosts"]);
        match probe.output() {
            Ok(done) if done.status.success() => return Ok(way),
            Ok(done) => missing = String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => return Err(format!("unshare, of util-linux ({error})")),
        }
    }
    Err(format!(
        "the right to make a network and a mount namespace, as root has it ({})",
        missing.trim()
    ))
}

#[allow(clippy::print_stderr, reason = "a test that did not run says so")]
fn skip(missing: &str) {
    let ci = std::env::var("CI").is_ok_and(|it| it == "true");
    assert!(!ci, "CI skips nothing, and this is missing: {missing}");
    eprintln!("skipped: the documented snippets; missing: {missing}");
}

/// Where the names lead to us.
fn as_documented() {
    let asked = serve_tokens();
    let api = Api::start_at(80, &WORLD.kubeconfig, &WORLD.identity, &[]);
    for ((snippet, _), credential) in SNIPPETS.iter().zip([TOKEN, KEY]) {
        let cluster = format!("ray-{ADA}-{}", snippet.len());
        WORLD.cluster(&cluster, ADA);
        let [listed, scaled, read] = user(snippet, &cluster);
        assert_eq!(listed["url"], format!("http://{SERVICE}/rayclusterscaler/list"));
        let clusters = listed["body"]["ray_clusters"].as_array().expect("a list");
        assert!(clusters.iter().any(|it| it["metadata"]["name"] == *cluster), "{listed}");
        for answer in [&scaled, &read] {
            assert_eq!(counts(&answer["body"]), (5, 5, 6), "{answer}");
        }
        // Replicas, minimum and maximum as they are stored.
        assert_eq!(WORLD.counts(&cluster), (5, 5, 6));
        assert_eq!(
            WORLD.identity.asked(credential).len(),
            1,
            "Domino was asked about {credential}"
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), SNIPPETS.len());
    drop(api);
}

/// What `user.py` was answered, each with 200.
#[track_caller]
fn user(name: &str, cluster: &str) -> [Value; 3] {
    let mut command = Command::new(venv().join("bin/python"));
    command.arg(beside("user.py")).arg(snippet(name)).arg(cluster);
    command.env("DOMINO_USER_API_KEY", KEY);
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let told = run(command, "", Duration::from_mins(1)).ok();
    let answers: [Value; 3] = serde_json::from_str(&told).expect("three answers");
    assert!(answers.iter().all(|answer| answer["status"] == 200), "{told}");
    answers
}

/// The token server of a workspace, where every workspace has it; how often it was asked.
fn serve_tokens() -> Arc<AtomicUsize> {
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let listener =
        RUNTIME.block_on(TcpListener::bind("127.0.0.1:8899")).expect("nobody else is here");
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            let service = service_fn(move |request: Request<Incoming>| {
                let known = request.uri().path() == "/access-token";
                counted.fetch_add(usize::from(known), Ordering::Relaxed);
                let (status, text) = if known { (200, TOKEN) } else { (404, "") };
                let said = Response::builder().status(status).body(Full::new(Bytes::from(text)));
                std::future::ready(said)
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(async move {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    asked
}
