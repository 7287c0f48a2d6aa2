//! What one review costs inside the engine. Figures, no verdicts: `make bench` keeps five rounds of them.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot start has no figures, and figures are printed"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use raywarden::admission::{Phase, PolicySet, Review, Settings, review, wire};
use raywarden::model::NodeManager;
use raywarden::policy::Policy;
use serde_json::{Value, json};

/// A RayCluster of `groups` worker groups, as the API server would send it.
fn body(groups: usize, update: bool) -> Vec<u8> {
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/ray:2.52.0",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "resources": {"limits": {"cpu": "1", "memory": "2Gi"},
                          "requests": {"cpu": "1", "memory": "2Gi"}},
        })
    };
    let cluster = |replicas: i64| {
        let workers: Vec<Value> = (0..groups)
            .map(|index| {
                json!({
                    "groupName": format!("group-{index}"),
                    "replicas": replicas, "minReplicas": 1, "maxReplicas": 8, "numOfHosts": 1,
                    "rayStartParams": {"num-cpus": "1"},
                    "template": {"spec": {"containers": [container("ray-worker")]}},
                })
            })
            .collect();
        json!({
            "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": {"name": "lab", "namespace": "team-a"},
            "spec": {
                "rayVersion": "2.52.0", "enableInTreeAutoscaling": true,
                "headGroupSpec": {
                    "rayStartParams": {},
                    "template": {"spec": {"containers": [container("ray-head")]}},
                },
                "workerGroupSpecs": workers,
            },
        })
    };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "name": "lab", "namespace": "team-a",
            "kind": {"group": "ray.io", "version": "v1", "kind": "RayCluster"},
            "operation": if update { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": "alice"},
            "object": cluster(if update { 9 } else { 0 }),
            "oldObject": if update { cluster(4) } else { Value::Null },
        },
    });
    review.to_string().into_bytes()
}

fn reviews(criterion: &mut Criterion) {
    let settings = Settings { node_manager: Some(NodeManager::Raywarden), ..Settings::default() };
    let policies = PolicySet::default();
    for (name, groups, update) in [
        ("create, 1 group", 1, false),
        ("create, 20 groups", 20, false),
        ("update, 20 groups", 20, true),
    ] {
        let bytes = body(groups, update);
        let parsed = Review::parse(&bytes).expect("a well-formed review");
        criterion.bench_function(&format!("review: {name}"), |bencher| {
            bencher.iter(|| review(&settings, &policies, Phase::Offline, black_box(&parsed)));
        });
        criterion.bench_function(&format!("bytes to bytes: {name}"), |bencher| {
            bencher.iter(|| {
                let parsed = Review::parse(black_box(&bytes)).expect("a well-formed review");
                let answer = review(&settings, &policies, Phase::Mutate, &parsed);
                wire::response(&parsed.uid, &answer).to_string()
            });
        });
    }
}

/// Twenty rules in CEL, each of which walks every container of every group.
fn cel_rules() -> PolicySet {
    let rules: Vec<Value> = (0..20)
        .map(|index| {
            json!({
                "name": format!("rule-{index}"), "message": "a container is not as it should be",
                "expression": format!(
                    "cluster.groups.all(g, (g.containers + g.initContainers).all(c, \
                     has(c.image) && c.image.startsWith('registry.example/') && \
                     quantity(c.resources.limits.cpu) <= quantity('{}'))) && \
                     cluster.head.containers.all(c, has(c.resources))", index + 1
                ),
            })
        })
        .collect();
    let policy =
        json!({"metadata": {"name": "bench"}, "spec": {"enforcement": "deny", "rules": rules}});
    let policy = Policy::compile(&policy).expect("a sound policy");
    PolicySet { policies: vec![Arc::new(policy)], ..PolicySet::default() }
}

fn cel(criterion: &mut Criterion) {
    let settings = Settings::default();
    let policies = cel_rules();
    let parsed = Review::parse(&body(20, false)).expect("a well-formed review");
    let answer = review(&settings, &policies, Phase::Validate, &parsed);
    assert!(answer.findings.iter().all(|finding| finding.policy.is_none()), "every rule is kept");
    for (name, policies) in [("20 CEL rules", &policies), ("no rules", &PolicySet::default())] {
        criterion.bench_function(&format!("validate: 20 groups, {name}"), |bencher| {
            bencher.iter(|| review(&settings, policies, Phase::Validate, black_box(&parsed)));
        });
    }
    percentile("validate: 20 groups, 20 CEL rules", || {
        review(&settings, &policies, Phase::Validate, black_box(&parsed))
    });
}

/// Five policies of twenty rules each, all of them about this cluster; `registry` is where images may
/// come from.
fn hundred_rules(registry: &str) -> PolicySet {
    let most = json!({"replicas": 1000, "pods": 1000, "cpu": 1000, "memory": "4Ti", "gpus": 0});
    let policies = (0..5).map(|index| {
        let object = json!({
            "apiVersion": "raywarden.io/v1alpha1", "kind": "RayClusterPolicy",
            "metadata": {"name": format!("policy-{index}")},
            "spec": {
                "enforcement": "deny",
                "match": {"namespaces": ["team-a", format!("team-{index}")]},
                "ceilings": {"perGroup": most, "perCluster": most, "perNamespace": {"cpu": 1000}},
                "bounds": {"requireMaximum": true, "minimumAtMost": 2},
                "resources": {"requests": ["cpu", "memory"], "limits": ["memory"]},
                "gpus": {"forbidOnHead": true, "agree": true},
                "images": {"allowed": ["mirror.example/*", format!("{registry}/*")]},
                "labels": {"required": [{"key": "cost-center", "values": ["cc-*"]}]},
                "serviceAccounts": {"allowed": ["default", "ray-*"]},
            },
        });
        Arc::new(Policy::compile(&object).expect("a sound policy"))
    });
    PolicySet { policies: policies.collect(), ..PolicySet::default() }
}

