//! The dialect-free view of a Ray cluster: head, groups, bounds, each with its place.
//!
//! Borrows from the raw object and copies nothing of it. Built by [`crate::dialect`] alone; rules
//! ask it what holds for the object instead of asking for its kind.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::template::NULL;
use super::{Container, Pointer, Template};

/// The CRD's default of `maxReplicas`, which also stands for "not said".
pub const UNBOUNDED: i64 = i32::MAX as i64;

/// A count as it stands in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// Absent or null.
    Absent,
    /// A whole number within int32.
    Number(i64),
    /// Something that the schema refuses; rules about counts keep silent.
    Odd,
}

impl Count {
    /// Reads a member.
    pub fn read(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(value) => match value.as_i64() {
                Some(number) if i32::try_from(number).is_ok() => Self::Number(number),
                _ => Self::Odd,
            },
        }
    }

    /// The number, where one is written.
    pub const fn number(self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Absent | Self::Odd => None,
        }
    }
}

/// A count and its place.
#[derive(Clone, Debug)]
pub struct Numeral {
    /// Its place, also where nothing stands there.
    pub at: Pointer,
    /// What stands there.
    pub count: Count,
}

impl Numeral {
    /// The member `key` of `parent`, which stands at `at`.
    pub fn read(parent: &Value, at: &Pointer, key: &'static str) -> Self {
        Self { at: at.at(key), count: Count::read(parent.get(key)) }
    }
}

/// Effective bounds; `None` where one of them is [`Count::Odd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The minimum.
    pub min: i64,
    /// The maximum.
    pub max: i64,
}

impl Bounds {
    /// The count as a node manager takes it: the minimum where none is written, held within bounds.
    pub fn hold(self, count: Count) -> i64 {
        count.number().unwrap_or(self.min).min(self.max).max(self.min)
    }
}

/// A group of equal workers.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Its place.
    pub at: Pointer,
    /// The group itself.
    pub raw: &'a Value,
    /// Its name; `None` where it is absent or no string.
    pub name: Option<&'a str>,
    /// Wanted count, in replicas.
    pub replicas: Numeral,
    /// Lower bound.
    pub min: Numeral,
    /// Upper bound.
    pub max: Numeral,
    /// Pods of one replica.
    pub hosts: Numeral,
    /// Whether there are bounds at all.
    pub bounded: bool,
    /// What an absent minimum counts as.
    pub min_default: i64,
}

impl<'a> Group<'a> {
    /// Effective bounds; `None` where the group has none or a bound cannot be read.
    pub fn bounds(&self) -> Option<Bounds> {
        if !self.bounded {
            return None;
        }
        let min = match self.min.count {
            Count::Absent => self.min_default,
            Count::Number(min) => min,
            Count::Odd => return None,
        };
        let max = match self.max.count {
            Count::Absent => UNBOUNDED,
            Count::Number(max) => max,
            Count::Odd => return None,
        };
        Some(Bounds { min, max })
    }

    /// Whether nobody said a maximum.
    pub fn is_unbounded(&self) -> bool {
        self.bounded && matches!(self.max.count, Count::Absent | Count::Number(UNBOUNDED))
    }

    /// Pods of one replica, one where nothing is said.
    pub fn hosts(&self) -> Option<i64> {
        match self.hosts.count {
            Count::Absent => Some(1),
            Count::Number(hosts) => Some(hosts),
            Count::Odd => None,
        }
    }

    /// The worker template.
    pub fn template(&self) -> Template<'a> {
        Template::of(self.raw, &self.at)
    }

    /// The name as it stands in messages.
    pub fn label(&self) -> &'a str {
        self.name.unwrap_or("")
    }
}

/// What holds for the kind of object that a cluster was read from.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked by its own rule")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The object itself may be patched; an embedded spec may not.
    pub patchable: bool,
    /// A `ray.io` spec: head template, named groups, autoscaler options.
    pub ray: bool,
    /// Its name becomes part of Pod and Service names.
    pub names_pods: bool,
    /// Raising a count of zero is worth a warning, because zero is not the default.
    pub zero_is_said: bool,
}

/// A Ray cluster, of whichever dialect.
#[derive(Clone, Debug)]
pub struct Cluster<'a> {
    /// `metadata.name`; empty under `generateName`.
    pub name: &'a str,
    /// `metadata`; null where there is none.
    pub metadata: &'a Value,
    /// The cluster's spec; null where there is none.
    pub spec: &'a Value,
    /// Place of the spec.
    pub at: Pointer,
    /// Ray's autoscaler is switched on.
    pub autoscaling: bool,
    /// The workers.
    pub groups: Vec<Group<'a>>,
    /// The Pod beside the cluster that submits a job to it, where the object says one.
    pub submitter: Option<Template<'a>>,
    /// The Service that a RayService writes for its replicas; null where there is none.
    pub serve_service: &'a Value,
    /// What holds for the kind.
    pub traits: Traits,
}

