//! What goes wrong: a stable code for programs, a sentence for people, and a status.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::Finding;

/// A stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The body, a name or a number cannot be read.
    BadRequest,
    /// A kind that does not exist.
    InvalidKind,
    /// A hardware tier that does not exist, or not for this caller or kind.
    InvalidTier,
    /// No credential, or one that names nobody.
    Unauthenticated,
    /// A credential of the Kubernetes cluster, which must not leave it.
    KubernetesToken,
    /// The caller may not act on the cluster, if there is one.
    Unauthorized,
    /// Nothing of that name or path.
    NotFound,
    /// The path is right, the method is not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    TooSlow,
    /// The cluster has no autoscaling, so that no bounds can be held.
    NotScalable,
    /// The bounds of the cluster cannot be read.
    InvalidAutoscaling,
    /// The object changes faster than it can be written, or is being deleted.
    Conflict,
    /// The tier asks for something that the cluster's kind cannot express.
    UnsupportedTier,
    /// The body is too long.
    TooLarge,
    /// The body is of another kind than JSON.
    UnsupportedMedia,
    /// More workers than the installation allows.
    AboveCeiling,
    /// More workers than the group's maximum.
    AboveMax,
    /// Fewer workers than the group's minimum.
    BelowMin,
    /// Workers to delete that are none of the group, or more than go.
    NoSuchWorker,
    /// Ray's autoscaler decides the count.
    AutoscalerOwns,
    /// A RayService decides the count.
    ParentOwns,
    /// The cluster or the group is suspended.
    Suspended,
    /// Another controller than those of this Kubernetes cluster runs it.
    ManagedElsewhere,
    /// Clusters of two API groups have this name.
    Ambiguous,
    /// The key of an earlier request that asked for something else.
    KeyReused,
    /// Zero workers.
    ZeroWorkers,
    /// The API server refused the change.
    Refused,
    /// Too many requests.
    RateLimited,
    /// A bug of ours.
    Internal,
    /// Domino or the API server does not answer as it should.
    Unavailable,
}

impl Code {
    /// As programs read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::InvalidKind => "invalid_kind",
            Self::InvalidTier => "invalid_hw_tier",
            Self::Unauthenticated => "unauthenticated",
            Self::KubernetesToken => "kubernetes_token",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "request_timeout",
            Self::NotScalable => "not_scalable",
            Self::InvalidAutoscaling => "invalid_autoscaling",
            Self::Conflict => "conflict",
            Self::UnsupportedTier => "unsupported_hw_tier",
            Self::TooLarge => "body_too_large",
            Self::UnsupportedMedia => "unsupported_media_type",
            Self::AboveCeiling => "above_ceiling",
            Self::AboveMax => "above_max",
            Self::BelowMin => "below_min",
            Self::NoSuchWorker => "no_such_worker",
            Self::AutoscalerOwns => "autoscaler_owns_replicas",
            Self::ParentOwns => "parent_owns_replicas",
            Self::Suspended => "suspended",
            Self::ManagedElsewhere => "managed_elsewhere",
            Self::Ambiguous => "ambiguous_name",
            Self::KeyReused => "idempotency_key_reused",
            Self::ZeroWorkers => "zero_workers",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::Unavailable => "upstream_unavailable",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::InvalidKind | Self::InvalidTier => 400,
            Self::Unauthenticated | Self::KubernetesToken => 401,
            Self::Unauthorized => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::NotScalable
            | Self::InvalidAutoscaling
            | Self::Conflict
            | Self::UnsupportedTier
            | Self::AutoscalerOwns
            | Self::ParentOwns
            | Self::Suspended
            | Self::ManagedElsewhere
            | Self::Ambiguous => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMedia => 415,
            Self::AboveCeiling
            | Self::AboveMax
            | Self::BelowMin
            | Self::NoSuchWorker
            | Self::KeyReused
            | Self::ZeroWorkers
            | Self::Refused => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// For programs.
    pub code: Code,
    /// For people: what was found, what is allowed, what to do.
    pub message: String,
    /// What admission has against it, one by one.
    pub causes: Vec<Cause>,
}

/// One objection of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cause {
    /// The field path.
    #[schema(example = "spec.workerGroupSpecs[0].maxReplicas")]
    pub field: String,
    /// What was found, what is allowed, how to mend it.
    pub message: String,
    /// The id of the rule, for `raywarden explain`; empty where the API server objects.
    #[schema(example = "replicas/above-max")]
    pub rule: String,
    /// The administrator's policy that asks for it; absent where the rule holds without one.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "gpu-budget", required = false)]
    pub policy: String,
}

impl Cause {
    /// What a rule of ours says.
    pub fn of(finding: &Finding) -> Self {
        Self {
            field: finding.at.to_string(),
            message: finding.message(),
            rule: finding.rule.as_str().to_owned(),
            policy: finding.policy.as_deref().unwrap_or("").to_owned(),
        }
    }
}

/// The most characters of admission's words that are passed on in one message.
pub const MOST_WORDS: usize = 1024;

/// Objections in one line for people: where, what, and who asks for it; cut where it grows too long.
pub fn in_words(causes: &[Cause]) -> String {
    let one = |cause: &Cause| {
        let at = if cause.field.is_empty() { "" } else { ": " };
        let source = match (cause.rule.as_str(), cause.policy.as_str()) {
            ("", _) => String::new(),
            (rule, "") => format!(" [{rule}]"),
            (rule, policy) => format!(" [{rule}, policy {policy}]"),
        };
        format!("{}{at}{}{source}", cause.field, cause.message)
    };
    let words = causes.iter().map(one).collect::<Vec<_>>().join("; ");
    words.chars().take(MOST_WORDS).collect()
}

impl Fault {
    /// A fault in these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new() }
    }

    /// The same with what admission has against it.
    #[must_use]
    pub fn because(mut self, causes: Vec<Cause>) -> Self {
        self.causes = causes;
        self
    }

    /// Something about the request that cannot be read.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// Something that we depend on does not answer as it should.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }
}
