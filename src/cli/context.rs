//! Which API server is asked, and as whom.
//!
//! Input: the flags and the kubeconfig. Output: a client's configuration, or an error that says where
//! was looked and what else there is. Nothing is sent yet.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::{Builder, Runtime};

use crate::ray::Token;

/// Longer than any sound answer takes; an unreachable server is said to be one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The runtime of a command that asks and ends.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    let built = Builder::new_current_thread().enable_all().build();
    built.context("failed to start the runtime")
}

/// The token of a cluster's dashboard, from the file that the user names.
pub(super) fn ray_token(file: &Path) -> anyhow::Result<Token> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {shown}"))?;
    Token::new(&text).with_context(|| format!("{shown} holds no token"))
}

/// The configuration that the flags ask for.
pub(super) async fn config(asked: Option<&str>, file: Option<&Path>) -> anyhow::Result<Config> {
    let (kubeconfig, from) = match file {
        Some(file) => {
            let from = file.display().to_string();
            let read = Kubeconfig::read_from(file);
            (read.with_context(|| format!("failed to read the kubeconfig {from}"))?, from)
        }
        None => (
            Kubeconfig::read().with_context(|| {
                format!("failed to read a kubeconfig; looked at {}", usual_place())
            })?,
            usual_place(),
        ),
    };
    let name = chosen(&kubeconfig, asked, &from)?;
    let options = KubeConfigOptions { context: Some(name.clone()), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .with_context(|| format!("failed to use context {name:?} of {from}"))?;
    config.connect_timeout = Some(TIMEOUT);
    config.read_timeout = Some(TIMEOUT);
    Ok(config)
}

/// A client for a process that runs for long: as the flags ask for, or as the Pod's own account.
pub(super) async fn client(asked: Option<&str>, file: Option<&Path>) -> anyhow::Result<Client> {
    let inside = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let mut config = if asked.is_none() && file.is_none() && inside {
        Config::incluster().context("failed to read the Pod's own account")?
    } else {
        config(asked, file).await?
    };
    // Watches are quiet for long: only a connection has a deadline, not an answer.
    config.read_timeout = None;
    Client::try_from(config).context("failed to make a client of the API server")
}

/// Where a kubeconfig is looked for without `--kubeconfig`.
fn usual_place() -> String {
    match std::env::var("KUBECONFIG") {
        Ok(files) if !files.is_empty() => format!("KUBECONFIG={files}; --kubeconfig names another"),
        _ => "~/.kube/config, as KUBECONFIG is not set; --kubeconfig names another".to_owned(),
    }
}

/// The context that is asked for, or the current one; it exists.
fn chosen(kubeconfig: &Kubeconfig, asked: Option<&str>, from: &str) -> anyhow::Result<String> {
    let known: Vec<&str> = kubeconfig.contexts.iter().map(|it| it.name.as_str()).collect();
    if known.is_empty() {
        bail!("there is no context in the kubeconfig; looked at {from}");
    }
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = asked.or(current) else {
        bail!("no context is current; name one with --context: {}", known.join(", "));
    };
    if !known.contains(&name) {
        bail!("there is no context {name:?}; known ones: {}", known.join(", "));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(text: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(text).unwrap()
    }

    const TWO: &str = "{contexts: [{name: a}, {name: b}], current-context: b}";

    #[test]
    fn the_context_asked_for_comes_before_the_current_one() {
        assert_eq!(chosen(&kubeconfig(TWO), Some("a"), "f").unwrap(), "a");
        assert_eq!(chosen(&kubeconfig(TWO), None, "f").unwrap(), "b");
    }

    #[test]
    fn what_is_missing_is_said_with_what_there_is() {
        let error = |text, asked| chosen(&kubeconfig(text), asked, "f").unwrap_err().to_string();
        assert_eq!(error(TWO, Some("c")), "there is no context \"c\"; known ones: a, b");
        let none_current = error("{contexts: [{name: a}]}", None);
        assert_eq!(none_current, "no context is current; name one with --context: a");
        assert!(error("{contexts: []}", Some("a")).ends_with("looked at f"));
    }
}
