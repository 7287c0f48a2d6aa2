//! Answers kept for a while, so that many who ask about one cluster ask its head once.
//!
//! Input: the UID of the head Pod, the time, and how to ask. Output: an answer that is at most
//! `max_age` old. Reasons for not knowing are kept too: a head that hangs is not asked by everybody
//! in turn.
//!
//! Invariants: at most `most` heads are kept, the oldest answers go first; who asks while the
//! question is under way waits for its answer; a rebuilt head has another UID and is asked anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::Answer;

/// What one head answered; locked while it is being asked.
type Slot<T> = Arc<tokio::sync::Mutex<Option<(Timestamp, T)>>>;

/// Answers by head.
#[derive(Debug)]
pub struct Cache<T = Answer> {
    max_age: Duration,
    most: usize,
    heads: Mutex<HashMap<String, (Timestamp, Slot<T>)>>,
}

impl<T: Clone> Cache<T> {
    /// An empty one for `most` heads, at least one.
    pub fn new(max_age: Duration, most: usize) -> Self {
        Self { max_age, most: most.max(1), heads: Mutex::default() }
    }

    /// The answer of the head Pod with this UID; `ask` is polled only where there is none that is new
    /// enough.
    pub async fn answer(&self, head: &str, now: Timestamp, ask: impl Future<Output = T>) -> T {
        let slot = self.slot(head, now);
        let mut kept = slot.lock().await;
        if let Some((at, answer)) = kept.as_ref()
            && now.duration_since(*at).unsigned_abs() < self.max_age
        {
            return answer.clone();
        }
        let answer = ask.await;
        *kept = Some((now, answer.clone()));
        answer
    }

    /// How many heads are kept.
    pub fn len(&self) -> usize {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&self, head: &str, now: Timestamp) -> Slot<T> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((used, slot)) = heads.get_mut(head) {
            *used = now;
            return Arc::clone(slot);
        }
        if heads.len() >= self.most
            && let Some(oldest) =
                heads.iter().min_by_key(|(_, (used, _))| *used).map(|(head, _)| head.clone())
        {
            heads.remove(&oldest);
        }
        let slot = Slot::default();
        heads.insert(head.to_owned(), (now, Arc::clone(&slot)));
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    async fn counted(count: &AtomicUsize) -> Answer {
        tokio::task::yield_now().await;
        count.fetch_add(1, Ordering::Relaxed);
        Answer::Unknown(String::new())
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_its_age_and_no_longer() {
        let (cache, asked) = (Cache::new(Duration::from_secs(5), 2), AtomicUsize::new(0));
        for (second, times) in [(0, 1), (4, 1), (5, 2), (9, 2), (-100, 3)] {
            cache.answer("a", at(second), counted(&asked)).await;
            assert_eq!(asked.load(Ordering::Relaxed), times, "at {second}");
        }
    }

    #[tokio::test]
    async fn many_at_one_time_ask_once() {
        let (cache, asked) = (Cache::new(Duration::from_secs(5), 2), AtomicUsize::new(0));
        let questions = (0..20).map(|_| cache.answer("a", at(0), counted(&asked)));
        futures::future::join_all(questions).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn the_head_that_was_not_asked_for_longest_is_forgotten() {
        let (cache, asked) = (Cache::new(Duration::from_secs(500), 2), AtomicUsize::new(0));
        for (second, head) in [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "a")] {
            cache.answer(head, at(second), counted(&asked)).await;
        }
        assert_eq!((cache.len(), asked.load(Ordering::Relaxed)), (2, 3));
        cache.answer("b", at(5), counted(&asked)).await;
        assert_eq!((cache.len(), asked.load(Ordering::Relaxed)), (2, 4));
    }
}
