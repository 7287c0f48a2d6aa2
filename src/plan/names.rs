//! Names of the Pods that we make.
//!
//! A name ends in a suffix that follows from the cluster's UID, the group, the slot and the attempt:
//! two controllers that plan the same Pod collide instead of making two. Each Pod that goes retires
//! its attempt, so no name is used twice; Ray's autoscaler would take a second Pod of one name for
//! the first.

use std::fmt::Display;

use sha2::{Digest, Sha256};

use crate::dialect::kuberay::worker_prefix;
use crate::model::names::MAX_LABEL;

/// Characters of a suffix, fewer where the prefix leaves no room.
const SUFFIX: usize = 8;

/// Characters that a suffix is made of.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The name of a head.
pub fn head(cluster: &str, uid: &str, attempt: u64) -> String {
    let cropped: String = cluster.chars().take(50).collect();
    let prefix = format!("{}-head-", cropped.to_lowercase());
    with_suffix(&prefix, &[&uid, &"head", &attempt])
}

/// The name of the worker on one host of one replica.
pub fn worker(
    cluster: &str,
    uid: &str,
    group: &str,
    (index, host): (u32, u32),
    attempt: u64,
) -> String {
    let parts: [&dyn Display; 6] = [&uid, &"worker", &group, &index, &host, &attempt];
    with_suffix(&worker_prefix(cluster, group), &parts)
}

/// The name that all hosts of one replica share; a label value.
pub fn replica(uid: &str, group: &str, index: u32, attempt: u64) -> String {
    let cropped: String = group.chars().take(MAX_LABEL - SUFFIX - 1).collect();
    with_suffix(&format!("{cropped}-"), &[&uid, &"replica", &group, &index, &attempt])
}

fn with_suffix(prefix: &str, parts: &[&dyn Display]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // A slash stands in no part, so that parts cannot run into each other.
        hash.update(format!("{part}/"));
    }
    let room = MAX_LABEL.saturating_sub(prefix.len()).clamp(5, SUFFIX);
    let suffix = hash.finalize().into_iter().take(room).filter_map(|byte| {
        ALPHABET.get(usize::from(byte) % ALPHABET.len()).map(|byte| char::from(*byte))
    });
    prefix.chars().chain(suffix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_slot_and_its_attempt_gives_another_name() {
        let name = |uid, group, slot, attempt| worker("lab", uid, group, slot, attempt);
        let names = [
            name("u1", "gpu", (0, 0), 0),
            name("u2", "gpu", (0, 0), 0),
            name("u1", "cpu", (0, 0), 0),
            name("u1", "gpu", (1, 0), 0),
            name("u1", "gpu", (0, 1), 0),
            name("u1", "gpu", (0, 0), 1),
        ];
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert_eq!(name("u1", "gpu", (0, 0), 0), names[0]);
        assert!(names[0].starts_with("lab-gpu-worker-"));
    }

    #[test]
    fn names_of_the_longest_clusters_fit_a_host_name() {
        let cluster = "c".repeat(53);
        assert_eq!(worker(&cluster, "u", "pool", (7, 3), 12).len(), 63);
        assert!(head(&cluster, "u", 3).len() <= 63);
        assert!(replica("u", &"g".repeat(63), 3, 0).len() <= 63);
    }
}
