//! The table for people: objects with findings, then each rule's and each policy's count, what was
//! not judged and why, then one line of sums.
//!
//! Invariants: no line is wider than the width, except by one word; nothing of an object moves the
//! cursor of a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::super::excerpt::printable;
use super::super::output::{self, Out};
use super::super::record::Record;
use super::record::{Effect, Gone, Records};
use crate::model::RuleId;
use crate::plan::audit::found::Counts;

/// Columns from which on a rule has a column of its own; below, a field path would not fit beside it.
const ROOMY: u16 = 100;

/// Stands for the rule where mutation speaks, which has none.
const CHANGED: &str = "(by a write)";

/// The longest list of findings that are gone.
const MOST_GONE: usize = 20;

/// The whole report, `width` columns wide.
pub(super) fn report<W: Write>(records: &Records, width: u16, out: &mut Out<W>) -> io::Result<()> {
    for record in records.objects.iter().filter(|record| !record.lines.is_empty()) {
        out.put(&*printable(&object(record, width)))?;
    }
    let mut end = by_rule(records);
    end.push_str(&by_policy(records));
    for gone in records.gone.iter().take(MOST_GONE) {
        let _ = writeln!(end, "Gone: {}", told(gone));
    }
    for line in left_out(records) {
        let _ = writeln!(end, "{line}");
    }
    summary(records, &mut end);
    out.put(&*printable(&end))
}

fn object(record: &Record, width: u16) -> String {
    let mut table = output::table(width);
    for line in &record.lines {
        let weight = format!("  {}", line.severity.as_str());
        let rule = line.rule.map_or(CHANGED, RuleId::as_str);
        // One cell for both: a field path alone would be broken within words.
        let mut text = format!("{}: {}", line.field, line.message);
        if let Some(policy) = &line.policy {
            let _ = write!(text, " (policy {policy})");
        }
        if let Some(first) = line.first_seen {
            let _ = write!(text, " (since {})", first.strftime("%F"));
        }
        if width < ROOMY {
            table.add_row([weight.as_str(), &format!("{rule}\n{text}")]);
        } else {
            table.add_row([weight.as_str(), rule, &text]);
        }
    }
    format!("{}\n{}\n", record.title(), output::drawn(&table))
}

/// How often each rule speaks; nothing where none does.
fn by_rule(records: &Records) -> String {
    let mut rules: BTreeMap<&str, Counts> = BTreeMap::new();
    for line in records.objects.iter().flat_map(|record| &record.lines) {
        rules.entry(line.rule.map_or(CHANGED, RuleId::as_str)).or_default().add(line.severity);
    }
    if rules.is_empty() {
        return String::new();
    }
    let mut out = "By rule:\n".to_owned();
    for (rule, Counts { deny, warn, audit }) in rules {
        let _ =
            writeln!(out, "  {deny:>4} to refuse {warn:>4} to warn {audit:>4} to audit  {rule}");
    }
    out.push('\n');
    out
}

/// What each policy would do; nothing where there is none.
fn by_policy(records: &Records) -> String {
    let effects = records.by_policy();
    if effects.is_empty() {
        return String::new();
    }
    let mut out = "By policy:\n".to_owned();
    for (name, Effect { about, breaking }) in effects {
        let Counts { deny, warn, audit } = breaking;
        let noun = if about == 1 { "object" } else { "objects" };
        let _ = match (about, breaking.all()) {
            (0, _) => writeln!(out, "  {name}: about no object here; look at its match"),
            (_, 0) => writeln!(out, "  {name}: about {about} {noun}, none breaks it"),
            (_, all) => writeln!(
                out,
                "  {name}: about {about} {noun}, broken by {all}: {deny} to refuse, {warn} to warn, \
                 {audit} to audit"
            ),
        };
    }
    out.push('\n');
    out
}

fn told(gone: &Gone) -> String {
    let Gone { object, finding } = gone;
    let rule = if finding.rule.is_empty() { CHANGED } else { &finding.rule };
    format!("{} {}/{}: {}: {rule}", object.kind, object.namespace, object.name, finding.field)
}

/// What was not judged, or is of no account, and why.
pub(super) fn left_out(records: &Records) -> Vec<String> {
    let Records { leaving, others, known, older, undated, .. } = records;
    let mut lines = Vec::new();
    if !records.absent.is_empty() {
        lines.push(format!("Not served here: {}", records.absent.join(", ")));
    }
    for (number, what) in [(leaving, "being deleted"), (others, "of other kinds")] {
        if *number > 0 {
            lines.push(format!("Skipped: {number} {what}"));
        }
    }
    let mut findings = |number: usize, what: &str| {
        if number > 0 {
            let noun = if number == 1 { "finding" } else { "findings" };
            lines.push(format!("{number} {noun} {what}"));
        }
    };
    findings(*known, "of the baseline still there, not counted");
    findings(records.gone.len(), "of the baseline gone");
    findings(*older, "first seen before --since, not counted");
    if *older > 0 || *undated > 0 {
        findings(*undated, "in no report yet, counted as new");
    }
    lines
}

