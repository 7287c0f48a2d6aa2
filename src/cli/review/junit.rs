//! `JUnit` XML: one test case per object, a failure where it is denied.

use std::fmt::Write as _;

use super::super::problem::Problem;
use super::judge::Judged;
use super::report::told;

/// Everything before the first case.
pub(super) fn opening() -> String {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"raywarden review\">\n"
        .to_owned()
}

/// One object.
pub(super) fn case(judged: &Judged<'_>) -> String {
    let mut causes = String::new();
    let mut warnings = String::new();
    for (finding, denied) in told(judged) {
        let to = if denied { &mut causes } else { &mut warnings };
        let _ = writeln!(to, "{}: {} [{}]", finding.at, finding.message(), finding.rule);
    }
    let mut out = format!(
        "<testcase classname=\"{}\" name=\"{}\" line=\"{}\">\n",
        escaped(judged.page.file),
        escaped(&judged.name()),
        judged.line
    );
    if !causes.is_empty() {
        let _ = writeln!(out, "<failure message=\"denied\">{}</failure>", escaped(&causes));
    }
    if !warnings.is_empty() {
        let _ = writeln!(out, "<system-out>{}</system-out>", escaped(&warnings));
    }
    out.push_str("</testcase>\n");
    out
}

/// Everything behind the last case: what could not be read is an error of its own.
pub(super) fn closing(problems: &[Problem]) -> String {
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
