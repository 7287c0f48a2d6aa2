//! The autoscaler's own container: what it may ask for and how it is confined.
//!
//! It is written in `autoscalerOptions`, and stands in the head template where raywarden injected it.
//! Asked only under autoscaling: the options mean nothing without it.

use serde_json::Value;

use super::super::amount::Amount;
use super::super::compile::{Reader, at};
use super::super::spec::{Enforcement, PodSecurityLevel, SidecarSpec};
use super::pod_security::{Context, Standard};
use super::{Breach, Check, Scene};
use crate::inject::sidecar::is_marked;
use crate::model::finding::quoted;
use crate::model::names::SIDECAR;
use crate::model::template::{NULL, member};
use crate::model::{Container, NodeManager, Pointer, Quantity, RuleId, Template};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    cpu: Option<Amount>,
    memory: Option<Amount>,
    pod_security: Option<PodSecurityLevel>,
}

/// One rule for the section.
pub(in super::super) fn compile(
    spec: SidecarSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let SidecarSpec { enforcement, cpu, memory, pod_security } = spec;
    if cpu.is_none() && memory.is_none() && pod_security.is_none() {
        let message = "asks for nothing; write cpu, memory or podSecurity";
        reader.flaw(at().at("sidecar"), message);
    }
    rule(enforcement, Check::Sidecar(Rule { cpu, memory, pod_security }));
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        let cluster = scene.cluster();
        let Some(head) = cluster.head().filter(|_| cluster.autoscaling) else {
            return out;
        };
        let injected = head.container(SIDECAR).filter(is_marked);
        let options = cluster.options();
        self.sizes(options, &cluster.options_at(), NULL, "autoscalerOptions", &mut out);
        if let Some(Container { at, raw }) = &injected {
            self.sizes(raw, at, options, "container autoscaler", &mut out);
        }
        if let Some(level) = self.pod_security {
            contexts(level, scene, &head, injected.as_ref(), &mut out);
        }
        out
    }

    /// The ceilings. What stands in `options` too is told there.
    fn sizes(
        &self,
        holder: &Value,
        at: &Pointer,
        options: &Value,
        called: &str,
        out: &mut Vec<Breach>,
    ) {
        for half in ["limits", "requests"] {
            for (key, ceiling) in [("cpu", &self.cpu), ("memory", &self.memory)] {
                let written = |holder| member(member(member(holder, "resources")?, half)?, key);
                let (Some(ceiling), Some(amount)) = (ceiling, written(holder)) else { continue };
                let quantity = Quantity::from_json(amount);
                let Some(measure) = quantity.filter(|it| *it > ceiling.quantity) else { continue };
                if written(options) == Some(amount) {
                    continue;
                }
                let breach = Breach::new(
                    RuleId::POLICY_SIDECAR,
                    at.join(&["resources", half, key]),
                    format!("{half} of {called} are {} of {key}", quoted(amount)),
                    format!("at most {ceiling}"),
                    format!("ask for {ceiling} or less"),
                );
                out.push(Breach { measure: Some(measure), ..breach });
            }
        }
    }
}

/// The security contexts: the one of the options, or what the container gets without it, and the one
/// of the injected container where that is another.
fn contexts(
    level: PodSecurityLevel,
    scene: &Scene<'_>,
    head: &Template<'_>,
    injected: Option<&Container<'_>>,
    out: &mut Vec<Breach>,
) {
    let cluster = scene.cluster();
    let of = |container: &Value| member(container, "securityContext").cloned();
    let said = of(cluster.options());
    // Ours is carried over from the head; KubeRay gives none of its own.
    let gets_none = scene.subject.manager == NodeManager::KubeRay && cluster.traits.patchable;
    let carried = if gets_none { None } else { head.ray_container().and_then(|ray| of(ray.raw)) };
    let context = said.or(carried).unwrap_or(Value::Null);
    let mut judge = |value: &Value, owner: &Pointer, called: &dyn Fn() -> String| {
        let mut standard = Standard::new(level, RuleId::POLICY_SIDECAR, head.spec, out);
        standard.context(&Context { value, owner, called });
    };
    judge(&context, &cluster.options_at(), &|| "the autoscaler's container".to_owned());
    if let Some(container) = injected {
        let own = of(container.raw).unwrap_or(Value::Null);
        if own != context {
            judge(&own, &container.at, &|| "container autoscaler of the head".to_owned());
        }
    }
}