impl<'a> Cluster<'a> {
    /// The head template of a `ray.io` spec.
    pub fn head(&self) -> Option<Template<'a>> {
        let head = self.spec.get("headGroupSpec").filter(|head| head.is_object())?;
        self.traits.ray.then(|| Template::of(head, &self.at.at("headGroupSpec")))
    }

    /// The container of the head that runs Ray.
    pub fn ray_container(&self) -> Option<Container<'a>> {
        self.head()?.ray_container()
    }

    /// `rayStartParams` of the head, and its place.
    pub fn head_params(&self) -> (&'a Value, Pointer) {
        let params = self.spec.get("headGroupSpec").and_then(|head| head.get("rayStartParams"));
        (params.unwrap_or(NULL), self.at.join(&["headGroupSpec", "rayStartParams"]))
    }

    /// `autoscalerOptions`; null where there are none.
    pub fn options(&self) -> &'a Value {
        self.spec.get("autoscalerOptions").unwrap_or(NULL)
    }

    /// The place of `autoscalerOptions`.
    pub fn options_at(&self) -> Pointer {
        self.at.at("autoscalerOptions")
    }

    /// Whether something scales this group within its bounds.
    pub fn scales(&self, group: &Group<'_>) -> bool {
        self.autoscaling || (group.bounded && !self.traits.ray)
    }

    /// The most replicas that a group may reach without another write of a person: its maximum,
    /// [`UNBOUNDED`] where there is none, or the wanted count where nothing scales it. A suspended
    /// group counts as it would run. `None` where the counts cannot be read.
    pub fn reach(&self, group: &Group<'_>) -> Option<i64> {
        let reach = match group.bounds() {
            Some(bounds) if self.scales(group) => bounds.max,
            Some(bounds) => bounds.hold(group.replicas.count),
            None if group.bounded => return None,
            None => group.replicas.count.number().unwrap_or(group.min_default),
        };
        Some(reach.max(0))
    }

    /// A label.
    pub fn label(&self, key: &str) -> Option<&'a str> {
        self.metadata.get("labels").and_then(|labels| labels.get(key)).and_then(Value::as_str)
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        let annotations = self.metadata.get("annotations");
        annotations.and_then(|annotations| annotations.get(key)).and_then(Value::as_str)
    }

    /// The account that the head template names; `None` where it names none.
    pub fn head_account(&self) -> Option<&'a str> {
        let spec = self.head()?.spec;
        super::template::text(spec, "serviceAccountName").filter(|name| !name.is_empty())
    }

    /// Major and minor of `spec.rayVersion`; `None` where it says nothing readable.
    pub fn ray_version(&self) -> Option<(u32, u32)> {
        version(super::template::text(self.spec, "rayVersion")?)
    }

    /// For each group its counterpart in `old`: the one of the same name and, among several of one
    /// name, of the same rank. Never by index.
    pub fn matched<'b>(&self, old: Option<&'b Self>) -> Vec<Option<&'b Group<'a>>> {
        let mut by_name: HashMap<Option<&str>, VecDeque<&'b Group<'a>>> = HashMap::new();
        for group in old.map(|old| old.groups.as_slice()).unwrap_or_default() {
            by_name.entry(group.name).or_default().push_back(group);
        }
        let mut next = |group: &Group<'a>| by_name.get_mut(&group.name)?.pop_front();
        self.groups.iter().map(&mut next).collect()
    }
}

/// Major and minor of a version such as `2.52.0` or `v2.9.1-py310`.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    let major = parts.next()?.parse().ok()?;
    let minor: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn a_group_reaches_its_maximum_where_something_scales_it_and_its_count_elsewhere() {
        let ray = |autoscaling: bool, group: &Value| {
            let object = json!({"spec": {
                "enableInTreeAutoscaling": autoscaling, "workerGroupSpecs": [group],
            }});
            let cluster = Dialect::RayCluster.view(&object).unwrap();
            cluster.reach(&cluster.groups[0])
        };
        let group = json!({"replicas": 2, "minReplicas": 1, "maxReplicas": 8});
        assert_eq!((ray(true, &group), ray(false, &group)), (Some(8), Some(2)));
        assert_eq!(ray(false, &json!({"replicas": 9, "maxReplicas": 8})), Some(8));
        assert_eq!(ray(false, &json!({"minReplicas": 3})), Some(3));
        assert_eq!(ray(true, &json!({"replicas": 2})), Some(UNBOUNDED));
        assert_eq!(ray(true, &json!({"maxReplicas": "many"})), None);
        let domino = |spec: Value| {
            let object = json!({"spec": spec});
            let cluster = Dialect::Domino.view(&object).unwrap();
            cluster.reach(&cluster.groups[0])
        };
        let worker = json!({"replicas": 3});
        assert_eq!(domino(json!({"worker": worker})), Some(3));
        assert_eq!(domino(json!({"worker": {}})), Some(1));
        assert_eq!(domino(json!({"worker": worker, "autoscaling": {"maxReplicas": 6}})), Some(6));
    }
}
