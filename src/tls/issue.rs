//! A certificate authority and the leaf that it signs.
//!
//! Pure but for the key material: time, names and lifetimes come in as values, PEM texts go out.
//! Both bounds of validity are always set: the library's own run from 1975 to 4096. A leaf never
//! outlives its authority.

pub mod kept;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use time::OffsetDateTime;

/// How far back validity begins, for clocks that lag.
pub const SKEW: Duration = Duration::from_mins(5);

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A leaf without a name fits no server.
    #[error("a server certificate needs at least one name")]
    NoName,
    /// Not a DNS name and not an address.
    #[error("`{0}` is no DNS name and no IP address")]
    BadName(String),
    /// The authority's PEM cannot be used.
    #[error("failed to read the authority")]
    BadAuthority(#[source] rcgen::Error),
    /// The authority's certificate and somebody else's key.
    #[error("the key of the authority does not belong to its certificate")]
    ForeignKey,
    /// The authority has ended, or ends before the leaf would begin.
    #[error("the authority ended at {0}")]
    AuthorityEnded(Timestamp),
    /// The lifetime leads out of the calendar.
    #[error("the lifetime ends after the last date of the calendar")]
    TooLong,
    /// Key generation or signing failed.
    #[error("failed to sign")]
    Signing(#[source] rcgen::Error),
}

/// A new authority, signed by itself, for signing leaves only.
pub fn authority(
    now: Timestamp,
    common_name: &str,
    lifetime: Duration,
) -> Result<Issued, IssueError> {
    let mut params = valid(CertificateParams::default(), now, end(now, lifetime)?)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(IssueError::Signing)?;
    let certificate = params.self_signed(&key).map_err(IssueError::Signing)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A server certificate for `names`, the first of which is its common name.
pub fn leaf(
    now: Timestamp,
    authority: &Issued,
    names: &[String],
    lifetime: Duration,
) -> Result<Issued, IssueError> {
    let first = names.first().ok_or(IssueError::NoName)?;
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        return Err(IssueError::BadName(bad.clone()));
    }
    let signer = KeyPair::from_pem(&authority.key).map_err(IssueError::BadAuthority)?;
    let last = inspect(authority, &signer)?;
    if last <= now {
        return Err(IssueError::AuthorityEnded(last));
    }
    let params = CertificateParams::new(names).map_err(|_| IssueError::BadName(first.clone()))?;
    let mut params = valid(params, now, end(now, lifetime)?.min(last))?;
    params.distinguished_name.push(DnType::CommonName, first.as_str());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signer)
        .map_err(IssueError::BadAuthority)?;
    let key = KeyPair::generate().map_err(IssueError::Signing)?;
    let certificate = params.signed_by(&key, &issuer).map_err(IssueError::Signing)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// An IP address, or a DNS name whose first label may be `*`.
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = text.strip_prefix("*.").unwrap_or(text);
    text.parse::<std::net::IpAddr>().is_ok() || (text.len() <= 253 && host.split('.').all(label))
}

/// When an authority ends, if `key` is its own.
fn inspect(authority: &Issued, key: &KeyPair) -> Result<Timestamp, IssueError> {
    let bad = || IssueError::BadAuthority(rcgen::Error::CouldNotParseCertificate);
    let pem = authority.certificate.as_bytes();
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| bad())?;
    let certificate = pem.parse_x509().map_err(|_| bad())?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(IssueError::ForeignKey);
    }
    Timestamp::from_second(certificate.validity().not_after.timestamp()).map_err(|_| bad())
}

fn end(now: Timestamp, lifetime: Duration) -> Result<Timestamp, IssueError> {
    now.checked_add(lifetime).map_err(|_| IssueError::TooLong)
}

fn valid(
    mut params: CertificateParams,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, IssueError> {
    let date = |at: Timestamp| {
        OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| IssueError::TooLong)
    };
    params.not_before = date(now.checked_sub(SKEW).map_err(|_| IssueError::TooLong)?)?;
    params.not_after = date(not_after)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

#[cfg(test)]
mod tests;
