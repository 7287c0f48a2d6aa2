use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame};

use crate::client::{Client, config, head, http2, review, uid};
use crate::server::Server;

const TOLD: &str = "told to end: not ready from now on";

#[test]
fn readiness_fails_first_and_calls_are_served_until_the_delay_is_over() {
    let mut server = Server::start(&["--shutdown-delay", "1s"]);
    server.signal("TERM");
    server.wait_for(TOLD, |_| true);
    let mut client = Client::connect(&server).unwrap();
    let reply = client.get("/readyz").unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("[-] shutdown: draining"));
    assert!(reply.head.contains("connection: close"));
    let reply = Client::connect(&server).unwrap().post("/mutate", &review("u", 0)).unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(Client::connect(&server).unwrap().get("/livez").unwrap().status, 200);
    assert_eq!(server.wait().code(), Some(0));
    assert!(Client::connect(&server).is_err());
    server.wait_for("drained: every call is answered", |_| true);
}

#[test]
fn a_call_under_way_is_finished_after_the_listener_is_closed() {
    let mut server = Server::start(&["--shutdown-delay", "0"]);
    let mut idle = Client::connect(&server).unwrap();
    assert_eq!(idle.get("/livez").unwrap().status, 200);
    let body = review("u-last", 0);
    let (first, second) = body.split_at(body.len() / 2);
    let mut client = Client::connect(&server).unwrap();
    client.send(&head("/mutate", body.len())).unwrap();
    client.send(first).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    server.wait_for(TOLD, |_| true);
    assert!(idle.until_closed() < Duration::from_secs(5));
    let begun = Instant::now();
    while Client::connect(&server).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "still accepting");
    }
    client.send(second).unwrap();
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, uid(&reply.body).as_str()), (200, "u-last"));
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test]
async fn a_call_under_way_on_http2_is_finished_and_its_connection_let_go() {
    let mut server = Server::start(&["--shutdown-delay", "0"]);
    let mut sender = http2(&server).await;
    let text = review("u-h2", 0);
    let (first, second) = text.split_at(text.len() / 2);
    let (first, second) = (Bytes::from(first.to_owned()), Bytes::from(second.to_owned()));
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let frames = futures::stream::iter([Ok::<_, io::Error>(Frame::data(first))]).chain(
        futures::stream::once(async move {
            finished.await.unwrap();
            Ok(Frame::data(second))
        }),
    );
    let body = StreamBody::new(frames).boxed_unsync();
    let request = Request::post("https://localhost/mutate?timeout=10s").body(body).unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("TERM");
    server.wait_for(TOLD, |_| true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    finish.send(()).unwrap();
    let reply = answer.await.unwrap().unwrap();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(uid(std::str::from_utf8(&body).unwrap()), "u-h2");
    assert_eq!(server.wait().code(), Some(0));
    server.wait_for("drained: every call is answered", |_| true);
}

#[test]
fn a_storm_of_calls_loses_none_while_the_server_ends() {
    let mut server = Server::start(&["--shutdown-delay", "600ms"]);
    let config = config(server.ca.pem(), &["http/1.1"]);
    let (gone, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A fresh connection whenever the server closed the last one, as it said it would.
                while let Ok(mut client) = Client::dial(server.address, &config) {
                    loop {
                        let reply = client.post("/mutate", &review("u", 0)).unwrap();
                        assert_eq!(reply.status, 200);
                        answered.fetch_add(1, Ordering::Relaxed);
                        if reply.head.contains("connection: close") {
                            break;
                        }
                    }
                }
                assert!(gone.load(Ordering::Relaxed), "refused before the end");
            });
        }
        std::thread::sleep(Duration::from_millis(400));
        gone.store(true, Ordering::Relaxed);
        server.signal("TERM");
    });
    assert_eq!(server.wait().code(), Some(0));
    assert!(answered.load(Ordering::Relaxed) > 50);
    server.wait_for("drained: every call is answered", |_| true);
}

#[tokio::test]
async fn a_storm_on_http2_loses_none_either() {
    let mut server = Server::start(&["--shutdown-delay", "500ms"]);
    let mut answered = 0;
    let stop_at = Instant::now() + Duration::from_millis(300);
    let mut told = false;
    let mut sender = http2(&server).await;
    loop {
        if !told && Instant::now() > stop_at {
            server.signal("TERM");
            told = true;
        }
        // GOAWAY: the connection takes no further calls.
        if sender.ready().await.is_err() {
            break;
        }
        let body =
            Full::new(Bytes::from(review("u", 0))).map_err(|never| match never {}).boxed_unsync();
        let request = Request::post("https://localhost/validate").body(body).unwrap();
        match sender.send_request(request).await {
            Ok(reply) => {
                assert_eq!(reply.status(), 200);
                answered += 1;
            }
            // Never sent, or refused by GOAWAY before it was processed: clients send it again.
            Err(error) => {
                assert!(told && (error.is_canceled() || is_goaway(&error)), "{error:?}");
                break;
            }
        }
    }
    assert!(told && answered > 10, "{answered}");
    assert_eq!(server.wait().code(), Some(0));
}

fn is_goaway(error: &hyper::Error) -> bool {
    format!("{error:?}").contains("NO_ERROR") || format!("{error:?}").contains("REFUSED_STREAM")
}

#[test]
fn a_call_that_never_ends_is_cut_when_the_drain_is_over() {
    let mut server = Server::start(&[
        "--shutdown-delay",
        "0",
        "--drain-timeout",
        "500ms",
        "--review-deadline",
        "1m",
    ]);
    let mut client = Client::connect(&server).unwrap();
    client.send(&head("/mutate", 100)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8));
    server.wait_for("cut what was left after the drain timeout", |line| line["connections"] == 1);
}

#[test]
fn a_second_signal_skips_the_delay() {
    let mut server = Server::start(&["--shutdown-delay", "10m"]);
    server.signal("INT");
    server.wait_for(TOLD, |_| true);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}
