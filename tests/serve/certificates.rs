use std::time::{Duration, Instant};

use crate::client::{Client, config};
use crate::files::{Ca, Volume};
use crate::server::{PATIENCE, Server, run};

fn served(server: &Server) -> Vec<u8> {
    Client::connect(server).unwrap().certificate()
}

#[test]
fn a_hang_up_swaps_the_certificate_and_open_connections_stay() {
    let server = Server::start(&["--tls-reload-interval", "1h"]);
    let mut open = Client::connect(&server).unwrap();
    let before = open.certificate();
    let next = server.ca.leaf();
    server.volume.swap("..second", &next.certificate, &next.key);
    assert_eq!(served(&server), before, "nobody has looked yet");
    server.signal("HUP");
    server.wait_for("a new certificate serves from now on", |_| true);
    assert_ne!(served(&server), before);
    assert_eq!(open.get("/livez").unwrap().status, 200);
}

#[test]
fn a_symlink_swap_is_seen_on_the_tick() {
    let server = Server::start(&["--tls-reload-interval", "100ms"]);
    let before = served(&server);
    let next = server.ca.leaf();
    server.volume.swap("..second", &next.certificate, &next.key);
    let begun = Instant::now();
    while served(&server) == before {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_bad_pair_keeps_the_old_one_until_a_good_one_comes() {
    let server = Server::start(&["--tls-reload-interval", "100ms"]);
    let before = served(&server);
    let (one, other) = (server.ca.leaf(), server.ca.leaf());
    server.volume.swap("..mismatch", &one.certificate, &other.key);
    let kept = "the new certificate cannot be used; the certificate in use stays";
    let line = server.wait_for(kept, |_| true);
    assert!(line["reason"].as_str().unwrap().contains("does not belong to the first certificate"));
    assert_eq!(served(&server), before);
    std::thread::sleep(Duration::from_millis(400));
    let reports = server.lines().filter(|line| line["message"] == kept).count();
    assert_eq!(reports, 1, "one content, one report");
    assert_eq!(Client::connect(&server).unwrap().get("/readyz").unwrap().status, 200);
    server.volume.swap("..good", &one.certificate, &one.key);
    server.wait_for("a new certificate serves from now on", |_| true);
    assert_ne!(served(&server), before);
}

#[test]
fn readiness_says_that_the_certificate_has_ended() {
    let ca = Ca::new();
    let volume = Volume::new(&ca.leaf_for(Duration::from_secs(2)));
    let server = Server::start_with(ca, volume, &[]);
    // Connected while it was good; the kept connection lets us look afterwards.
    let mut client = Client::dial(server.address, &config(server.ca.pem(), &["http/1.1"])).unwrap();
    assert_eq!(client.get("/readyz").unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(2_500));
    let reply = client.get("/readyz").unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("[-] certificate: the certificate ended at "), "{}", reply.body);
    assert_eq!(client.get("/livez").unwrap().status, 200);
}

#[test]
fn a_pair_that_cannot_serve_stops_the_start_with_the_reason() {
    let ca = Ca::new();
    let (one, other) = (ca.leaf(), ca.leaf());
    let volume = Volume::new(&one);
    volume.swap("..mismatch", &one.certificate, &other.key);
    let mut args = vec!["serve", "--listen", "127.0.0.1:0"];
    let files = volume.args();
    args.extend(files.iter().map(String::as_str));
    let (code, message) = run(&args);
    assert_eq!(code, Some(2));
    assert!(message.contains("tls.key does not belong to the first certificate of"), "{message}");

    std::fs::remove_file(volume.0.path("..data")).unwrap();
    let (code, message) = run(&args);
    assert_eq!(code, Some(2));
    assert!(message.contains("raywarden: failed to read "), "{message}");
    assert!(message.contains("because: No such file or directory"), "{message}");
}
