//! Who writes, told apart by user name.

use crate::dialect::kuberay::clipped_name;
use crate::model::names::{own_account, service_account_user};
use crate::model::{Actor, Cluster, NodeManager, Settings};

/// The actor behind `user`. `old` is the stored cluster: the account that its head template names,
/// in its own namespace, is its autoscaler.
pub fn of(
    settings: &Settings,
    manager: NodeManager,
    user: &str,
    namespace: &str,
    old: Option<&Cluster<'_>>,
) -> Actor {
    let accounts = &settings.accounts;
    let machines = [
        (&accounts.kuberay, Actor::KubeRay),
        (&accounts.domino, Actor::Domino),
        (&accounts.kueue, Actor::Kueue),
        (&accounts.ourselves, Actor::Ourselves),
        (&accounts.hpa, Actor::Hpa),
        (&accounts.garbage_collector, Actor::GarbageCollector),
    ];
    machines
        .iter()
        .find(|(names, _)| names.iter().any(|name| is_named(name, user)))
        .map(|(_, actor)| *actor)
        .or_else(|| autoscaler(manager, user, namespace, old?))
        .unwrap_or(Actor::Person)
}

fn autoscaler(
    manager: NodeManager,
    user: &str,
    namespace: &str,
    old: &Cluster<'_>,
) -> Option<Actor> {
    if !old.traits.names_pods {
        return None;
    }
    let named = old.head_account();
    let own = match manager {
        NodeManager::Raywarden => own_account(old.name),
        NodeManager::KubeRay => clipped_name(old.name),
    };
    let is = |account: &str| user == service_account_user(namespace, account);
    let made_for_it = match manager {
        NodeManager::Raywarden => named.is_none_or(|named| named == own),
        NodeManager::KubeRay => named.is_none(),
    };
    if made_for_it && is(&own) {
        return Some(Actor::Autoscaler { own: true });
    }
    named.filter(|named| is(named)).map(|_| Actor::Autoscaler { own: false })
}

/// Whether `user` is the name `pattern`, in which `*` stands for one part between colons.
fn is_named(pattern: &str, user: &str) -> bool {
    let (mut wanted, mut parts) = (pattern.split(':'), user.split(':'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == part || (wanted == "*" && !part.is_empty()) => {
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_part_of_a_user_name() {
        assert!(is_named(
            "system:serviceaccount:*:kuberay-operator",
            "system:serviceaccount:ray:kuberay-operator"
        ));
        assert!(!is_named(
            "system:serviceaccount:*:kuberay-operator",
            "system:serviceaccount:ray:a:kuberay-operator"
        ));
        assert!(!is_named("system:serviceaccount:*", "system:serviceaccount:ray:x"));
        assert!(!is_named("*", ""));
        assert!(is_named("alice", "alice"));
    }
}
