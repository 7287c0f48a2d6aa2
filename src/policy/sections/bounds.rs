//! Bounds that every worker group has to have.

use super::super::compile::{Reader, at};
use super::super::spec::{BoundsSpec, Enforcement};
use super::{Breach, Check, Scene};
use crate::model::{Quantity, RuleId};

/// One demand on bounds.
#[derive(Clone, Debug)]
pub(in super::super) enum Rule {
    /// Every group says a maximum.
    Maximum,
    /// No minimum is above this.
    MinimumAtMost(i64),
}

/// A rule for each demand.
pub(in super::super) fn compile(
    spec: &BoundsSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().at("bounds");
    if !spec.require_maximum && spec.minimum_at_most.is_none() {
        let message = "asks for nothing; set requireMaximum to true, or write minimumAtMost";
        reader.flaw(place.clone(), message);
    }
    if spec.require_maximum {
        rule(spec.enforcement, Check::Bounds(Rule::Maximum));
    }
    if let Some(most) = spec.minimum_at_most {
        reader.not_negative(place.at("minimumAtMost"), most);
        rule(spec.enforcement, Check::Bounds(Rule::MinimumAtMost(most)));
    }
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let groups = scene.cluster().groups.iter();
        match self {
            Self::Maximum => groups
                .filter(|group| group.is_unbounded())
                .map(|group| {
                    Breach::new(
                        RuleId::POLICY_MAXIMUM_REQUIRED,
                        group.max.at.clone(),
                        format!("group {:?} has no maximum of its own", group.label()),
                        "a number that somebody chose",
                        "set maxReplicas",
                    )
                })
                .collect(),
            Self::MinimumAtMost(most) => groups
                .filter_map(|group| Some((group, group.bounds()?.min)))
                .filter(|(_, min)| min > most)
                .map(|(group, min)| {
                    let breach = Breach::new(
                        RuleId::POLICY_MINIMUM_CEILING,
                        group.min.at.clone(),
                        format!("group {:?} keeps {min} replicas at all times", group.label()),
                        format!("at most {most}"),
                        "lower minReplicas: the autoscaler adds workers when something waits",
                    );
                    Breach { measure: Some(Quantity::whole(min)), ..breach }
                })
                .collect(),
        }
    }
}
