//! `AdmissionReview` v1, read loosely and written strictly.
//!
//! Unknown fields are ignored, absent ones are absent. What cannot be answered is a document that is
//! no AdmissionReview or has no `request.uid`; everything else gets an AdmissionReview of its own
//! uid.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Answer, Subject, wording};
use crate::model::change::Request;
use crate::model::{Finding, Op, Operation};

/// API group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupKind {
    /// API group, empty for the core group.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl GroupKind {
    /// Reads `apiVersion` and `kind` of an object.
    pub fn of(object: &Value) -> Self {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or("");
        let (group, version) = group_version(text("apiVersion"));
        Self { group: group.to_owned(), version: version.to_owned(), kind: text("kind").to_owned() }
    }

    fn read(value: Option<&Value>) -> Option<Self> {
        let text = |key| value?.get(key)?.as_str().map(str::to_owned);
        Some(Self {
            group: text("group").unwrap_or_default(),
            version: text("version").unwrap_or_default(),
            kind: text("kind")?,
        })
    }
}

/// Group and version of an `apiVersion`; the core group is empty.
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// One admission request, raw objects inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Echoed in the answer.
    pub uid: String,
    /// What the rule that called us names.
    pub kind: GroupKind,
    /// What the requester wrote; differs from `kind` when the API server converted.
    pub request_kind: Option<GroupKind>,
    /// API group of the resource.
    pub resource_group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// `status`, `scale`, or none.
    pub sub_resource: Option<String>,
    /// Absent under `generateName`.
    pub name: Option<String>,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The verb.
    pub operation: Operation,
    /// User name of the requester.
    pub user: String,
    /// Groups of the requester.
    pub groups: Vec<String>,
    /// `options.fieldManager`.
    pub field_manager: Option<String>,
    /// A dry run is answered like the real one.
    pub dry_run: bool,
    /// The incoming object.
    pub object: Option<Value>,
    /// The stored object.
    pub old_object: Option<Value>,
    /// The object comes from a file: it is checked against the schema too, since no API server has.
    pub manifest: bool,
}

/// Why a body is no admission request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON of another shape.
    #[error("the body is no AdmissionReview: {field} {problem}")]
    NotAReview {
        /// Field path.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Review {
    /// What policies read of it, for an object and what is stored of it.
    pub fn request<'a>(&'a self, object: &'a Value, old_object: Option<&'a Value>) -> Request<'a> {
        Request {
            kind: &self.kind.kind,
            namespace: &self.namespace,
            user: &self.user,
            groups: &self.groups,
            object,
            old_object,
        }
    }

    /// Group, kind and name for people.
    pub fn subject(&self) -> Subject {
        let kind = self.request_kind.as_ref().unwrap_or(&self.kind);
        Subject {
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            name: self.name.clone().unwrap_or_default(),
        }
    }

    /// Reads the body of a webhook call.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let value =
            serde_json::from_slice(body).map_err(|error| WireError::NotJson(error.to_string()))?;
        Self::from_value(value)
    }

    /// Reads an AdmissionReview document.
    pub fn from_value(mut review: Value) -> Result<Self, WireError> {
        let fault = |field, problem: &str| {
            Err(WireError::NotAReview { field, problem: problem.to_owned() })
        };
        let version = review.get("apiVersion").and_then(Value::as_str);
        if review.get("kind").and_then(Value::as_str) != Some("AdmissionReview") {
            return fault("kind", "must be AdmissionReview");
        }
        if version != Some("admission.k8s.io/v1") {
            return fault("apiVersion", "must be admission.k8s.io/v1");
        }
        let Some(Value::Object(mut request)) = review.get_mut("request").map(Value::take) else {
            return fault("request", "must be an object");
        };
        let Some(uid) = request.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty())
        else {
            return fault("request.uid", "must be a string that is not empty");
        };
        let uid = uid.to_owned();
        let written = request.get("operation").and_then(Value::as_str).unwrap_or("");
        let Some(operation) = Operation::parse(written) else {
            return fault("request.operation", "must be CREATE, UPDATE, DELETE or CONNECT");
        };
        Ok(Self::from_request(uid, operation, &mut request))
    }

    fn from_request(uid: String, operation: Operation, request: &mut Map<String, Value>) -> Self {
        let mut object = |key| request.get_mut(key).map(Value::take).filter(|it| !it.is_null());
        let (new, old) = (object("object"), object("oldObject"));
        let request = &*request;
        let text = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        let within = |key: &str, member: &str| request.get(key).and_then(|it| it.get(member));
        let groups = within("userInfo", "groups").and_then(Value::as_array);
        let kind = GroupKind::read(request.get("kind"))
            .or_else(|| new.as_ref().or(old.as_ref()).map(GroupKind::of));
        Self {
            uid,
            kind: kind.unwrap_or_default(),
            request_kind: GroupKind::read(request.get("requestKind")),
            resource_group: text(within("resource", "group")).unwrap_or_default(),
            resource: text(within("resource", "resource")).unwrap_or_default(),
            sub_resource: text(request.get("subResource")),
            name: text(request.get("name")),
            namespace: text(request.get("namespace")).unwrap_or_default(),
            operation,
            user: text(within("userInfo", "username")).unwrap_or_default(),
            groups: groups.into_iter().flatten().filter_map(|group| text(Some(group))).collect(),
            field_manager: text(within("options", "fieldManager")),
            dry_run: request.get("dryRun") == Some(&Value::Bool(true)),
            object: new,
            old_object: old,
            manifest: false,
        }
    }

    /// The review of a manifest, as the API server would send it for `operation` by `user`.
    pub fn of_manifest(
        operation: Operation,
        user: &str,
        namespace: &str,
        object: Value,
        old_object: Option<Value>,
    ) -> Self {
        let kind = GroupKind::of(&object);
        let metadata =
            |key: &str| object.get("metadata").and_then(|it| it.get(key)).and_then(Value::as_str);
        Self {
            uid: "00000000-0000-0000-0000-000000000000".to_owned(),
            resource_group: kind.group.clone(),
            resource: format!("{}s", kind.kind.to_lowercase()),
            request_kind: Some(kind.clone()),
            kind,
            sub_resource: None,
            name: metadata("name").map(str::to_owned),
            namespace: metadata("namespace").unwrap_or(namespace).to_owned(),
            operation,
            user: user.to_owned(),
            groups: Vec::new(),
            field_manager: None,
            dry_run: false,
            old_object,
            object: Some(object),
            manifest: true,
        }
    }
}

