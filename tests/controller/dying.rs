//! Controllers that die by their n-th write, for every n.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::api::WORLD;
use super::proxy::{Fate, Proxy, client};
use super::space::{SOON, Space};
use super::support::controller::Controller;
use super::support::wait::{wait_for, wait_until};

/// Runs that die at the same time.
const AT_ONCE: usize = 3;

/// A proxy in front of the API server.
pub(crate) fn proxy() -> Proxy {
    Proxy::start(client(WORLD.plane.kubeconfig("admin")), WORLD.plane.dir())
}

/// Runs a controller that dies by its `n`th write, and another one after it. Whether there was an
/// `n`th write by the time that `settled`.
pub(crate) fn dies_at(
    n: usize,
    space: &Space,
    settled: impl Fn() -> bool,
) -> (bool, Proxy, Controller) {
    let proxy = proxy();
    let (count, fired) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&fired);
    proxy.decide(move |call| {
        if seen.load(Ordering::Relaxed) {
            return Fate::Cut;
        }
        if call.is_write() && count.fetch_add(1, Ordering::Relaxed) + 1 == n {
            seen.store(true, Ordering::Relaxed);
            return Fate::CutAfter;
        }
        Fate::Pass
    });
    let first = Controller::launch(proxy.kubeconfig(), &space.name, &[]);
    let fired = || fired.load(Ordering::Relaxed);
    wait_until(SOON, "the write that breaks", || (fired() || settled()).then_some(()));
    // The last of it: an Event or a status.
    let reached = wait_for(Duration::from_millis(400), || fired().then_some(())).is_some();
    first.kill();
    proxy.decide(|_| Fate::Pass);
    let second = Controller::start(proxy.kubeconfig(), &space.name, &[]);
    #[expect(clippy::print_stdout, reason = "it tells a failing run from the others")]
    {
        println!("{}: died at write {n}: {reached}", space.name);
    }
    (reached, proxy, second)
}

/// Runs `dies` with 1, 2, 3 and so on, several at a time, till there is no such write any more.
pub(crate) fn at_every_write(least: usize, dies: impl Fn(usize) -> bool + Sync) {
    let mut next = 1;
    loop {
        let reached: Vec<bool> = std::thread::scope(|scope| {
            let dies = &dies;
            let runs: Vec<_> =
                (next..next + AT_ONCE).map(|n| scope.spawn(move || dies(n))).collect();
            runs.into_iter().map(|run| run.join().expect("it comes to the same end")).collect()
        });
        if let Some(last) = reached.iter().position(|reached| !reached) {
            assert!(next + last > least, "only {} writes", next + last - 1);
            return;
        }
        next += AT_ONCE;
        assert!(next < 60, "no end of writes");
    }
}
