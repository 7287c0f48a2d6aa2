//! Ceilings of what a group, a cluster or a namespace may reach.
//!
//! Every amount that has a ceiling is a rule of its own, so that each keeps its own history: a
//! cluster above one ceiling may still not rise above another.

use super::super::amount::Amount;
use super::super::compile::{Reader, at};
use super::super::spec::{CeilingSpec, CeilingsSpec, Enforcement};
use super::super::usage::{Figure, Sums};
use super::{Breach, Check, Scene};
use crate::model::{Pointer, Quantity, RuleId};

/// A ceiling of one thing.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    scope: Scope,
    thing: Thing,
    most: Quantity,
    /// The ceiling as it was written.
    written: String,
}

/// Whose sum has the ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Group,
    Cluster,
    Namespace,
}

/// What is summed.
#[derive(Clone, Debug)]
enum Thing {
    Replicas,
    Pods,
    Gpus,
    Resource(String),
}

impl Thing {
    fn of(&self, sums: &Sums) -> Figure {
        match self {
            Self::Replicas => sums.replicas,
            Self::Pods => sums.pods,
            Self::Gpus => sums.gpus,
            Self::Resource(name) => sums.resource(name),
        }
    }

    fn called(&self) -> &str {
        match self {
            Self::Replicas => "replicas",
            Self::Pods => "Pods",
            Self::Gpus => "accelerators",
            Self::Resource(name) => name,
        }
    }

