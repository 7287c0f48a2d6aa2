//! The report for people: each finding at its line, then what would be changed.

use std::fmt::Write as _;

use super::super::excerpt::{Excerpt, printable};
use super::super::manifest::Target;
use super::super::paint::Paint;
use super::judge::Judged;
use super::report::{Summary, is_quiet, told, would};
use crate::admission::wording::change;
use crate::model::{Finding, Op};

/// One object; `None` where there is nothing to say of it.
pub(super) fn object(judged: &Judged<'_>, paint: &Paint, quiet: bool) -> Option<String> {
    let denied = !judged.answer.allowed;
    let findings: Vec<(&Finding, bool)> = told(judged).collect();
    if quiet && !denied {
        return None;
    }
    let mut out = String::new();
    let mut placed: Vec<_> = findings
        .iter()
        .filter(|(_, refuses)| !quiet || *refuses)
        .map(|(finding, refuses)| (judged.target(finding), finding, *refuses))
        .collect();
    placed.sort_by_key(|(target, ..)| target.as_ref().map(|it| (it.start.line, it.start.column)));
    for (target, finding, refuses) in placed {
        draw(finding, refuses, target, judged, &mut out, paint);
    }
    let count = |wanted: fn(&Finding, bool) -> bool| {
        findings.iter().filter(|(finding, refuses)| wanted(finding, *refuses)).count()
    };
    let counts = [
        (count(|_, refuses| refuses), "fault"),
        (count(|finding, refuses| !refuses && !is_quiet(finding)), "warning"),
        (count(|finding, _| is_quiet(finding)), "audit finding"),
    ];
    verdict(judged, &counts, &mut out, paint);
    changes(judged, &mut out, paint);
    out.push('\n');
    Some(out)
}

fn draw(
    finding: &Finding,
    refuses: bool,
    target: Option<Target<'_>>,
    judged: &Judged<'_>,
    out: &mut String,
    paint: &Paint,
) {
    let (colour, word) = match (refuses, is_quiet(finding)) {
        (true, _) => (paint.error, "denied"),
        (false, true) => (paint.good, "audit"),
        (false, false) => (paint.warning, "warning"),
    };
    let found = printable(&finding.found);
    let prefix = would(finding, refuses);
    let _ = writeln!(out, "{colour}{word}{}[{}]: {prefix}{found}", paint.off, finding.source());
    let label = finding.at.to_string();
    match target {
        Some(target) => {
            let label = if target.exact { label } else { format!("{label} is not there") };
            Excerpt {
                from: target.from,
                file: judged.page.file,
                mark: target.mark,
                context: target.context,
                label: &label,
            }
            .draw(out, paint);
        }
        None => {
            let _ = writeln!(out, "  at {}:{}: {label}", printable(judged.page.file), judged.line);
        }
    }
    for (word, text) in [("allowed", &finding.allowed), ("fix", &finding.fix)] {
        if !text.is_empty() {
            let _ = writeln!(out, "  {word}: {}", printable(text));
        }
    }
    out.push('\n');
}

fn verdict(judged: &Judged<'_>, counts: &[(usize, &str)], out: &mut String, paint: &Paint) {
    let answer = &judged.answer;
    let (colour, word) =
        if answer.allowed { (paint.good, "admitted") } else { (paint.error, "denied") };
    let name = judged.name();
    let _ =
        write!(out, "{}{}{}: {colour}{word}{}", paint.bold, printable(&name), paint.off, paint.off);
    if let Some(why) = answer.passed {
        let _ = write!(out, " ({why}: no rule asked)");
    }
    for (count, noun) in counts {
        if *count > 0 {
            let _ = write!(out, ", {}", counted(*count, noun));
        }
    }
    let _ = writeln!(out, "  {}:{}", printable(judged.page.file), judged.line);
    if let Some(chart) = judged.page.chart_source() {
        let _ = writeln!(out, "  rendered from {}", printable(chart));
    }
}

fn changes(judged: &Judged<'_>, out: &mut String, paint: &Paint) {
    let answer = &judged.answer;
    let (ops, word): (&[Op], &str) = if answer.patch.is_empty() {
        (&answer.unpatched, "in enforce mode would change")
    } else {
        (&answer.patch, "the webhook changes")
    };
    if ops.is_empty() || !answer.allowed {
        return;
    }
    let _ = writeln!(out, "  {word}:");
    for op in ops {
        let line = format!("{}: {}", op.at(), change(op, judged.value_at(op.at())));
        let _ = writeln!(out, "    {}{}{}", paint.good, printable(&line), paint.off);
    }
}

/// The last line.
pub(super) fn closing(summary: &Summary, paint: &Paint) -> String {
    if summary.objects == 0 {
        return String::new();
    }
    let admitted = summary.objects - summary.denied;
    let mut out = format!("{}{}{}: ", paint.bold, counted(summary.objects, "object"), paint.off);
    if summary.denied > 0 {
        let _ = write!(out, "{}{} denied{}, ", paint.error, summary.denied, paint.off);
    }
    let _ = write!(out, "{admitted} admitted");
    if summary.patched > 0 {
        let _ = write!(out, " ({} patched)", summary.patched);
    }
    let _ = write!(out, ", {}", counted(summary.warnings, "warning"));
    if summary.skipped > 0 {
        let _ = write!(out, ", {} of other kinds skipped", summary.skipped);
    }
    if summary.errors > 0 {
        let _ = write!(out, ", {} not read", summary.errors);
    }
    out.push('\n');
    out
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
