//! Reports for machines, of `review` and of `audit` alike.
//!
//! Input: [`Record`]s, one after the other, and [`Problem`]s in the end. Output: SARIF or `JUnit`, so
//! that neither command has to hold the whole report.
//!
//! [`Record`]: super::record::Record
//! [`Problem`]: super::problem::Problem

pub(super) mod junit;
pub(super) mod sarif;
