//! How long one call may take.

use std::time::Duration;

use crate::clock::parse_duration;

/// Ours, or nine tenths of the caller's `timeout` where that is shorter: the answer has to travel.
pub(super) fn of(query: Option<&str>, ours: Duration) -> Duration {
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("timeout="))
        .find_map(|text| parse_duration(text).ok())
        .filter(|theirs| !theirs.is_zero())
        .map_or(ours, |theirs| ours.min(theirs.mul_f64(0.9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_of_the_callers_timeout_and_ours_holds() {
        let ours = Duration::from_secs(4);
        assert_eq!(of(None, ours), ours);
        assert_eq!(of(Some("timeout=10s"), ours), ours);
        assert_eq!(of(Some("timeout=2s"), ours), Duration::from_millis(1_800));
        assert_eq!(of(Some("dryRun=All&timeout=1s"), ours), Duration::from_millis(900));
        for odd in ["timeout=", "timeout=soon", "timeout=0s", "", "&&"] {
            assert_eq!(of(Some(odd), ours), ours, "{odd}");
        }
    }
}
