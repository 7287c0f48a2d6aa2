//! A cluster, read page by page with get and list alone.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use kube::api::{Api, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};

use super::record::Records;
use super::{AuditArgs, Rules};
use crate::dialect;

/// Objects of one page.
const PAGE: u32 = 250;

/// Longer than any sound answer takes; an unreachable server is said to be one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Versions in which a kind may be served, the best first.
const VERSIONS: [&str; 2] = ["v1", "v1alpha1"];

/// Judges every object of a Ray kind that the context may list.
pub(super) fn read(args: &AuditArgs, rules: &Rules, records: &mut Records) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let config = config(args).await?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).context("failed to make a client")?;
        let mut audit = Audit { client, server, rules, records, progress: Progress::new() };
        for (group, kind, plural, _) in dialect::kinds() {
            audit.kind(group, kind, plural, args.namespace.as_deref()).await?;
        }
        audit.progress.end();
        Ok(())
    })
}

async fn config(args: &AuditArgs) -> anyhow::Result<Config> {
    let kubeconfig = match &args.kubeconfig {
        Some(file) => Kubeconfig::read_from(file)
            .with_context(|| format!("failed to read the kubeconfig {}", file.display()))?,
        None => Kubeconfig::read().context(
            "failed to read a kubeconfig: looked at KUBECONFIG, then at ~/.kube/config; name one \
             with --kubeconfig",
        )?,
    };
    if let Some(wanted) = &args.context
        && !kubeconfig.contexts.iter().any(|known| known.name == *wanted)
    {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|it| it.name.as_str()).collect();
        bail!("there is no context {wanted:?}; known ones: {}", known.join(", "));
    }
    let options = KubeConfigOptions { context: args.context.clone(), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .context("failed to use the kubeconfig")?;
    config.connect_timeout = Some(TIMEOUT);
    config.read_timeout = Some(TIMEOUT);
    Ok(config)
}

/// One audit on its way.
struct Audit<'a> {
    client: Client,
    server: String,
    rules: &'a Rules,
    records: &'a mut Records,
    progress: Progress,
}

impl Audit<'_> {
    /// All objects of a kind, in the first version that the server serves.
    async fn kind(
        &mut self,
        group: &'static str,
        kind: &'static str,
        plural: &'static str,
        namespace: Option<&str>,
    ) -> anyhow::Result<()> {
        for version in VERSIONS {
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = match namespace {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                None => Api::all_with(self.client.clone(), &resource),
            };
            if self.pages(&api, group, plural, namespace).await? {
                return Ok(());
            }
        }
        if group == dialect::RAY {
            self.records.absent.push(plural);
        }
        Ok(())
    }

    /// Every page; whether the kind is served in this version.
    async fn pages(
        &mut self,
        api: &Api<DynamicObject>,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<bool> {
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = match api.list(&parameters).await {
                Ok(page) => page,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
                Err(error) => return Err(self.explained(error, group, plural, namespace)),
            };
            for object in page.items {
                let value = serde_json::to_value(&object).context("failed to read an object")?;
                self.records.judge(self.rules, "", value, false);
            }
            self.progress.told(self.records.objects.len());
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(true),
            }
        }
    }

    fn explained(
        &self,
        error: kube::Error,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
    ) -> anyhow::Error {
        let place =
            namespace.map_or_else(|| "all namespaces".to_owned(), |it| format!("namespace {it}"));
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                anyhow!("{} does not know these credentials (401)", self.server)
            }
            kube::Error::Api(status) if status.code == 403 => anyhow!(
                "may not list {plural}.{group} in {place}: ask for a ClusterRole with the verbs get \
                 and list on {plural} of {group}, or name a namespace with -n"
            ),
            kube::Error::Api(status) => {
                anyhow!("{} refused to list {plural}.{group}: {}", self.server, status.message)
            }
            other => anyhow::Error::new(other)
                .context(format!("failed to list {plural}.{group} at {}", self.server)),
        }
    }
}

/// A line on a terminal once it takes longer than a second.
struct Progress {
    begun: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), shown: false }
    }

    fn told(&mut self, count: usize) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() && self.begun.elapsed() > Duration::from_secs(1) {
            self.shown = true;
            let _ = write!(stderr, "\rjudged {count} objects");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
