//! Labels that a cluster has to carry, and its Pods where the bill is made from them.

use super::super::compile::{Reader, at};
use super::super::matching::Globs;
use super::super::spec::{Enforcement, LabelsSpec};
use super::{Breach, Check, Scene};
use crate::model::{Pointer, RuleId};

/// One label.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    key: String,
    values: Globs,
    /// The values as they were written.
    written: String,
    on_pods: bool,
}

/// A rule for each label.
pub(in super::super) fn compile(
    spec: LabelsSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().join(&["labels", "required"]);
    if spec.required.is_empty() {
        reader.flaw(place, "requires no label; write a list of them, each with a key");
        return;
    }
    for (index, label) in spec.required.into_iter().enumerate() {
        if label.key.is_empty() {
            reader.flaw(place.at(index).at("key"), "a label needs a key");
        }
        rule(
            spec.enforcement,
            Check::Labels(Rule {
                values: Globs::of(&label.values),
                written: label.values.join(", "),
                key: label.key,
                on_pods: label.on_pods,
            }),
        );
    }
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        let cluster = scene.cluster();
        let own = cluster.label(&self.key);
        self.judge(own, || Pointer::of(["metadata", "labels"]), "the object", &mut out);
        if self.on_pods {
            for section in &scene.sections {
                let metadata = section.raw.get("template").and_then(|it| it.get("metadata"));
                let labels = metadata.and_then(|metadata| metadata.get("labels"));
                let value = labels.and_then(|it| it.get(&self.key)).and_then(|it| it.as_str());
                let place = || section.at.join(&["template", "metadata", "labels"]);
                self.judge(value, place, &section.called, &mut out);
            }
        }
        out
    }

    fn judge(
        &self,
        value: Option<&str>,
        labels: impl Fn() -> Pointer,
        called: &str,
        out: &mut Vec<Breach>,
    ) {
        if value.is_some_and(|value| !value.is_empty() && self.values.allows(value)) {
            return;
        }
        let Self { key, written, .. } = self;
        let found = match value {
            Some(value) => format!("label {key} of {called} is {value:?}"),
            None => format!("{called} has no label {key}"),
        };
        let fix = if self.values.is_empty() {
            format!("add {key} with a value")
        } else {
            format!("set {key} to one of these")
        };
        let at = labels().at(key.clone());
        out.push(Breach::new(RuleId::POLICY_LABELS, at, found, written, fix));
    }
}
