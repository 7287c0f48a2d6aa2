//! The catalogue: what each built-in rule means, why, and an example that fails and one that passes.
//!
//! `raywarden explain` prints it. Examples are fragments laid over a sound object of their [`Base`]:
//! members replace members, list entries are laid over the entry of the same rank, `null` takes out.
//! Each failing example is refused or warned of by its rule alone; a test holds that.

mod autoscaler;
mod bounds;
mod hardening;
mod inject;
mod kuberay;
mod names;
mod policies;
mod schema;

use crate::model::{RuleId, Severity};

/// What a rule means.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// What it does by default.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// What goes wrong otherwise.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// An object that breaks it.
    pub fails: Example,
    /// The same object, mended.
    pub passes: Example,
}

/// A fragment of an object, and how it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What the fragment is laid over.
    pub base: Base,
    /// The stored object's fragment; the example is an UPDATE where there is one.
    pub before: Option<&'static str>,
    /// The fragment, as YAML.
    pub yaml: &'static str,
    /// Flags of `raywarden review` that the example needs.
    pub flags: &'static [&'static str],
    /// The spec of the policy that the example is judged by, as YAML.
    pub policy: Option<&'static str>,
}

/// The sound object that a fragment is laid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// An autoscaled `ray.io/v1` RayCluster.
    RayCluster,
    /// A RayJob that embeds it.
    RayJob,
    /// Domino's RayCluster.
    Domino,
    /// A policy of an administrator.
    Policy,
    /// A write of the `scale` subresource of Domino's RayCluster, as an AdmissionReview.
    Scale,
}

impl Rule {
    const fn new(
        id: RuleId,
        severity: Severity,
        title: &'static str,
        why: &'static str,
        fix: &'static str,
        fails: Example,
        passes: Example,
    ) -> Self {
        Self { id, severity, title, why, fix, fails, passes }
    }
}

impl Example {
    const fn new(yaml: &'static str) -> Self {
        Self { base: Base::RayCluster, before: None, yaml, flags: &[], policy: None }
    }

    const fn on(self, base: Base) -> Self {
        Self { base, ..self }
    }

    const fn after(self, before: &'static str) -> Self {
        Self { before: Some(before), ..self }
    }

    const fn under(self, policy: &'static str) -> Self {
        Self { policy: Some(policy), ..self }
    }

    const fn with(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }
}

impl Base {
    /// The sound object, as YAML.
    pub const fn yaml(self) -> &'static str {
        match self {
            Self::RayCluster => RAY_CLUSTER,
            Self::RayJob => RAY_JOB,
            Self::Domino => DOMINO,
            Self::Scale => SCALE,
            Self::Policy => POLICY,
        }
    }
}

/// Every rule, in the order of [`RuleId::ALL`].
pub fn catalogue() -> impl Iterator<Item = &'static Rule> {
    let families: [&[Rule]; 8] = [
        bounds::RULES,
        names::RULES,
        inject::RULES,
        autoscaler::RULES,
        kuberay::RULES,
        policies::RULES,
        hardening::RULES,
        schema::RULES,
    ];
    families.into_iter().flatten()
}

/// The rule of that id.
pub fn find(id: RuleId) -> Option<&'static Rule> {
    catalogue().find(|rule| rule.id == id)
}

const RAY_CLUSTER: &str = r#"apiVersion: ray.io/v1
kind: RayCluster
metadata:
  name: lab
  namespace: team-a
spec:
  rayVersion: "2.52.0"
  enableInTreeAutoscaling: true
  headGroupSpec:
    rayStartParams: {}
    template:
      spec:
        containers:
        - name: ray-head
          image: registry.example/ray:2.52.0
          resources:
            limits: {cpu: "1", memory: 4Gi}
            requests: {cpu: "1", memory: 4Gi}
  workerGroupSpecs:
  - groupName: small
    replicas: 1
    minReplicas: 0
    maxReplicas: 5
    numOfHosts: 1
    rayStartParams: {}
    template:
      spec:
        containers:
        - name: ray-worker
          image: registry.example/ray:2.52.0
          resources:
            limits: {cpu: "1", memory: 2Gi}
            requests: {cpu: "1", memory: 2Gi}
"#;

const RAY_JOB: &str = r#"apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: nightly
  namespace: team-a
spec:
  entrypoint: python main.py
  rayClusterSpec:
    rayVersion: "2.52.0"
    headGroupSpec:
      rayStartParams: {}
      template:
        spec:
          containers:
          - name: ray-head
            image: registry.example/ray:2.52.0
            resources:
              limits: {cpu: "1", memory: 4Gi}
    workerGroupSpecs:
    - groupName: small
      replicas: 1
      minReplicas: 0
      maxReplicas: 5
      rayStartParams: {}
      template:
        spec:
          containers:
          - name: ray-worker
            image: registry.example/ray:2.52.0
            resources:
              limits: {cpu: "1", memory: 2Gi}
"#;

const DOMINO: &str = r"apiVersion: distributed-compute.dominodatalab.com/v1alpha1
kind: RayCluster
metadata:
  name: ray-65a1
  namespace: domino-compute
spec:
  autoscaling: {minReplicas: 1, maxReplicas: 5}
  worker: {replicas: 2}
";

const POLICY: &str = r"apiVersion: raywarden.io/v1alpha1
kind: RayClusterPolicy
metadata:
  name: cost-center
spec:
  enforcement: warn
  labels:
    required:
    - key: cost-center
";

const SCALE: &str = r"apiVersion: admission.k8s.io/v1
kind: AdmissionReview
request:
  uid: 0b2a5e3c-7a55-4a3f-9d3b-4f1d7a6f5c01
  kind: {group: autoscaling, version: v1, kind: Scale}
  resource: {group: distributed-compute.dominodatalab.com, version: v1alpha1, resource: rayclusters}
  subResource: scale
  name: ray-65a1
  namespace: domino-compute
  operation: UPDATE
  userInfo: {username: alice}
  object:
    apiVersion: autoscaling/v1
    kind: Scale
    metadata: {name: ray-65a1, namespace: domino-compute}
    spec: {replicas: 2}
";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_rule_is_explained_once_and_nothing_else_is() {
        let explained: Vec<RuleId> = catalogue().map(|rule| rule.id).collect();
        let distinct: HashSet<RuleId> = explained.iter().copied().collect();
        assert_eq!(explained.len(), distinct.len());
        let missing: Vec<_> = RuleId::ALL.iter().filter(|id| !distinct.contains(id)).collect();
        assert!(missing.is_empty(), "not explained: {missing:?}");
    }

    #[test]
    fn every_explanation_says_why_and_what_to_do() {
        for rule in catalogue() {
            for text in [rule.title, rule.why, rule.fix] {
                assert!(text.len() > 10, "{}: {text:?}", rule.id);
            }
            assert!(!rule.title.ends_with('.'), "{}: a title is no sentence", rule.id);
        }
    }
}
