//! What Pods ask Kubernetes for, counted as its scheduler counts.
//!
//! Input: raw containers and Pod specs. Output: [`Amounts`] by resource. Where a container says no
//! request its limit stands for it, as the API server would write it. What cannot be read counts as
//! nothing: the schema speaks about it.
//! Source: `PodRequests` of Kubernetes' `component-helpers/resource`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Quantity;
use super::template::{NULL, list, text};

/// Amounts by the name of their resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts<'a>(BTreeMap<&'a str, Quantity>);

impl<'a> Amounts<'a> {
    /// The amounts of a map such as `limits`.
    pub fn read(map: Option<&'a Value>) -> Self {
        let entries = map.and_then(Value::as_object).into_iter().flatten();
        let readable = entries.filter_map(|(name, value)| {
            let amount = Quantity::from_json(value)?;
            Some((name.as_str(), amount.max(Quantity::default())))
        });
        Self(readable.collect())
    }

    /// Each resource and its amount, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Quantity)> {
        self.0.iter().map(|(name, amount)| (*name, *amount))
    }

    /// The amount of one resource; nothing where it is not asked for.
    pub fn get(&self, name: &str) -> Quantity {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let sum = self.get(name) + amount;
            self.0.insert(name, sum);
        }
    }

    fn raise(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let most = self.get(name).max(amount);
            self.0.insert(name, most);
        }
    }

    /// Takes what only `other` holds.
    fn fill(&mut self, other: Self) {
        for (name, amount) in other.0 {
            self.0.entry(name).or_insert(amount);
        }
    }
}

/// What a container requests.
pub fn of_container(container: &Value) -> Amounts<'_> {
    let resources = container.get("resources").unwrap_or(NULL);
    let mut amounts = Amounts::read(resources.get("requests"));
    amounts.fill(Amounts::read(resources.get("limits")));
    amounts
}

/// What a Pod of that spec requests, with one more container where somebody adds one.
pub fn of_pod<'a>(spec: &'a Value, added: Option<&'a Value>) -> Amounts<'a> {
    let mut running = Amounts::default();
    for container in list(spec, "containers").iter().chain(added) {
        running.add(&of_container(container));
    }
    let (mut sidecars, mut starting) = (Amounts::default(), Amounts::default());
    for container in list(spec, "initContainers") {
        let own = of_container(container);
        if text(container, "restartPolicy") == Some("Always") {
            running.add(&own);
            sidecars.add(&own);
            starting.raise(&sidecars);
        } else {
            let mut beside = sidecars.clone();
            beside.add(&own);
            starting.raise(&beside);
        }
    }
    running.raise(&starting);
    let mut amounts = of_whole_pod(spec, running);
    amounts.add(&Amounts::read(spec.get("overhead")));
    amounts
}

/// Whether a Pod may ask for this resource as a whole.
pub fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// Requests of the Pod as a whole stand over its containers'; its limits where nobody requests.
fn of_whole_pod<'a>(spec: &'a Value, containers: Amounts<'a>) -> Amounts<'a> {
    let resources = spec.get("resources").unwrap_or(NULL);
    let pod_level = |half: &str| {
        let mut amounts = Amounts::read(resources.get(half));
        amounts.0.retain(|name, _| is_pod_level(name));
        amounts
    };
    let mut amounts = pod_level("requests");
    amounts.fill(containers);
    amounts.fill(pod_level("limits"));
    amounts
}

#[cfg(test)]
mod tests;
