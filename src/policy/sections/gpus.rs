//! Where GPUs may be asked for, and that figures for them agree.

use serde_json::Value;

use super::super::checks::Section;
use super::super::compile::{Reader, at};
use super::super::spec::{Enforcement, GpusSpec};
use super::{Breach, Check, Scene};
use crate::model::accelerator::{has_own_name, is_accelerator, is_named_gpu};
use crate::model::finding::quoted;
use crate::model::requests::{Amounts, of_container};
use crate::model::template::{NULL, member};
use crate::model::{Pointer, Quantity, RuleId};

/// One demand on GPUs.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    demand: Demand,
    /// Resources that count; every accelerator that is known where it is empty.
    resources: Vec<String>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    NoneOnHead,
    Agreement,
}

/// A rule for each demand.
pub(in super::super) fn compile(
    spec: &GpusSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().at("gpus");
    reader.distinct(&place.at("resources"), &spec.resources);
    if !spec.forbid_on_head && !spec.agree {
        reader.flaw(place, "asks for nothing; set forbidOnHead or agree to true");
    }
    let demands = [(spec.forbid_on_head, Demand::NoneOnHead), (spec.agree, Demand::Agreement)];
    for (_, demand) in demands.into_iter().filter(|(asked, _)| *asked) {
        let resources = spec.resources.clone();
        rule(spec.enforcement, Check::Gpus(Rule { demand, resources }));
    }
}

/// A figure for GPUs that Ray is told, and its place.
struct Told<'a> {
    key: [&'static str; 1],
    name: &'a str,
    written: &'a Value,
}

impl Told<'_> {
    fn at(&self, section: &Section<'_>) -> Pointer {
        section.at.join(&self.key).at(self.name.to_owned())
    }

    /// `None` where it is no number.
    fn amount(&self) -> Option<Quantity> {
        match self.written {
            Value::String(text) => Quantity::parse(text.trim()),
            other => Quantity::from_json(other),
        }
    }
}

/// What `rayStartParams` and the group's `resources` say of GPUs.
fn told<'a>(section: &Section<'a>) -> impl Iterator<Item = Told<'a>> {
    let params = section.raw.get("rayStartParams").unwrap_or(NULL);
    let param = member(params, "num-gpus").map(|written| Told {
        key: ["rayStartParams"],
        name: "num-gpus",
        written,
    });
    let resources = section.raw.get("resources").and_then(Value::as_object);
    let of_group = resources.into_iter().flatten();
    let of_group = of_group
        .filter(|(name, _)| is_named_gpu(&name.to_lowercase()))
        .map(|(name, written)| Told { key: ["resources"], name, written });
    param.into_iter().chain(of_group)
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        match self.demand {
            Demand::NoneOnHead => self.on_head(scene),
            Demand::Agreement => self.disagreements(scene),
        }
    }

    fn counts(&self, resource: &str) -> bool {
        if self.resources.is_empty() {
            is_accelerator(resource)
        } else {
            self.resources.iter().any(|each| each == resource)
        }
    }

    fn on_head(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        let Some(head) = scene.sections.first().filter(|_| scene.cluster().head().is_some()) else {
            return out;
        };
        for placed in scene.containers().iter().filter(|placed| placed.section == 0) {
            let at = placed.container.at.at("resources");
            self.asked(placed.container.raw, &at, || scene.called(placed), &mut out);
        }
        if let Some(size) = scene.added_sidecar() {
            let at = scene.cluster().options_at().at("resources");
            let container = serde_json::json!({"resources": size});
            self.asked(&container, &at, || "the autoscaler's container".to_owned(), &mut out);
        }
        for told in told(head) {
            if let Some(amount) = told.amount().filter(|amount| *amount > Quantity::default()) {
                let found = format!("Ray is told that the head has {} GPUs", quoted(told.written));
                out.push(on_head(told.at(head), found, amount));
            }
        }
        out
    }

    fn asked(
        &self,
        container: &Value,
        at: &Pointer,
        called: impl Fn() -> String,
        out: &mut Vec<Breach>,
    ) {
        for (name, amount) in of_container(container).iter() {
            if amount.is_zero() || !self.counts(name) {
                continue;
            }
            let limits = container.get("resources").and_then(|it| it.get("limits"));
            let limited = limits.is_some_and(|limits| limits.get(name).is_some());
            let at = at.at(if limited { "limits" } else { "requests" }).at(name.to_owned());
            let found = format!("{} asks for {} {name}", called(), amount.spelled());
            out.push(on_head(at, found, amount));
        }
    }

    fn disagreements(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        for section in &scene.sections {
            let mut told = told(section).peekable();
            if told.peek().is_none() {
                continue;
            }
            let template = section.template();
            let Some(ray) = template.ray_container() else { continue };
            let limits = Amounts::read(ray.raw.get("resources").and_then(|it| it.get("limits")));
            let gpus = limits.iter().filter(|(name, _)| self.counts(name) && !has_own_name(name));
            let limit: Quantity = gpus.map(|(_, amount)| amount).sum();
            for told in told.filter(|told| told.amount() != Some(limit)) {
                out.push(Breach::new(
                    RuleId::POLICY_GPU_AGREEMENT,
                    told.at(section),
                    format!(
                        "Ray is told that {} has {} GPUs",
                        section.called,
                        quoted(told.written)
                    ),
                    format!("{}, the limit of its Ray container", limit.spelled()),
                    format!("leave {} out: it follows the limit", told.name),
                ));
            }
        }
        out
    }
}

fn on_head(at: Pointer, found: String, amount: Quantity) -> Breach {
    let fix = "ask for GPUs in a worker group";
    let breach = Breach::new(RuleId::POLICY_HEAD_GPU, at, found, "no GPU on the head", fix);
    Breach { measure: Some(amount), ..breach }
}
