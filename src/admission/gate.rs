//! What is never touched, decided before anything of `spec` is read.

use std::fmt;

/// Why a request passed without a rule being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A kind that is not ours.
    ForeignKind,
}

impl Why {
    /// The word used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForeignKind => "foreign-kind",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
