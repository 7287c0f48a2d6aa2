use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-25T12:00:00Z")
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn der(issued: &Issued) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(issued.certificate.as_bytes()).unwrap().1.contents
}

fn bounds(issued: &Issued) -> (Timestamp, Timestamp) {
    let der = der(issued);
    let validity = X509Certificate::from_der(&der).unwrap().1.validity().clone();
    let second = |at: x509_parser::time::ASN1Time| Timestamp::from_second(at.timestamp()).unwrap();
    (second(validity.not_before), second(validity.not_after))
}

#[test]
fn validity_begins_five_minutes_ago_and_ends_with_the_lifetime() {
    let ca = authority(noon(), "raywarden", 10 * DAY).unwrap();
    assert_eq!(bounds(&ca), (at("2026-11-25T11:55:00Z"), at("2026-12-05T12:00:00Z")));
    let leaf = leaf(noon(), &ca, &names(&["raywarden.example"]), 2 * DAY).unwrap();
    assert_eq!(bounds(&leaf), (at("2026-11-25T11:55:00Z"), at("2026-11-27T12:00:00Z")));
}

#[test]
fn a_leaf_never_outlives_its_authority() {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    let leaf = leaf(noon(), &ca, &names(&["raywarden.example"]), 400 * DAY).unwrap();
    assert_eq!(bounds(&leaf).1, bounds(&ca).1);
}

#[test]
fn an_authority_that_has_ended_signs_nothing() {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    let later = noon().checked_add(2 * DAY).unwrap();
    let error = leaf(later, &ca, &names(&["raywarden.example"]), DAY).unwrap_err();
    assert_eq!(error.to_string(), "the authority ended at 2026-11-26T12:00:00Z");
}

#[test]
fn a_leaf_serves_its_dns_names_and_addresses_and_signs_nothing() {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    let leaf =
        leaf(noon(), &ca, &names(&["raywarden.raywarden-system.svc", "127.0.0.1", "::1"]), DAY)
            .unwrap();
    let (ca_der, leaf_der) = (der(&ca), der(&leaf));
    let (_, ca) = X509Certificate::from_der(&ca_der).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf_der).unwrap();
    let san = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    assert_eq!(
        san,
        [
            GeneralName::DNSName("raywarden.raywarden-system.svc"),
            GeneralName::IPAddress(&[127, 0, 0, 1]),
            GeneralName::IPAddress(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ]
    );
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    assert!(!leaf.is_ca() && ca.is_ca());
    assert_eq!(leaf.issuer(), ca.subject());
}

#[test]
fn two_authorities_never_share_a_key() {
    let first = authority(noon(), "raywarden", DAY).unwrap();
    let second = authority(noon(), "raywarden", DAY).unwrap();
    assert_ne!(first.key, second.key);
    assert_ne!(first.certificate, second.certificate);
}

#[test]
fn bad_names_and_endless_lifetimes_are_refused_in_words() {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    let refused = |list: &[&str]| leaf(noon(), &ca, &names(list), DAY).unwrap_err().to_string();
    assert_eq!(refused(&[]), "a server certificate needs at least one name");
    for bad in ["", "a b", "-x.example", "x..y", "https://x", "*.*.x"] {
        assert_eq!(
            refused(&["good.example", bad]),
            format!("`{bad}` is no DNS name and no IP address")
        );
    }
    let error = authority(noon(), "raywarden", Duration::MAX).unwrap_err();
    assert!(error.to_string().contains("last date of the calendar"));
}

#[test]
fn a_key_is_never_printed_by_debug() {
    let ca = authority(noon(), "raywarden", DAY).unwrap();
    assert!(!format!("{ca:?}").contains("PRIVATE KEY"));
}

#[test]
fn an_authority_with_another_ones_key_signs_nothing() {
    let mut ca = authority(noon(), "raywarden", DAY).unwrap();
    ca.key = authority(noon(), "raywarden", DAY).unwrap().key;
    let error = leaf(noon(), &ca, &names(&["raywarden.example"]), DAY).unwrap_err();
    assert_eq!(error.to_string(), "the key of the authority does not belong to its certificate");
}