fn policies(criterion: &mut Criterion) {
    let settings = Settings::default();
    let mut request: Value = serde_json::from_slice(&body(20, false)).expect("JSON");
    let metadata = request.pointer_mut("/request/object/metadata").expect("an object");
    *metadata = json!({"name": "lab", "namespace": "team-a", "labels": {"cost-center": "cc-1"}});
    let parsed = Review::from_value(request).expect("a well-formed review");
    for (name, registry, allowed) in [
        ("policies of 100 rules: 20 groups, sound", "registry.example", true),
        ("policies of 100 rules: 20 groups, every image broken", "elsewhere.example", false),
    ] {
        let policies = hundred_rules(registry);
        let judge = || review(&settings, &policies, Phase::Validate, black_box(&parsed));
        assert_eq!(judge().allowed, allowed, "{name}");
        criterion.bench_function(name, |bencher| bencher.iter(judge));
        percentile(name, judge);
    }
}

/// Seventeen copies of the six policies of `deploy/policies`, all of them about namespace team-a and one
/// more: over a hundred rules.
fn library() -> PolicySet {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policies");
    let entries = std::fs::read_dir(folder).expect("the library is part of the checkout");
    let files = entries.map(|entry| entry.expect("an entry").path().join("policy.yaml"));
    let shipped: Vec<Value> = files
        .filter(|file| file.exists())
        .map(|file| {
            let text = std::fs::read_to_string(file).expect("a policy can be read");
            serde_saphyr::from_str(&text).expect("a policy is YAML")
        })
        .collect();
    assert_eq!(shipped.len(), 6, "the figure's name says how many there are");
    let copies = (0..17).flat_map(|copy| {
        shipped.iter().map(move |policy| {
            let mut policy = policy.clone();
            let spec = policy.get_mut("spec").and_then(Value::as_object_mut).expect("a spec");
            let namespaces = json!({"namespaces": ["team-a", format!("team-{copy}")]});
            spec.insert("match".to_owned(), namespaces);
            Arc::new(Policy::compile(&policy).expect("a sound policy"))
        })
    });
    PolicySet { policies: copies.collect(), ..PolicySet::default() }
}

/// A request for a cluster of 20 groups that keeps every policy of the library, or none.
fn hardened(sound: bool) -> Review {
    let mut request: Value = serde_json::from_slice(&body(20, false)).expect("JSON");
    let object = request.pointer_mut("/request/object").expect("an object");
    if sound {
        let labels = json!({
            "cost-center": "cc-1", "team": "a", "kueue.x-k8s.io/queue-name": "team-queue",
        });
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        metadata.expect("metadata").insert("labels".to_owned(), labels.clone());
        let spec = object.get_mut("spec").and_then(Value::as_object_mut).expect("a spec");
        spec.insert("authOptions".to_owned(), json!({"mode": "token"}));
        let groups = (0..20).map(|index| format!("/spec/workerGroupSpecs/{index}"));
        for section in groups.chain(["/spec/headGroupSpec".to_owned()]) {
            let at = |rest: &str| format!("{section}/template{rest}");
            let mut put = |holder: &str, key: &str, value: Value| {
                let holder = object.pointer_mut(&at(holder)).and_then(Value::as_object_mut);
                holder.expect("a place").insert(key.to_owned(), value);
            };
            put("", "metadata", json!({"labels": labels}));
            let pod = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
            put("/spec", "securityContext", pod);
            let own = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
            put("/spec/containers/0", "securityContext", own);
        }
    }
    Review::from_value(request).expect("a well-formed review")
}

fn shipped(criterion: &mut Criterion) {
    let settings = Settings::default();
    let policies = library();
    for (name, sound) in [
        ("the shipped library 17 times: 20 groups, sound", true),
        ("the shipped library 17 times: 20 groups, hardened nowhere", false),
    ] {
        let request = hardened(sound);
        let judge = || review(&settings, &policies, Phase::Validate, black_box(&request));
        let broken = judge().findings.iter().any(|finding| finding.policy.is_some());
        assert_eq!(broken, !sound, "{name}");
        criterion.bench_function(name, |bencher| bencher.iter(judge));
        percentile(name, judge);
    }
}

/// Prints the time that 99 of 100 single runs stay under.
fn percentile<T>(name: &str, run: impl Fn() -> T) {
    const RUNS: usize = 20_000;
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let p99 = times.get(RUNS * 99 / 100).expect("a run").as_secs_f64() * 1e6;
    println!("p99 {p99:.1} us: {name}");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40);
    targets = reviews, cel, policies, shipped
}
criterion_main!(benches);
