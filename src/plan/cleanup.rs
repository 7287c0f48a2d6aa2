//! The state that a fault-tolerant head leaves in Redis, and its removal when the cluster is deleted.
//!
//! A finalizer of KubeRay's own name keeps the deleted cluster till its head is gone and a Job has
//! emptied its part of Redis. It never keeps a cluster for ever: a Job that fails, a time that is over
//! or a namespace that is being deleted, where no Job can be made, let it go. Source: KubeRay's
//! clean-up of fault tolerance.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::build::fault;
use super::nodes::take_away;
use super::object::{owners, set};
use super::pod::{CLUSTER, CREATED_BY, GROUP, NODE_TYPE, OURSELVES};
use super::workers::Why;
use super::{Action, Observed, Plan, Subject, Terms, build, head, step};
use crate::dialect::kuberay::FT_NAMESPACE;
use crate::model::names::HEAD_GROUP;
use crate::model::template::{list, member, text};

/// The finalizer.
pub const FINALIZER: &str = "ray.io/gcs-ft-redis-cleanup-finalizer";

/// The annotation with the seconds after which a deleted cluster is let go whatever became of the Job.
const TIMEOUT: &str = "ray.io/gcs-ft-deletion-timeout";

const USUAL_TIMEOUT: u64 = 300;

/// Ray's own function, called with what the head was told about its Redis.
const SCRIPT: &str = "python -c \"
import os, sys, urllib.parse
from ray._private.gcs_utils import cleanup_redis_storage
address = os.environ['RAY_REDIS_ADDRESS'].split(',')[0]
url = urllib.parse.urlparse(address if '://' in address else 'redis://' + address)
done = cleanup_redis_storage(
    host=url.hostname, port=url.port, username=os.environ.get('REDIS_USERNAME') or None,
    password=os.environ.get('REDIS_PASSWORD') or '', use_ssl=url.scheme == 'rediss',
    storage_namespace=os.environ['RAY_external_storage_namespace'])
sys.exit(0 if done else 1)
\"";

/// Whether the cluster's head keeps its state in a Redis.
fn is_wanted(subject: &Subject<'_>) -> bool {
    let view = &subject.view;
    if member(view.spec, "gcsFaultToleranceOptions").is_some() {
        return fault::redis(view).is_some();
    }
    fault::is_on(view)
        && view.ray_container().is_some_and(|ray| ray.env("RAY_REDIS_ADDRESS").is_some())
}

fn has_finalizer(subject: &Subject<'_>) -> bool {
    list(subject.view.metadata, "finalizers").iter().any(|it| it == FINALIZER)
}

