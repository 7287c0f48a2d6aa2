//! The table for people: objects with findings, then each rule's count, what was not judged and why,
//! then one line of sums.
//!
//! Invariants: no line is wider than the width, except by one word; nothing of an object moves the
//! cursor of a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::excerpt::printable;
use super::super::output;
use super::record::{Record, Records};
use crate::model::{RuleId, Severity};

/// Columns from which on a rule has a column of its own; below, a field path would not fit beside it.
const ROOMY: u16 = 100;

/// Stands for the rule where mutation speaks, which has none.
const CHANGED: &str = "(by a write)";

/// The whole report, `width` columns wide.
pub(super) fn report(records: &Records, width: u16) -> String {
    let mut out = String::new();
    for record in records.objects.iter().filter(|record| !record.lines.is_empty()) {
        object(record, width, &mut out);
    }
    let rules = by_rule(records);
    if !rules.is_empty() {
        let _ = writeln!(out, "By rule:");
        for (rule, (deny, warn)) in rules {
            let _ = writeln!(out, "  {deny:>4} to refuse {warn:>4} to warn  {rule}");
        }
        out.push('\n');
    }
    left_out(records, &mut out);
    summary(records, &mut out);
    printable(&out).into_owned()
}

fn object(record: &Record, width: u16, out: &mut String) {
    let Record { kind, namespace, name, .. } = record;
    let _ = writeln!(out, "{kind} {namespace}/{name}");
    let mut table = output::table(width);
    for line in &record.lines {
        let weight = format!("  {}", line.severity.as_str());
        let rule = line.rule.map_or(CHANGED, RuleId::as_str);
        // One cell for both: a field path alone would be broken within words.
        let text = format!("{}: {}", line.field, line.message);
        if width < ROOMY {
            table.add_row([weight.as_str(), &format!("{rule}\n{text}")]);
        } else {
            table.add_row([weight.as_str(), rule, &text]);
        }
    }
    out.push_str(&output::drawn(&table));
    out.push('\n');
}

fn by_rule(records: &Records) -> BTreeMap<&'static str, (usize, usize)> {
    let mut rules: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in records.objects.iter().flat_map(|record| &record.lines) {
        let count = rules.entry(line.rule.map_or(CHANGED, RuleId::as_str)).or_default();
        match line.severity {
            Severity::Deny => count.0 += 1,
            Severity::Warn | Severity::Audit | Severity::Note => count.1 += 1,
        }
    }
    rules
}

/// What was not judged, and why.
fn left_out(records: &Records, out: &mut String) {
    if !records.absent.is_empty() {
        let _ = writeln!(out, "Not served here: {}", records.absent.join(", "));
    }
    for (number, what) in [(records.leaving, "being deleted"), (records.others, "of other kinds")] {
        if number > 0 {
            let _ = writeln!(out, "Skipped: {number} {what}");
        }
    }
}

/// Always the last line, always of this form; the parts add up to the first figure.
fn summary(records: &Records, out: &mut String) {
    let count = |weight| records.objects.iter().filter(|it| it.weight() == weight).count();
    let skipped = records.leaving + records.others;
    let all = records.objects.len() + skipped;
    let noun = if all == 1 { "object" } else { "objects" };
    let _ = writeln!(
        out,
        "{all} {noun}: {} with refusals, {} with warnings, {} clean, {skipped} skipped",
        count(Some(Severity::Deny)),
        count(Some(Severity::Warn)),
        count(None)
    );
}

#[cfg(test)]
mod tests {
    use super::super::record::Line;
    use super::*;

    fn record(name: &str, lines: Vec<(Severity, Option<RuleId>)>) -> Record {
        let line = |(severity, rule)| Line {
            severity,
            rule,
            field: "spec.workerGroupSpecs[0].replicas".to_owned(),
            message: "nine is above five, and five is what was written. ".repeat(4),
        };
        Record {
            api_version: "ray.io/v1".to_owned(),
            kind: "RayCluster".to_owned(),
            namespace: "team-a".to_owned(),
            name: name.to_owned(),
            lines: lines.into_iter().map(line).collect(),
        }
    }

    fn records() -> Records {
        Records {
            objects: vec![
                record("good", vec![]),
                record(
                    "bad",
                    vec![(Severity::Deny, Some(RuleId::MIN_MAX)), (Severity::Warn, None)],
                ),
                record("so\u{1b}[2Jso", vec![(Severity::Warn, Some(RuleId::MIN_MAX))]),
            ],
            leaving: 1,
            others: 2,
            absent: vec!["rayjobs.ray.io".to_owned()],
        }
    }

    #[test]
    fn the_last_line_adds_up() {
        let report = report(&records(), 100);
        let last = report.lines().last().unwrap();
        assert_eq!(last, "6 objects: 1 with refusals, 1 with warnings, 1 clean, 3 skipped");
        let none = super::report(&Records::default(), 100);
        assert_eq!(none, "0 objects: 0 with refusals, 0 with warnings, 0 clean, 0 skipped\n");
    }

    #[test]
    fn what_was_not_judged_is_said_with_its_reason() {
        let report = report(&records(), 100);
        for line in [
            "Not served here: rayjobs.ray.io",
            "Skipped: 1 being deleted",
            "Skipped: 2 of other kinds",
        ] {
            assert!(report.lines().any(|each| each == line), "{report}");
        }
    }

    #[test]
    fn rules_and_changes_are_summed_by_name() {
        let report = report(&records(), 100);
        assert!(report.contains("     1 to refuse    1 to warn  bounds/min-max\n"), "{report}");
        assert!(report.contains("     0 to refuse    1 to warn  (by a write)\n"), "{report}");
    }

    #[test]
    fn lines_keep_to_the_width_and_clean_objects_to_themselves() {
        for width in [70, 80, 100, 200] {
            let report = report(&records(), width);
            let widest = report.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} > {width}:\n{report}");
            assert!(!report.contains("good"));
        }
    }

    #[test]
    fn a_field_stays_whole_where_there_is_little_room() {
        for width in [70, 80, 99, 100] {
            assert!(report(&records(), width).contains(" spec.workerGroupSpecs[0].replicas: "));
        }
    }

    #[test]
    fn no_name_reaches_the_terminal_as_a_command() {
        assert!(!report(&records(), 100).contains('\u{1b}'));
    }
}