/// Always the last line, always of this form; the parts add up to the first figure.
fn summary(records: &Records, out: &mut String) {
    let mut heaviest = Counts::default();
    records.objects.iter().filter_map(Record::weight).for_each(|weight| heaviest.add(weight));
    let Counts { deny, warn, audit } = heaviest;
    let clean = records.objects.len() - heaviest.all();
    let skipped = records.leaving + records.others;
    let all = records.objects.len() + skipped;
    let noun = if all == 1 { "object" } else { "objects" };
    let _ = writeln!(
        out,
        "{all} {noun}: {deny} to refuse, {warn} to warn, {audit} to audit, {clean} clean, {skipped} skipped"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::record::Line;
    use super::*;
    use crate::model::Severity;
    use crate::plan::audit::{Identity, ObjectKey};

    fn record(name: &str, lines: Vec<(Severity, Option<RuleId>)>) -> Record {
        let line = |(severity, rule)| Line {
            severity,
            rule,
            policy: None,
            field: "spec.workerGroupSpecs[0].replicas".to_owned(),
            message: "nine is above five, and five is what was written. ".repeat(4),
            first_seen: None,
        };
        Record {
            api_version: "ray.io/v1".to_owned(),
            kind: "RayCluster".to_owned(),
            namespace: "team-a".to_owned(),
            name: name.to_owned(),
            lines: lines.into_iter().map(line).collect(),
            ..Record::default()
        }
    }

    fn report(records: &Records, width: u16) -> String {
        let mut bytes = Vec::new();
        let mut out = Out::new(&mut bytes);
        super::report(records, width, &mut out).unwrap();
        out.flush().unwrap();
        drop(out);
        String::from_utf8(bytes).unwrap()
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
                record("told", vec![(Severity::Audit, Some(RuleId::MIN_MAX))]),
            ],
            leaving: 1,
            others: 2,
            absent: vec!["rayjobs.ray.io".to_owned()],
            ..Records::default()
        }
    }

    #[test]
    fn the_last_line_adds_up() {
        let said = report(&records(), 100);
        let last = said.lines().last().unwrap();
        let counts = "1 to refuse, 1 to warn, 1 to audit, 1 clean, 3 skipped";
        assert_eq!(last, format!("7 objects: {counts}"));
        let none = report(&Records::default(), 100);
        let counts = "0 to refuse, 0 to warn, 0 to audit, 0 clean, 0 skipped";
        assert_eq!(none, format!("0 objects: {counts}\n"));
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
    fn what_is_of_no_account_is_counted_and_what_is_gone_is_named() {
        let object = ObjectKey {
            group: "ray.io".to_owned(),
            kind: "RayCluster".to_owned(),
            namespace: "team-a".to_owned(),
            name: "old".to_owned(),
        };
        let finding = Identity {
            rule: "bounds/min-max".to_owned(),
            policy: String::new(),
            field: "spec".to_owned(),
        };
        let gone = vec![Gone { object, finding }; MOST_GONE + 1];
        let records = Records { known: 1, gone, older: 2, undated: 3, ..records() };
        let report = report(&records, 100);
        let named = "Gone: RayCluster team-a/old: spec: bounds/min-max";
        assert_eq!(report.lines().filter(|line| *line == named).count(), MOST_GONE);
        for line in [
            "1 finding of the baseline still there, not counted",
            "21 findings of the baseline gone",
            "2 findings first seen before --since, not counted",
            "3 findings in no report yet, counted as new",
        ] {
            assert!(report.lines().any(|each| each == line), "no {line:?} in {report}");
        }
    }

    #[test]
    fn each_policy_is_told_with_what_it_is_about_and_what_breaks_it() {
        let names: Vec<Arc<str>> = ["broken", "kept", "nowhere"].map(Arc::from).to_vec();
        let mut records = Records { policies: names.clone(), ..records() };
        for record in &mut records.objects {
            record.policies = names.iter().take(2).cloned().collect();
            for line in &mut record.lines {
                line.policy = Some(Arc::clone(&names[0]));
            }
        }
        let report = report(&records, 100);
        for line in [
            "  broken: about 4 objects, broken by 3: 1 to refuse, 1 to warn, 1 to audit",
            "  kept: about 4 objects, none breaks it",
            "  nowhere: about no object here; look at its match",
        ] {
            assert!(report.lines().any(|each| each == line), "no {line:?} in {report}");
        }
    }

    #[test]
    fn rules_and_changes_are_summed_by_name() {
        let report = report(&records(), 100);
        for line in [
            "     1 to refuse    1 to warn    1 to audit  bounds/min-max\n",
            "     0 to refuse    1 to warn    0 to audit  (by a write)\n",
        ] {
            assert!(report.contains(line), "{report}");
        }
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
