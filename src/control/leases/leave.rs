//! Whether a lease's requester may have it: the right to patch the cluster, and the policies.

use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use serde_json::{Value, json};

use super::{Leases, Place};
use crate::admission::{Phase, Review, review, wording};
use crate::dialect::Dialect;
use crate::http::access::{is_allowed, on_clusters};
use crate::model::Operation;
use crate::plan::lease::{Ask, DENIED, Lease, NOT_ALLOWED, Requester, Verdict};

/// Asks the API server, then the policies.
pub(super) async fn ask(
    around: &Leases,
    place: &Place,
    lease: &Lease,
    stored: &Value,
    ask: &Ask,
) -> kube::Result<Verdict> {
    let Some(requester) = &lease.requester else {
        let message = "nobody is recorded who asked for it".to_owned();
        return Ok(Verdict::Refused { reason: NOT_ALLOWED, message });
    };
    if !may_patch(around, place, requester).await? {
        let message = format!(
            "{} may not patch cluster {}: grant the verb patch on rayclusters.{}, then make a new lease",
            requester.username,
            place.key.name,
            place.dialect.group()
        );
        return Ok(Verdict::Refused { reason: NOT_ALLOWED, message });
    }
    Ok(judged(around, place, requester, stored, ask))
}

/// What admission would say had the requester made the change.
fn judged(
    around: &Leases,
    place: &Place,
    requester: &Requester,
    stored: &Value,
    ask: &Ask,
) -> Verdict {
    let mut request = Review::of_manifest(
        Operation::Update,
        &requester.username,
        &place.key.namespace,
        ask.object.clone(),
        Some(stored.clone()),
    );
    request.manifest = false;
    request.groups.clone_from(&requester.groups);
    let mut causes = refusals(around, &request);
    if place.dialect == Dialect::Domino {
        // The ceiling of its scale subresource, which knows no bounds, holds here too.
        let count = ask.object.pointer("/spec/worker/replicas").cloned().unwrap_or_default();
        request.sub_resource = Some("scale".to_owned());
        request.object = Some(json!({"spec": {"replicas": count}}));
        causes.extend(refusals(around, &request));
    }
    if causes.is_empty() {
        return Verdict::Allowed;
    }
    let message = format!("refused to {}: {}", requester.username, causes.join("; "));
    Verdict::Refused { reason: DENIED, message }
}

/// What refuses a request, in words; nothing in audit mode.
fn refusals(around: &Leases, request: &Review) -> Vec<String> {
    let policies = around.policies.borrow().clone();
    let answer = review(&around.settings, &policies, Phase::Offline, request);
    if answer.allowed {
        return Vec::new();
    }
    let cause = |finding| wording::cause(&answer, finding);
    answer.denials().map(|finding| format!("{}: {}", finding.at, cause(finding))).collect()
}

async fn may_patch(around: &Leases, place: &Place, requester: &Requester) -> kube::Result<bool> {
    let (group, key) = (place.dialect.group(), &place.key);
    let spec = SubjectAccessReviewSpec {
        user: Some(requester.username.clone()),
        groups: Some(requester.groups.clone()),
        resource_attributes: Some(on_clusters("patch", group, &key.namespace, Some(&key.name))),
        ..SubjectAccessReviewSpec::default()
    };
    is_allowed(&around.client, spec).await
}
