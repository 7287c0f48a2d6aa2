//! The pair that `serve` begins with: the administrator's files, or fresh ones for development.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::CertificateArgs;
use crate::cli::generate::files;
use crate::clock;
use crate::tls::issue;
use crate::tls::pair::PairFiles;
use crate::tls::reload::Reloader;

/// How long a development certificate lasts.
const LIFETIME: Duration = Duration::from_hours(24 * 365);

/// Where the pair comes from.
pub(in crate::cli) enum Source {
    Files(PairFiles),
    Fresh { dir: PathBuf, names: Vec<String> },
}

impl CertificateArgs {
    /// What the flags ask for.
    pub(super) fn source(&self) -> anyhow::Result<Source> {
        self.optional().context("give --tls-cert and --tls-key, --tls-secret, or --dev-cert-dir")
    }

    /// The same where a certificate need not be.
    pub(in crate::cli) fn optional(&self) -> Option<Source> {
        match (&self.tls_cert, &self.tls_key, &self.dev_cert_dir) {
            (Some(certificate), Some(key), None) => Some(Source::Files(PairFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            })),
            (None, None, Some(dir)) => {
                Some(Source::Fresh { dir: dir.clone(), names: self.dev_names.clone() })
            }
            _ => None,
        }
    }
}

impl Source {
    /// Reads the pair; makes it first where development asks for that.
    pub(in crate::cli) fn load(self) -> anyhow::Result<Reloader> {
        let files = match self {
            Self::Files(files) => files,
            Self::Fresh { dir, names } => make(&dir, &names)?,
        };
        Ok(Reloader::start(files, clock::now)?)
    }
}

fn make(dir: &Path, names: &[String]) -> anyhow::Result<PairFiles> {
    let now = clock::now();
    let authority = issue::authority(now, "raywarden development authority", LIFETIME)?;
    let leaf = issue::leaf(now, &authority, names, LIFETIME).context("--dev-names")?;
    let pair = PairFiles { certificate: dir.join("tls.crt"), key: dir.join("tls.key") };
    let ca = dir.join("ca.crt");
    files::directory(dir)?;
    files::public(&pair.certificate, &leaf.certificate)?;
    files::private(&pair.key, &leaf.key)?;
    files::public(&ca, &authority.certificate)?;
    tracing::warn!(ca = %ca.display(), names = names.join(","), "serving a development certificate");
    Ok(pair)
}