    fn spelled(&self, figure: Figure) -> String {
        let called = self.called();
        if figure.unbounded > 0 {
            return format!("unbounded {called}");
        }
        let bytes = |name: &str| {
            matches!(name, "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
        };
        let amount = match self {
            Self::Resource(name) if bytes(name) => figure.amount.spelled_binary(),
            _ => figure.amount.spelled(),
        };
        format!("{amount} {called}")
    }
}

/// A rule for each thing that has a ceiling.
pub(in super::super) fn compile(
    spec: CeilingsSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().at("ceilings");
    let own = spec.enforcement;
    let scopes = [
        (Scope::Group, "perGroup", spec.per_group),
        (Scope::Cluster, "perCluster", spec.per_cluster),
        (Scope::Namespace, "perNamespace", spec.per_namespace),
    ];
    if scopes.iter().all(|(.., ceiling)| ceiling.is_none()) {
        reader.flaw(place, "sets no ceiling; write perGroup, perCluster or perNamespace");
        return;
    }
    for (scope, key, ceiling) in scopes {
        let Some(ceiling) = ceiling else { continue };
        let place = place.at(key);
        let mut enforcement = ceiling.enforcement.or(own);
        if scope == Scope::Namespace {
            if ceiling.enforcement == Some(Enforcement::Deny) {
                let message = "deny is not possible: two writes at one time can pass the ceiling \
                               together; write warn or audit";
                reader.flaw(place.at("enforcement"), message);
            }
            enforcement =
                Some(enforcement.unwrap_or_else(|| reader.usual()).min(Enforcement::Warn));
        }
        for (thing, most, written) in things(ceiling, &place, reader) {
            rule(enforcement, Check::Ceiling(Rule { scope, thing, most, written }));
        }
    }
}

/// What has a ceiling, with the ceiling as an amount and as it was written.
fn things(
    spec: CeilingSpec,
    place: &Pointer,
    reader: &mut Reader<'_>,
) -> Vec<(Thing, Quantity, String)> {
    let counts = [
        ("replicas", Thing::Replicas, spec.replicas),
        ("pods", Thing::Pods, spec.pods),
        ("gpus", Thing::Gpus, spec.gpus),
    ];
    let mut things = Vec::new();
    for (key, thing, count) in counts {
        let Some(count) = count else { continue };
        reader.not_negative(place.at(key), count);
        things.push((thing, Quantity::whole(count), count.to_string()));
    }
    for name in ["cpu", "memory"] {
        if spec.resources.contains_key(name) {
            let message = format!("{name} has a field of its own; write it beside resources");
            reader.flaw(place.at("resources").at(name), message);
        }
    }
    if spec.resources.contains_key("") {
        reader.flaw(place.at("resources").at(""), "a resource needs a name");
    }
    let named = [("cpu", spec.cpu), ("memory", spec.memory)];
    let named = named.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), amount?)));
    let amounts = named.chain(spec.resources).map(|(name, amount)| {
        let Amount { written, quantity } = amount;
        (Thing::Resource(name), quantity, written)
    });
    things.extend(amounts);
    if things.is_empty() {
        let message = "sets no ceiling; write one of replicas, pods, cpu, memory, gpus, resources";
        reader.flaw(place.clone(), message);
    }
    things
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        match self.scope {
            Scope::Group => self.of_groups(scene),
            Scope::Cluster => self.of_cluster(scene).into_iter().collect(),
            Scope::Namespace => self.of_namespace(scene).into_iter().collect(),
        }
    }

    /// Whether the sums of a namespace have to be known.
    pub(in super::super) fn reads_usage(&self) -> bool {
        self.scope == Scope::Namespace
    }

    fn of_groups(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let cluster = scene.cluster();
        let groups = cluster.groups.iter().zip(&scene.reach().groups);
        let broken = groups.filter_map(|(group, sums)| {
            let figure = self.thing.of(sums.as_ref()?);
            figure.exceeds(self.most).then_some((group, figure))
        });
        broken
            .map(|(group, figure)| {
                let scales = cluster.scales(group);
                let at = if scales { &group.max.at } else { &group.replicas.at };
                let found = format!("group {:?} may reach {}", group.label(), self.spelled(figure));
                let fix = self.fix(scales);
                let rule = RuleId::POLICY_GROUP_CEILING;
                let breach = self.breach(rule, at.clone(), found, fix, figure);
                Breach { within: Some(group.at.clone()), ..breach }
            })
            .collect()
    }

    fn of_cluster(&self, scene: &Scene<'_>) -> Option<Breach> {
        let figure = self.thing.of(&scene.reach().cluster);
        figure.exceeds(self.most).then(|| {
            let found = format!("the cluster may reach {}", self.spelled(figure));
            let fix = "lower maxReplicas (without autoscaling replicas) of its groups, or what their \
                       Pods request";
            self.breach(RuleId::POLICY_CLUSTER_CEILING, groups(scene), found, fix, figure)
        })
    }

    /// A cluster that asks for nothing of it does not break what others reached.
    fn of_namespace(&self, scene: &Scene<'_>) -> Option<Breach> {
        let own = self.thing.of(&scene.reach().cluster);
        let mut all = self.thing.of(scene.beside());
        all += own;
        (!own.amount.is_zero() && all.exceeds(self.most)).then(|| {
            let found = format!(
                "the clusters of namespace {} may reach {}, this one {}",
                scene.namespace,
                self.spelled(all),
                self.spelled(own)
            );
            let fix = "lower the bounds of this cluster or of another, or delete one";
            self.breach(RuleId::POLICY_NAMESPACE_CEILING, groups(scene), found, fix, all)
        })
    }

    fn spelled(&self, figure: Figure) -> String {
        self.thing.spelled(figure)
    }

    fn fix(&self, scales: bool) -> String {
        let count = if scales { "maxReplicas" } else { "replicas" };
        match self.thing {
            Thing::Replicas => format!("lower {count}"),
            Thing::Pods => format!("lower {count} or numOfHosts"),
            Thing::Gpus | Thing::Resource(_) => format!("lower {count} or what its Pods request"),
        }
    }

    fn breach(
        &self,
        rule: RuleId,
        at: Pointer,
        found: String,
        fix: impl Into<String>,
        figure: Figure,
    ) -> Breach {
        let allowed = format!("at most {} {}", self.written, self.thing.called());
        let breach = Breach::new(rule, at, found, allowed, fix);
        Breach { measure: Some(figure.amount), ..breach }
    }
}

/// The place of all groups.
fn groups(scene: &Scene<'_>) -> Pointer {
    let cluster = scene.cluster();
    match cluster.groups.first().filter(|_| !cluster.traits.ray) {
        Some(worker) => worker.at.clone(),
        None => cluster.at.at("workerGroupSpecs"),
    }
}
