//! Files instead of a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;

use super::super::input::{Inputs, Source};
use super::super::manifest::{self, Object, Piece};
use super::super::output;
use super::super::problem::Problem;
use super::super::record::Place;
use super::Rules;
use super::record::Records;
use crate::plan::audit;
use crate::policy::Usage;

/// Where objects are that name no namespace.
const DEFAULT: &str = "default";

/// Judges every object of the files. What could not be read is said on standard error.
pub(super) fn read(
    paths: &[PathBuf],
    namespace: Option<&str>,
    rules: &mut Rules,
    records: &mut Records,
) -> anyhow::Result<()> {
    let namespace = namespace.unwrap_or(DEFAULT);
    if rules.policies.needs_usage() {
        // Read once and held: standard input does not come twice.
        let sources: Vec<_> = Inputs::new(paths).collect();
        rules.policies.usage = Arc::new(usage(&sources, namespace, rules));
        for source in sources {
            judge(source, namespace, rules, records);
        }
    } else {
        for source in Inputs::new(paths) {
            judge(source, namespace, rules, records);
        }
    }
    if records.objects.is_empty() && records.is_complete() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("{} holds no object of a Ray kind", names.join(", "));
    }
    Ok(())
}

/// What all clusters of the files may reach, by namespace.
fn usage(sources: &[Result<Source, Problem>], namespace: &str, rules: &Rules) -> Usage {
    let mut usage = Usage::default();
    for source in sources.iter().flatten() {
        manifest::read_source(source, &mut |piece| {
            if let Piece::Ray(Object { value, .. }) = piece {
                let question = audit::question(namespace, value, true);
                audit::count(&mut usage, &rules.settings, &question);
            }
        });
    }
    usage
}

fn judge(source: Result<Source, Problem>, namespace: &str, rules: &Rules, records: &mut Records) {
    manifest::read_file(source, &mut |piece| match piece {
        Piece::Ray(Object { value, page, base, line }) => {
            let request = audit::question(namespace, value, true);
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
}
