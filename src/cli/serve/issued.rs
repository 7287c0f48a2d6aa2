//! The certificate that raywarden issues itself, as flags.

use clap::Args;

use super::super::generate::manifests::base_url;
use crate::control::certificate;
use crate::model::Settings;
use crate::registration::{Endpoint, Registration};

/// A certificate that the leader issues.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Certificate issued by raywarden itself")]
pub(super) struct IssuedArgs {
    /// Serve from this Secret of --lease-namespace: the replica that leads issues and renews it, and
    /// fills both webhook configurations, which have to be there
    #[arg(
        long,
        env = "RAYWARDEN_TLS_SECRET",
        requires = "with_controller",
        conflicts_with_all = ["tls_cert", "tls_key", "dev_cert_dir"],
        value_name = "NAME"
    )]
    tls_secret: Option<String>,

    /// The Service by which API servers reach the webhook, in --lease-namespace
    #[arg(long, env = "RAYWARDEN_SERVICE", default_value = "raywarden", value_name = "NAME")]
    service: String,

    /// Register this URL instead of the Service, for API servers that reach none
    #[arg(long, env = "RAYWARDEN_REGISTERED_URL", value_parser = base_url, value_name = "https://HOST:PORT")]
    registered_url: Option<String>,

    /// Register so that people's writes fail while no replica answers
    #[arg(long, env = "RAYWARDEN_STRICT_REGISTRATION")]
    strict_registration: bool,
}

impl IssuedArgs {
    /// Whether the flags ask for one.
    pub(super) fn is_given(&self) -> bool {
        self.tls_secret.is_some()
    }

    /// What the flags ask for, where the Lease is in `namespace`.
    pub(super) fn options(
        &self,
        namespace: &str,
        domain: &str,
        settings: &Settings,
    ) -> Option<certificate::Options> {
        let secret = self.tls_secret.clone()?;
        let service = format!("{}.{namespace}.svc", self.service);
        let (endpoint, names) = match &self.registered_url {
            Some(url) => (Endpoint::Url(url.clone()), vec![host(url)]),
            None => (
                Endpoint::Service { namespace: namespace.to_owned(), name: self.service.clone() },
                vec![service.clone(), format!("{service}.{domain}")],
            ),
        };
        let registration = Registration {
            endpoint,
            ca_bundle: None,
            inject_ca_from: None,
            strict: self.strict_registration,
            accounts: settings.accounts.clone(),
        };
        Some(certificate::Options { secret, names, registration })
    }
}

/// The host of an `https` URL without a path.
fn host(url: &str) -> String {
    let host = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
    let bare = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    bare.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_what_the_certificate_serves() {
        assert_eq!(host("https://127.0.0.1:9443"), "127.0.0.1");
        assert_eq!(host("https://[::1]:9443/"), "::1");
        assert_eq!(host("https://raywarden.example"), "raywarden.example");
    }
}
