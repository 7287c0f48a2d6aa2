//! A certificate chain and its private key, read from two PEM files.
//!
//! A pair is usable or it is not: chain and key parse, belong together, and the first certificate
//! has a name. What is wrong is said with the file, the fault and what was expected.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::issue::kept::held_names;
use crate::model::names::hex;

/// Where a pair is kept: two files, or two keys of a Secret, named as if they were files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
}

/// What the two files held at one moment; compared by content, so that a symlink swap counts and a
/// touched file does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl PairFiles {
    /// Reads both files.
    pub fn read(&self) -> Result<Contents, PairError> {
        let read = |file: &Path| {
            std::fs::read(file)
                .map_err(|source| PairError::Unreadable { file: file.to_owned(), source })
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// Makes a pair of what was read.
    pub fn parse(&self, contents: &Contents) -> Result<Pair, PairError> {
        let chain = self.chain(&contents.certificate)?;
        let key = self.private_key(&contents.key)?;
        let facts = Facts::of(&chain).map_err(|problem| PairError::BadCertificate {
            file: self.certificate.clone(),
            problem,
        })?;
        let provider = CryptoProvider::get_default().ok_or(PairError::NoProvider)?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                PairError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() }
            }
            source => PairError::Unusable { file: self.key.clone(), source },
        })?;
        Ok(Pair { key: Arc::new(key), facts })
    }

    fn chain(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
        let file = || self.certificate.clone();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|error| PairError::NotPem { file: file(), problem: describe(&error) })?;
        if chain.is_empty() {
            let hint = if PrivateKeyDer::from_pem_slice(text).is_ok() {
                " (it holds a private key: are the two files swapped?)"
            } else {
                ""
            };
            return Err(PairError::NoCertificate { file: file(), hint });
        }
        Ok(chain)
    }

    fn private_key(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
        let file = || self.key.clone();
        PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
            pem::Error::NoItemsFound => PairError::NoKey { file: file(), hint: key_hint(text) },
            error => PairError::NotPem { file: file(), problem: describe(&error) },
        })
    }
}

fn key_hint(text: &[u8]) -> &'static str {
    if String::from_utf8_lossy(text).contains("ENCRYPTED PRIVATE KEY") {
        " (it holds an encrypted one: nobody types a passphrase here, so decrypt it)"
    } else if CertificateDer::from_pem_slice(text).is_ok() {
        " (it holds a certificate: are the two files swapped?)"
    } else {
        ""
    }
}

/// The library prints the bytes that it met as numbers.
fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a section has a malformed start line".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        other => other.to_string(),
    }
}

impl Contents {
    /// What was read elsewhere than from files.
    pub fn new(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        Self { certificate, key }
    }

    /// A hash over both, for logs: which content was it that failed?
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(u64::try_from(self.certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(&self.certificate);
        hash.update(&self.key);
        short(&hash.finalize())
    }
}

/// Enough of a hash to tell two apart.
fn short(hash: &[u8]) -> String {
    hex(hash.get(..8).unwrap_or_default())
}

/// A pair that can serve.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What rustls signs with.
    pub key: Arc<CertifiedKey>,
    /// What people ask about it.
    pub facts: Facts,
}

/// What people ask about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// DNS names and addresses that it serves.
    pub names: Vec<String>,
    /// The first bytes of its SHA-256, as hex.
    pub fingerprint: String,
}

impl Facts {
    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let der = chain.first().ok_or("there is none")?;
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| format!("it does not parse: {error}"))?;
        let names = held_names(&certificate);
        if names.is_empty() {
            return Err("it has no subject alternative name, and API servers look at nothing else"
                .to_owned());
        }
        let time = |at: x509_parser::time::ASN1Time| {
            Timestamp::from_second(at.timestamp()).map_err(|error| error.to_string())
        };
        Ok(Self {
            not_before: time(certificate.validity().not_before)?,
            not_after: time(certificate.validity().not_after)?,
            names,
            fingerprint: short(&Sha256::digest(der)),
        })
    }

    /// Why it is of no use at `now`, if so.
    pub fn fault(&self, now: Timestamp) -> Option<String> {
        if now >= self.not_after {
            Some(format!("the certificate ended at {}", self.not_after))
        } else if now < self.not_before {
            Some(format!("the certificate begins only at {}", self.not_before))
        } else {
            None
        }
    }
}

/// Why two files are no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The file cannot be read.
    #[error("failed to read {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// PEM armour that is broken.
    #[error("{} is no PEM file: {problem}", file.display())]
    NotPem {
        /// Which file.
        file: PathBuf,
        /// What is broken.
        problem: String,
    },
    /// No certificate in it.
    #[error("{} holds no certificate{hint}; expected PEM sections `CERTIFICATE`, the server's own first", file.display())]
    NoCertificate {
        /// Which file.
        file: PathBuf,
        /// What it holds instead.
        hint: &'static str,
    },
    /// No private key in it.
    #[error("{} holds no private key{hint}; expected a PEM section `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`", file.display())]
    NoKey {
        /// Which file.
        file: PathBuf,
        /// What it holds instead.
        hint: &'static str,
    },
    /// The first certificate cannot serve.
    #[error("the first certificate of {} cannot be used: {problem}", file.display())]
    BadCertificate {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A key of a kind that cannot sign handshakes.
    #[error("the key of {} cannot be used; expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more", file.display())]
    Unusable {
        /// Which file.
        file: PathBuf,
        /// The library's word.
        source: rustls::Error,
    },
    /// A certificate and another one's key.
    #[error("the key of {} does not belong to the first certificate of {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The process has not chosen its cryptography.
    #[error("no crypto provider is installed in this process")]
    NoProvider,
}

#[cfg(test)]
mod tests;
