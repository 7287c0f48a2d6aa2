use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;

use crate::client::{Client, head, http2, review, uid};
use crate::server::Server;

#[test]
fn a_review_is_answered_with_its_uid_and_one_decision_line_without_the_object() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server).unwrap();
    let reply = client.post("/mutate?timeout=10s", &review("u-1", 0)).unwrap();
    assert_eq!((reply.status, uid(&reply.body).as_str()), (200, "u-1"));
    assert!(reply.head.contains("content-type: application/json"));
    let reply = client.post("/validate?timeout=5s", &review("u-2", 0)).unwrap();
    assert_eq!((reply.status, uid(&reply.body).as_str()), (200, "u-2"));

    let line = server.wait_for("reviewed", |line| line["uid"] == "u-1");
    for (field, value) in [
        ("target", "decision"),
        ("phase", "mutate"),
        ("group", "ray.io"),
        ("kind", "RayCluster"),
        ("namespace", "team"),
        ("name", "c"),
        ("operation", "CREATE"),
        ("user", "jo"),
        ("actor", "person"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(line["dry_run"], false);
    assert!(line["allowed"].is_boolean() && line["patch_ops"].is_u64() && line["micros"].is_u64());
    server.wait_for("reviewed", |line| line["uid"] == "u-2" && line["phase"] == "validate");
    assert!(server.lines().all(|line| !line.to_string().contains("s3cr3t")));
    assert_eq!(server.lines().filter(|line| line["message"] == "reviewed").count(), 2);
}

#[test]
fn a_large_review_is_answered_too() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server).unwrap();
    for length in [300 * 1024, 7 * 1024 * 1024] {
        let reply = client.post("/mutate", &review("u-large", length)).unwrap();
        assert_eq!((reply.status, uid(&reply.body).as_str()), (200, "u-large"));
    }
}

#[test]
fn refusals_name_the_reason_and_the_connection_stays_usable() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server).unwrap();
    let reply = client.post("/mutate", "{").unwrap();
    assert_eq!(reply.status, 400);
    assert!(reply.body.starts_with("the body is not JSON: "));
    let beta = review("u", 0).replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let reply = client.post("/mutate", &beta).unwrap();
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.body,
        "the body is no AdmissionReview: apiVersion must be admission.k8s.io/v1\n"
    );
    let reply = client.get("/mutate").unwrap();
    assert_eq!(reply.status, 405);
    assert_eq!(client.post("/mutate", &review("u", 0)).unwrap().status, 200);
}

#[test]
fn a_body_that_announces_too_much_is_refused_unread() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server).unwrap();
    client.send(&head("/mutate", 7 * 1024 * 1024 + 1)).unwrap();
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.body, "the body is longer than 7340032 bytes\n");
}

#[tokio::test]
async fn a_refusal_reaches_http2_clients_that_send_the_whole_body() {
    let server = Server::start(&[]);
    let mut sender = http2(&server).await;
    for (path, length, status) in [
        ("/mutate", 8 * 1024 * 1024, 413),
        ("/elsewhere", 1024 * 1024, 404),
        ("/livez", 1024 * 1024, 405),
    ] {
        let body = Full::new(Bytes::from(vec![b' '; length]))
            .map_err(|never| match never {})
            .boxed_unsync();
        let uri = format!("https://localhost{path}");
        let reply = sender.send_request(Request::post(uri).body(body).unwrap()).await.unwrap();
        assert_eq!(reply.status(), status);
        assert!(!reply.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[test]
fn a_review_too_many_is_shed_while_the_first_is_still_served() {
    let server = Server::start(&["--max-concurrent-reviews", "1"]);
    let mut slow = Client::connect(&server).unwrap();
    let body = review("u-slow", 0);
    let (first, second) = body.split_at(body.len() / 2);
    slow.send(&head("/mutate", body.len())).unwrap();
    slow.send(first).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let reply = Client::connect(&server).unwrap().post("/mutate", &review("u", 0)).unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.head.contains("retry-after: 1"));
    assert!(reply.body.contains("too many reviews under way (--max-concurrent-reviews)"));
    assert_eq!(Client::connect(&server).unwrap().get("/readyz").unwrap().status, 200);
    slow.send(second).unwrap();
    assert_eq!(uid(&slow.reply().unwrap().body), "u-slow");
}

#[test]
fn a_body_that_trickles_is_cut_by_the_deadline() {
    let server = Server::start(&["--review-deadline", "300ms"]);
    let mut client = Client::connect(&server).unwrap();
    client.send(&head("/mutate", 100)).unwrap();
    client.send("{").unwrap();
    assert_eq!(client.reply().unwrap().status, 408);
}
