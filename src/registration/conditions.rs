//! The match conditions, in CEL.
//!
//! Every step into an object stands behind `has()`: an error in a condition refuses the request
//! where the failure policy is `Fail`. The conditions only choose the entry, that is the failure
//! policy; who somebody is, [`crate::admission`] decides again for itself. Where the two could
//! differ the conditions say "machine", which never blocks.

use serde_json::{Value, json};

use crate::admission::settings::Accounts;

const USER: &str = "request.userInfo.username";

/// Finalizers of an object under deletion are taken off without asking anybody.
pub(super) fn not_being_deleted() -> Value {
    json!({
        "name": "not-being-deleted",
        "expression":
            "request.operation != 'UPDATE' || !has(oldObject.metadata.deletionTimestamp)",
    })
}

/// Whoever is none of the machines.
pub(super) fn people(accounts: &Accounts) -> Value {
    json!({"name": "people", "expression": format!("!(\n{}\n)", is_machine(accounts))})
}

/// Operators, controllers, and the autoscaler of this very cluster.
pub(super) fn machines(accounts: &Accounts) -> Value {
    json!({"name": "machines", "expression": is_machine(accounts)})
}

fn is_machine(accounts: &Accounts) -> String {
    let Accounts { kuberay, domino, kueue, ourselves, hpa, garbage_collector } = accounts;
    let all = [kuberay, domino, kueue, ourselves, hpa, garbage_collector];
    let (patterns, names): (Vec<&String>, Vec<&String>) =
        all.into_iter().flatten().partition(|name| name.contains('*'));
    let mut ways = Vec::new();
    if !names.is_empty() {
        let list: Vec<String> = names.iter().map(|name| format!("  {}", quote(name))).collect();
        ways.push(format!("{USER} in [\n{}\n]", list.join(",\n")));
    }
    ways.extend(patterns.iter().map(|name| format!("{USER}.matches({})", quote(&regex(name)))));
    ways.push(own_autoscaler());
    format!("has({USER}) && (\n{}\n)", ways.join(" ||\n"))
}

/// The account of the head template of the stored cluster, or one that a node manager makes for
/// the cluster: `raywarden-NAME`, or `KubeRay`'s `NAME`, of which it keeps the last 50 characters
/// and writes `r` for a first one that is no letter.
fn own_autoscaler() -> String {
    let account = "'system:serviceaccount:' + request.namespace + ':' +";
    let name = "oldObject.metadata.name";
    let template = "oldObject.spec.headGroupSpec.template";
    [
        "request.operation == 'UPDATE' &&",
        "request.kind.group == 'ray.io' && request.kind.kind == 'RayCluster' && (",
        &format!("  {USER} in ["),
        &format!("    {account} 'raywarden-' + {name},"),
        &format!("    {account} {name}"),
        "  ] ||",
        &format!("  size({name}) > 50 && {USER} in ["),
        &format!("    {account} {name}.substring(size({name}) - 50),"),
        &format!("    {account} 'r' + {name}.substring(size({name}) - 49)"),
        "  ] ||",
        "  has(oldObject.spec) && has(oldObject.spec.headGroupSpec) &&",
        &format!("  has({template}) && has({template}.spec) &&"),
        &format!("  has({template}.spec.serviceAccountName) &&"),
        &format!("  {USER} == {account}"),
        &format!("    {template}.spec.serviceAccountName"),
        ")",
    ]
    .join("\n")
}

/// `*` stands for one part between colons; everything else for itself.
fn regex(pattern: &str) -> String {
    let parts: Vec<String> = pattern.split('*').map(escape).collect();
    format!("^{}$", parts.join("[^:]+"))
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if !(c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '@' | '/')) && c.is_ascii()
        {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// A CEL string.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_part_and_nothing_else_is_special() {
        assert_eq!(
            regex("system:serviceaccount:*:kuberay-operator"),
            "^system:serviceaccount:[^:]+:kuberay-operator$"
        );
        assert_eq!(regex("a.b*(c)"), "^a\\.b[^:]+\\(c\\)$");
        assert_eq!(quote(&regex("o'x.*")), "'^o\\\\\\'x\\\\.[^:]+$'");
    }
}
