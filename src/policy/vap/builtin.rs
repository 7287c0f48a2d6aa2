//! The built-in rules that the API server can hold.

use super::Claims;
use super::expression::Claim;
use crate::dialect::{self, Dialect};
use crate::model::names::{HEAD_GROUP, MAX_CLUSTER_NAME};
use crate::model::settings::OnReplicasAboveMax;
use crate::model::{RuleId, Settings};
use crate::policy::spec::Enforcement;

/// Rules of people's writes.
pub(super) fn claims(settings: &Settings) -> Claims {
    let mut out = Claims::default();
    let mut deny = |claim| out.add(Enforcement::Deny, claim);
    deny(Claim::new(
        RuleId::MIN_MAX,
        "{groups}.all(g, !has(g.maxReplicas) || g.maxReplicas < 0 || \
         (has(g.minReplicas) ? g.minReplicas : 0) <= g.maxReplicas)",
        "minReplicas of a worker group is above its maxReplicas; allowed: minReplicas <= \
         maxReplicas; lower the one or raise the other",
    ));
    deny(Claim::new(
        RuleId::NEGATIVE,
        "{groups}.all(g, (!has(g.replicas) || g.replicas >= 0) && \
         (!has(g.minReplicas) || g.minReplicas >= 0) && \
         (!has(g.maxReplicas) || g.maxReplicas >= 0))",
        "a count of a worker group is negative; allowed: 0 or more; write 0 or leave it out",
    ));
    deny(Claim::new(
        RuleId::HOSTS,
        "{groups}.all(g, !has(g.numOfHosts) || g.numOfHosts > 0)",
        "numOfHosts of a worker group is below 1; allowed: 1 or more; leave it out for one host",
    ));
    deny(Claim::new(
        RuleId::GROUP_TWICE,
        "{groups}.all(g, {groups}.filter(h, has(h.groupName) && has(g.groupName) && \
         h.groupName == g.groupName).size() <= 1)",
        "two worker groups have one name; allowed: a name of its own for each; rename one",
    ));
    deny(Claim::new(
        RuleId::GROUP_RESERVED,
        format!("{{groups}}.all(g, !has(g.groupName) || g.groupName != \"{HEAD_GROUP}\")"),
        format!(
            "a worker group is called {HEAD_GROUP}, as the head Pod's; allowed: any other name"
        ),
    ));
    deny(Claim::new(
        RuleId::GROUP_NAME,
        "{groups}.all(g, has(g.groupName) && \
         g.groupName.matches('^[A-Za-z0-9]([-A-Za-z0-9.]{0,61}[A-Za-z0-9])?$'))",
        "the name of a worker group cannot stand in labels and Pod names; allowed: at most 63 \
         letters, digits, - and ., a letter or digit at both ends; rename it",
    ));
    if let Some((_, kind, ..)) = dialect::kinds().find(|it| it.3 == Dialect::RayCluster) {
        let most = MAX_CLUSTER_NAME;
        deny(
            Claim::new(
                RuleId::CLUSTER_NAME,
                format!(
                    "request.kind.kind != \"{kind}\" || (object.metadata.name.size() <= {most} && \
                     object.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$'))"
                ),
                format!(
                    "the name cannot stand in names of Pods and Services; allowed: at most {most} \
                     of a-z, 0-9 and -, a letter first, no - last; choose another"
                ),
            )
            .on_create(),
        );
        if settings.on_replicas_above_max == OnReplicasAboveMax::Deny {
            deny(
                Claim::new(
                    RuleId::ABOVE_MAX,
                    format!(
                        "request.kind.kind != \"{kind}\" || {{groups}}.all(g, !has(g.replicas) || \
                         !has(g.maxReplicas) || g.maxReplicas < 0 || g.replicas <= g.maxReplicas)"
                    ),
                    "replicas of a worker group are above its maxReplicas; allowed: at most \
                     maxReplicas; lower the one or raise the other",
                )
                .on_create(),
            );
        }
    }
    out
}
