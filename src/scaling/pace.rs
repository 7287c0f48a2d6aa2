//! How many requests a caller may send: a bucket of tokens for each.
//!
//! Input: who, and the time since some beginning. Output: go on, or how long to wait. Invariant: at most
//! [`MOST`] callers are remembered, and forgetting one gives it nothing that it would not have by then.

use std::collections::HashMap;
use std::time::Duration;

/// The most callers that are remembered; beyond, the ones with full buckets go first.
const MOST: usize = 16_384;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second; 0 means without bound.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// The buckets.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    buckets: HashMap<String, Bucket>,
}

/// What was left, and when.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Pace {
    /// Full buckets for everybody.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    /// Takes one token of `caller`; the wait for the next one where there is none.
    pub fn take(&mut self, caller: &str, now: Duration) -> Result<(), Duration> {
        let Rate { per_second, burst } = self.rate;
        if per_second == 0 {
            return Ok(());
        }
        let (speed, most) = (f64::from(per_second), f64::from(burst.max(1)));
        let filled = move |bucket: &Bucket| {
            let passed = now.saturating_sub(bucket.at).as_secs_f64();
            passed.mul_add(speed, bucket.left).min(most)
        };
        if self.buckets.len() >= MOST && !self.buckets.contains_key(caller) {
            self.buckets.retain(|_, bucket| filled(bucket) < most);
            if self.buckets.len() >= MOST {
                return Err(Duration::from_secs(1));
            }
        }
        let fresh = Bucket { left: most, at: now };
        let bucket = self.buckets.entry(caller.to_owned()).or_insert(fresh);
        let left = filled(bucket);
        let granted = left >= 1.0;
        *bucket = Bucket { left: if granted { left - 1.0 } else { left }, at: now };
        if granted { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / speed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Rate = Rate { per_second: 2, burst: 3 };

    #[test]
    fn a_burst_is_granted_and_then_one_at_a_time() {
        let mut pace = Pace::new(TWO);
        let at = Duration::from_millis;
        for _ in 0..3 {
            assert_eq!(pace.take("ada", at(0)), Ok(()));
        }
        let wait = pace.take("ada", at(0)).unwrap_err();
        assert_eq!(wait, at(500));
        assert_eq!(pace.take("bob", at(0)), Ok(()), "one caller's haste is not another's");
        assert_eq!(pace.take("ada", at(500)), Ok(()));
        assert!(pace.take("ada", at(500)).is_err());
        assert!(pace.take("ada", at(100)).is_err(), "a clock that goes back grants nothing");
    }

    #[test]
    fn no_flood_of_names_takes_more_memory_than_is_bounded() {
        let mut pace = Pace::new(TWO);
        for name in 0..MOST {
            assert_eq!(pace.take(&name.to_string(), Duration::ZERO), Ok(()));
        }
        assert!(pace.take("one more", Duration::ZERO).is_err());
        assert_eq!(pace.take("one more", Duration::from_secs(2)), Ok(()));
        assert!(pace.buckets.len() <= MOST);
    }

    #[test]
    fn no_rate_is_no_bound() {
        let mut pace = Pace::new(Rate { per_second: 0, burst: 0 });
        assert!((0..10_000).all(|_| pace.take("ada", Duration::ZERO).is_ok()));
    }
}
