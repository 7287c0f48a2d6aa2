//! The page: what was kept of each object for it, with the findings that count.
//!
//! Input: [`Records`] that were read while [`Records::drawn`] was set. Output: HTML.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::problem::Problem;
use super::AuditArgs;
use super::record::Records;
use super::table::left_out;
use crate::clock::now;
use crate::page::{self, Fleet};

/// Files that are named on the page.
const NAMED: usize = 3;

/// The page. What was kept for it goes into it.
pub(super) fn report(records: &mut Records, args: &AuditArgs) -> String {
    let mut notes = left_out(records);
    notes.extend(records.problems.iter().map(Problem::line));
    let clusters = records.objects.iter_mut().filter_map(|record| {
        let mut cluster = record.page.take()?;
        Arc::make_mut(&mut cluster).keep(&record.lines);
        Some(cluster)
    });
    page::page(&Fleet {
        clusters: clusters.collect(),
        source: source(records, args),
        made: now(),
        notes,
    })
}

/// Where the objects were read.
fn source(records: &Records, args: &AuditArgs) -> String {
    let mut source = match (&*args.files, &args.context) {
        ([], Some(context)) => format!("{context} ({})", records.server),
        ([], None) => records.server.clone(),
        (files, _) => named(files),
    };
    if let Some(namespace) = &args.namespace {
        let _ = write!(source, ", namespace {namespace}");
    }
    source
}

fn named(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().take(NAMED).map(|it| it.display().to_string()).collect();
    let more = files.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", names.join(", "))
}
