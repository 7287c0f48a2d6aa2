//! The table for people: objects with findings, then each rule's count, then one line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::super::output;
use super::record::{Record, Records};
use crate::model::Severity;

/// The whole report.
pub(super) fn report(records: &Records) -> String {
    let mut out = String::new();
    for record in records.objects.iter().filter(|record| !record.lines.is_empty()) {
        object(record, &mut out);
    }
    let rules = by_rule(records);
    if !rules.is_empty() {
        let _ = writeln!(out, "By rule:");
        for (rule, (deny, warn)) in rules {
            let _ = writeln!(out, "  {deny:>4} to refuse {warn:>4} to warn  {rule}");
        }
        out.push('\n');
    }
    summary(records, &mut out);
    out
}

fn object(record: &Record, out: &mut String) {
    let Record { kind, namespace, name, .. } = record;
    let _ = writeln!(out, "{kind} {namespace}/{name}");
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(output::width());
    for line in &record.lines {
        let weight = if line.severity == Severity::Deny { "  deny" } else { "  warn" };
        let rule = line.rule.map_or("", |rule| rule.as_str());
        // One cell for both: a field path alone would be broken within words.
        let text = format!("{}: {}", line.field, line.message);
        table.add_row([weight, rule, &text]);
    }
    for line in table.to_string().lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
}

fn by_rule(records: &Records) -> BTreeMap<&'static str, (usize, usize)> {
    let mut rules: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in records.objects.iter().flat_map(|record| &record.lines) {
        let Some(rule) = line.rule else { continue };
        let count = rules.entry(rule.as_str()).or_default();
        match line.severity {
            Severity::Deny => count.0 += 1,
            Severity::Warn | Severity::Note => count.1 += 1,
        }
    }
    rules
}

fn summary(records: &Records, out: &mut String) {
    let count = |weight| records.objects.iter().filter(|it| it.weight() == weight).count();
    let noun = if records.objects.len() == 1 { "object" } else { "objects" };
    let _ = write!(
        out,
        "{} {noun}: {} with refusals, {} with warnings, {} clean",
        records.objects.len(),
        count(Some(Severity::Deny)),
        count(Some(Severity::Warn)),
        count(None)
    );
    for (number, what) in
        [(records.leaving, "being deleted"), (records.others, "of other kinds skipped")]
    {
        if number > 0 {
            let _ = write!(out, ", {number} {what}");
        }
    }
    if !records.absent.is_empty() {
        let _ = write!(out, "; not served here: {}", records.absent.join(", "));
    }
    out.push('\n');
}
