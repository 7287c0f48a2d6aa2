//! What clusters may reach, as sums: of one group, of one cluster, of all stored clusters of a
//! namespace.
//!
//! Input: clusters, one by one. Output: [`Sums`], exact, and [`Usage`], the snapshot of them that a
//! shell keeps. An unbounded group counts with the CRD's default maximum, so that sums can be taken
//! apart again; how many such groups a figure holds is told beside it. Kinds that embed a cluster
//! hold nothing themselves: the RayClusters that are made from them do.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, SubAssign};

use serde_json::Value;

use crate::dialect::kuberay::parent;
use crate::dialect::{Dialect, Parent};
use crate::inject::sidecar;
use crate::model::accelerator::is_accelerator;
use crate::model::cluster::UNBOUNDED;
use crate::model::names::SIDECAR;
use crate::model::requests::{self, Amounts};
use crate::model::{Cluster, Group, Quantity, Settings};

/// How much of something may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// The amount; groups without a maximum count with the CRD's default of it.
    pub amount: Quantity,
    /// Groups without a maximum that are part of it.
    pub unbounded: u32,
}

impl Figure {
    fn of(amount: Quantity, unbounded: bool) -> Self {
        Self { amount, unbounded: u32::from(unbounded && !amount.is_zero()) }
    }

    /// Whether it is more than `most`.
    pub fn exceeds(self, most: Quantity) -> bool {
        self.unbounded > 0 || self.amount > most
    }
}

impl SubAssign for Figure {
    fn sub_assign(&mut self, part: Self) {
        self.amount = self.amount - part.amount;
        self.unbounded = self.unbounded.saturating_sub(part.unbounded);
    }
}

impl AddAssign for Figure {
    fn add_assign(&mut self, other: Self) {
        self.amount = self.amount + other.amount;
        self.unbounded = self.unbounded.saturating_add(other.unbounded);
    }
}

/// Everything that has a ceiling, summed. A resource that comes to nothing is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Worker replicas.
    pub replicas: Figure,
    /// Pods, heads counted.
    pub pods: Figure,
    /// Accelerators of any kind.
    pub gpus: Figure,
    /// What Pods request, by resource.
    pub resources: BTreeMap<String, Figure>,
}

impl Sums {
    /// What Pods request of one resource.
    pub fn resource(&self, name: &str) -> Figure {
        self.resources.get(name).copied().unwrap_or_default()
    }

    fn add_pods(&mut self, one: &Amounts<'_>, count: i64, unbounded: bool) {
        self.pods += Figure::of(Quantity::whole(count), unbounded);
        for (name, amount) in one.iter() {
            let figure = Figure::of(amount.times(count), unbounded);
            if figure == Figure::default() {
                continue;
            }
            if is_accelerator(name) {
                self.gpus += figure;
            }
            match self.resources.get_mut(name) {
                Some(sum) => *sum += figure,
                None => drop(self.resources.insert(name.to_owned(), figure)),
            }
        }
    }
}

impl AddAssign<&Self> for Sums {
    fn add_assign(&mut self, other: &Self) {
        self.replicas += other.replicas;
        self.pods += other.pods;
        self.gpus += other.gpus;
        for (name, figure) in &other.resources {
            match self.resources.get_mut(name) {
                Some(sum) => *sum += *figure,
                None => drop(self.resources.insert(name.clone(), *figure)),
            }
        }
    }
}

/// Takes a part out that was added.
impl SubAssign<&Self> for Sums {
    fn sub_assign(&mut self, part: &Self) {
        self.replicas -= part.replicas;
        self.pods -= part.pods;
        self.gpus -= part.gpus;
        for (name, figure) in &part.resources {
            if let Some(sum) = self.resources.get_mut(name) {
                *sum -= *figure;
            }
        }
        self.resources.retain(|_, figure| *figure != Figure::default());
    }
}

/// What one cluster may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// By group, in their order; `None` where its counts cannot be read.
    pub(super) groups: Vec<Option<Sums>>,
    /// All groups and the head.
    pub(super) cluster: Sums,
}

impl Reach {
    /// Measures a cluster. Resources are those of Kubernetes: what a group tells Ray is not asked for
    /// anywhere. Domino's clusters have no templates, and so no resources.
    pub(super) fn of(settings: &Settings, cluster: &Cluster<'_>) -> Self {
        let groups: Vec<Option<Sums>> =
            cluster.groups.iter().map(|group| of_group(cluster, group)).collect();
        let mut all = Sums::default();
        add_head(settings, cluster, &mut all);
        for sums in groups.iter().flatten() {
            all += sums;
        }
        Self { groups, cluster: all }
    }
}

fn of_group(cluster: &Cluster<'_>, group: &Group<'_>) -> Option<Sums> {
    let replicas = cluster.reach(group)?;
    let pods = replicas.saturating_mul(group.hosts()?.max(0));
    let unbounded = cluster.scales(group) && replicas == UNBOUNDED;
    let mut sums =
        Sums { replicas: Figure::of(Quantity::whole(replicas), unbounded), ..Sums::default() };
    let spec = group.template().spec;
    sums.add_pods(&requests::of_pod(spec, None), pods, unbounded);
    Some(sums)
}

