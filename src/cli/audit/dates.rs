//! When findings were first seen, and those since a moment.
//!
//! Input: the `RayClusterReport`s that the controller keeps. Output: dates in the records' lines. A
//! finding that no report holds has none, and is as good as new: no report has seen it yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use serde_json::Value;

use super::super::record::{Line, Record};
use super::record::Records;
use crate::clock::{now, parse_duration};
use crate::plan::audit::{ObjectKey, kept};

/// What a date looks like.
const DAY: &str = "2026-11-01";

/// From when on findings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So long ago.
    Ago(Duration),
    /// A moment.
    At(Timestamp),
}

impl Since {
    /// Reads `7d`, `2026-11-01` or `2026-11-01T08:00:00Z`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let day = || {
            // Otherwise a time without its zone would be cut to its day.
            let date: Date = Some(text).filter(|it| it.len() == DAY.len())?.parse().ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        let moment = text.parse::<Timestamp>().ok().or_else(day);
        moment.map(Self::At).ok_or_else(|| {
            "expected a length of time, such as 7d or 12h, or a date or time of RFC 3339, such as \
             2026-11-01 or 2026-11-01T08:00:00Z"
                .to_owned()
        })
    }

    /// The moment, which lies in the past.
    pub(super) fn moment(self) -> anyhow::Result<Timestamp> {
        let now = now();
        match self {
            Self::Ago(ago) => now
                .checked_sub(ago)
                .map_err(|_| anyhow::anyhow!("--since: {ago:?} ago is before all calendars")),
            Self::At(moment) if moment > now => {
                anyhow::bail!("--since {moment} lies in the future; name a moment before {now}")
            }
            Self::At(moment) => Ok(moment),
        }
    }
}

/// Why there are no dates at all.
pub(super) fn not_served(server: &str) -> String {
    format!(
        "--since needs the RayClusterReports (raywarden.io) in which the controller keeps when a \
         finding was first seen; {server} serves none: run the controller, or compare with an \
         earlier report by --baseline"
    )
}

/// Records with findings, by their objects.
pub(super) struct Dating<'a>(HashMap<ObjectKey, &'a mut Record>);

impl<'a> Dating<'a> {
    /// Of all records that have a finding, or a place on a page.
    pub(super) fn of(records: &'a mut [Record]) -> Self {
        let found = records.iter_mut();
        let found = found.filter(|record| !record.lines.is_empty() || record.page.is_some());
        Self(found.map(|record| (record.key(), record)).collect())
    }

    /// Dates the findings of the object that a report is about, and tells the page of its workers.
    pub(super) fn read(&mut self, report: &Value) {
        let record = kept::subject(report).and_then(|subject| self.0.get_mut(&subject));
        let Some(record) = record else { return };
        let dates = kept::dates(report.get(kept::MEMBER));
        for line in &mut record.lines {
            line.first_seen = dates.get(&line.identity()).copied();
        }
        if let Some(page) = &mut record.page {
            Arc::make_mut(page).told(report);
        }
    }
}

/// Sets aside what was first seen before `moment`.
pub(super) fn only_since(records: &mut Records, moment: Timestamp) {
    let older = |line: &Line| line.first_seen.is_some_and(|it| it < moment);
    records.older = records.set_aside(|_, line| older(line));
    let lines = records.objects.iter().flat_map(|record| &record.lines);
    records.undated = lines.filter(|line| line.first_seen.is_none()).count();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_length_of_time_a_date_or_a_time() {
        let at = |text: &str| Since::At(text.parse().unwrap());
        for (text, wanted) in [
            ("7d", Since::Ago(Duration::from_hours(7 * 24))),
            ("90m", Since::Ago(Duration::from_mins(90))),
            ("2026-11-01", at("2026-11-01T00:00:00Z")),
            ("2026-11-01T08:00:00Z", at("2026-11-01T08:00:00Z")),
            ("2026-11-01T08:00:00+02:00", at("2026-11-01T06:00:00Z")),
        ] {
            assert_eq!(Since::parse(text), Ok(wanted), "{text}");
        }
        for text in ["", "7", "yesterday", "2026-13-01", "2026-11-01T08:00:00", "-1d"] {
            let said = Since::parse(text).unwrap_err();
            assert!(said.contains("7d") && said.contains("2026-11-01T08:00:00Z"), "{text}: {said}");
        }
    }

    #[test]
    fn a_moment_that_lies_ahead_is_refused() {
        let ahead = Since::At("9000-01-01T00:00:00Z".parse().unwrap()).moment().unwrap_err();
        assert!(ahead.to_string().contains("lies in the future"), "{ahead}");
        assert!(Since::Ago(Duration::MAX).moment().is_err());
        assert!(Since::Ago(Duration::from_hours(1)).moment().unwrap() < now());
    }
}
