//! The certificate that raywarden issues itself: one Secret, made by the leader, served by all.
//!
//! Input: the Secret, the election, the clock. Output: a pair for this replica's door; for the leader
//! also the Secret itself, and the two webhook configurations, by [`register`](super::register).
//! A Secret without our label is never written. POST makes the first one, so that two who try make
//! one; later writes name the version that was read. Where nobody leads for a while, whoever needs
//! the first one makes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::apply::{patching, posting};
use super::leader::Leader;
use super::register::Registrar;
use crate::clock;
use crate::http::ops::{Finding, Readiness};
use crate::registration::Registration;
use crate::tls::issue::Issued;
use crate::tls::issue::kept::{Due, Kept};
use crate::tls::pair::{Contents, PairFiles};
use crate::tls::reload::{self, Look, Reloader};

/// For so long the first certificate is left to the leader.
const LEADERS: Duration = Duration::from_secs(30);

/// For so long the first certificate is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// The first pause between two looks; each next one is twice as long, up to the interval.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The label of a Secret of ours.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "raywarden");

const KEYS: [&str; 4] = ["ca.crt", "ca.key", "tls.crt", "tls.key"];

/// What is issued, and for whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Secret's name; it is in the namespace of the Lease.
    pub secret: String,
    /// What the certificate serves.
    pub names: Vec<String>,
    /// What the API servers are told, but for the authority.
    pub registration: Registration,
}

/// Keeps certificate and registration.
pub struct Keeper {
    api: Api<Secret>,
    place: String,
    options: Options,
    leader: Leader,
    registrar: Registrar,
    told: Arc<Mutex<Finding>>,
}

/// What was read.
enum Found {
    Nothing,
    Ours { version: Option<String>, kept: Kept },
    Foreign,
}

impl Keeper {
    /// Of the Secret in `namespace`.
    pub(super) fn new(client: Client, namespace: &str, leader: Leader, options: Options) -> Self {
        let place = format!("Secret {namespace}/{}", options.secret);
        let registrar = Registrar::new(client.clone(), options.registration.clone());
        let told = Arc::new(Mutex::new(Err("not looked at yet".to_owned())));
        Self { api: Api::namespaced(client, namespace), place, options, leader, registrar, told }
    }

    /// What became of the registration.
    pub fn check(&self) -> impl Fn() -> Finding + Send + Sync + use<> {
        let told = Arc::clone(&self.told);
        move || told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first certificate; the leader issues it.
    pub async fn first(&self) -> anyhow::Result<Reloader> {
        let began = Instant::now();
        let mut trouble = "nobody has issued it yet".to_owned();
        while began.elapsed() < PATIENCE {
            let issues = self.leader.leads() || began.elapsed() > LEADERS;
            match self.look(issues).await {
                Ok(Some(kept)) => {
                    let (files, contents) = (self.files(), contents(&kept));
                    return Ok(Reloader::start_with(files, contents, clock::now)?);
                }
                Ok(None) => {}
                Err(error) => {
                    trouble = format!("{error:#}");
                    tracing::warn!("no certificate yet: {trouble}");
                }
            }
            tokio::time::sleep(FIRST_PAUSE * 2).await;
        }
        bail!("no certificate in {} after {PATIENCE:?}: {trouble}", self.place)
    }

    /// Keeps it: serves what the Secret holds; the leader renews it and, once this replica is ready,
    /// fills the registration. Looks every `interval`, and whenever `now` is notified, until `stop`.
    pub async fn run(
        self,
        mut reloader: Reloader,
        readiness: Arc<Readiness>,
        interval: Duration,
        now: Arc<Notify>,
        stop: CancellationToken,
    ) {
        let (mut pause, mut led, mut asked) = (FIRST_PAUSE, false, false);
        loop {
            let leads = self.leader.leads();
            match self.look(leads).await {
                Ok(Some(kept)) => {
                    let look = reloader.consider(contents(&kept));
                    reload::report(&look, asked);
                    if matches!(look, Look::Replaced(_)) {
                        pause = FIRST_PAUSE;
                    }
                    self.register(&kept, leads, &readiness).await;
                }
                Ok(None) => self.tell(Err(format!("{} is not there", self.place))),
                Err(error) => self.tell(Err(format!("{error:#}"))),
            }
            pause = if leads == led { (pause * 2).min(interval) } else { FIRST_PAUSE };
            led = leads;
            asked = tokio::select! {
                () = stop.cancelled() => return,
                () = now.notified() => true,
                () = tokio::time::sleep(pause) => false,
            };
        }
    }

    async fn register(&self, kept: &Kept, leads: bool, readiness: &Readiness) {
        if !leads {
            return self.tell(Ok("is kept by the replica that leads".to_owned()));
        }
        // API servers are sent here only once they are answered.
        let faults = readiness.faults();
        if !faults.is_empty() {
            return self.tell(Err(format!("not filled: {}", faults.join("; "))));
        }
        self.tell(self.registrar.fill(&kept.authority.certificate).await);
    }

    fn tell(&self, finding: Finding) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != finding {
            match &finding {
                Ok(word) => tracing::info!("registration: {word}"),
                Err(why) => tracing::warn!("registration: {why}"),
            }
            *told = finding;
        }
    }

