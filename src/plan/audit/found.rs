//! What an audit found of one object, ready for reports: dated, in order, capped.
//!
//! A finding keeps the moment at which it was first seen for as long as every audit finds it. The
//! heaviest come first; what is left out of the list is counted all the same.

use std::cmp::Reverse;
use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;

use super::{Identity, Line};
use crate::model::Severity;

/// The longest list of findings.
pub const MOST_FINDINGS: usize = 50;

/// The longest message.
const MOST_WORDS: usize = 1024;

/// How many findings of each weight there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To refuse.
    pub deny: usize,
    /// To warn.
    pub warn: usize,
    /// For reports alone.
    pub audit: usize,
}

impl Counts {
    /// One more.
    pub const fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Deny => self.deny += 1,
            Severity::Warn => self.warn += 1,
            Severity::Audit | Severity::Note => self.audit += 1,
        }
    }

    /// All of them.
    pub const fn all(self) -> usize {
        self.deny + self.warn + self.audit
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The heaviest findings, no more than [`MOST_FINDINGS`].
    pub lines: Vec<Line>,
    /// All of them.
    pub counts: Counts,
    /// Those that the list has no room for.
    pub left_out: usize,
}

impl Found {
    /// Of the lines of an audit.
    pub fn of(mut lines: Vec<Line>) -> Self {
        let mut counts = Counts::default();
        for line in &lines {
            counts.add(line.severity);
        }
        lines.sort_by_cached_key(|line| (Reverse(line.severity), line.identity()));
        let left_out = lines.len().saturating_sub(MOST_FINDINGS);
        lines.truncate(MOST_FINDINGS);
        for line in &mut lines {
            if let Some((end, _)) = line.message.char_indices().nth(MOST_WORDS) {
                line.message.truncate(end);
                line.message.push_str("...");
            }
        }
        Self { lines, counts, left_out }
    }

    /// Gives each finding that has none the moment at which it was first seen: the stored one, else
    /// `now`.
    pub fn date(&mut self, stored: &HashMap<Identity, Timestamp>, now: Timestamp) {
        for line in &mut self.lines {
            let known = || stored.get(&line.identity()).copied().unwrap_or(now);
            line.first_seen = Some(line.first_seen.unwrap_or_else(known));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::kept;
    use super::*;
    use crate::model::RuleId;

    fn line(severity: Severity, field: &str, message: &str) -> Line {
        Line {
            severity,
            rule: Some(RuleId::MIN_MAX),
            policy: None,
            field: field.to_owned(),
            message: message.to_owned(),
            first_seen: None,
        }
    }

    /// One audit over what the one before stored.
    fn audit(stored: Option<&Value>, lines: Vec<Line>, now: &str) -> Option<Value> {
        let mut found = Found::of(lines);
        found.date(&kept::dates(stored), now.parse().unwrap());
        kept::change(stored, &found)
    }

    const ONE: &str = "2026-01-01T00:00:00Z";
    const TWO: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn a_finding_keeps_its_moment_for_as_long_as_it_lasts() {
        let first = audit(None, vec![line(Severity::Deny, "a", "5 > 3")], ONE).unwrap();
        assert_eq!(first["findings"][0]["firstSeen"], ONE);
        let again = audit(Some(&first), vec![line(Severity::Deny, "a", "5 > 3")], TWO);
        assert_eq!(again, None, "time alone changes nothing");
        let both = vec![line(Severity::Warn, "b", "x"), line(Severity::Deny, "a", "6 > 3")];
        let second = audit(Some(&first), both, TWO).unwrap();
        let dates = kept::dates(Some(&second));
        assert_eq!(second["findings"][0]["firstSeen"], ONE, "a value that moves is no new finding");
        assert_eq!(second["findings"][1]["firstSeen"], TWO);
        assert_eq!(dates.len(), 2);
        let mended = audit(Some(&second), vec![], TWO).unwrap();
        assert_eq!(mended["findings"], json!([]));
        assert_eq!(audit(Some(&mended), vec![], TWO), None);
        let back = audit(Some(&mended), vec![line(Severity::Deny, "a", "5 > 3")], TWO).unwrap();
        assert_eq!(back["findings"][0]["firstSeen"], TWO);
    }

    #[test]
    fn an_object_that_never_had_a_finding_is_not_written_of() {
        assert_eq!(audit(None, vec![], ONE), None);
    }

    #[test]
    fn the_list_is_capped_the_heaviest_stay_and_the_rest_is_counted() {
        let mut lines: Vec<Line> =
            (0..60).map(|n| line(Severity::Warn, &format!("w{n:02}"), &"x".repeat(5000))).collect();
        lines.push(line(Severity::Audit, "a", "x"));
        lines.push(line(Severity::Deny, "z", "x"));
        let audit = audit(None, lines, ONE).unwrap();
        let findings = audit["findings"].as_array().unwrap();
        assert_eq!((findings.len(), &audit["leftOut"]), (MOST_FINDINGS, &json!(12)));
        let counts = [&audit["deny"], &audit["warn"], &audit["audit"]];
        assert_eq!(counts, [&json!(1), &json!(60), &json!(1)]);
        assert_eq!(findings[0]["field"], "z");
        assert!(audit.to_string().len() < 100_000);
    }

    #[test]
    fn the_same_place_under_two_policies_is_two_findings() {
        let policy =
            |name: &str| Line { policy: Some(Arc::from(name)), ..line(Severity::Deny, "a", "x") };
        let stored = audit(None, vec![policy("p")], ONE).unwrap();
        let both = audit(Some(&stored), vec![policy("p"), policy("q")], TWO).unwrap();
        assert_eq!(both["findings"][0]["firstSeen"], ONE);
        assert_eq!(both["findings"][1]["firstSeen"], TWO);
    }
}
