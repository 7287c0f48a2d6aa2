//! Every core, in order.
//!
//! Files are read into batches of bounded size; the documents of a batch are dealt to as many
//! threads as there are cores, in stretches of about equal length, and the parts of the report come
//! back in document order.

use std::num::NonZero;
use std::thread;

use super::super::input::{Inputs, Share, Source};
use super::super::manifest::{self, Piece};
use super::super::problem::Problem;
use super::judge::Judge;
use super::report::{Part, Report};

/// Bytes of one batch.
const BATCH: usize = 1024 * 1024;

/// Bytes below which a second thread costs more than it gives.
const WORTH_A_THREAD: usize = 32 * 1024;

/// The parts of the report, a batch at a time.
pub(super) fn batches<'a>(
    judge: &'a Judge<'a>,
    report: &'a Report,
    mut inputs: Inputs,
) -> impl Iterator<Item = Vec<Part>> + 'a {
    std::iter::from_fn(move || {
        let mut sources = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH {
            let Some(source) = inputs.next() else { break };
            bytes += source.as_ref().map_or(0, |source| source.text.len());
            sources.push(source);
        }
        (!sources.is_empty()).then(|| batch(judge, report, &sources, bytes))
    })
}

/// A document, or what is said instead of one.
enum Job<'a> {
    Share(&'a Source, Share),
    Problem(&'a Problem),
}

impl Job<'_> {
    fn weight(&self) -> usize {
        match self {
            Self::Share(_, share) => share.span.len() + 64,
            Self::Problem(_) => 64,
        }
    }
}

fn batch(
    judge: &Judge<'_>,
    report: &Report,
    sources: &[Result<Source, Problem>],
    bytes: usize,
) -> Vec<Part> {
    let jobs: Vec<Job<'_>> = sources.iter().flat_map(jobs).collect();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(bytes / WORTH_A_THREAD + 1);
    if threads == 1 {
        return work(judge, report, &jobs);
    }
    thread::scope(|scope| {
        let shares = dealt(&jobs, threads);
        let workers: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || work(judge, report, share)))
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<Part>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    })
}

fn jobs(source: &Result<Source, Problem>) -> Vec<Job<'_>> {
    match source {
        Ok(source) => source.shares().map(|share| Job::Share(source, share)).collect(),
        Err(problem) => vec![Job::Problem(problem)],
    }
}

/// Stretches of about equal weight.
fn dealt<'a, 'b>(jobs: &'b [Job<'a>], threads: usize) -> Vec<&'b [Job<'a>]> {
    let total: usize = jobs.iter().map(Job::weight).sum();
    let fair = total / threads + 1;
    let mut dealt = Vec::with_capacity(threads);
    let (mut start, mut weight) = (0, 0);
    for (index, job) in jobs.iter().enumerate() {
        weight += job.weight();
        if weight >= fair {
            dealt.extend(jobs.get(start..=index));
            (start, weight) = (index + 1, 0);
        }
    }
    dealt.extend(jobs.get(start..).filter(|rest| !rest.is_empty()));
    dealt
}

fn work(judge: &Judge<'_>, report: &Report, jobs: &[Job<'_>]) -> Vec<Part> {
    let mut parts = Vec::new();
    for job in jobs {
        match job {
            Job::Problem(problem) => parts.push(Part::problem((*problem).clone())),
            Job::Share(source, share) => {
                let before = parts.len();
                manifest::read(source, share, &mut |piece| {
                    parts.push(part(judge, report, piece));
                });
                // An empty file that somebody named is a slip; one that a folder holds is not.
                let whole = share.line == 1 && share.span.len() == source.text.len();
                if source.named && whole && parts.len() == before {
                    let problem = Problem::error(&source.name, "nothing in it but blank lines")
                        .at_line(1)
                        .help("name a file with a manifest");
                    parts.push(Part::problem(problem));
                }
            }
        }
    }
    parts
}

fn part(judge: &Judge<'_>, report: &Report, piece: Piece<'_>) -> Part {
    let judged = match piece {
        Piece::Ray(object) | Piece::Policy(object) => judge.manifest(object),
        Piece::Review(object) => judge.admission(object),
        Piece::Other => return Part::skipped(),
        Piece::Problem(problem) => return Part::problem(problem),
    };
    match judged {
        Ok(judged) => report.part(&judged),
        Err(problem) => Part::problem(problem),
    }
}
