use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{Client, config, config_for};
use crate::files::Ca;
use crate::server::{PATIENCE, Server};

const HASTE: [&str; 6] =
    ["--handshake-timeout", "400ms", "--header-timeout", "400ms", "--idle-timeout", "400ms"];

/// What the bounds above allow, with room for a busy machine.
fn in_time(took: Duration) -> bool {
    took > Duration::from_millis(200) && took < Duration::from_secs(5)
}

#[test]
fn a_client_that_never_shakes_hands_is_cut() {
    let server = Server::start(&HASTE);
    let mut tcp = TcpStream::connect(server.address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let begun = Instant::now();
    assert_eq!(tcp.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!(in_time(begun.elapsed()));
}

#[test]
fn a_client_that_says_nothing_or_half_a_header_is_cut_on_either_protocol() {
    let server = Server::start(&HASTE);
    for protocol in ["h2", "http/1.1"] {
        for words in
            ["", "P", "POST /mutate HTTP/1.1\r\nhost: lo", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        {
            let config = config(server.ca.pem(), &[protocol]);
            let mut client = Client::dial(server.address, &config).unwrap();
            client.send(words).unwrap();
            let took = client.until_closed();
            assert!(took < Duration::from_secs(5), "{protocol} {words:?}: {took:?}");
        }
    }
}

#[test]
fn a_kept_connection_is_cut_when_its_next_header_does_not_come() {
    let server = Server::start(&HASTE);
    let mut client = Client::connect(&server).unwrap();
    assert_eq!(client.get("/livez").unwrap().status, 200);
    client.send("GET /livez HT").unwrap();
    assert!(in_time(client.until_closed()));
}

#[test]
fn a_kept_connection_outlives_the_bound_of_the_first_header() {
    let server = Server::start(&["--header-timeout", "200ms"]);
    let mut client = Client::connect(&server).unwrap();
    assert_eq!(client.get("/livez").unwrap().status, 200);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(client.get("/livez").unwrap().status, 200);
}

#[test]
fn one_connection_too_many_is_closed_at_once_and_said_so() {
    let server = Server::start(&["--max-connections", "2"]);
    let mut first = Client::connect(&server).unwrap();
    let second = Client::connect(&server).unwrap();
    assert!(Client::connect(&server).is_err());
    server.wait_for("too many connections: new ones are closed (--max-connections)", |line| {
        line["limit"] == 2
    });
    assert_eq!(first.get("/livez").unwrap().status, 200);
    drop(second);
    let begun = Instant::now();
    while Client::connect(&server).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_does_not_trust_us_is_reported() {
    let server = Server::start(&[]);
    let stranger = Ca::new();
    assert!(Client::dial(server.address, &config(stranger.pem(), &["http/1.1"])).is_err());
    server.wait_for(
        "a client refused the TLS handshake: does its caBundle hold our authority?",
        |line| line["level"] == "WARN",
    );
}

#[test]
fn tls_1_2_is_spoken_and_nothing_older() {
    let server = Server::start(&[]);
    let old = config_for(server.ca.pem(), &["http/1.1"], &[&rustls::version::TLS12]);
    let mut client = Client::dial(server.address, &old).unwrap();
    assert_eq!(client.get("/livez").unwrap().status, 200);

    // A ClientHello that offers TLS 1.1 at most: version 3.2, one cipher suite, P-256, one
    // signature scheme.
    let extensions = [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 13, 0, 4, 0, 2, 4, 3]].concat();
    let mut body = vec![0x03, 0x02];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x09, 1, 0]);
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let mut hello = vec![0x01, 0, 0, u8::try_from(body.len()).unwrap()];
    hello.extend(body);
    let mut record = vec![0x16, 0x03, 0x01, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    let mut tcp = TcpStream::connect(server.address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(&record).unwrap();
    let mut alert = [0; 7];
    tcp.read_exact(&mut alert).unwrap();
    // Alert, fatal, protocol_version.
    assert_eq!((alert[0], alert[5], alert[6]), (0x15, 2, 70));
}
