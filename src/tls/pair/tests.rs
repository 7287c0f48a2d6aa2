use std::fs;
use std::time::Duration;

use super::*;
use crate::tls::issue::{Issued, authority, leaf};

const DAY: Duration = Duration::from_hours(24);

fn noon() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn fresh() -> Issued {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    leaf(noon(), &ca, &["localhost".to_owned(), "127.0.0.1".to_owned()], DAY).unwrap()
}

/// Parses two texts as `tls.crt` and `tls.key`; no file is touched.
fn parse(certificate: &str, key: &str) -> Result<Pair, PairError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = PairFiles { certificate: "tls.crt".into(), key: "tls.key".into() };
    files.parse(&Contents { certificate: certificate.into(), key: key.into() })
}

fn fault(certificate: &str, key: &str) -> String {
    parse(certificate, key).unwrap_err().to_string()
}

#[test]
fn a_good_pair_tells_its_names_and_its_end() {
    let leaf = fresh();
    let pair = parse(&leaf.certificate, &leaf.key).unwrap();
    assert_eq!(pair.facts.names, ["localhost", "127.0.0.1"]);
    assert_eq!(pair.facts.not_after.to_string(), "2026-11-26T12:00:00Z");
    assert_eq!(pair.facts.fault(noon()), None);
    let late = noon().checked_add(2 * DAY).unwrap();
    assert_eq!(pair.facts.fault(late).unwrap(), "the certificate ended at 2026-11-26T12:00:00Z");
    let early = noon().checked_sub(DAY).unwrap();
    assert!(pair.facts.fault(early).unwrap().starts_with("the certificate begins only at"));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let message = fault(&fresh().certificate, &fresh().key);
    assert_eq!(message, "the key of tls.key does not belong to the first certificate of tls.crt");
}

#[test]
fn swapped_files_are_recognized() {
    let leaf = fresh();
    let message = fault(&leaf.key, &leaf.certificate);
    assert!(message.starts_with(
        "tls.crt holds no certificate (it holds a private key: are the two files swapped?)"
    ));
    let message = fault(&leaf.certificate, &leaf.certificate);
    assert!(message.starts_with(
        "tls.key holds no private key (it holds a certificate: are the two files swapped?)"
    ));
}

#[test]
fn every_fault_names_its_file_and_what_was_expected() {
    let leaf = fresh();
    let cut = leaf.certificate.replace("-----END CERTIFICATE-----", "");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (certificate, key, words) in [
        (
            "",
            leaf.key.as_str(),
            "tls.crt holds no certificate; expected PEM sections `CERTIFICATE`",
        ),
        (
            &leaf.certificate,
            "",
            "tls.key holds no private key; expected a PEM section `PRIVATE KEY`",
        ),
        (&cut, &leaf.key, "tls.crt is no PEM file: a section has no end line"),
        (&leaf.certificate, encrypted, "decrypt it"),
        (garbage, &leaf.key, "the first certificate of tls.crt cannot be used: it does not parse"),
        (&leaf.certificate, bad_key, "the key of tls.key cannot be used; expected ECDSA P-256"),
    ] {
        let message = fault(certificate, key);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn an_authority_is_no_server_certificate() {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    let message = fault(&ca.certificate, &ca.key);
    assert!(message.contains("no subject alternative name"), "{message}");
}

#[test]
fn contents_are_compared_by_what_they_hold() {
    let dir = std::env::temp_dir().join(format!("raywarden-pair-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let files = PairFiles { certificate: dir.join("tls.crt"), key: dir.join("tls.key") };
    let missing = files.read().err().unwrap().to_string();
    assert_eq!(missing, format!("failed to read {}", files.certificate.display()));
    fs::write(&files.certificate, "a").unwrap();
    fs::write(&files.key, "b").unwrap();
    let first = files.read().unwrap();
    fs::write(&files.key, "b").unwrap();
    assert!(first == files.read().unwrap());
    fs::write(&files.key, "c").unwrap();
    let second = files.read().unwrap();
    assert!(first != second);
    assert_ne!(first.fingerprint(), second.fingerprint());
    fs::remove_dir_all(&dir).unwrap();
}
