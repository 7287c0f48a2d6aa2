//! Waiting that ends, and ports nobody else is about to take.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `probe` again and again until it gives something.
///
/// # Panics
/// When `deadline` has passed; `what` says what was waited for.
#[track_caller]
pub(crate) fn wait_until<T>(deadline: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_for(deadline, probe).unwrap_or_else(|| panic!("{what}: not after {deadline:?}"))
}

/// Like [`wait_until`], for callers that can go on without.
pub(crate) fn wait_for<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let found = probe();
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        thread::sleep(PAUSE);
    }
}

/// A loopback port nobody listens on, handed out once per test process.
///
/// Taken from below the range the kernel uses for outgoing connections and apart from the range of
/// `controlplane/plane.py`: what is free now is still free when a server binds it.
///
/// # Panics
/// When two hundred random ports in a row are taken.
pub(crate) fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..200)
        .map(|_| random_port())
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port))
        .expect("one of 200 random ports is free")
}

/// From 20000 to 29999. Every new `RandomState` has keys of its own: randomness without a crate.
fn random_port() -> u16 {
    let spread = RandomState::new().hash_one(0_u8) % 10_000;
    20_000 + u16::try_from(spread).expect("below 10000")
}