/// The AdmissionReview that answers `uid`.
pub fn response(uid: &str, answer: &Answer) -> Value {
    let mut response = Map::new();
    response.insert("uid".to_owned(), json!(uid));
    response.insert("allowed".to_owned(), json!(answer.allowed));
    if !answer.allowed {
        response.insert("status".to_owned(), status(answer));
    }
    if !answer.patch.is_empty() {
        let patch: Vec<Value> = answer.patch.iter().map(Op::to_json).collect();
        let text = Value::Array(patch).to_string();
        response.insert("patchType".to_owned(), json!("JSONPatch"));
        response.insert("patch".to_owned(), json!(STANDARD.encode(text)));
    }
    let warnings = wording::warnings(answer);
    if !warnings.is_empty() {
        response.insert("warnings".to_owned(), json!(warnings));
    }
    if !answer.audit_annotations.is_empty() {
        response.insert("auditAnnotations".to_owned(), json!(answer.audit_annotations));
    }
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    })
}

/// The most causes of one denial; an object of thousands of faults needs no longer list.
const MOST_CAUSES: usize = 100;

/// The status of a denial. kubectl prints the causes alone, so each stands for itself; other clients
/// print the message, so it says all of them again.
fn status(answer: &Answer) -> Value {
    let mut denials: Vec<&Finding> = answer.denials().collect();
    let left_out = denials.len().saturating_sub(MOST_CAUSES);
    denials.truncate(MOST_CAUSES);
    let causes: Vec<Value> = denials
        .iter()
        .map(|finding| {
            json!({
                "reason": "FieldValueInvalid",
                "field": finding.at.to_string(),
                "message": wording::cause(answer, finding),
            })
        })
        .collect();
    json!({
        "status": "Failure",
        "reason": "Invalid",
        "code": 422,
        "message": message(answer, &denials, left_out),
        "details": {
            "group": answer.subject.group,
            "kind": answer.subject.kind,
            "name": answer.subject.name,
            "causes": causes,
        },
    })
}

fn message(answer: &Answer, denials: &[&Finding], left_out: usize) -> String {
    let mut out = format!("{} \"{}\" refused", answer.subject.kind, answer.subject.name);
    if let Some(parent) = &answer.parent {
        let _ = write!(out, " ({} {})", parent.kind, parent.name);
    }
    for (index, finding) in denials.iter().enumerate() {
        let mark = if index == 0 { ": " } else { "; " };
        let _ = write!(out, "{mark}{}: {}", finding.at, wording::cause(answer, finding));
    }
    if left_out > 0 {
        let _ = write!(out, "; and {left_out} more: raywarden review -f FILE shows all of them");
    }
    out
}
