//! What rules in CEL read, made on first use and shared by all of them.
//!
//! Input: one state of one cluster and what was asked. Output: the variables `object`, `oldObject`,
//! `cluster` and `request`.

use std::sync::OnceLock;

use cel::common::types::{CelBool, CelNull};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value;

use super::values::{Boxed, Meter, int, json, list, map, string};
use crate::model::change::Request;
use crate::model::template::{NULL, list as entries, text};
use crate::model::{Cluster, Group, Numeral, Operation, Template};

/// The most values that an object may hold, and the most entries of one list or map in it.
const MOST_VALUES: usize = 50_000;
const MOST_ENTRIES: usize = 2_000;

/// What is asked, and of what.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Asked<'a> {
    /// What was asked of the API server.
    pub(in super::super) request: Request<'a>,
    /// CREATE or UPDATE.
    pub(in super::super) operation: Operation,
    /// The object of this state.
    pub(in super::super) object: &'a Value,
    /// The object before.
    pub(in super::super) old: Option<&'a Value>,
}

/// The variables of one state.
#[derive(Debug)]
pub(in super::super) struct Variables<'a> {
    asked: Asked<'a>,
    cluster: &'a Cluster<'a>,
    pub(super) meter: Meter,
    too_big: Option<String>,
    made: [OnceLock<Boxed<'a>>; 4],
}

impl<'a> Variables<'a> {
    pub(in super::super) fn new(asked: Asked<'a>, cluster: &'a Cluster<'a>) -> Self {
        let meter = Meter::default();
        let too_big = [Some(asked.object), asked.old].into_iter().flatten().find_map(too_big);
        Self { asked, cluster, meter, too_big, made: Default::default() }
    }

    /// Why no rule can be asked about the object.
    pub(super) fn too_big(&self) -> Option<&str> {
        self.too_big.as_deref()
    }

    fn request(&self) -> Boxed<'a> {
        let Request { kind, namespace, user, groups, .. } = self.asked.request;
        let groups = groups.iter().map(|group| string(group));
        let members = [
            ("kind", string(kind)),
            ("namespace", string(namespace)),
            ("user", string(user)),
            ("groups", list(groups, &self.meter)),
            ("operation", string(self.asked.operation.as_str())),
        ];
        map(members, &self.meter)
    }

    fn cluster(&self) -> Boxed<'a> {
        let Self { cluster, meter, .. } = self;
        let Request { kind, namespace, .. } = self.asked.request;
        let head = cluster.spec.get("headGroupSpec").filter(|_| cluster.traits.ray).unwrap_or(NULL);
        let head_at = cluster.at.at("headGroupSpec");
        let groups = cluster.groups.iter().map(|group| self.group(group));
        let metadata = |key| json(object(cluster.metadata, key), meter);
        let members = [
            ("name", string(cluster.name)),
            ("namespace", string(namespace)),
            ("kind", string(kind)),
            ("autoscaling", Box::new(CelBool::from(cluster.autoscaling)) as Boxed<'a>),
            ("rayVersion", string(text(cluster.spec, "rayVersion").unwrap_or(""))),
            ("labels", metadata("labels")),
            ("annotations", metadata("annotations")),
            ("head", map(self.pods(head, &Template::of(head, &head_at)), meter)),
            ("groups", list(groups, meter)),
        ];
        map(members, meter)
    }

    fn group(&self, group: &Group<'a>) -> Boxed<'a> {
        let number = |count: &Numeral| count.count.number().map_or_else(null, int);
        let bounds = group.bounds();
        let counts = [
            ("name", string(group.label())),
            ("replicas", number(&group.replicas)),
            ("min", bounds.map_or_else(null, |bounds| int(bounds.min))),
            ("max", bounds.map_or_else(null, |bounds| int(bounds.max))),
            ("hosts", group.hosts().map_or_else(null, int)),
        ];
        let pods = self.pods(group.raw, &group.template());
        map(counts.into_iter().chain(pods), &self.meter)
    }

    /// What the head and a group have in common.
    fn pods(&self, raw: &'a Value, template: &Template<'a>) -> [(&'static str, Boxed<'a>); 6] {
        let meter = &self.meter;
        let containers =
            |key| list(entries(template.spec, key).iter().map(|it| json(it, meter)), meter);
        let metadata = raw.get("template").and_then(|it| it.get("metadata")).unwrap_or(NULL);
        [
            ("containers", containers("containers")),
            ("initContainers", containers("initContainers")),
            ("serviceAccountName", string(text(template.spec, "serviceAccountName").unwrap_or(""))),
            ("labels", json(object(metadata, "labels"), meter)),
            ("rayStartParams", json(object(raw, "rayStartParams"), meter)),
            ("pod", json(object(raw.get("template").unwrap_or(NULL), "spec"), meter)),
        ]
    }

    fn variable(&self, index: usize, make: impl FnOnce() -> Boxed<'a>) -> Option<&(dyn Val + 'a)> {
        Some(self.made.get(index)?.get_or_init(make).as_ref())
    }
}

fn null<'a>() -> Boxed<'a> {
    Box::new(CelNull)
}

/// A member that is an object; an empty one where there is none, so that rules need not ask.
fn object<'a>(parent: &'a Value, key: &str) -> &'a Value {
    static EMPTY: std::sync::LazyLock<Value> =
        std::sync::LazyLock::new(|| Value::Object(serde_json::Map::new()));
    parent.get(key).filter(|it| it.is_object()).unwrap_or(&EMPTY)
}

/// Why an object is more than a rule may walk.
fn too_big(object: &Value) -> Option<String> {
    let (mut values, mut longest) = (0, 0);
    let mut left = vec![object];
    while let Some(value) = left.pop() {
        values += 1;
        match value {
            Value::Array(entries) => {
                longest = longest.max(entries.len());
                left.extend(entries);
            }
            Value::Object(members) => {
                longest = longest.max(members.len());
                left.extend(members.values());
            }
            _ => {}
        }
    }
    if values > MOST_VALUES {
        return Some(format!("the object holds {values} values; the most is {MOST_VALUES}"));
    }
    (longest > MOST_ENTRIES)
        .then(|| format!("the object holds a list of {longest}; the most is {MOST_ENTRIES}"))
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let Asked { object, old, .. } = self.asked;
        let found = match variable {
            "object" => self.variable(0, || json(object, &self.meter)),
            "oldObject" => self.variable(1, || json(old.unwrap_or(NULL), &self.meter)),
            "cluster" => self.variable(2, || self.cluster()),
            "request" => self.variable(3, || self.request()),
            _ => None,
        };
        found.map(|it| CowVal::Borrowed(it as &(dyn Val + 'b)))
    }
}
