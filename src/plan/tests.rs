use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};

use super::pod::{NodeType, Pod};
use super::status::Outcome;
use super::*;
use crate::model::NodeManager;

fn terms() -> Terms {
    let settings = Settings { node_manager: Some(NodeManager::Raywarden), ..Settings::default() };
    Terms { settings, ..Terms::default() }
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "ray", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}})
}

fn stored_cluster() -> Value {
    let template = |name: &str| json!({"spec": {"containers": [container(name)]}});
    json!({
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": "lab", "namespace": "team-a", "uid": "cluster-uid", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "rayVersion": "2.60.0",
            "headGroupSpec": {"rayStartParams": {}, "template": template("ray-head")},
            "workerGroupSpecs": [{
                "groupName": "pool", "replicas": 2, "minReplicas": 0, "maxReplicas": 4,
                "rayStartParams": {}, "template": template("ray-worker"),
            }],
        },
    })
}

/// An API server of one cluster, and a controller that forgets nothing.
struct World {
    cluster: Value,
    pods: BTreeMap<String, Value>,
    objects: Vec<Value>,
    memory: Memory,
    clock: i64,
    names: BTreeSet<String>,
}

impl World {
    fn new(cluster: Value) -> Self {
        let (pods, objects, memory) = Default::default();
        Self { cluster, pods, objects, memory, clock: 1_800_000_000, names: BTreeSet::new() }
    }

    fn projections(&self) -> Vec<Pod> {
        self.pods.values().map(Pod::read).collect()
    }

