//! What was looked up a moment ago, by a digest: callers by their credential, rights by who and what.
//!
//! Input: digests, answers, the time since some beginning. Invariants: no credential is kept; an answer
//! is used for its time and no longer, an outage or a refusal for a second at most; at most [`MOST`] are
//! kept.

use std::collections::HashMap;
use std::time::Duration;

use super::Fault;

/// The most answers that are kept.
const MOST: usize = 4096;

/// For how long nobody asks again after a refusal or an outage.
const BAD_NEWS_FOR: Duration = Duration::from_secs(1);

/// What is known.
#[derive(Debug)]
pub struct Known<T> {
    keeps: Duration,
    answers: HashMap<[u8; 32], (Duration, Result<T, Fault>)>,
}

impl<T: Clone> Known<T> {
    /// Nothing yet; good answers are kept for `keeps`.
    pub fn new(keeps: Duration) -> Self {
        Self { keeps, answers: HashMap::new() }
    }

    /// What was found, if that is new enough.
    pub fn get(&self, digest: &[u8; 32], now: Duration) -> Option<Result<T, Fault>> {
        let (at, found) = self.answers.get(digest)?;
        self.is_new(*at, found, now).then(|| found.clone())
    }

    /// Keeps what was found.
    pub fn put(&mut self, digest: [u8; 32], found: Result<T, Fault>, now: Duration) {
        if self.answers.len() >= MOST {
            let keeps = self.keeps;
            self.answers.retain(|_, (at, found)| now.saturating_sub(*at) < lasts(keeps, found));
        }
        // Where all of them are new, the next answer is asked for again and again: slow, not wrong.
        if self.answers.len() < MOST {
            self.answers.insert(digest, (now, found));
        }
    }

    fn is_new(&self, at: Duration, found: &Result<T, Fault>, now: Duration) -> bool {
        now.saturating_sub(at) < lasts(self.keeps, found)
    }
}

fn lasts<T>(keeps: Duration, found: &Result<T, Fault>) -> Duration {
    if found.is_ok() { keeps } else { keeps.min(BAD_NEWS_FOR) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::Principal;

    #[test]
    fn good_answers_last_and_bad_ones_hardly() {
        let at = Duration::from_secs;
        let mut known = Known::new(at(10));
        let ada = Principal { id: "5d1c".to_owned(), name: String::new(), admin: false };
        known.put([1; 32], Ok(ada.clone()), at(0));
        known.put([2; 32], Err(Fault::unavailable("down")), at(0));
        assert_eq!(known.get(&[1; 32], at(9)), Some(Ok(ada)));
        assert_eq!(known.get(&[1; 32], at(10)), None);
        assert!(known.get(&[2; 32], at(0)).is_some_and(|it| it.is_err()));
        assert_eq!(known.get(&[2; 32], at(1)), None);
        assert_eq!(known.get(&[3; 32], at(0)), None);
    }

    #[test]
    fn no_flood_of_credentials_takes_more_memory_than_is_bounded() {
        let mut known = Known::<()>::new(Duration::from_secs(10));
        for number in 0..2 * MOST as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            known.put(digest, Err(Fault::unavailable("x")), Duration::from_millis(number));
        }
        assert!(known.answers.len() <= MOST);
    }
}
