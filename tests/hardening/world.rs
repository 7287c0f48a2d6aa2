//! Policies, sound objects of every kind, and what the rules say of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use raywarden::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use raywarden::model::{NodeManager, Op, Operation};
use raywarden::policy::Policy;
use serde_json::{Value, json};

pub(crate) const KINDS: [(&str, &str); 4] = [
    ("RayCluster", "spec"),
    ("RayJob", "spec.rayClusterSpec"),
    ("RayService", "spec.rayClusterConfig"),
    ("RayCronJob", "spec.jobTemplate.rayClusterSpec"),
];

/// Places of the templates of [`sound`].
pub(crate) const TEMPLATES: [&str; 3] =
    ["headGroupSpec.template", "workerGroupSpecs[0].template", "workerGroupSpecs[1].template"];

pub(crate) fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("a test's YAML")
}

fn compiled(name: &str, spec: &str) -> Policy {
    let object = json!({"metadata": {"name": name}, "spec": yaml(spec)});
    Policy::compile(&object).unwrap_or_else(|flaws| panic!("{spec}: {flaws:?}"))
}

/// One policy that refuses.
pub(crate) fn policy(spec: &str) -> PolicySet {
    policies(&[("example", &format!("enforcement: deny\n{spec}"))])
}

pub(crate) fn policies(all: &[(&str, &str)]) -> PolicySet {
    let policies = all.iter().map(|(name, spec)| Arc::new(compiled(name, spec))).collect();
    PolicySet { policies, ..PolicySet::default() }
}

fn template(name: &str) -> Value {
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/ray:2.52.0",
            "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
            "ports": [{"containerPort": 8265}],
            "livenessProbe": {"tcpSocket": {"port": 8265}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            },
        })
    };
    json!({"spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(name), container("logs")],
        "initContainers": [container("fetch")],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }})
}

/// A cluster's spec that keeps every rule here.
pub(crate) fn sound() -> Value {
    let group = |name: &str| {
        json!({
            "groupName": name, "replicas": 1, "minReplicas": 0, "maxReplicas": 5, "numOfHosts": 1,
            "rayStartParams": {}, "template": template("ray-worker"),
        })
    };
    json!({
        "rayVersion": "2.52.0",
        "headGroupSpec": {"rayStartParams": {}, "template": template("ray-head")},
        "workerGroupSpecs": [group("small"), group("large")],
    })
}

/// The path `a.b[0].c`, as a JSON pointer.
fn pointer(path: &str) -> String {
    format!("/{}", path.replace('[', ".").replace(']', "").replace('.', "/"))
}

/// Sets `path`; null takes it out. Parents that are missing are made.
pub(crate) fn set(object: &mut Value, path: &str, value: Value) {
    let pointer = pointer(path);
    let mut steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let last = steps.pop().expect("a path has a last step");
    let mut node = object;
    for step in steps {
        node = match step.parse::<usize>() {
            Ok(index) => &mut node[index],
            Err(_) => &mut node[step],
        };
    }
    match (value, last.parse::<usize>()) {
        (Value::Null, _) => {
            node.as_object_mut().expect("a map").remove(last);
        }
        (value, Ok(index)) => node[index] = value,
        (value, Err(_)) => node[last] = value,
    }
}

/// An object of `kind` around a cluster's spec.
pub(crate) fn object(kind: &str, at: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "ray.io/v1", "kind": kind, "spec": {},
        "metadata": {"name": "lab", "namespace": "team-a"},
    });
    if at == "spec" {
        object["spec"] = spec.clone();
    } else {
        set(&mut object, at, spec.clone());
    }
    object
}

/// One write.
pub(crate) struct Write<'a> {
    pub(crate) policies: &'a PolicySet,
    pub(crate) settings: Settings,
    pub(crate) user: &'a str,
    pub(crate) old: Option<Value>,
}

impl<'a> Write<'a> {
    pub(crate) fn by_alice(policies: &'a PolicySet) -> Self {
        Self { policies, settings: Settings::default(), user: "alice", old: None }
    }

    pub(crate) fn standalone(policies: &'a PolicySet) -> Self {
        let settings =
            Settings { node_manager: Some(NodeManager::Raywarden), ..Settings::default() };
        Self { settings, ..Self::by_alice(policies) }
    }

    pub(crate) fn ask(&self, phase: Phase, object: &Value) -> Answer {
        let operation = if self.old.is_some() { Operation::Update } else { Operation::Create };
        let request =
            Review::of_manifest(operation, self.user, "team-a", object.clone(), self.old.clone());
        review(&self.settings, self.policies, phase, &Review { manifest: false, ..request })
    }

    /// What the policies say, as `rule at place`.
    pub(crate) fn said(&self, phase: Phase, object: &Value) -> BTreeSet<String> {
        let answer = self.ask(phase, object);
        let findings = answer.findings.iter().filter(|finding| finding.policy.is_some());
        findings.map(|finding| format!("{} at {}", finding.rule, finding.at)).collect()
    }
}

/// What the policies say of a new object, as it is validated.
pub(crate) fn said(policies: &PolicySet, object: &Value) -> BTreeSet<String> {
    Write::by_alice(policies).said(Phase::Validate, object)
}

/// The object after the patch, by a library that is not ours.
pub(crate) fn patched(object: &Value, answer: &Answer) -> Value {
    let ops: Vec<Value> = answer.patch.iter().map(Op::to_json).collect();
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(ops)).expect("RFC 6902");
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).expect("the patch applies");
    object
}

/// Exactly these places of `rule`.
pub(crate) fn only(rule: &str, places: &[String]) -> BTreeSet<String> {
    places.iter().map(|place| format!("{rule} at {place}")).collect()
}
