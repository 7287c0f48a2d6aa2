//! What of an object may be shown, and the replies made of it.
//!
//! Input: an object as the API server has it. Output: the same but for secrets. Invariant: a secret is
//! gone wherever a client tool may have copied it, the last applied configuration too.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::change::Change;
use super::head::{self, Pod, Progress, Restart};
use super::rollout::{Node, Rollout};
use super::workers::Workers;

/// What stands in the place of a secret.
const REDACTED: &str = "(redacted)";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object without the contents of its keytab and, where `variables` says so, without the values of
/// environment variables.
pub fn redacted(mut object: Value, variables: bool) -> Value {
    redact(&mut object, variables);
    let annotations = object.get_mut("metadata").and_then(|it| it.get_mut("annotations"));
    if let Some(applied) = annotations.and_then(|it| it.get_mut(LAST_APPLIED)) {
        let inner = applied.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        *applied = match inner {
            Some(mut inner) => {
                redact(&mut inner, variables);
                inner.to_string().into()
            }
            None => REDACTED.into(),
        };
    }
    object
}

fn redact(object: &mut Value, variables: bool) {
    let Some(spec) = object.get_mut("spec") else { return };
    if let Some(keytab) = spec.get_mut("kerberosKeytab").and_then(Value::as_object_mut)
        && let Some(contents) = keytab.get_mut("contents")
    {
        *contents = REDACTED.into();
    }
    if variables {
        hide_variables(spec);
    }
}

/// Every `value` of every list `env` or `envVars`, wherever it is.
fn hide_variables(part: &mut Value) {
    match part {
        Value::Object(members) => {
            for (key, member) in members {
                if matches!(key.as_str(), "env" | "envVars")
                    && let Value::Array(variables) = member
                {
                    for value in variables.iter_mut().filter_map(|it| it.get_mut("value")) {
                        *value = REDACTED.into();
                    }
                }
                hide_variables(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_variables),
        _ => {}
    }
}

/// The object with how far its workers have come, beside `spec` and `status`.
pub fn with_workers(mut object: Value, workers: Option<&Workers>) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert("workers".to_owned(), json!(workers));
    }
    object
}

/// What `/ddl_cluster_scaler/scale` answers.
pub fn scaled(
    kind: &str,
    name: &str,
    requested: i32,
    change: &Change,
    tier: Option<&str>,
    started_at: Timestamp,
    object: &Value,
) -> Value {
    json!({
        "kind": kind,
        "name": name,
        "requested_replicas": requested,
        "effective_replicas": change.to.replicas,
        "minReplicas": change.to.bounds.min,
        "maxReplicas": change.to.bounds.max,
        "capped": change.capped,
        "worker_hw_tier_id": tier,
        "started_at": started_at.to_string(),
        "restarted_ts": started_at.to_string(),
        "object": object,
    })
}

/// What `restart_head` answers.
pub fn restarting(namespace: &str, cluster: &str, restart: &Restart) -> Value {
    let started_at = restart.started_at.to_string();
    json!({
        "ok": true,
        "namespace": namespace,
        "pod": head::pod_name(cluster),
        "grace_period_seconds": head::GRACE_SECONDS,
        "started_at": started_at,
        "restarted_ts": started_at,
        "k8s_response": {"kind": "Status", "status": "Success"},
    })
}

/// What `restart_head_status` answers.
pub fn head_status(
    namespace: &str,
    cluster: &str,
    head: Option<&Pod>,
    progress: Progress,
    since: Timestamp,
) -> Value {
    json!({
        "ok": true,
        "restarted": progress.restarted,
        "ready": progress.ready,
        "status": progress.as_str(),
        "namespace": namespace,
        "pod": head::pod_name(cluster),
        "creationTimestamp": head.and_then(|head| head.created).map(|at| at.to_string()),
        "started_at": since.to_string(),
        "evaluated_with": "started_at",
    })
}

/// What `restart_status` answers.
pub fn rollout_status(
    namespace: &str,
    cluster: &str,
    node: Node,
    rollout: &Rollout,
    since: Option<Timestamp>,
) -> Value {
    json!({
        "ok": rollout.state == super::rollout::State::Done,
        "status": rollout.state.as_str(),
        "desired_replicas": rollout.desired,
        "running_pods": rollout.running,
        "ready_pods": rollout.ready,
        "ready_equals_running": rollout.ready == rollout.running,
        "restarted": rollout.restarted,
        "node_type": node.as_str(),
        "statefulset": node.set(cluster),
        "namespace": namespace,
        "oldestCreationTimestamp": rollout.oldest.map(|at| at.to_string()),
        "started_at": since.map(|at| at.to_string()),
        "evaluated_with": "statefulset_pods",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keytab_is_shown_nowhere_and_the_rest_stays_as_it_is() {
        let spec = json!({"kerberosKeytab": {"contents": "czNjcmV0", "mountPath": "/k"},
                          "envVars": [{"name": "A", "value": "s3cret"}]});
        let applied = json!({"spec": spec}).to_string();
        let object =
            json!({"metadata": {"annotations": {LAST_APPLIED: applied, "x": "y"}}, "spec": spec});
        let shown = redacted(object.clone(), false);
        assert!(!shown.to_string().contains("czNjcmV0"));
        assert_eq!(shown["spec"]["envVars"], object["spec"]["envVars"]);
        assert_eq!(shown["metadata"]["annotations"]["x"], "y");
        assert_eq!(shown["spec"]["kerberosKeytab"]["mountPath"], "/k");
        assert!(!redacted(object, true).to_string().contains("s3cret"));
    }

    #[test]
    fn values_of_variables_are_hidden_in_init_containers_too() {
        let object = json!({"spec": {"head": {"initContainers": [
            {"name": "a", "env": [{"name": "T", "value": "s3cret"}, {"name": "U", "valueFrom": {}}]}]}}});
        let shown = redacted(object, true).to_string();
        assert!(!shown.contains("s3cret") && shown.contains("valueFrom"));
    }

    #[test]
    fn an_applied_configuration_that_cannot_be_read_is_not_shown() {
        let object = json!({"metadata": {"annotations": {LAST_APPLIED: "czNjcmV0{"}}});
        assert!(!redacted(object, false).to_string().contains("czNjcmV0"));
    }
}
