//! Who writes.
