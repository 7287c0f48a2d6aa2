//! What replicas that share a certificate keep, and what is due of it.
//!
//! Pure: what is kept, the names and the time come in; what has to be issued, and it, come out. A leaf
//! is renewed under its authority, so that clients need not learn anything; a new authority is made
//! only where there is none that can sign.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};

use super::{IssueError, Issued, authority, inspect, leaf};

/// How long an authority lasts.
pub const AUTHORITY: Duration = Duration::from_hours(24 * 3650);

/// How long a leaf lasts.
pub const LEAF: Duration = Duration::from_hours(24 * 90);

/// A leaf is renewed when less than this part of its time is left: one in so many.
const RENEWED_AT: i64 = 3;

const COMMON_NAME: &str = "raywarden authority";

/// An authority and the leaf that it signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Signs leaves.
    pub authority: Issued,
    /// Is served.
    pub leaf: Issued,
}

/// What has to be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A leaf under the authority that is there.
    Leaf,
    /// An authority and its leaf.
    Both,
}

impl Kept {
    /// What is due at `now` for a server of `names`; `None`: nothing.
    pub fn due(kept: Option<&Self>, names: &[String], now: Timestamp) -> Option<Due> {
        let Some(kept) = kept else { return Some(Due::Both) };
        let signs = KeyPair::from_pem(&kept.authority.key)
            .is_ok_and(|key| inspect(&kept.authority, &key).is_ok_and(|end| end > now));
        if !signs {
            return Some(Due::Both);
        }
        if serves(kept, names, now) == Some(true) { None } else { Some(Due::Leaf) }
    }

    /// Issues what is due.
    pub fn issue(
        kept: Option<Self>,
        due: Due,
        names: &[String],
        now: Timestamp,
    ) -> Result<Self, IssueError> {
        let authority = match (due, kept) {
            (Due::Leaf, Some(kept)) => kept.authority,
            _ => authority(now, COMMON_NAME, AUTHORITY)?,
        };
        let leaf = leaf(now, &authority, names, LEAF)?;
        Ok(Self { authority, leaf })
    }
}

/// Whether the leaf is good for a while yet; `None`: it cannot be read.
fn serves(kept: &Kept, names: &[String], now: Timestamp) -> Option<bool> {
    let key = KeyPair::from_pem(&kept.leaf.key).ok()?;
    let (ca, leaf) = (der(&kept.authority.certificate)?, der(&kept.leaf.certificate)?);
    let (ca, leaf) = (ca.parse_x509().ok()?, leaf.parse_x509().ok()?);
    let validity = leaf.validity();
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let left = end.saturating_sub(now.as_second());
    // One that ends with its authority cannot be renewed to last longer.
    let is_last = end >= ca.validity().not_after.timestamp();
    let lasts = left > 0 && (is_last || left >= end.saturating_sub(begin) / RENEWED_AT);
    let own = leaf.public_key().raw == key.subject_public_key_info();
    let held = held_names(&leaf);
    Some(
        lasts && own && signer(&leaf) == signed_by(&ca) && names.iter().all(|it| held.contains(it)),
    )
}

fn der(pem: &str) -> Option<x509_parser::pem::Pem> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem)
}

/// The key by which a certificate says that it was signed.
fn signer(leaf: &X509Certificate<'_>) -> Option<Vec<u8>> {
    leaf.extensions().iter().find_map(|it| match it.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => {
            key.key_identifier.as_ref().map(|it| it.0.to_vec())
        }
        _ => None,
    })
}

/// The key with which an authority says that it signs.
fn signed_by(ca: &X509Certificate<'_>) -> Option<Vec<u8>> {
    ca.extensions().iter().find_map(|it| match it.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0.to_vec()),
        _ => None,
    })
}

/// Names and addresses that a certificate serves.
pub fn held_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.map(|it| it.value.general_names.as_slice()).unwrap_or_default();
    names.iter().filter_map(text).collect()
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => {
                <[u8; 4]>::try_from(*bytes).ok().map(|it| std::net::Ipv4Addr::from(it).to_string())
            }
            _ => {
                <[u8; 16]>::try_from(*bytes).ok().map(|it| std::net::Ipv6Addr::from(it).to_string())
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn noon() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    fn names() -> Vec<String> {
        vec!["raywarden.raywarden-system.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn fresh() -> Kept {
        Kept::issue(None, Due::Both, &names(), noon()).unwrap()
    }

    #[test]
    fn where_nothing_is_kept_both_are_due_and_then_nothing() {
        assert_eq!(Kept::due(None, &names(), noon()), Some(Due::Both));
        assert_eq!(Kept::due(Some(&fresh()), &names(), noon()), None);
    }

    #[test]
    fn a_leaf_is_renewed_under_its_authority_in_the_last_third_of_its_time() {
        let kept = fresh();
        let early = noon().checked_add(59 * DAY).unwrap();
        let late = noon().checked_add(61 * DAY).unwrap();
        assert_eq!(Kept::due(Some(&kept), &names(), early), None);
        assert_eq!(Kept::due(Some(&kept), &names(), late), Some(Due::Leaf));
        let renewed = Kept::issue(Some(kept.clone()), Due::Leaf, &names(), late).unwrap();
        assert_eq!(renewed.authority, kept.authority);
        assert_ne!(renewed.leaf, kept.leaf);
        assert_eq!(Kept::due(Some(&renewed), &names(), late), None);
    }

    #[test]
    fn another_name_needs_another_leaf() {
        let more = [names(), vec!["other.example".to_owned()]].concat();
        assert_eq!(Kept::due(Some(&fresh()), &more, noon()), Some(Due::Leaf));
    }

    #[test]
    fn a_leaf_of_another_authority_or_with_another_key_is_made_anew() {
        let (one, other) = (fresh(), fresh());
        let foreign = Kept { authority: one.authority.clone(), leaf: other.leaf.clone() };
        assert_eq!(Kept::due(Some(&foreign), &names(), noon()), Some(Due::Leaf));
        let mut mixed = one;
        mixed.leaf.key = other.leaf.key;
        assert_eq!(Kept::due(Some(&mixed), &names(), noon()), Some(Due::Leaf));
    }

    #[test]
    fn an_authority_that_cannot_sign_is_replaced() {
        let ended = noon().checked_add(AUTHORITY + DAY).unwrap();
        assert_eq!(Kept::due(Some(&fresh()), &names(), ended), Some(Due::Both));
        let mut broken = fresh();
        broken.authority.key = fresh().authority.key;
        assert_eq!(Kept::due(Some(&broken), &names(), noon()), Some(Due::Both));
        broken.authority.certificate = "nothing".to_owned();
        assert_eq!(Kept::due(Some(&broken), &names(), noon()), Some(Due::Both));
    }

    #[test]
    fn the_last_leaf_of_an_authority_is_not_made_again_and_again() {
        let late = noon().checked_add(3620 * DAY).unwrap();
        let kept = Kept::issue(Some(fresh()), Due::Leaf, &names(), late).unwrap();
        let later = late.checked_add(29 * DAY).unwrap();
        assert_eq!(Kept::due(Some(&kept), &names(), later), None);
    }
}
