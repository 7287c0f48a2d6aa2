//! Names that Kubernetes and Ray put limits on.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The longest name of a `ray.io` RayCluster: Pod and Service names are made from it.
/// Source: KubeRay's `MaxRayClusterNameLength`.
pub const MAX_CLUSTER_NAME: usize = 53;

/// The longest label value, and the longest name of an account of ours.
pub const MAX_LABEL: usize = 63;

/// The longest DNS prefix of a label key.
const MAX_PREFIX: usize = 253;

/// The group of the head Pod, in Ray's autoscaler and in the label `ray.io/group`.
pub const HEAD_GROUP: &str = "headgroup";

/// The container that runs Ray's autoscaler.
pub const SIDECAR: &str = "autoscaler";

/// Where a container finds the token of its account.
pub const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Whether `text` is a DNS-1035 label: `a-z`, `0-9`, `-`, beginning with a letter and ending
/// without a dash. Length apart.
pub fn is_dns_1035(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Whether `text` is a DNS-1123 label: `a-z`, `0-9`, `-`, no dash at either end. Length apart.
pub fn is_dns_1123(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(inner) && text.ends_with(inner) && text.chars().all(|c| inner(c) || c == '-')
}

/// Whether `text` may be a label value; the empty one may.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= MAX_LABEL && is_name_part(text))
}

/// Whether `text` may be a label key: a qualified name of bounded length.
pub fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("", text));
    prefix.len() <= MAX_PREFIX && name.len() <= MAX_LABEL && is_qualified_name(text)
}

/// Whether `text` is a qualified name: an optional DNS prefix, a slash, a name. Length apart.
pub fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => prefix.split('.').all(is_dns_1123) && is_name_part(name),
        None => is_name_part(text),
    }
}

/// Letters, digits, `-`, `_` and `.`, a letter or digit at both ends.
fn is_name_part(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || "-_.".contains(c))
}

/// What keeps a worker group's name from being a label value and, lower-cased, a part of a Pod's
/// name; `None` when nothing does.
pub fn group_name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_LABEL {
        Some("it has more than 63 characters")
    } else if !is_label_value(name) {
        Some("it is no label value")
    } else if name.contains('_') {
        Some("an underscore cannot stand in a Pod name")
    } else {
        None
    }
}

/// The account, Role and `RoleBinding` of a cluster in standalone mode: `raywarden-<cluster>`, beyond
/// 63 characters cropped and closed with a stable hash of the full name.
pub fn own_account(cluster: &str) -> String {
    let full = format!("raywarden-{cluster}");
    if full.len() <= MAX_LABEL {
        return full;
    }
    let digest = Sha256::digest(cluster.as_bytes());
    let hash = hex(digest.get(..5).unwrap_or_default());
    let mut cropped: String = full.chars().take(MAX_LABEL - hash.len() - 1).collect();
    while !cropped.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        cropped.pop();
    }
    format!("{cropped}-{hash}")
}

/// Bytes as text, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The user name of a service account.
pub fn service_account_user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_cluster_name_gives_a_plain_account_name() {
        assert_eq!(own_account("lab"), "raywarden-lab");
        let longest = "a".repeat(MAX_CLUSTER_NAME);
        assert_eq!(own_account(&longest), format!("raywarden-{longest}"));
    }

    #[test]
    fn long_cluster_names_that_differ_anywhere_give_different_accounts() {
        let long = format!("{}-x", "a".repeat(60));
        let other = format!("{}-y", "a".repeat(60));
        assert_ne!(own_account(&long), own_account(&other));
        assert!(own_account(&long).len() <= MAX_LABEL);
        assert!(is_dns_1035(&own_account(&long)));
    }

    #[test]
    fn group_names_must_do_as_label_values_and_in_pod_names() {
        for name in ["gpu", "GPU-A100", "a.b", "9lives"] {
            assert_eq!(group_name_fault(name), None, "{name}");
        }
        for name in ["", "gpu pool/a", "gpu_pool", "-x", "x-", &"a".repeat(64)] {
            assert!(group_name_fault(name).is_some(), "{name}");
        }
    }

    #[test]
    fn label_keys_may_have_a_dns_prefix() {
        for key in ["zone", "ray.io/zone", "a.b-c.d/E_f"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", "/x", "a/", "a b", "A/b", "a/b/c", "-a/b"] {
            assert!(!is_label_key(key), "{key}");
        }
    }
}
