//! Files instead of a cluster.

use std::path::PathBuf;

use anyhow::bail;

use super::super::input::Inputs;
use super::super::manifest::{self, Piece};
use super::super::output;
use super::super::problem::Problem;
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
    let mut complain = |problem: &Problem| {
        complete &= !problem.is_error();
        output::note(&problem.line());
    };
    for source in Inputs::new(paths) {
        let source = match source {
            Ok(source) => source,
            Err(problem) => {
                complain(&problem);
                continue;
            }
        };
        for share in source.shares() {
            manifest::read(&source, &share, &mut |piece| match piece {
                Piece::Ray(object) => {
                    records.judge(rules, namespace.unwrap_or("default"), object.value, true);
                }
                Piece::Problem(problem) => complain(&problem),
                Piece::Review(_) | Piece::Other => records.others += 1,
            });
        }
    }
    if records.objects.is_empty() && complete {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("{} holds no object of a Ray kind", names.join(", "));
    }
    Ok(complete)
}
