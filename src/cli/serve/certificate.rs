//! The pair that `serve` begins with: the administrator's files, or fresh ones for development.

use std::path::Path;
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

impl CertificateArgs {
    /// Reads the pair; makes it first where development asks for that.
    pub(super) fn reloader(&self) -> anyhow::Result<Reloader> {
        let files = match (&self.tls_cert, &self.tls_key, &self.dev_cert_dir) {
            (Some(certificate), Some(key), None) => {
                PairFiles { certificate: certificate.clone(), key: key.clone() }
            }
            (None, None, Some(dir)) => make(dir, &self.dev_names)?,
            _ => anyhow::bail!("give --tls-cert and --tls-key, or --dev-cert-dir"),
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
