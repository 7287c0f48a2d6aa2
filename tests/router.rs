//! The router without a server: what each call is answered, with the real core and with others.
#![allow(clippy::unwrap_used, reason = "a helper fails the test it serves")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use raywarden::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use raywarden::http::ops::Readiness;
use raywarden::http::{App, Engine, Limits, Snapshot, router};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const LIMITS: Limits = Limits { deadline: Duration::from_secs(2), concurrent: 8 };

fn app() -> App {
    App::new(Snapshot::default(), LIMITS, Arc::new(Readiness::default()))
}

fn with_engine(engine: Engine) -> axum::Router {
    router(Arc::new(app().with_engine(engine)))
}

async fn call(router: &axum::Router, request: Request<Body>) -> (StatusCode, String) {
    let response = respond(router, request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn respond(router: &axum::Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.unwrap()
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).body(body.into()).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn pod(uid: &str, name: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "name": name,
            "namespace": "team",
            "operation": "CREATE",
            "userInfo": {"username": "jo"},
            "object": {"metadata": {"name": name}},
        },
    })
}

fn answer(review: &Review) -> Answer {
    raywarden::admission::review(&Settings::default(), &PolicySet::default(), Phase::Mutate, review)
}

#[tokio::test]
async fn a_review_is_answered_with_its_own_uid_whatever_the_query() {
    let router = with_engine(review);
    for path in ["/mutate", "/validate", "/mutate?timeout=10s", "/validate?timeout=1s&x=y"] {
        let (status, body) = call(&router, post(path, pod("u-1", "a").to_string())).await;
        assert_eq!(status, StatusCode::OK);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(body["kind"], "AdmissionReview");
        assert_eq!(body["response"]["uid"], "u-1");
        assert_eq!(body["response"]["allowed"], true);
    }
}

