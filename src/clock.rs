//! The shell's clock, and lengths of time as Go and people write them.
//!
//! The core takes the time as a value; this is where the value comes from.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The wall clock.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The wall clock without its fraction, as Kubernetes writes moments.
pub fn this_second() -> Timestamp {
    let now = now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no length of time; expected a number with a unit, such as 500ms, 10s, 1m30s, 12h or 90d"
)]
pub struct BadDuration(String);

/// Reads `10s`, `1m30s`, `0.5s`, `0`: what Go prints, and `d` for days.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = split(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, tail) = split(tail, |c| c.is_ascii_digit() || c == '.');
        let count: f64 = number.parse().map_err(|_| bad())?;
        let seconds = seconds_of(unit).ok_or_else(bad)?;
        let part = Duration::try_from_secs_f64(count * seconds).map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = tail;
    }
    Ok(total)
}

fn split(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_prints_them() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("2h0m0s", 7_200_000),
            ("1d", 86_400_000),
            ("0", 0),
            (" 3s ", 3_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_says_what_one_looks_like() {
        for text in ["", "10", "s", "-1s", "1x", "1s2", "1..5s", "1e400s", "ten"] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains("such as 500ms, 10s"), "{text}: {error}");
        }
    }
}
