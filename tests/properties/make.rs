//! Clusters, writes and writers for the property tests.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use raywarden::model::NodeManager;
use raywarden::policy::Policy;
use serde_json::{Map, Value, json};

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) old: Value,
    pub(crate) new: Value,
    pub(crate) user: String,
    pub(crate) field_manager: String,
    pub(crate) manager: NodeManager,
    pub(crate) strict: bool,
}

impl Case {
    /// The user name of the stored cluster's own autoscaler.
    pub(crate) fn autoscaler(&self) -> String {
        let named = &self.old["spec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"];
        let account = match (named.as_str(), self.manager) {
            (Some(named), _) if !named.is_empty() => named,
            (_, NodeManager::Raywarden) => "raywarden-lab",
            (_, NodeManager::KubeRay) => "lab",
        };
        format!("system:serviceaccount:team-a:{account}")
    }
}

/// A write of an old cluster, or a creation, by anybody.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let user = prop::sample::select(vec![
        "alice",
        "system:serviceaccount:team-a:lab",
        "system:serviceaccount:team-a:raywarden-lab",
        "system:serviceaccount:kuberay-system:kuberay-operator",
        "system:serviceaccount:kueue-system:kueue-controller-manager",
        "system:serviceaccount:raywarden-system:raywarden",
    ]);
    let manager = prop::sample::select(vec![NodeManager::Raywarden, NodeManager::KubeRay]);
    let field = prop::sample::select(vec!["kubectl-client-side-apply", "kubectl-edit", "manager"]);
    let old = prop_oneof![2 => Just(None), 3 => cluster().prop_map(Some)];
    let stored_is_injected = any::<bool>();
    (old, cluster(), written(), user, manager, field, any::<bool>(), stored_is_injected).prop_map(
        |(old, fresh, paths, user, manager, field, strict, injected)| {
            let mut old = old.unwrap_or(Value::Null);
            if injected && !old.is_null() {
                inject(&mut old);
            }
            let new = if old.is_null() { fresh } else { change(&old, &fresh, &paths) };
            Case {
                old,
                new,
                user: user.to_owned(),
                field_manager: field.to_owned(),
                manager,
                strict,
            }
        },
    )
}

/// Policies that give something to new clusters.
pub(crate) fn giving() -> impl Strategy<Value = Vec<Arc<Policy>>> {
    let defaults = (
        of(Just("OptOut")),
        of(prop::sample::select(vec!["v1", "v2"])),
        of(prop::sample::select(vec!["Default", "Aggressive", "Conservative"])),
        of(0_i64..900),
    );
    let enforcement = prop::sample::select(vec!["audit", "warn", "deny"]);
    let one = (defaults, enforcement).prop_map(|((enable, version, mode, idle), enforcement)| {
        json!({"enforcement": enforcement, "autoscaling": {"defaults": {
            "enable": enable, "version": version, "upscalingMode": mode,
            "idleTimeoutSeconds": idle,
        }}})
    });
    vec(one, 1..3).prop_map(|specs| {
        let named = specs
            .iter()
            .enumerate()
            .map(|(index, spec)| json!({"metadata": {"name": format!("p{index}")}, "spec": spec}));
        // One that gives nothing is refused and left out.
        named.filter_map(|policy| Policy::compile(&policy).ok()).map(Arc::new).collect()
    })
}

/// A stored object as an earlier day left it: the sidecar of other defaults.
fn inject(object: &mut Value) {
    let spec = &mut object["spec"]["headGroupSpec"]["template"]["spec"];
    if let Some(containers) = spec["containers"].as_array_mut() {
        containers.retain(|container| container["name"] != "autoscaler");
        containers.push(json!({
            "name": "autoscaler", "image": "registry.example/ray:2.52.0",
            "env": [{"name": "A", "value": "1"}, {"name": "RAYWARDEN_MANAGED", "value": "true"}],
            "resources": {"limits": {"cpu": "300m"}},
            "volumeMounts": [{"name": "ray-logs", "mountPath": "/tmp/ray"}],
        }));
    }
    object["spec"]["enableInTreeAutoscaling"] = json!(true);
}

