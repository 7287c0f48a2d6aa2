//! What goes wrong: a stable code for programs, a sentence for people, and a status.

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
    /// More workers than the installation allows.
    AboveCeiling,
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
            Self::AboveCeiling => "above_ceiling",
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
            | Self::UnsupportedTier => 409,
            Self::TooLarge => 413,
            Self::AboveCeiling | Self::ZeroWorkers | Self::Refused => 422,
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
}

impl Fault {
    /// A fault in these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
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
