//! How findings are said on the wire: causes of a denial, warnings, what audit mode would have done.
//!
//! Warnings are grouped by rule, at most ten, each at most 256 printable ASCII characters; the API
//! server cuts longer ones.

use serde_json::Value;

use super::{Answer, Subject};
use crate::model::finding::quoted;
use crate::model::names::SIDECAR;
use crate::model::{Finding, Op, Pointer, Severity};

/// The most warnings of one answer.
pub const MOST_WARNINGS: usize = 10;

/// The most characters of one warning.
pub const LONGEST_WARNING: usize = 256;

/// The cause that stands behind the finding's field path. Causes of a generated child name its
/// parent and the field there, which is the one to mend.
pub fn cause(answer: &Answer, finding: &Finding) -> String {
    let spec = Pointer::of(["spec"]);
    let there = answer.parent.as_ref().and_then(|parent| {
        let at = finding.at.rebased(&spec, &parent.spec)?;
        Some(format!("{} {}: {at}: ", parent.kind, parent.name))
    });
    format!("{}{}", there.unwrap_or_default(), finding.cause())
}

/// The warnings of an answer, ready for kubectl.
pub fn warnings(answer: &Answer) -> Vec<String> {
    let mut groups: Vec<(&Finding, usize)> = Vec::new();
    for finding in said(answer) {
        match groups
            .iter_mut()
            .find(|(first, _)| first.rule == finding.rule && first.policy == finding.policy)
        {
            Some((_, count)) => *count += 1,
            None => groups.push((finding, 1)),
        }
    }
    let mut lines: Vec<String> = groups.iter().map(|(first, count)| line(first, *count)).collect();
    lines.extend(would(answer));
    if lines.len() > MOST_WARNINGS {
        let left = lines.len() - (MOST_WARNINGS - 1);
        lines.truncate(MOST_WARNINGS - 1);
        lines.push(format!("and {left} more; raywarden review -f FILE shows all of them"));
    }
    lines.iter().map(|line| shortened(line)).collect()
}

/// What is worth a warning: warnings, and in audit mode what would have been refused.
fn said(answer: &Answer) -> impl Iterator<Item = &Finding> {
    let audited = answer.audited && answer.actor.is_person();
    let would_deny = move |finding: &&Finding| {
        finding.severity == Severity::Warn || (audited && finding.severity == Severity::Deny)
    };
    answer.findings.iter().filter(would_deny)
}

fn line(first: &Finding, count: usize) -> String {
    let verdict = if first.severity == Severity::Deny { "would deny: " } else { "" };
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    let tail = format!("{more} [{}]", first.source());
    let head = format!("{verdict}{}: {}", first.at, first.message());
    format!("{}{tail}", cropped(&ascii(&head), LONGEST_WARNING - tail.len()))
}

/// What mutation would have changed, where it changed nothing; an injection is one line.
fn would(answer: &Answer) -> Vec<String> {
    if !answer.actor.is_person() {
        return Vec::new();
    }
    let (injected, plain): (Vec<&Op>, Vec<&Op>) =
        answer.unpatched.iter().partition(|op| is_injection(op));
    let mut lines: Vec<String> = plain.into_iter().map(would_set).collect();
    if let Some(first) = injected.first() {
        let parts = injected.len();
        lines.push(format!(
            "would inject the autoscaler sidecar at {} ({parts} changes)",
            first.at()
        ));
    }
    lines
}

fn would_set(op: &Op) -> String {
    match op {
        Op::Add { at, value, .. } | Op::Replace { at, value } => {
            format!("would set {at} to {}", quoted(value))
        }
        Op::Remove { at } => format!("would take out {at}"),
    }
}

/// Whether an operation belongs to the sidecar and not to a count.
pub fn is_injection(op: &Op) -> bool {
    ["headGroupSpec", "autoscalerOptions"]
        .iter()
        .any(|part| op.at().below(&Pointer::of(["spec", part])).is_some())
}

/// What an operation of a patch does, in words. `before` is the value that stands there.
pub fn change(op: &Op, before: Option<&Value>) -> String {
    match (op, before) {
        (Op::Replace { value, .. }, Some(before)) => {
            format!("{} -> {}", quoted(before), quoted(value))
        }
        (Op::Add { value, .. } | Op::Replace { value, .. }, _) => added(value),
        (Op::Remove { .. }, _) => "take out".to_owned(),
    }
}

/// What is put where nothing was; named entries by their names.
fn added(value: &Value) -> String {
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    let names = match value {
        Value::Array(entries) => entries.iter().map(name).collect::<Option<Vec<_>>>(),
        Value::Object(map) if !map.contains_key("name") => {
            return format!("set to {}", cropped(&value.to_string(), LONGEST_VALUE));
        }
        _ => name(value).map(|name| vec![name]),
    };
    match names.as_deref() {
        Some([name]) if name == SIDECAR => format!("add container {SIDECAR}"),
        Some(names) if !names.is_empty() => format!("add {}", names.join(", ")),
        _ => format!("set to {}", quoted(value)),
    }
}

/// The most characters of an object that a line shows.
const LONGEST_VALUE: usize = 120;

fn shortened(line: &str) -> String {
    cropped(&ascii(line), LONGEST_WARNING)
}

/// Printable ASCII alone: the API server drops warnings with anything else.
fn ascii(line: &str) -> String {
    line.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

fn cropped(line: &str, most: usize) -> String {
    if line.len() <= most {
        return line.to_owned();
    }
    let kept: String = line.chars().take(most.saturating_sub(3)).collect();
    format!("{kept}...")
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
