use std::os::unix::fs::PermissionsExt as _;

use crate::files::Dir;
use crate::server::{Server, run};

#[test]
fn a_second_start_on_a_used_port_says_so_and_touches_nothing() {
    let server = Server::start(&[]);
    let dir = Dir::new();
    let address = server.address.to_string();
    let (code, message) = run(&["serve", "--listen", &address, "--dev-cert-dir", &dir.text("dev")]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains(&format!(
            "raywarden: failed to listen on {address}: another process holds this port"
        )),
        "{message}"
    );
    assert!(!message.contains("stack backtrace"));
    assert!(!dir.path("dev").exists());
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_flag() {
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for (flags, words) in [
        (&[][..], "give --tls-cert and --tls-key, --tls-secret, or --dev-cert-dir"),
        (&["--tls-cert", "x"], "--tls-key"),
        (&["--dev-cert-dir", "x", "--tls-cert", "x", "--tls-key", "x"], "cannot be used with"),
        (&["--review-deadline", "0s"], "expected a time above zero"),
        (&["--max-connections", "0"], "expected a number from 1"),
        (&["--log", "x=y=z"], "expected a level or directives"),
    ] {
        let (code, message) = run(&[&serve, flags].concat());
        assert_eq!(code, Some(2), "{flags:?}: {message}");
        assert!(message.contains(words), "{flags:?}: {message}");
    }
    let (code, message) = run(&["serve", "--listen", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("expected ADDRESS:PORT such as 0.0.0.0:9443"), "{message}");
    let (code, message) = run(&["sreve"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("'serve'"), "{message}");
}

#[test]
fn help_ends_with_0_and_shows_examples_and_environment() {
    let (code, help) = run(&["serve", "--help"]);
    assert_eq!(code, Some(0));
    for words in ["Examples:", "[env: RAYWARDEN_LISTEN=]", "SIGHUP", "--node-manager-for"] {
        assert!(help.contains(words), "{words}");
    }
}

#[test]
fn certificates_are_made_and_renewed_under_one_authority() {
    let dir = Dir::new();
    let out = dir.text("out");
    let read = |name: &str| std::fs::read_to_string(dir.path("out").join(name)).unwrap();
    let (code, said) = run(&["generate", "certs", "--out", &out]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("raywarden.raywarden-system.svc"));
    let (ca, leaf) = (read("ca.crt"), read("tls.crt"));
    assert_eq!(run(&["generate", "certs", "--out", &out, "--name", "localhost"]).0, Some(0));
    assert_eq!(read("ca.crt"), ca);
    assert_ne!(read("tls.crt"), leaf);
    assert_eq!(run(&["generate", "certs", "--out", &out, "--new-ca"]).0, Some(0));
    assert_ne!(read("ca.crt"), ca);

    for (name, mode) in [("ca.key", 0o600), ("tls.key", 0o600), ("tls.crt", 0o644)] {
        let found = std::fs::metadata(dir.path("out").join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    std::fs::remove_file(dir.path("out").join("ca.key")).unwrap();
    let (code, said) = run(&["generate", "certs", "--out", &out]);
    assert_eq!(code, Some(2));
    assert!(said.contains("ca.crt is there but") && said.contains("--new-ca"), "{said}");
}