/// Puts the finalizer on, before anything can be left in Redis; whether that has to happen first.
pub(super) fn begin(subject: &Subject<'_>, plan: &mut Plan) -> bool {
    if !is_wanted(subject) || has_finalizer(subject) {
        return false;
    }
    let finalizers = list(subject.view.metadata, "finalizers");
    let add = if finalizers.is_empty() {
        json!({"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]})
    } else {
        json!({"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER})
    };
    plan.actions.push(Action::Patch {
        what: "keeps the cluster till its state in Redis is removed".to_owned(),
        operations: vec![subject.tests_uid(), add],
    });
    true
}

/// What is to be done about a cluster that is being deleted.
pub(super) fn end(subject: &Subject<'_>, observed: &Observed<'_>, terms: &Terms, plan: &mut Plan) {
    if !has_finalizer(subject) {
        return;
    }
    let job = job(subject, terms);
    let found = observed.existing.iter().find(|object| step::is_same(&job, object));
    let over = left(subject, observed.now);
    let why = if observed.memory.namespace_ends {
        Some("its namespace is being deleted")
    } else if found.is_some_and(is_finished) {
        Some("the clean-up has ended")
    } else if over.is_zero() {
        Some("the clean-up took too long")
    } else {
        None
    };
    if let Some(why) = why {
        plan.actions.push(let_go(subject, why));
        return;
    }
    plan.again_in(over);
    plan.actions.extend(take_away(subject, observed, Why::Deleted));
    // A head that runs would write again what the Job removes. A worker writes nothing there, and one
    // that lost its head may take its whole grace period to end.
    if head::heads(subject.uid, observed.pods).is_empty() {
        plan.actions.extend(step::step(job, observed.existing, subject.uid));
    }
}

/// How long the cluster is still kept.
fn left(subject: &Subject<'_>, now: Timestamp) -> Duration {
    let given = subject.view.annotation(TIMEOUT).and_then(|seconds| seconds.parse().ok());
    let timeout = Duration::from_secs(given.unwrap_or(USUAL_TIMEOUT));
    let deleted = text(subject.view.metadata, "deletionTimestamp")
        .and_then(|it| it.parse::<Timestamp>().ok());
    let so_far = deleted.map_or(Duration::ZERO, |deleted| {
        Duration::try_from(now.duration_since(deleted)).unwrap_or_default()
    });
    timeout.saturating_sub(so_far)
}

fn is_finished(job: &Value) -> bool {
    let status = job.get("status").unwrap_or(&Value::Null);
    list(status, "conditions").iter().any(|condition| {
        text(condition, "status") == Some("True")
            && matches!(text(condition, "type"), Some("Complete" | "Failed" | "FailureTarget"))
    })
}

fn let_go(subject: &Subject<'_>, why: &str) -> Action {
    let finalizers = list(subject.view.metadata, "finalizers");
    let index = finalizers.iter().position(|it| it == FINALIZER).unwrap_or(0);
    let path = format!("/metadata/finalizers/{index}");
    Action::Patch {
        what: format!("let the deleted cluster go: {why}"),
        operations: vec![
            subject.tests_uid(),
            json!({"op": "test", "path": path, "value": FINALIZER}),
            json!({"op": "remove", "path": path}),
        ],
    }
}

/// The Job that empties the cluster's part of Redis, from the image and with the variables of its head.
fn job(subject: &Subject<'_>, terms: &Terms) -> Value {
    let name = subject.view.name;
    let short: String = subject.uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let cropped: String = name.chars().take(40).collect();
    let head = build::head(&subject.plot(terms), name, 0);
    let spec = head.get("spec").unwrap_or(&Value::Null);
    let ray = list(spec, "containers").first().unwrap_or(&Value::Null);
    let labels = json!({CLUSTER: name, NODE_TYPE: "redis-cleanup", GROUP: HEAD_GROUP, CREATED_BY: OURSELVES});
    let mut container = json!({
        "name": "redis-cleanup",
        "command": ["/bin/bash", "-c", "--", SCRIPT],
        "resources": {"limits": {"cpu": "200m", "memory": "256Mi"}, "requests": {"cpu": "200m", "memory": "256Mi"}},
    });
    let mut pod = json!({"restartPolicy": "Never"});
    for (to, from, keys) in [
        (
            &mut container,
            ray,
            &["image", "imagePullPolicy", "env", "envFrom", "volumeMounts", "securityContext"][..],
        ),
        (
            &mut pod,
            spec,
            &["volumes", "imagePullSecrets", "nodeSelector", "tolerations", "securityContext"][..],
        ),
    ] {
        for key in keys {
            if let Some(value) = member(from, key) {
                set(to, key, value.clone());
            }
        }
    }
    set(&mut pod, "containers", json!([container]));
    // In a deletion in the foreground the collector deletes whatever blocks its owner; the Job must not.
    let mut owners = owners(name, subject.uid);
    if let Some(owner) = owners.get_mut(0) {
        set(owner, "blockOwnerDeletion", json!(false));
    }
    let annotations = json!({FT_NAMESPACE: head.pointer("/metadata/annotations/ray.io~1external-storage-namespace")});
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": format!("{cropped}-redis-cleanup-{short}"),
            "namespace": subject.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": owners,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": USUAL_TIMEOUT,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}
