//! The status of a RayCluster.
//!
//! Input: what was observed, the plan, and what went wrong when it was carried out. Output: a merge
//! patch of the status, or `None` where it says all of this already. Fields, counts and conditions are
//! KubeRay's, so that its tools and tests read them; unlike there the status is written also when a
//! step failed, and a count of Pods decides whether the cluster is provisioned.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::condition::{
    self, CONFLICT, Condition, FOREIGN_NODE_MANAGER, HEAD_POD_READY, OBJECT_CONFLICT, PROVISIONED,
    REPLICA_FAILURE, SERVICE_ACCOUNT_MISSING, SUSPENDED, SUSPENDING,
};
use super::lifecycle::Stage;
use super::nodes::{is_empty, is_running};
use super::pod::{NodeType, Pod};
use super::services::head_service_name;
use super::{Action, Observed, Plan, Subject, group, head};
use crate::model::template::{list, member, text};
use crate::model::{Container, Quantity, requests};

/// KubeRay's word for why a cluster is not provisioned, a suspended one too.
const PROVISIONING: &str = "RayClusterPodsProvisioning";

/// What went wrong when a plan was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// KubeRay's word for the step, such as `FailedCreateWorkerPod`; `None` for other steps.
    pub reason: Option<&'static str>,
    /// What the API server said.
    pub message: String,
}

impl Failure {
    /// The failure of an action.
    pub fn of(action: &Action, message: String) -> Self {
        let is_head = |pod: &Value| {
            pod.pointer("/metadata/labels/ray.io~1node-type").and_then(Value::as_str)
                == Some("head")
        };
        let reason = match action {
            Action::CreatePod(pod) if is_head(pod) => Some("FailedCreateHeadPod"),
            Action::CreatePod(_) => Some("FailedCreateWorkerPod"),
            Action::DeletePod { .. } => Some("FailedDeleteWorkerPod"),
            _ => None,
        };
        Self { reason, message }
    }
}

/// How a plan went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The step that failed, where one did.
    pub failure: Option<Failure>,
    /// Objects of names that we need which are somebody else's: kind and name.
    pub conflicts: Vec<(String, String)>,
    /// The account that the head names and that does not exist.
    pub missing_account: Option<String>,
}

/// Whether a change may wait a moment for those that are about to follow, such as when the Pods of a
/// cluster become ready one after the other: nothing was done in this round, and nothing went wrong.
/// What was done is told at once, because names of later Pods depend on it.
pub fn may_wait(plan: &Plan, outcome: &Outcome) -> bool {
    plan.stage == Stage::Runs && plan.actions.is_empty() && *outcome == Outcome::default()
}

/// The change of the status; `None` where there is none.
pub fn patch(
    subject: &Subject<'_>,
    observed: &Observed<'_>,
    plan: &Plan,
    outcome: &Outcome,
) -> Option<Value> {
    let now = second(observed.now);
    if plan.conditions.iter().any(|condition| condition.kind == FOREIGN_NODE_MANAGER) {
        return beside_another(subject, plan, &now);
    }
    let mut next = figures(subject, observed);
    let (wanted, gone) = conditions(subject, observed, plan, outcome);
    let list = condition::merged(subject.status, &wanted, &gone, &now);
    let holds = |kind: &str| condition::is_true(&json!({"conditions": list}), kind);
    if holds(SUSPENDED) {
        next.insert("state".to_owned(), json!("suspended"));
    } else if holds(PROVISIONED) && outcome.failure.is_none() && all_run(subject, observed) {
        next.insert("state".to_owned(), json!("ready"));
    } else if text(subject.status, "state") == Some("suspended") {
        next.insert("state".to_owned(), json!(""));
    }
    next.insert("conditions".to_owned(), Value::Array(list));
    let was_state = text(subject.status, "state").unwrap_or("");
    let state = next.get("state").and_then(Value::as_str).unwrap_or("");
    if !state.is_empty() && state != was_state {
        next.insert("stateTransitionTimes".to_owned(), json!({state: now}));
    }
    let is_new = |(key, value): &(&String, &Value)| differs(subject.status.get(*key), value);
    if !next.iter().any(|pair| is_new(&pair)) {
        return None;
    }
    next.retain(|key, value| differs(subject.status.get(key), value));
    let generation = subject.view.metadata.get("generation").cloned().unwrap_or(Value::Null);
    next.insert("observedGeneration".to_owned(), generation);
    next.insert("lastUpdateTime".to_owned(), json!(now));
    Some(json!({"status": next}))
}

