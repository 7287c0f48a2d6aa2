//! Which objects a policy is about.
//!
//! Namespaces are known by name, and by their labels where the snapshot holds them; where it does
//! not, a namespace has the one label that Kubernetes gives to every namespace: its own name.

use std::collections::BTreeMap;

use glob::Pattern;

use super::spec::{MatchSpec, RequirementSpec, SelectorOperator, SelectorSpec};
use crate::model::{Cluster, change::Request};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The label that Kubernetes gives to every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Texts in which `*` stands for any characters; empty means any text.
#[derive(Clone, Debug, Default)]
pub(super) struct Globs {
    patterns: Vec<Pattern>,
}

impl Globs {
    pub(super) fn of(texts: &[String]) -> Self {
        // Escaping turns `*` into `[*]`, and leaves nothing that could fail to parse.
        let pattern = |text: &String| {
            Pattern::new(&Pattern::escape(text).replace("[*]", "*").replace("**", "*")).ok()
        };
        Self { patterns: texts.iter().filter_map(pattern).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether one of them fits.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(text))
    }

    /// Whether one of them fits, or there is none.
    pub(super) fn allows(&self, text: &str) -> bool {
        self.is_empty() || self.holds(text)
    }
}

/// A compiled `match`.
#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    namespaces: Globs,
    excluded: Globs,
    namespace_selector: Option<SelectorSpec>,
    object_selector: Option<SelectorSpec>,
    kinds: Vec<String>,
}

impl Matcher {
    pub(super) fn of(spec: MatchSpec) -> Self {
        Self {
            namespaces: Globs::of(&spec.namespaces),
            excluded: Globs::of(&spec.exclude_namespaces),
            namespace_selector: spec.namespace_selector,
            object_selector: spec.object_selector,
            kinds: spec.kinds,
        }
    }

    /// Whether namespaces are chosen by their labels.
    pub(super) const fn selects_namespaces(&self) -> bool {
        self.namespace_selector.is_some()
    }

    /// Whether the policy is about this object. `labels` are the namespace's, where they are known.
    pub(super) fn fits(
        &self,
        request: &Request<'_>,
        cluster: &Cluster<'_>,
        labels: Option<&Labels>,
    ) -> bool {
        let namespace = request.namespace;
        let of_namespace = |key: &str| match labels {
            Some(labels) => labels.get(key).map(String::as_str),
            None => (key == NAMESPACE_NAME).then_some(namespace),
        };
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == request.kind))
            && self.namespaces.allows(namespace)
            && !self.excluded.holds(namespace)
            && self.namespace_selector.as_ref().is_none_or(|it| selects(it, of_namespace))
            && self.object_selector.as_ref().is_none_or(|it| selects(it, |key| cluster.label(key)))
    }
}

fn selects<'a>(selector: &SelectorSpec, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let meets = |requirement: &RequirementSpec| {
        let value = label(&requirement.key);
        let listed = value.is_some_and(|it| requirement.values.iter().any(|each| each == it));
        match requirement.operator {
            SelectorOperator::In => listed,
            SelectorOperator::NotIn => !listed,
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    };
    selector.match_labels.iter().all(|(key, value)| label(key) == Some(value))
        && selector.match_expressions.iter().all(meets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_is_special() {
        let globs = Globs::of(&["team-*".to_owned(), "a[b]?".to_owned()]);
        assert!(globs.holds("team-a/b") && globs.holds("team-") && globs.holds("a[b]?"));
        assert!(!globs.holds("ateam-a") && !globs.holds("ab?") && !globs.holds("abx"));
        assert!(Globs::of(&[]).allows("anything") && !Globs::of(&[]).holds("anything"));
    }

    #[test]
    fn requirements_read_labels_as_kubernetes_does() {
        let labels = BTreeMap::from([("team", "a"), ("tier", "gold")]);
        let label = |key: &str| labels.get(key).copied();
        let selector = |text: &str| serde_saphyr::from_str::<SelectorSpec>(text).unwrap();
        for (text, fits) in [
            ("{}", true),
            ("matchLabels: {team: a, tier: gold}", true),
            ("matchLabels: {team: b}", false),
            ("matchExpressions: [{key: team, operator: In, values: [b, a]}]", true),
            ("matchExpressions: [{key: team, operator: NotIn, values: [a]}]", false),
            ("matchExpressions: [{key: cost, operator: NotIn, values: [a]}]", true),
            ("matchExpressions: [{key: cost, operator: Exists}]", false),
            ("matchExpressions: [{key: cost, operator: DoesNotExist}]", true),
        ] {
            assert_eq!(selects(&selector(text), label), fits, "{text}");
        }
    }
}
