//! Files instead of a cluster.

use std::path::PathBuf;

use anyhow::bail;

use super::super::manifest::{self, Object, Piece};
use super::super::output;
use super::super::record::Place;
use super::Rules;
use super::record::Records;
use crate::plan::audit;

/// Judges every object of the files. What could not be read is said on standard error.
pub(super) fn read(
    paths: &[PathBuf],
    namespace: Option<&str>,
    rules: &Rules,
    records: &mut Records,
) -> anyhow::Result<()> {
    manifest::read_all(paths, &mut |piece| match piece {
        Piece::Ray(Object { value, page, base, line }) => {
            let request = audit::question(namespace.unwrap_or("default"), value, true);
            records.judge_placed(rules, request, |findings| {
                Some(Place::of(page, &base, line, findings))
            });
        }
        Piece::Problem(problem) => {
            output::note(&problem.line());
            records.problems.push(problem);
        }
        Piece::Review(_) | Piece::Policy(_) | Piece::Other => records.others += 1,
    });
    if records.objects.is_empty() && records.is_complete() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("{} holds no object of a Ray kind", names.join(", "));
    }
    Ok(())
}