/// Where another manager writes the status, the one condition that says so and nothing else, and only
/// onto the very object that was seen: its own conditions stand in the same list.
fn beside_another(subject: &Subject<'_>, plan: &Plan, now: &str) -> Option<Value> {
    let list = condition::merged(subject.status, &plan.conditions, &[], now);
    let stored = subject.status.get("conditions").and_then(Value::as_array);
    let version = subject.view.metadata.get("resourceVersion");
    (stored != Some(&list))
        .then(|| json!({"metadata": {"resourceVersion": version}, "status": {"conditions": list}}))
}

/// Conditions that ask for somebody's attention and were not stored so far: what an Event tells.
pub fn news(subject: &Subject<'_>, plan: &Plan, outcome: &Outcome) -> Vec<Condition> {
    let is_new = |condition: &Condition| {
        condition.holds && !condition::is_true(subject.status, condition.kind)
    };
    let mut news: Vec<Condition> =
        plan.conditions.iter().filter(|it| is_new(it)).cloned().collect();
    news.extend(account_missing(outcome).filter(is_new));
    news
}

fn account_missing(outcome: &Outcome) -> Option<Condition> {
    let account = outcome.missing_account.as_ref()?;
    let message =
        format!("the head names ServiceAccount {account}, which does not exist; create it");
    Some(Condition::holds(SERVICE_ACCOUNT_MISSING, "NotFound", message))
}

/// Whether a merge of `wanted` would change what is stored.
fn differs(stored: Option<&Value>, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Some(stored), Value::Object(wanted)) if stored.is_object() => {
            wanted.iter().any(|(key, value)| differs(stored.get(key), value))
        }
        (None, Value::Object(wanted)) => wanted.values().any(|value| differs(None, value)),
        // What is empty is left out of the stored object.
        (None, Value::String(text)) => !text.is_empty(),
        (None, Value::Number(number)) => number.as_i64() != Some(0),
        (None, Value::Array(items)) => !items.is_empty(),
        (None, Value::Null) => false,
        (stored, wanted) => stored != Some(wanted),
    }
}

/// RFC 3339 in whole seconds, as Kubernetes stores times.
pub fn second(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.to_string()
}

/// Counts, sums and addresses.
fn figures(subject: &Subject<'_>, observed: &Observed<'_>) -> Map<String, Value> {
    let totals = group::totals(&subject.view, subject.uid, observed.pods);
    let service = head_service(subject, observed);
    let heads = head::heads(subject.uid, observed.pods);
    let head = heads.first();
    let pod_ip = head.map_or("", |pod| pod.ip.as_str());
    let cluster_ip = service.and_then(|it| it.pointer("/spec/clusterIP")).and_then(Value::as_str);
    // A headless Service has no address but its Pod's.
    let service_ip = cluster_ip.map_or("", |ip| if ip == "None" { pod_ip } else { ip });
    let mut figures = Map::new();
    let mut set = |key: &str, value: Value| _ = figures.insert(key.to_owned(), value);
    set("desiredWorkerReplicas", json!(totals.desired));
    set("minWorkerReplicas", json!(totals.min));
    set("maxWorkerReplicas", json!(totals.max));
    set("readyWorkerReplicas", json!(totals.ready));
    set("availableWorkerReplicas", json!(totals.available));
    for (key, amount) in resources(subject) {
        set(key, json!(amount));
    }
    set(
        "head",
        json!({
            "podIP": pod_ip,
            "podName": head.map_or("", |pod| pod.name.as_str()),
            "serviceIP": service_ip,
            "serviceName": service.map_or("", |it| it.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("")),
        }),
    );
    let ports =
        service.and_then(|it| it.get("spec")).map(|spec| list(spec, "ports")).unwrap_or_default();
    let endpoint = |port: &Value| {
        let number = member(port, "nodePort").or_else(|| member(port, "targetPort"))?;
        let number = number.as_str().map_or_else(|| number.to_string(), str::to_owned);
        Some((text(port, "name")?.to_owned(), json!(number)))
    };
    let endpoints: Map<String, Value> = ports.iter().filter_map(endpoint).collect();
    if !endpoints.is_empty() {
        set("endpoints", Value::Object(endpoints));
    }
    figures
}

