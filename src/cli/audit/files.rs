//! Files instead of a cluster.

use std::path::PathBuf;

use anyhow::bail;

use super::super::manifest::{self, Piece};
use super::super::output;
use super::Rules;
use super::record::Records;

/// Judges every object of the files; whether everything could be read. What could not is said on
/// standard error.
pub(super) fn read(
    paths: &[PathBuf],
    namespace: Option<&str>,
    rules: &Rules,
    records: &mut Records,
) -> anyhow::Result<bool> {
    let mut complete = true;
    manifest::read_all(paths, &mut |piece| match piece {
        Piece::Ray(object) => {
            records.judge(rules, namespace.unwrap_or("default"), object.value, true);
        }
        Piece::Problem(problem) => {
            complete &= !problem.is_error();
            output::note(&problem.line());
        }
        Piece::Review(_) | Piece::Policy(_) | Piece::Other => records.others += 1,
    });
    if records.objects.is_empty() && complete {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("{} holds no object of a Ray kind", names.join(", "));
    }
    Ok(complete)
}