    /// Reads the Secret; what is due is issued first, where this replica `issues`.
    async fn look(&self, issues: bool) -> anyhow::Result<Option<Kept>> {
        let name = &self.options.secret;
        let secret = self.api.get_opt(name).await;
        let secret = secret.with_context(|| format!("failed to read {}", self.place))?;
        let (version, kept) = match found(secret.as_ref()) {
            Found::Foreign => bail!(
                "{} is not raywarden's own (no label {}={}): name another one, or mount it and serve it with --tls-cert",
                self.place,
                MANAGED_BY.0,
                MANAGED_BY.1
            ),
            Found::Nothing => (None, None),
            Found::Ours { version, kept } => (version, Some(kept)),
        };
        match Kept::due(kept.as_ref(), &self.options.names, clock::now()) {
            Some(due) if issues => self.issue(kept, due, version, secret.is_some()).await,
            _ => Ok(kept),
        }
    }

    async fn issue(
        &self,
        kept: Option<Kept>,
        due: Due,
        version: Option<String>,
        there: bool,
    ) -> anyhow::Result<Option<Kept>> {
        let kept = Kept::issue(kept, due, &self.options.names, clock::now())?;
        let name = &self.options.secret;
        let written = if there {
            let patch = json!({"metadata": {"resourceVersion": version}, "data": data(&kept)});
            self.api.patch(name, &patching(), &Patch::Merge(&patch)).await
        } else {
            self.api.create(&posting(), &secret(name, &kept)).await
        };
        match written {
            Ok(_) => {}
            // Another replica was faster: what it made is read next time.
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to write {}", self.place));
            }
        }
        let names = self.options.names.join(",");
        tracing::info!(secret = self.place, names, "issued: {due:?}");
        Ok(Some(kept))
    }

    /// The Secret's keys, as the pair's messages name them.
    fn files(&self) -> PairFiles {
        let place = Path::new(&self.place);
        PairFiles { certificate: place.join(KEYS[2]), key: place.join(KEYS[3]) }
    }
}

fn contents(kept: &Kept) -> Contents {
    let Issued { certificate, key } = kept.leaf.clone();
    Contents::new(certificate.into_bytes(), key.into_bytes())
}

fn found(secret: Option<&Secret>) -> Found {
    let Some(secret) = secret else { return Found::Nothing };
    if secret.labels().get(MANAGED_BY.0).is_none_or(|by| by != MANAGED_BY.1) {
        return Found::Foreign;
    }
    let value = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes.map(|it| String::from_utf8_lossy(&it.0).into_owned()).unwrap_or_default()
    };
    let [ca, ca_key, leaf, leaf_key] = KEYS.map(value);
    let kept = Kept {
        authority: Issued { certificate: ca, key: ca_key },
        leaf: Issued { certificate: leaf, key: leaf_key },
    };
    Found::Ours { version: secret.resource_version(), kept }
}

fn data(kept: &Kept) -> BTreeMap<String, ByteString> {
    let Kept { authority, leaf } = kept;
    let values = [&authority.certificate, &authority.key, &leaf.certificate, &leaf.key];
    let pairs = KEYS.into_iter().zip(values);
    pairs.map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes()))).collect()
}

fn secret(name: &str, kept: &Kept) -> Secret {
    let labels = [MANAGED_BY, ("app.kubernetes.io/name", "raywarden")];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.collect()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data(kept)),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let kept = Kept::issue(None, Due::Both, &["raywarden.example".to_owned()], clock::now());
        let kept = kept.unwrap();
        let Found::Ours { kept: read, .. } = found(Some(&secret("it", &kept))) else {
            panic!("it is ours");
        };
        assert_eq!(read, kept);
    }

    #[test]
    fn a_secret_without_our_label_is_somebody_elses() {
        let mut secret = Secret::default();
        assert!(matches!(found(Some(&secret)), Found::Foreign));
        let helm = (MANAGED_BY.0.to_owned(), "Helm".to_owned());
        secret.metadata.labels = Some([helm].into());
        assert!(matches!(found(Some(&secret)), Found::Foreign));
        assert!(matches!(found(None), Found::Nothing));
    }
}
