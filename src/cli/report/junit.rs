//! `JUnit` XML: one test case per object, a failure where it has findings of the weight that fails.

use std::fmt::Write as _;

use super::super::problem::Problem;
use super::super::record::Record;
use crate::model::{RuleId, Severity};

/// Everything before the first case.
pub(in crate::cli) fn opening(command: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"raywarden {command}\">\n"
    )
}

/// One object; findings from `floor` on are its failure.
pub(in crate::cli) fn case(record: &Record, floor: Severity) -> String {
    let mut causes = String::new();
    let mut others = String::new();
    for line in &record.lines {
        let to = if line.severity >= floor { &mut causes } else { &mut others };
        let rule = line.rule.map_or("by a write", RuleId::as_str);
        let policy = line.policy.as_deref().map(|it| format!(", policy {it}")).unwrap_or_default();
        let _ = writeln!(to, "{}: {} [{rule}{policy}]", line.field, line.message);
    }
    // Readers gather cases by class: by file, or by namespace.
    let class = record.place.as_ref().map_or(&*record.namespace, |place| &place.file);
    let at = record.place.as_ref().map(|place| format!(" line=\"{}\"", place.line));
    let mut out = format!(
        "<testcase classname=\"{}\" name=\"{}\"{}>\n",
        escaped(class),
        escaped(&record.title()),
        at.unwrap_or_default()
    );
    if !causes.is_empty() {
        let word = if record.weight() == Some(Severity::Deny) { "denied" } else { "warned" };
        let _ = writeln!(out, "<failure message=\"{word}\">{}</failure>", escaped(&causes));
    }
    if !others.is_empty() {
        let _ = writeln!(out, "<system-out>{}</system-out>", escaped(&others));
    }
    out.push_str("</testcase>\n");
    out
}

/// Everything behind the last case: what could not be read is an error of its own.
pub(in crate::cli) fn closing(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems.iter().filter(|problem| problem.is_error()) {
        let _ = writeln!(
            out,
            "<testcase classname=\"{}\" name=\"readable\">\n<error message=\"unreadable\">{}</error>\n</testcase>",
            escaped(&problem.file),
            escaped(&problem.line())
        );
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

/// Text that XML can hold; what it cannot hold at all becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