fn add_head(settings: &Settings, cluster: &Cluster<'_>, sums: &mut Sums) {
    let Some(head) = cluster.head() else {
        sums.pods += Figure::of(Quantity::whole(1), false);
        return;
    };
    let size = added_sidecar(settings, cluster).map(|it| serde_json::json!({"resources": it}));
    sums.add_pods(&requests::of_pod(head.spec, size.as_ref()), 1, false);
}

/// The resources of the autoscaler's container, where the head gets one that its template lacks.
pub(super) fn added_sidecar(settings: &Settings, cluster: &Cluster<'_>) -> Option<Value> {
    let head = cluster.head().filter(|_| cluster.autoscaling)?;
    let added = head.container(SIDECAR).is_none();
    added.then(|| sidecar::completed(cluster.options().get("resources"), &settings.sidecar))
}

/// What a stored object may reach; `None` for kinds that hold no Pods of their own.
pub fn measure(settings: &Settings, dialect: Dialect, object: &Value) -> Option<Sums> {
    let cluster = dialect.view(object).filter(|_| dialect.holds_pods())?;
    Some(Reach::of(settings, &cluster).cluster)
}

/// What the stored clusters of all namespaces may reach, with each cluster's part in it. What is taken
/// in, taken out or asked for costs no more where a namespace holds thousands of clusters.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    namespaces: BTreeMap<String, Held>,
}

/// What one namespace holds. The total is the sum of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    total: Sums,
    parts: BTreeMap<Key, Part>,
}

/// The API group and the name of a cluster.
type Key = (&'static str, String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    sums: Sums,
    /// The RayJob or RayService that the cluster was made from.
    parent: Option<(Parent, String)>,
}

impl Held {
    /// Whether anything is another than before.
    fn put(&mut self, key: Key, part: Part) -> bool {
        if self.parts.get(&key) == Some(&part) {
            return false;
        }
        self.total += &part.sums;
        if let Some(before) = self.parts.insert(key, part) {
            self.total -= &before.sums;
        }
        true
    }

    fn take_out(&mut self, key: &Key) -> bool {
        let part = self.parts.remove(key);
        if let Some(part) = &part {
            self.total -= &part.sums;
        }
        part.is_some()
    }
}

impl Usage {
    /// Takes in an object of a namespace, in place of what was known of it; nothing for kinds without
    /// Pods and for objects without a name. Whether anything is another than before.
    pub fn insert(
        &mut self,
        settings: &Settings,
        dialect: Dialect,
        namespace: &str,
        object: &Value,
    ) -> bool {
        let Some(sums) = measure(settings, dialect, object) else { return false };
        let Some(key) = key(dialect, object) else { return false };
        let parent = dialect.view(object).as_ref().and_then(parent);
        let part = Part { sums, parent };
        match self.namespaces.get_mut(namespace) {
            Some(held) => held.put(key, part),
            None => self.namespaces.entry(namespace.to_owned()).or_default().put(key, part),
        }
    }

    /// Forgets an object of a namespace; whether it was known.
    pub fn remove(&mut self, dialect: Dialect, namespace: &str, object: &Value) -> bool {
        let Some(key) = key(dialect, object) else { return false };
        let Some(held) = self.namespaces.get_mut(namespace) else { return false };
        let known = held.take_out(&key);
        if held.parts.is_empty() {
            self.namespaces.remove(namespace);
        }
        known
    }

    /// Puts a whole list of one kind in place of what was known of that kind.
    pub fn replace(&mut self, dialect: Dialect, listed: Self) {
        for held in self.namespaces.values_mut() {
            let keys = held.parts.keys().filter(|(group, _)| *group == dialect.group());
            for key in keys.cloned().collect::<Vec<_>>() {
                held.take_out(&key);
            }
        }
        for (namespace, listed) in listed.namespaces {
            let held = self.namespaces.entry(namespace).or_default();
            for (key, part) in listed.parts {
                held.put(key, part);
            }
        }
        self.namespaces.retain(|_, held| !held.parts.is_empty());
    }

    /// The namespaces of which another snapshot knows something else.
    pub fn differing<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a str> {
        let names = self.namespaces.keys().chain(other.namespaces.keys());
        let differs = |name: &&String| self.namespaces.get(*name) != other.namespaces.get(*name);
        names.filter(differs).map(String::as_str).collect()
    }

    /// Whether nothing is known of any namespace.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// What the other clusters of the namespace may reach: without the cluster itself, or those that
    /// were made from the object.
    pub(super) fn beside(&self, namespace: &str, kind: &str, cluster: &Cluster<'_>) -> Sums {
        let Some(held) = self.namespaces.get(namespace) else { return Sums::default() };
        let mut rest = held.total.clone();
        if cluster.traits.patchable {
            let dialect = if cluster.traits.ray { Dialect::RayCluster } else { Dialect::Domino };
            if let Some(own) = held.parts.get(&(dialect.group(), cluster.name.to_owned())) {
                rest -= &own.sums;
            }
            return rest;
        }
        let made_from =
            |(parent, name): &(Parent, String)| parent.kind() == kind && name == cluster.name;
        for own in held.parts.values().filter(|it| it.parent.as_ref().is_some_and(made_from)) {
            rest -= &own.sums;
        }
        rest
    }
}

fn key(dialect: Dialect, object: &Value) -> Option<Key> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str)?;
    Some((dialect.group(), name.to_owned()))
}

#[cfg(test)]
mod tests;
