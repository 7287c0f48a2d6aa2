//! Texts with a grammar: quantities, qualified names, reasons, times.
//!
//! Each function accepts exactly what the pattern of the same name in the schema accepts, without a
//! regular-expression engine, whose set-up would cost more than a whole review.

use crate::model::names::is_qualified_name;

/// Whether `text` matches `pattern`; `None` for a pattern that is not known here.
pub(super) fn matches(pattern: &str, text: &str) -> Option<bool> {
    type Grammar = fn(&str) -> bool;
    const PATTERNS: [(&str, Grammar); 3] = [
        (
            r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            is_quantity,
        ),
        (
            r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            is_qualified_name,
        ),
        (r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", is_reason),
    ];
    PATTERNS.iter().find(|(known, _)| *known == pattern).map(|(_, grammar)| grammar(text))
}

/// `500m`, `2`, `1.5Gi`, `1e3`.
pub(super) fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let Some(suffix) = after_number(text) else {
        return false;
    };
    SUFFIXES.contains(&suffix)
        || suffix
            .strip_prefix(['e', 'E'])
            .is_some_and(|exponent| after_number(exponent) == Some(""))
}

/// What stands behind a number with sign and fraction.
pub(super) fn after_number(text: &str) -> Option<&str> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let after_whole = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    let after_fraction = after_whole
        .strip_prefix('.')
        .map(|fraction| (fraction, fraction.trim_start_matches(|c: char| c.is_ascii_digit())));
    match after_fraction {
        _ if after_whole.len() < unsigned.len() => {
            Some(after_fraction.map_or(after_whole, |(_, rest)| rest))
        }
        Some((fraction, rest)) if rest.len() < fraction.len() => Some(rest),
        _ => None,
    }
}

fn is_reason(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_,:".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// A date and time as RFC 3339 writes it.
pub(super) fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else {
        return false;
    };
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    is_row(date, '-', &[(4, 0, 9999), (2, 1, 12), (2, 1, 31)])
        && is_row(clock, ':', &[(2, 0, 23), (2, 0, 59), (2, 0, 59)])
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && match zone.strip_prefix(['+', '-']) {
            Some(offset) => is_row(offset, ':', &[(2, 0, 99), (2, 0, 99)]),
            None => zone.eq_ignore_ascii_case("z"),
        }
}

/// Numbers between separators, each with its width, least and greatest value.
fn is_row(text: &str, separator: char, columns: &[(usize, u32, u32)]) -> bool {
    let mut parts = text.split(separator);
    let fits = columns.iter().all(|(width, least, greatest)| {
        parts.next().is_some_and(|part| {
            part.len() == *width
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse().is_ok_and(|value: u32| (*least..=*greatest).contains(&value))
        })
    });
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_what_kubernetes_calls_one() {
        for good in [
            "0", "1", "500m", "1.5", "1.", ".5", "+1Ki", "-2Gi", "1e3", "1E-3", "1e.5", "7E",
            "7Ei", "100n", "3u", "2k",
        ] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in [
            "", ".", "m", "1 Gi", "4GB", "512mb", "1K", "1g", "1e", "1e3m", "lots", "0x10",
            "1_000", "--1", "1Gi\n", "١",
        ] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    #[test]
    fn a_qualified_name_has_one_prefix_at_most() {
        for good in ["a", "a/b", "a.b-c/D_e.f", "0"] {
            assert!(is_qualified_name(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "A/b", "a/b/c", "-a", "a-", "a..b/c", "a b"] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_reason_is_one_word() {
        for good in ["A", "HeadPodRunning", "a_", "a:b"] {
            assert!(is_reason(good), "{good}");
        }
        for bad in ["", "1a", "a:", "a b", "_a"] {
            assert!(!is_reason(bad), "{bad}");
        }
    }

    #[test]
    fn a_time_has_a_date_a_clock_and_a_zone() {
        for good in
            ["2026-11-25T09:44:08Z", "2026-11-25t09:44:08.123456z", "2026-11-25T09:44:08+01:00"]
        {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-11-25",
            "2026-13-25T09:44:08Z",
            "2026-11-25T09:44:08",
            "2026-11-25T24:00:00Z",
            "2026-11-25 09:44:08Z",
            "2026-11-25T09:44:08.Z",
            "yesterday",
            "T",
            "2026-11-25T09:44:08+1:00",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}
