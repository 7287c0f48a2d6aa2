//! Rules beside the invariant, and the catalogue that explains all of them.

/// The administrators' policies, compiled; swapped as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    /// Warnings that describe a certain failure refuse instead.
    pub strict: bool,
}
