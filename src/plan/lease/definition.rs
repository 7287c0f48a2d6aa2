//! The `CustomResourceDefinition` of `ScaleLease`, and the admission policy beside it.
//!
//! The schema holds what can be seen in the object alone. The policy asks the API server's authorizer:
//! who makes a lease, or moves its end, may patch that very cluster; and nobody names another as its
//! requester. It is asked by the API server itself, so it holds while the webhook is away.

use serde_json::{Value, json};

use crate::dialect::{DOMINO, LEASE, OURS, RAY};
use crate::schema::{Own, column, members};

/// The version.
pub const VERSION: &str = "v1alpha1";

/// The plural name.
pub const PLURAL: &str = "scaleleases";

/// The name of the policy and of its binding.
pub const POLICY: &str = "raywarden-scaleleases";

/// The most groups of a requester that are recorded.
pub const MOST_GROUPS: usize = 1000;

const NAME: usize = 253;
const MOST_REPLICAS: i64 = i32::MAX as i64;

/// The definition.
pub fn crd() -> Value {
    Own {
        kind: LEASE,
        plural: PLURAL,
        singular: "scalelease",
        short: "sl",
        scope: "Namespaced",
        version: VERSION,
        status: true,
        columns: vec![
            column("cluster", "string", ".spec.cluster.name"),
            column("group", "string", ".spec.group"),
            column("replicas", "integer", ".spec.replicas"),
            column("until", "string", ".spec.until"),
            column("phase", "string", ".status.phase"),
        ],
        schema: json!({
            "type": "object",
            "required": ["spec"],
            "properties": members(&spec(), &status()),
        }),
    }
    .crd()
}

fn text(most: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": most})
}

fn spec() -> Value {
    let cluster = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "apiGroup": {"type": "string", "enum": [RAY, DOMINO], "default": RAY},
            "name": text(NAME),
        },
    });
    let requester = json!({
        "type": "object",
        "description": "Recorded by admission; what is written here is written over.",
        "required": ["username"],
        "properties": {
            "username": text(1024),
            "groups": {"type": "array", "maxItems": MOST_GROUPS, "items": {"type": "string", "maxLength": 1024}},
        },
    });
    let same = |field: &str| {
        format!(
            "has(self.{field}) == has(oldSelf.{field}) && \
             (!has(self.{field}) || self.{field} == oldSelf.{field})"
        )
    };
    let unchanged = format!(
        "self.cluster == oldSelf.cluster && self.replicas == oldSelf.replicas && {} && {}",
        same("group"),
        same("requester")
    );
    json!({
        "type": "object",
        "required": ["cluster", "replicas", "until"],
        "properties": {
            "cluster": cluster,
            "group": text(NAME),
            "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": MOST_REPLICAS},
            "until": {"type": "string", "format": "date-time", "maxLength": 64},
            "requester": requester,
        },
        "x-kubernetes-validations": [
            {"rule": unchanged, "message": "only until can be changed: make a new lease"},
            {
                "rule": format!("self.cluster.apiGroup != '{DOMINO}' || !has(self.group)"),
                "message": "a cluster of Domino has one group: leave group out",
            },
            {
                "rule": format!("self.cluster.apiGroup != '{DOMINO}' || self.replicas > 0"),
                "message": "a cluster of Domino is not scaled to 0 workers: stop the workspace",
            },
        ],
    })
}

fn status() -> Value {
    let moment = json!({"type": "string", "format": "date-time"});
    let condition = json!({
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": text(316), "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": text(1024), "message": {"type": "string", "maxLength": 32768},
            "lastTransitionTime": moment, "observedGeneration": {"type": "integer", "format": "int64"},
        },
    });
    let phases = super::Phase::ALL.map(super::Phase::as_str);
    json!({
        "type": "object",
        "properties": {
            "phase": {"type": "string", "enum": phases},
            "message": {"type": "string", "maxLength": 32768},
            "observedGeneration": {"type": "integer", "format": "int64"},
            "clusterUid": {"type": "string", "maxLength": 128, "description": "The cluster that it was first seen for; one of the same name and another UID is another one."},
            "conditions": {
                "type": "array", "maxItems": 8, "items": condition,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
            },
        },
    })
}

/// The `ValidatingAdmissionPolicy` and its binding. `ourselves`: accounts that record a requester for
/// somebody else, whose right they have looked at.
pub fn policy(ourselves: &[String]) -> [Value; 2] {
    let names: Vec<String> = ourselves
        .iter()
        .filter(|name| !name.contains('*'))
        .map(|name| format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'")))
        .collect();
    let group =
        format!("(has(object.spec.cluster.apiGroup) ? object.spec.cluster.apiGroup : '{RAY}')");
    let may = "authorizer.group(variables.group).resource('rayclusters')\
               .namespace(request.namespace).name(object.spec.cluster.name).check('patch').allowed()";
    let unchanged = "request.operation == 'UPDATE' && object.spec == oldObject.spec";
    let own = format!(
        "request.operation != 'CREATE' || !has(object.spec.requester) || \
         request.userInfo.username in [{}] || \
         object.spec.requester.username == request.userInfo.username && \
         (!has(object.spec.requester.groups) || \
         has(request.userInfo.groups) && \
         object.spec.requester.groups.all(group, group in request.userInfo.groups))",
        names.join(", ")
    );
    let refusal = "'you may not patch cluster ' + object.spec.cluster.name + ' of ' + variables.group + \
                   ' in namespace ' + request.namespace + ', so you may not lease its workers: ask for \
                   the verb patch on rayclusters.' + variables.group";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [OURS], "apiVersions": [VERSION], "resources": [PLURAL],
                "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
            }]},
            "variables": [{"name": "group", "expression": group}],
            "validations": [
                {"expression": format!("{unchanged} || {may}"), "messageExpression": refusal, "reason": "Forbidden"},
                {
                    "expression": own,
                    "message": "spec.requester is somebody else: leave it out, it is recorded for you",
                    "reason": "Forbidden",
                },
            ],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
    });
    [policy, binding]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts_are_quoted_and_patterns_are_left_out() {
        let names = ["it's".to_owned(), "system:serviceaccount:*:raywarden".to_owned()];
        let [policy, binding] = policy(&names);
        let own = policy["spec"]["validations"][1]["expression"].as_str().unwrap();
        assert!(own.contains(r"in ['it\'s']"), "{own}");
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    }
}