fn head_service<'a>(subject: &Subject<'_>, observed: &Observed<'a>) -> Option<&'a Value> {
    let name = head_service_name(&subject.view);
    observed.existing.iter().find(|object| {
        text(object, "kind") == Some("Service")
            && object.pointer("/metadata/name").and_then(Value::as_str) == Some(&name)
    })
}

/// CPU, memory and accelerators that the templates ask for, the sidecar left out.
fn resources(subject: &Subject<'_>) -> [(&'static str, String); 4] {
    let head = subject.view.ray_container().into_iter().map(|ray| (ray, 1));
    let workers = subject.view.groups.iter().filter_map(|group| {
        let demand = group::demand(group);
        Some((group.template().ray_container()?, demand.replicas.saturating_mul(demand.hosts)))
    });
    let containers: Vec<(Container<'_>, i64)> = head.chain(workers).collect();
    let sum = |is_it: fn(&str) -> bool| -> Quantity {
        containers.iter().map(|(ray, count)| amount(ray, is_it).times(*count)).sum()
    };
    [
        ("desiredCPU", sum(|key| key == "cpu").spelled()),
        ("desiredMemory", sum(|key| key == "memory").spelled_binary()),
        (
            "desiredGPU",
            sum(|key| key.ends_with("gpu") || key.starts_with("nvidia.com/mig-")).spelled(),
        ),
        ("desiredTPU", sum(|key| key == "google.com/tpu").spelled()),
    ]
}

/// The request for the resources whose name fits, the limit where there is no request.
fn amount(ray: &Container<'_>, is_it: fn(&str) -> bool) -> Quantity {
    let amounts = requests::of_container(ray.raw);
    amounts.iter().filter(|(key, _)| is_it(key)).map(|(_, amount)| amount).sum()
}

/// Whether the head and every worker that is asked for runs.
fn all_run(subject: &Subject<'_>, observed: &Observed<'_>) -> bool {
    let mine: Vec<&Pod> = observed.pods.iter().filter(|pod| pod.is_node_of(subject.uid)).collect();
    let desired = group::totals(&subject.view, subject.uid, observed.pods).desired;
    let workers = mine.iter().filter(|pod| pod.node_type == NodeType::Worker).count();
    mine.iter().any(|pod| pod.node_type == NodeType::Head)
        && i64::try_from(workers).is_ok_and(|workers| workers == desired)
        && mine.iter().all(|pod| is_running(pod))
}

/// Conditions to set, and those to take out.
fn conditions(
    subject: &Subject<'_>,
    observed: &Observed<'_>,
    plan: &Plan,
    outcome: &Outcome,
) -> (Vec<Condition>, Vec<&'static str>) {
    let mut wanted = plan.conditions.clone();
    let mut gone = Vec::new();
    wanted.push(head_ready(subject, observed));
    match &outcome.failure {
        Some(Failure { reason, message }) => {
            let reason = reason.unwrap_or("FailedReconcile");
            wanted.push(Condition::holds(REPLICA_FAILURE, reason, message.clone()));
        }
        None => gone.push(REPLICA_FAILURE),
    }
    let (identities, others): (Vec<_>, Vec<_>) = outcome
        .conflicts
        .iter()
        .partition(|(kind, _)| matches!(kind.as_str(), "ServiceAccount" | "Role" | "RoleBinding"));
    for (kind, conflicts) in [(CONFLICT, identities), (OBJECT_CONFLICT, others)] {
        let named: Vec<String> =
            conflicts.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
        if !named.is_empty() {
            let message = format!(
                "not made by raywarden for this cluster, so left alone: {}; rename or delete it",
                named.join(", ")
            );
            wanted.push(Condition::holds(kind, "NameTaken", message));
        }
    }
    wanted.extend(account_missing(outcome));
    wanted.extend(stage_conditions(subject, observed, plan.stage));
    let stage_says = wanted.iter().any(|condition| condition.kind == PROVISIONED);
    if !stage_says && !condition::is_true(subject.status, PROVISIONED) {
        wanted.push(if outcome.failure.is_none() && all_run(subject, observed) {
            Condition::holds(
                PROVISIONED,
                "AllPodRunningAndReadyFirstTime",
                "the head and every worker asked for were ready",
            )
        } else {
            Condition::fails(PROVISIONED, PROVISIONING, "Pods are being made for the first time")
        });
    }
    (wanted, gone)
}

/// KubeRay gives these two conditions their own names as reasons, whether they hold or not.
fn stage_conditions(
    subject: &Subject<'_>,
    observed: &Observed<'_>,
    stage: Stage,
) -> Vec<Condition> {
    let is = |kind| condition::is_true(subject.status, kind);
    match stage {
        Stage::Begins => vec![
            Condition::holds(SUSPENDING, SUSPENDING, "Pods are about to be taken away"),
            Condition::fails(SUSPENDED, SUSPENDED, "not yet"),
        ],
        Stage::TakesAway if is_empty(subject.uid, observed.pods) => vec![
            Condition::fails(SUSPENDING, SUSPENDING, "no Pod is left"),
            Condition::holds(SUSPENDED, SUSPENDED, "no Pod is left"),
            Condition::fails(PROVISIONED, PROVISIONING, "suspended"),
        ],
        Stage::Runs if is(SUSPENDED) => vec![Condition::fails(SUSPENDED, SUSPENDED, "resumed")],
        Stage::TakesAway | Stage::Rests | Stage::Runs => Vec::new(),
    }
}

fn head_ready(subject: &Subject<'_>, observed: &Observed<'_>) -> Condition {
    let heads = head::heads(subject.uid, observed.pods);
    let Some(pod) = heads.iter().find(|pod| !pod.terminating).or_else(|| heads.first()) else {
        return Condition::fails(HEAD_POD_READY, "HeadPodNotFound", "there is no head Pod");
    };
    if pod.ready == Some(true) {
        return Condition::holds(HEAD_POD_READY, "HeadPodRunningAndReady", "");
    }
    let explained = pod.containers.iter().find(|container| !container.reason.is_empty());
    match explained {
        Some(container) => {
            let message = format!("container {}: {}", container.name, container.message);
            Condition::fails(HEAD_POD_READY, &container.reason, message)
        }
        None if !pod.unschedulable.is_empty() => {
            Condition::fails(HEAD_POD_READY, "Unschedulable", pod.unschedulable.clone())
        }
        None => {
            Condition::fails(HEAD_POD_READY, "ContainersNotReady", "the head Pod is not ready yet")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_that_nobody_did_and_nothing_hangs_on_may_wait() {
        let (calm, well) = (Plan::default(), Outcome::default());
        assert!(may_wait(&calm, &well));
        let made = Plan { actions: vec![Action::CreatePod(json!({}))], ..Plan::default() };
        assert!(!may_wait(&made, &well));
        let suspends = Plan { stage: Stage::Begins, ..Plan::default() };
        assert!(!may_wait(&suspends, &well));
        let conflicts = vec![("Service".to_owned(), "lab".to_owned())];
        assert!(!may_wait(&calm, &Outcome { conflicts, ..Outcome::default() }));
    }
}