/// What a writer takes over from a fresh object, as JSON pointers; the rest stays as stored.
fn written() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["/spec/workerGroupSpecs"],
        vec!["/spec/headGroupSpec"],
        vec!["/spec/enableInTreeAutoscaling"],
        vec!["/spec/autoscalerOptions"],
        vec!["/spec/headGroupSpec", "/spec/workerGroupSpecs", "/spec/autoscalerOptions"],
        vec!["/spec"],
        vec!["/metadata/labels", "/spec/rayVersion"],
        vec!["/metadata/annotations"],
    ])
}

fn change(old: &Value, fresh: &Value, paths: &[&str]) -> Value {
    let mut new = old.clone();
    for path in paths {
        let (parent, key) = path.rsplit_once('/').expect("a path below the root");
        let Some(parent) = new.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
        match fresh.pointer(path) {
            Some(value) => parent.insert(key.to_owned(), value.clone()),
            None => parent.remove(key),
        };
    }
    new
}

fn cluster() -> impl Strategy<Value = Value> {
    let parts = (of(any::<bool>()), of(options()), head(), vec(group(), 0..4), annotations());
    let extras = (any::<bool>(), of(prop::sample::select(vec!["2.40.0", "2.52.0", "2.60.0", "x"])));
    (parts, extras).prop_map(|((flag, options, head, groups, annotations), (queue, version))| {
        let mut spec = Map::new();
        spec.insert("laterField".into(), json!({"a/b~c": [null, 1.5, "x"]}));
        spec.insert("headGroupSpec".into(), head);
        spec.insert("workerGroupSpecs".into(), Value::Array(groups));
        if let Some(flag) = flag {
            spec.insert("enableInTreeAutoscaling".into(), json!(flag));
        }
        if let Some(options) = options {
            spec.insert("autoscalerOptions".into(), options);
        }
        if let Some(version) = version {
            spec.insert("rayVersion".into(), json!(version));
        }
        let labels = if queue { json!({"kueue.x-k8s.io/queue-name": "q"}) } else { Value::Null };
        json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {
                "name": "lab", "namespace": "team-a",
                "labels": labels, "annotations": annotations,
            },
            "spec": spec,
            "later": {"kept": true},
        })
    })
}

fn annotations() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(Value::Null),
        1 => Just(json!({"raywarden.io/replicas": "autoscaler"})),
        1 => Just(json!({"raywarden.io/inject": "disabled"})),
        1 => Just(json!({"kubectl.kubernetes.io/last-applied-configuration":
            json!({"spec": {"workerGroupSpecs": [{"groupName": "a"}, {"groupName": "b"}]}})
                .to_string()})),
    ]
}

fn options() -> impl Strategy<Value = Value> {
    let resources = prop_oneof![
        Just(Value::Null),
        Just(json!({"limits": {"cpu": "1"}})),
        Just(json!({"requests": {"memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}})),
        Just(json!({"limits": {"cpu": "500m", "memory": "512Mi"},
                    "requests": {"cpu": "0.5", "memory": "512Mi"}})),
    ];
    let version = of(prop::sample::select(vec!["v1", "v2", "v3"]));
    let env = of(vec(prop::sample::select(vec!["TZ", "RAY_USE_TLS", "KUBERAY_CRD_VER"]), 0..4));
    let mounts = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!([{"name": "no-path"}, {"name": "no-path"}, 7])),
        1 => Just(json!([{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/a"}])),
        1 => Just(json!([{"name": "mine", "mountPath": "/tmp/ray/"}])),
    ];
    (resources, version, env, of(Just("registry.example/as:1")), mounts).prop_map(
        |(resources, version, env, image, mounts)| {
            let mut map = Map::new();
            map.insert("futureKnob".into(), json!(3));
            map.insert("resources".into(), resources);
            if !mounts.is_null() {
                map.insert("volumeMounts".into(), mounts);
            }
            if let Some(version) = version {
                map.insert("version".into(), json!(version));
            }
            if let Some(env) = env {
                let entries = env.iter().map(|name| json!({"name": name, "value": "1"}));
                map.insert("env".into(), Value::Array(entries.collect()));
            }
            if let Some(image) = image {
                map.insert("image".into(), json!(image));
            }
            Value::Object(map)
        },
    )
}

fn head() -> impl Strategy<Value = Value> {
    let containers = vec(container(), 0..4).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|container: &Value| seen.insert(container["name"].to_string()));
        list
    });
    let volumes = of(prop::sample::select(vec!["ray-logs", "scratch"]));
    let account = of(prop::sample::select(vec!["", "reader", "raywarden-lab"]));
    let params = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"no-monitor": "true", "x/y": "$(z)"})),
    ];
    (containers, volumes, account, params).prop_map(|(containers, volume, account, params)| {
        let mut spec = Map::new();
        spec.insert("containers".into(), Value::Array(containers));
        if let Some(volume) = volume {
            spec.insert("volumes".into(), json!([{"name": volume, "emptyDir": {}}]));
        }
        if let Some(account) = account {
            spec.insert("serviceAccountName".into(), json!(account));
        }
        json!({"rayStartParams": params, "template": {"spec": spec}})
    })
}

