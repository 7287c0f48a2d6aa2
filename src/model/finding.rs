//! What a rule has to say about one place of one object.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Pointer, RuleId};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// For metrics and audit annotations; no report shows it.
    Note,
    /// For reports, metrics and audit annotations; nobody is interrupted.
    Audit,
    /// Let through; a person is told.
    Warn,
    /// Refused.
    Deny,
}

impl Severity {
    /// The word used in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// A rule, a place, and the three things a tired person needs: what is there, what is allowed, what
/// to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Which rule speaks.
    pub rule: RuleId,
    /// The administrator's policy that asks for it; `None` where the rule holds without one.
    pub policy: Option<Arc<str>>,
    /// How much it weighs.
    pub severity: Severity,
    /// Where.
    pub at: Pointer,
    /// What was found there, values included.
    pub found: String,
    /// What may be there; may be empty where `found` says it already.
    pub allowed: String,
    /// How to mend it.
    pub fix: String,
}

impl Finding {
    /// A refusal.
    pub fn deny(
        rule: RuleId,
        at: Pointer,
        found: impl Into<String>,
        allowed: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            policy: None,
            severity: Severity::Deny,
            at,
            found: found.into(),
            allowed: allowed.into(),
            fix: fix.into(),
        }
    }

    /// A warning.
    pub fn warn(
        rule: RuleId,
        at: Pointer,
        found: impl Into<String>,
        allowed: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::deny(rule, at, found, allowed, fix).with(Severity::Warn)
    }

    /// The same finding with another weight.
    #[must_use]
    pub fn with(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Found, allowed and fix as one sentence, without the place and the rule.
    pub fn message(&self) -> String {
        let mut out = self.found.clone();
        if !self.allowed.is_empty() {
            let _ = write!(out, "; allowed: {}", self.allowed);
        }
        if !self.fix.is_empty() {
            let _ = write!(out, "; {}", self.fix);
        }
        out
    }

    /// The rule's id, and the policy where one asks for it.
    pub fn source(&self) -> String {
        match &self.policy {
            Some(policy) => format!("{}, policy {policy}", self.rule),
            None => self.rule.to_string(),
        }
    }

    /// The message with the rule's id, as it stands behind a field path in a denial.
    pub fn cause(&self) -> String {
        format!("{} [raywarden {}]", self.message(), self.source())
    }
}

/// A value from a manifest as it may stand in a message: shortened, never a whole object.
pub fn quoted(value: &serde_json::Value) -> String {
    const LIMIT: usize = 80;
    let text = match value {
        serde_json::Value::Object(_) => "an object".to_owned(),
        serde_json::Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= LIMIT {
        return text;
    }
    let cropped: String = text.chars().take(LIMIT - 3).collect();
    format!("{cropped}...")
}
