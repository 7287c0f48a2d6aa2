//! Policies, sound objects of every kind, and what the rules say of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use raywarden::admission::{Answer, Phase, PolicySet, Review, Settings, review};
use raywarden::model::{NodeManager, Op, Operation, Token};
use raywarden::policy::Policy;
use serde_json::{Value, json};

pub(crate) const KINDS: [(&str, &str); 4] = [
    ("RayCluster", "spec"),
    ("RayJob", "spec.rayClusterSpec"),
    ("RayService", "spec.rayClusterConfig"),
    ("RayCronJob", "spec.jobTemplate.rayClusterSpec"),
];

/// The head and the worker groups of [`sound`].
pub(crate) const SECTIONS: [&str; 3] =
    ["headGroupSpec", "workerGroupSpecs[0]", "workerGroupSpecs[1]"];

/// The containers of each of its templates.
pub(crate) const CONTAINERS: [&str; 3] = ["containers[0]", "containers[1]", "initContainers[0]"];

/// The templates of the Pods that submit a job, by kind.
pub(crate) const SUBMITTERS: [(&str, &str); 2] = [
    ("RayJob", "spec.submitterPodTemplate"),
    ("RayCronJob", "spec.jobTemplate.submitterPodTemplate"),
];

/// The label of Kueue.
pub(crate) const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// Turns autoscaling on.
pub(crate) const ON: (&str, Value) = ("enableInTreeAutoscaling", Value::Bool(true));

pub(crate) fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("a test's YAML")
}

fn compiled(name: &str, spec: &Value) -> Policy {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    Policy::compile(&object).unwrap_or_else(|flaws| panic!("{spec}: {flaws:?}"))
}

/// One policy, which refuses.
pub(crate) fn policy(spec: &str) -> PolicySet {
    let mut spec = yaml(spec);
    spec["enforcement"] = json!("deny");
    PolicySet { policies: vec![Arc::new(compiled("example", &spec))], ..PolicySet::default() }
}

pub(crate) fn policies(all: &[(&str, &str)]) -> PolicySet {
    let policies = all.iter().map(|(name, spec)| Arc::new(compiled(name, &yaml(spec)))).collect();
    PolicySet { policies, ..PolicySet::default() }
}

/// A template that keeps every rule here.
pub(crate) fn template(name: &str) -> Value {
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

/// The same with autoscaling.
pub(crate) fn scaling() -> Value {
    let mut spec = sound();
    let (path, on) = ON;
    set(&mut spec, path, on);
    spec
}

/// The steps of a field path such as `a.b[0].limits[example.com/gpu]`.
fn steps(path: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = inside.split_once(']').expect("a bracket is closed");
            let index = step.parse::<usize>();
            out.push(index.map_or_else(|_| Token::from(step.to_owned()), Token::from));
            rest = after;
        } else {
            let inside = rest.strip_prefix('.').unwrap_or(rest);
            let (step, after) = inside.split_at(inside.find(['.', '[']).unwrap_or(inside.len()));
            out.push(Token::from(step.to_owned()));
            rest = after;
        }
    }
    out
}

/// Sets what stands at a field path; null takes a member out. Parents that are missing are made.
pub(crate) fn set(object: &mut Value, path: &str, value: Value) {
    let mut steps = steps(path);
    let last = steps.pop().expect("a path has a last step");
    let mut node = object;
    for step in steps {
        node = match step {
            Token::Index(index) => &mut node[index],
            Token::Key(key) => &mut node[key.as_ref()],
        };
    }
    match (value, last) {
        (Value::Null, Token::Key(key)) => {
            if let Some(map) = node.as_object_mut() {
                map.remove(key.as_ref());
            }
        }
        (value, Token::Key(key)) => node[key.as_ref()] = value,
        (value, Token::Index(index)) => {
            let entries = node.as_array_mut().expect("a list");
            if index == entries.len() {
                entries.push(value);
            } else {
                entries[index] = value;
            }
        }
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