    /// Plans, carries out at most `most` steps, and writes the status; whether that changed anything.
    fn round(&mut self, most: usize) -> bool {
        self.clock += 1;
        let pods = self.projections();
        let memory = self.memory.clone();
        let cluster_then = self.cluster.clone();
        let observed = Observed {
            cluster: &cluster_then,
            pods: &pods,
            existing: &self.objects.clone(),
            memory: &memory,
            now: Timestamp::from_second(self.clock).unwrap(),
        };
        let subject = Subject::of(&cluster_then).unwrap();
        self.memory.since = nodes::matters(&subject, &observed)
            .into_iter()
            .map(|matter| (memory.since.get(&matter).copied().unwrap_or(observed.now), matter))
            .map(|(since, matter)| (matter, since))
            .collect();
        let plan = cluster(&observed, &terms(), "token");
        for action in plan.actions.iter().take(most) {
            self.act(action);
        }
        if plan.actions.len() > most {
            return true;
        }
        let pods = self.projections();
        let after = Observed { pods: &pods, existing: &self.objects.clone(), ..observed };
        let patch = status::patch(&subject, &after, &plan, &Outcome::default());
        if let Some(patch) = &patch {
            merge(&mut self.cluster, patch);
        }
        !plan.actions.is_empty() || patch.is_some()
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Create(object) => self.objects.push(object.clone()),
            Action::CreatePod(pod) => {
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                assert!(self.names.insert(name.clone()), "{name} was used before");
                let mut pod = pod.clone();
                pod["metadata"]["uid"] = json!(format!("uid-of-{name}"));
                pod["metadata"]["creationTimestamp"] =
                    json!(Timestamp::from_second(self.clock).unwrap().to_string());
                pod["spec"]["nodeName"] = json!("n1");
                pod["status"] = json!({
                    "phase": "Running",
                    "podIP": "10.0.0.1",
                    "conditions": [{"type": "Ready", "status": "True"}],
                });
                self.pods.insert(name, pod);
            }
            Action::DeletePod { name, uid, .. } => {
                assert_eq!(self.pods[name]["metadata"]["uid"], json!(uid));
                self.gone(name);
            }
            Action::Tell { .. } => {}
            Action::Patch { operations, .. } => {
                let patch: json_patch::Patch =
                    serde_json::from_value(Value::Array(operations.clone())).unwrap();
                json_patch::patch(&mut self.cluster, &patch).unwrap();
            }
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn gone(&mut self, name: &str) {
        if let Some(pod) = self.pods.remove(name) {
            let pod = Pod::read(&pod);
            let next = self.memory.attempts.entry(pod.group).or_default();
            *next = (*next).max(pod.attempt + 1);
        }
    }

    fn settle(&mut self) {
        let busy = (0..12).all(|_| self.round(usize::MAX));
        assert!(!busy, "the plans never come to an end");
    }

    fn count(&self, node_type: NodeType) -> usize {
        self.projections().iter().filter(|pod| pod.node_type == node_type).count()
    }

    fn condition(&self, kind: &str) -> Option<&str> {
        condition::stored(&self.cluster["status"], kind)?["status"].as_str()
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        object.clone_from(patch);
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in patch {
        merge(&mut object[key.as_str()], value);
    }
}

#[test]
fn a_new_cluster_gets_its_head_and_workers_and_is_then_left_alone() {
    let mut world = World::new(stored_cluster());
    world.settle();
    assert_eq!((world.count(NodeType::Head), world.count(NodeType::Worker)), (1, 2));
    let status = world.cluster["status"].clone();
    assert_eq!(status["state"], "ready");
    assert_eq!(status["readyWorkerReplicas"], 2);
    assert_eq!(status["desiredCPU"], "3");
    assert_eq!(world.condition(condition::PROVISIONED), Some("True"));
    assert!(!world.round(usize::MAX), "nothing changes without a cause");
}

#[test]
fn a_suspension_takes_every_pod_and_a_removed_field_resumes() {
    let mut world = World::new(stored_cluster());
    world.settle();
    world.cluster["spec"]["suspend"] = json!(true);
    world.settle();
    assert!(world.pods.is_empty());
    assert_eq!(world.cluster["status"]["state"], "suspended");
    assert_eq!(world.condition(condition::SUSPENDED), Some("True"));
    assert_eq!(world.condition(condition::PROVISIONED), Some("False"));
    world.cluster["spec"].as_object_mut().unwrap().remove("suspend");
    world.settle();
    assert_eq!(world.count(NodeType::Worker), 2);
    assert_eq!(world.cluster["status"]["state"], "ready");
}

#[test]
fn a_suspension_that_began_is_finished_even_if_it_was_taken_back() {
    let mut world = World::new(stored_cluster());
    world.settle();
    world.cluster["spec"]["suspend"] = json!(true);
    world.round(usize::MAX);
    assert_eq!(world.condition(condition::SUSPENDING), Some("True"));
    assert_eq!(world.count(NodeType::Worker), 2, "the first step is only stored");
    world.cluster["spec"]["suspend"] = json!(false);
    let before: BTreeSet<String> = world.pods.keys().cloned().collect();
    world.settle();
    assert_eq!(world.count(NodeType::Worker), 2);
    assert!(world.pods.keys().all(|name| !before.contains(name)));
}

#[test]
fn a_changed_spec_rebuilds_everything_only_where_asked() {
    let mut world = World::new(stored_cluster());
    world.settle();
    let before: BTreeSet<String> = world.pods.keys().cloned().collect();
    let image = json!("ray:next");
    let at = "/spec/headGroupSpec/template/spec/containers/0/image";
    *world.cluster.pointer_mut(at).unwrap() = image;
    world.settle();
    assert!(world.pods.keys().all(|name| before.contains(name)));
    world.cluster["spec"]["upgradeStrategy"] = json!({"type": "Recreate"});
    world.settle();
    assert!(world.pods.keys().all(|name| !before.contains(name)));
    assert_eq!((world.count(NodeType::Head), world.count(NodeType::Worker)), (1, 2));
}

#[test]
fn an_unsupported_field_or_a_contradiction_means_no_pods_and_says_so() {
    let mut unsupported = stored_cluster();
    unsupported["spec"]["networkPolicy"] = json!({});
    let mut invalid = stored_cluster();
    invalid["spec"]["workerGroupSpecs"][0]["minReplicas"] = json!(9);
    for (cluster, kind) in
        [(unsupported, condition::UNSUPPORTED_FIELD), (invalid, condition::INVALID_SPEC)]
    {
        let mut world = World::new(cluster);
        world.settle();
        assert!(world.pods.is_empty() && world.objects.is_empty());
        assert_eq!(world.condition(kind), Some("True"));
    }
}

#[test]
fn pods_of_another_manager_mean_hands_off_until_adoption_is_allowed() {
    let mut world = World::new(stored_cluster());
    world.settle();
    for pod in world.pods.values_mut() {
        pod["metadata"]["labels"]["app.kubernetes.io/created-by"] = json!("kuberay-operator");
    }
    world.cluster["spec"]["workerGroupSpecs"][0]["replicas"] = json!(4);
    world.settle();
    assert_eq!(world.count(NodeType::Worker), 2);
    assert_eq!(world.condition(condition::FOREIGN_NODE_MANAGER), Some("True"));
    assert_eq!(world.cluster["status"]["desiredWorkerReplicas"], 2, "its status is the other's");
    world.cluster["metadata"]["annotations"] = json!({ADOPT: "true"});
    world.settle();
    assert_eq!(world.count(NodeType::Worker), 4);
    assert_eq!(world.condition(condition::FOREIGN_NODE_MANAGER), None);
}

#[test]
fn a_cluster_admitted_past_the_webhook_still_gets_its_sidecar_and_account() {
    let mut cluster = stored_cluster();
    cluster["spec"]["enableInTreeAutoscaling"] = json!(true);
    let mut world = World::new(cluster);
    world.settle();
    let head =
        world.pods.values().find(|pod| pod["metadata"]["labels"]["ray.io/group"] == "headgroup");
    let spec = &head.unwrap()["spec"];
    let names: Vec<&str> = spec["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ray-head", "autoscaler"]);
    assert_eq!(spec["serviceAccountName"], "raywarden-lab");
}

fn fault_tolerant() -> World {
    let mut cluster = stored_cluster();
    cluster["spec"]["gcsFaultToleranceOptions"] = json!({"redisAddress": "redis:6379"});
    let mut world = World::new(cluster);
    world.settle();
    world
}

fn deleted(world: &mut World) {
    let now = Timestamp::from_second(world.clock).unwrap().to_string();
    world.cluster["metadata"]["deletionTimestamp"] = json!(now);
}

fn is_kept(world: &World) -> bool {
    world.cluster["metadata"]["finalizers"] == json!([cleanup::FINALIZER])
}

#[test]
fn a_fault_tolerant_cluster_is_kept_till_its_pods_are_gone_and_a_job_has_ended() {
    let mut world = fault_tolerant();
    assert!(is_kept(&world));
    deleted(&mut world);
    world.round(usize::MAX);
    assert!(world.pods.is_empty() && is_kept(&world));
    world.round(usize::MAX);
    let job = world.objects.iter_mut().find(|object| object["kind"] == "Job").expect("a Job");
    let env = job["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains("RAY_REDIS_ADDRESS") && env.contains("RAY_external_storage_namespace"));
    job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    world.round(usize::MAX);
    assert_eq!(world.cluster["metadata"]["finalizers"], json!([]));
}

#[test]
fn the_clean_up_waits_for_a_head_that_ends_slowly_and_for_no_worker() {
    let mut world = fault_tolerant();
    for pod in world.pods.values_mut() {
        pod["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
    }
    deleted(&mut world);
    let begun = |world: &World| world.objects.iter().any(|object| object["kind"] == "Job");
    world.round(usize::MAX);
    assert!(!begun(&world));
    world.pods.retain(|_, pod| pod["metadata"]["labels"]["ray.io/node-type"] == "worker");
    world.round(usize::MAX);
    assert!(begun(&world) && world.count(NodeType::Worker) == 2);
}

#[test]
fn a_clean_up_that_cannot_end_keeps_neither_a_cluster_nor_a_namespace_for_ever() {
    let mut late = fault_tolerant();
    deleted(&mut late);
    late.round(usize::MAX);
    late.clock += 301;
    late.round(usize::MAX);
    assert!(!is_kept(&late));

    let mut ending = fault_tolerant();
    deleted(&mut ending);
    ending.memory.namespace_ends = true;
    ending.round(usize::MAX);
    assert!(!is_kept(&ending));
}

#[derive(Clone, Debug)]
enum Happening {
    Scale(i64),
    Crash(usize),
    Vanish(usize),
    Fail(usize),
    Autoscaling(bool),
    Victim(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (-1_i64..7).prop_map(Happening::Scale),
        (0_usize..9).prop_map(Happening::Crash),
        (0_usize..9).prop_map(Happening::Vanish),
        (0_usize..9).prop_map(Happening::Fail),
        any::<bool>().prop_map(Happening::Autoscaling),
        (0_usize..9).prop_map(Happening::Victim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_happens_a_cluster_settles_within_its_bounds_with_one_head(
        happenings in proptest::collection::vec(happening(), 1..10),
    ) {
        let mut world = World::new(stored_cluster());
        for happening in happenings {
            let at = |at: usize, world: &World| {
                world.pods.keys().nth(at % world.pods.len().max(1)).cloned().unwrap_or_default()
            };
            match happening {
                Happening::Scale(replicas) => {
                    world.cluster["spec"]["workerGroupSpecs"][0]["replicas"] = json!(replicas);
                }
                Happening::Crash(writes) => _ = world.round(writes),
                Happening::Vanish(index) => {
                    let name = at(index, &world);
                    world.gone(&name);
                }
                Happening::Fail(index) => {
                    let name = at(index, &world);
                    if let Some(pod) = world.pods.get_mut(&name) {
                        pod["status"]["phase"] = json!("Failed");
                    }
                }
                Happening::Autoscaling(on) => {
                    world.cluster["spec"]["enableInTreeAutoscaling"] = json!(on);
                }
                Happening::Victim(index) => {
                    let name = at(index, &world);
                    world.cluster["spec"]["workerGroupSpecs"][0]["scaleStrategy"] =
                        json!({"workersToDelete": [name]});
                }
            }
            prop_assert!(world.count(NodeType::Head) <= 1);
            prop_assert!(world.count(NodeType::Worker) <= 4);
        }
        world.settle();
        prop_assert_eq!(world.count(NodeType::Head), 1);
        let replicas = world.cluster["spec"]["workerGroupSpecs"][0]["replicas"].as_i64().unwrap();
        let asked = usize::try_from(replicas.clamp(0, 4)).unwrap();
        if world.cluster["spec"]["enableInTreeAutoscaling"] == json!(true) {
            prop_assert!((asked..=4).contains(&world.count(NodeType::Worker)));
        } else {
            prop_assert_eq!(world.count(NodeType::Worker), asked);
        }
    }
}
