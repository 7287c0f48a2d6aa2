//! How many reviews are under way, and how many bytes of them.
//!
//! A webhook that queues answers late, and a late answer counts as a failure all the same; so what
//! does not fit is turned away at once. Bytes are bounded beside the number, because a body may
//! have any length up to the cap.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::intake::MAX_BODY;

/// Bodies in memory at one time, in KiB.
const KIBIBYTES: u32 = 64 * 1024;

/// What is left.
pub(super) struct Capacity {
    reviews: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// The right to work on one review; goes back when dropped.
pub(super) struct Turn {
    _review: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

impl Capacity {
    pub(super) fn new(reviews: usize) -> Self {
        Self {
            reviews: Arc::new(Semaphore::new(reviews)),
            kibibytes: Arc::new(Semaphore::new(KIBIBYTES as usize)),
        }
    }

    /// A turn for a body of `length` bytes, of the cap when nobody said how long; `None` when
    /// there is no room.
    pub(super) fn take(&self, length: Option<usize>) -> Option<Turn> {
        let kibibytes = length.unwrap_or(MAX_BODY).min(MAX_BODY) / 1024 + 1;
        let kibibytes = u32::try_from(kibibytes).ok()?;
        Some(Turn {
            _review: Arc::clone(&self.reviews).try_acquire_owned().ok()?,
            _kibibytes: Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_review_too_many_is_turned_away_until_one_ends() {
        let capacity = Capacity::new(2);
        let first = capacity.take(Some(10)).unwrap();
        let _second = capacity.take(Some(10)).unwrap();
        assert!(capacity.take(Some(10)).is_none());
        drop(first);
        assert!(capacity.take(Some(10)).is_some());
    }

    #[test]
    fn bodies_of_unknown_length_count_as_the_largest() {
        let capacity = Capacity::new(1000);
        let turns: Vec<_> = std::iter::from_fn(|| capacity.take(None)).collect();
        assert_eq!(turns.len(), 9);
        assert!(capacity.take(Some(100)).is_some());
    }
}