fn container() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["ray-head", "proxy", "logs", "autoscaler"]);
    let image = of(prop::sample::select(vec!["registry.example/ray:2.52.0", "x:1"]));
    let env = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!([{"name": "RAY_USE_TLS", "value": "1"},
                         {"name": "RAY_TLS_CA_CERT", "value": "/etc/ray/tls/ca.crt"}])),
        1 => Just(json!([{"name": "RAY_enable_autoscaler_v2", "value": "true"}])),
        1 => Just(json!([{"name": "RAYWARDEN_MANAGED", "value": "true"}])),
    ];
    let mounts = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!([{"name": "ray-logs", "mountPath": "/tmp/ray"}])),
        1 => Just(json!([{"name": "scratch", "mountPath": "/tmp//ray/"}])),
        1 => Just(json!([{"name": "certs", "mountPath": "/etc/ray/tls"}])),
    ];
    (name, image, env, mounts, any::<bool>()).prop_map(|(name, image, env, mounts, secure)| {
        let mut map = Map::new();
        map.insert("name".into(), json!(name));
        if let Some(image) = image {
            map.insert("image".into(), json!(image));
        }
        for (key, value) in [("env", env), ("volumeMounts", mounts)] {
            if !value.is_null() {
                map.insert(key.into(), value);
            }
        }
        if secure {
            map.insert("securityContext".into(), json!({"runAsNonRoot": true}));
        }
        Value::Object(map)
    })
}

fn group() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c", "headgroup", "bad_name"]);
    let count = || {
        prop_oneof![
            1 => Just(None),
            1 => Just(Some(Value::Null)),
            6 => (-1_i64..8).prop_map(|number| Some(json!(number))),
            1 => Just(Some(json!(i32::MAX))),
            1 => Just(Some(json!(1_i64 << 40))),
        ]
    };
    (name, count(), count(), count(), of(0_i64..3)).prop_map(|(name, replicas, min, max, hosts)| {
        let mut map = Map::new();
        map.insert("groupName".into(), json!(name));
        for (key, value) in [("replicas", replicas), ("minReplicas", min), ("maxReplicas", max)] {
            if let Some(value) = value {
                map.insert(key.into(), value);
            }
        }
        if let Some(hosts) = hosts {
            map.insert("numOfHosts".into(), json!(hosts));
        }
        map.insert("laterField".into(), json!("kept"));
        map.insert(
            "template".into(),
            json!({"spec": {"containers": [
            {"name": "w", "image": "x", "resources": {"limits": {"cpu": "1", "memory": "40G"}}}]}}),
        );
        Value::Object(map)
    })
}

/// Any JSON, with the words of the domain strewn in.
pub(crate) fn arbitrary_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "spec",
        "metadata",
        "name",
        "labels",
        "annotations",
        "headGroupSpec",
        "template",
        "containers",
        "env",
        "volumeMounts",
        "mountPath",
        "workerGroupSpecs",
        "groupName",
        "replicas",
        "minReplicas",
        "maxReplicas",
        "numOfHosts",
        "scaleStrategy",
        "workersToDelete",
        "autoscalerOptions",
        "resources",
        "limits",
        "enableInTreeAutoscaling",
        "rayStartParams",
        "worker",
        "autoscaling",
        "rayClusterSpec",
        "rayClusterConfig",
        "jobTemplate",
        "version",
        "image",
        "ownerReferences",
        "deletionTimestamp",
        "volumes",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 120, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((words.clone(), inner), 0..8).prop_map(|members| {
                let mut map = Map::new();
                for (key, value) in members {
                    map.insert(key.to_owned(), value);
                }
                Value::Object(map)
            }),
        ]
    })
}
