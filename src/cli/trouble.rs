//! What kept an API server from answering, in words that say what to do.

use anyhow::anyhow;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// API group.
    pub(super) group: &'a str,
    /// Plural name of the resource.
    pub(super) plural: &'a str,
    /// One namespace, or all of them.
    pub(super) namespace: Option<&'a str>,
}

/// Whether a right is missing; other kinds may still be readable.
pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether the list on its way has become too old to be continued.
pub(super) fn is_expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

/// Why discovery failed.
pub(super) fn discovering(error: kube::Error, server: &str) -> anyhow::Error {
    if is_forbidden(&error) {
        return anyhow::Error::new(error).context(format!(
            "may not get /apis at {server}, which says what is served: needs the ClusterRole \
             system:discovery, which authenticated users usually have"
        ));
    }
    general(error, server, "ask what is served")
}

/// Why a list could not be read.
pub(super) fn listing(error: kube::Error, server: &str, asked: Asked<'_>) -> anyhow::Error {
    let Asked { group, plural, namespace } = asked;
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            anyhow!(status.message).context(forbidden(asked))
        }
        other => {
            let place = namespace.map(|it| format!(" in namespace {it}")).unwrap_or_default();
            general(other, server, &format!("list {plural}.{group}{place}"))
        }
    }
}

fn forbidden(asked: Asked<'_>) -> String {
    let Asked { group, plural, namespace } = asked;
    let right = format!("--verb=get,list --resource={plural}.{group}");
    match namespace {
        None => format!(
            "may not list {plural}.{group} in all namespaces: needs a ClusterRole with the verbs get \
             and list on {plural} of {group}, bound by a ClusterRoleBinding (kubectl create \
             clusterrole raywarden-audit {right}); or name a namespace with -n"
        ),
        Some(namespace) => format!(
            "may not list {plural}.{group} in namespace {namespace}: needs a ClusterRole or Role with \
             the verbs get and list on {plural} of {group}, bound in that namespace (kubectl create \
             role raywarden-audit -n {namespace} {right})"
        ),
    }
}

/// Why anything else could not be done; `doing` is what was asked for, as a verb.
pub(super) fn general(error: kube::Error, server: &str, doing: &str) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            anyhow!("{server} does not know these credentials (401)")
        }
        kube::Error::Api(status) => anyhow!("{} ({})", status.message, status.code)
            .context(format!("failed to {doing} at {server}")),
        // Its own layers say only that a client failed to connect.
        kube::Error::Service(error) => {
            let mut cause = error.to_string();
            let mut below = error.source();
            while let Some(next) = below {
                cause = next.to_string();
                below = next.source();
            }
            anyhow!(cause).context(format!("failed to reach {server}"))
        }
        other => anyhow::Error::new(other).context(format!("failed to {doing} at {server}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> kube::Error {
        let status =
            serde_json::json!({"status": "Failure", "message": "no", "reason": "", "code": code});
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn a_missing_right_is_named_with_verb_resource_place_and_cure() {
        let asked = Asked { group: "ray.io", plural: "rayjobs", namespace: None };
        let everywhere = listing(answered(403), "https://s", asked).to_string();
        let there = Asked { namespace: Some("team-a"), ..asked };
        let there = listing(answered(403), "https://s", there).to_string();
        assert!(everywhere.contains("may not list rayjobs.ray.io in all namespaces"));
        assert!(everywhere.contains("--verb=get,list --resource=rayjobs.ray.io"));
        assert!(there.contains("may not list rayjobs.ray.io in namespace team-a"));
        assert!(there.contains("create role raywarden-audit -n team-a"));
    }

    #[test]
    fn every_other_answer_names_the_server() {
        let asked = Asked { group: "ray.io", plural: "rayjobs", namespace: None };
        for code in [401, 404, 500] {
            let said = listing(answered(code), "https://s", asked).to_string();
            assert!(said.contains("https://s"), "{said}");
            assert!(discovering(answered(code), "https://s").to_string().contains("https://s"));
        }
        assert!(is_expired(&answered(410)) && is_forbidden(&answered(403)));
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_named_with_the_last_cause() {
        let refused = std::io::Error::other("connection refused");
        let error = kube::Error::Service(Box::new(std::io::Error::other(refused)));
        let said = format!("{:#}", discovering(error, "https://s"));
        assert_eq!(said, "failed to reach https://s: connection refused");
    }
}
