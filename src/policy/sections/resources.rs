//! Requests and limits that every container has to have.

use serde_json::Value;

use super::super::compile::{Reader, at};
use super::super::spec::{Enforcement, ResourcesSpec};
use super::{Breach, Check, Scene};
use crate::model::requests::is_pod_level;
use crate::model::template::{NULL, member};
use crate::model::{Pointer, Quantity, RuleId};

/// One half of the section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    half: Half,
    names: Vec<String>,
    /// The names as they stand in messages.
    written: String,
}

/// What has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// A request; a limit counts, since the request follows it.
    Requests,
    Limits,
}

impl Half {
    const fn key(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }

    fn holds(self, resources: &Value, name: &str) -> bool {
        let stands = |half: &str| {
            let amount = resources.get(half).and_then(|half| member(half, name));
            amount.and_then(Quantity::from_json).is_some()
        };
        stands(self.key()) || (self == Self::Requests && stands("limits"))
    }
}

/// A rule for each half that asks for something.
pub(in super::super) fn compile(
    spec: ResourcesSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().at("resources");
    if spec.requests.is_empty() && spec.limits.is_empty() {
        let message = "asks for nothing; list resources such as cpu in requests or limits";
        reader.flaw(place.clone(), message);
    }
    for (half, names) in [(Half::Requests, spec.requests), (Half::Limits, spec.limits)] {
        reader.distinct(&place.at(half.key()), &names);
        if !names.is_empty() {
            let written = names.join(", ");
            rule(spec.enforcement, Check::Resources(Rule { half, names, written }));
        }
    }
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        for placed in scene.containers() {
            let resources = placed.container.raw.get("resources").unwrap_or(NULL);
            let pod = placed.pod.get("resources").unwrap_or(NULL);
            for name in &self.names {
                let whole = is_pod_level(name) && self.half.holds(pod, name);
                if !whole && !self.half.holds(resources, name) {
                    let at = placed.container.at.at("resources");
                    out.push(self.breach(&at, name, &scene.called(placed)));
                }
            }
        }
        if let Some(size) = scene.added_sidecar() {
            let lacking = self.names.iter().filter(|name| !self.half.holds(size, name));
            let at = scene.cluster().options_at().at("resources");
            out.extend(lacking.map(|name| self.breach(&at, name, "the autoscaler's container")));
        }
        out
    }

    fn breach(&self, at: &Pointer, name: &str, called: &str) -> Breach {
        let (rule, what) = match self.half {
            Half::Requests => (RuleId::POLICY_REQUESTS, "requests"),
            Half::Limits => (RuleId::POLICY_LIMITS, "limits"),
        };
        Breach::new(
            rule,
            at.at(self.half.key()).at(name.to_owned()),
            format!("{called} {what} no {name}"),
            format!("{what} of {}", self.written),
            format!("set resources.{}.{name}", self.half.key()),
        )
    }
}