#[tokio::test]
async fn what_is_no_review_is_refused_with_the_field_that_is_wrong() {
    let router = with_engine(review);
    let mut old_version = pod("u", "a");
    old_version["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let mut no_uid = pod("u", "a");
    no_uid["request"]["uid"] = Value::Null;
    for (body, words) in [
        ("{\"kind\":".to_owned(), "the body is not JSON"),
        (String::new(), "the body is not JSON"),
        ("[]".to_owned(), "kind"),
        ("{}".to_owned(), "kind must be AdmissionReview"),
        (old_version.to_string(), "apiVersion must be admission.k8s.io/v1"),
        (no_uid.to_string(), "request.uid"),
    ] {
        let (status, message) = call(&router, post("/validate", body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_say_what_there_is() {
    let router = with_engine(review);
    let (status, message) = call(&router, get("/mutate")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(message.contains("POST reviews to /mutate"));
    for path in ["/", "/mutate/", "/metrics", "/mutates"] {
        let (status, message) = call(&router, post(path, "{}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(message.contains("/mutate, /validate, /livez and /readyz"));
    }
}

#[tokio::test]
async fn a_body_above_the_cap_is_refused_announced_or_not() {
    let router = with_engine(review);
    let big = vec![b' '; 7 * 1024 * 1024 + 1];
    let mut announced = post("/mutate", big.clone());
    announced.headers_mut().insert("content-length", big.len().into());
    let pieces: Vec<_> = big
        .chunks(64 * 1024)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let streamed = post("/mutate", Body::from_stream(futures::stream::iter(pieces)));
    for request in [announced, streamed] {
        let (status, message) = call(&router, request).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(message, "the body is longer than 7340032 bytes\n");
    }
}

#[tokio::test]
async fn a_body_at_the_cap_is_read() {
    let mut body = pod("u-big", "a").to_string().into_bytes();
    body.resize(7 * 1024 * 1024, b' ');
    let (status, body) = call(&with_engine(review), post("/mutate", body)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("u-big"));
}

#[tokio::test]
async fn a_review_that_panics_fails_alone() {
    let router = with_engine(|_, _, _, review| {
        assert_ne!(review.name.as_deref(), Some("boom"), "a bug that quotes the object");
        answer(review)
    });
    let padding = " ".repeat(300 * 1024);
    for padding in ["", padding.as_str()] {
        let bad = format!("{}{padding}", pod("u-bad", "boom"));
        let good = format!("{}{padding}", pod("u-good", "calm"));
        let (failed, served) =
            tokio::join!(call(&router, post("/mutate", bad)), call(&router, post("/mutate", good)));
        assert_eq!(failed.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(failed.1.contains("a bug in raywarden") && !failed.1.contains("quotes"));
        assert_eq!(served.0, StatusCode::OK);
        assert!(served.1.contains("u-good"));
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_meets_the_deadline_of_the_caller() {
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let begun = std::time::Instant::now();
    let (status, message) = call(&with_engine(review), post("/mutate?timeout=200ms", never)).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    assert!(message.contains("within the deadline"));
    assert!(begun.elapsed() < LIMITS.deadline);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_review_that_takes_too_long_is_given_up() {
    let router = with_engine(|_, _, _, review| {
        std::thread::sleep(Duration::from_millis(600));
        answer(review)
    });
    let body = format!("{}{}", pod("u", "a"), " ".repeat(300 * 1024));
    let (status, message) = call(&router, post("/mutate?timeout=200ms", body)).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(message.contains("was not done within the deadline"));
}

#[tokio::test]
async fn one_review_too_many_is_turned_away_at_once() {
    let limits = Limits { concurrent: 1, ..LIMITS };
    let app = App::new(Snapshot::default(), limits, Arc::new(Readiness::default()));
    let router = router(Arc::new(app));
    let (first_half, second_half) = {
        let text = pod("u-slow", "a").to_string();
        let (first, second) = text.split_at(text.len() / 2);
        (Bytes::from(first.to_owned()), Bytes::from(second.to_owned()))
    };
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let body = futures::stream::iter([Ok::<_, std::io::Error>(first_half)]).chain(
        futures::stream::once(async move {
            finished.await.unwrap();
            Ok(second_half)
        }),
    );
    let slow = tokio::spawn({
        let router = router.clone();
        async move { call(&router, post("/mutate", Body::from_stream(body))).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let response = respond(&router, post("/mutate", pod("u", "b").to_string())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    finish.send(()).unwrap();
    assert_eq!(slow.await.unwrap().0, StatusCode::OK);
    let (status, _) = call(&router, post("/mutate", pod("u", "b").to_string())).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_snapshot_judges_the_next_review() {
    let app = Arc::new(app().with_engine(|settings, _, _, review| {
        let mut answer = answer(review);
        answer.allowed = settings.scale_ceiling.is_none();
        answer
    }));
    let router = router(Arc::clone(&app));
    let allowed = async || {
        let (_, body) = call(&router, post("/validate", pod("u", "a").to_string())).await;
        serde_json::from_str::<Value>(&body).unwrap()["response"]["allowed"].clone()
    };
    assert_eq!(allowed().await, true);
    let settings = Settings { scale_ceiling: Some(1), ..Settings::default() };
    app.replace(Snapshot { settings, policies: PolicySet::default() });
    assert_eq!(allowed().await, false);
}

#[tokio::test]
async fn readiness_names_its_reasons_and_liveness_does_not_follow() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let readiness = Arc::new(Readiness::default().with("certificate", || {
        if BROKEN.load(Ordering::Relaxed) {
            Err("the certificate ended at noon".to_owned())
        } else {
            Ok("lasts".to_owned())
        }
    }));
    let router = router(Arc::new(App::new(Snapshot::default(), LIMITS, Arc::clone(&readiness))));
    let ready = async |path| call(&router, get(path)).await;

    assert_eq!(ready("/readyz").await, (StatusCode::OK, "ok\n".to_owned()));
    let (_, page) = ready("/readyz?verbose").await;
    assert_eq!(page, "[+] shutdown: serving\n[+] certificate: lasts\nready\n");

    BROKEN.store(true, Ordering::Relaxed);
    let (status, page) = ready("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page, "[-] certificate: the certificate ended at noon\nnot ready\n");

    readiness.drain();
    let (_, page) = ready("/readyz").await;
    assert!(page.starts_with("[-] shutdown: draining"), "{page}");
    assert_eq!(ready("/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn while_draining_kept_connections_are_told_to_close() {
    let readiness = Arc::new(Readiness::default());
    let router = router(Arc::new(App::new(Snapshot::default(), LIMITS, Arc::clone(&readiness))));
    let header =
        async || respond(&router, get("/livez")).await.headers().get("connection").cloned();
    assert_eq!(header().await, None);
    readiness.drain();
    assert_eq!(header().await.unwrap(), "close");
}
