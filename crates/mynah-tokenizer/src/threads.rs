//! Work over many items on scoped threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of threads to use: what the caller asks for, else `MYNAH_THREADS`, else what the machine
/// offers.
pub(crate) fn resolve(asked: Option<usize>) -> usize {
    let from_environment = || std::env::var("MYNAH_THREADS").ok()?.trim().parse().ok();
    asked
        .or_else(from_environment)
        .filter(|&n| n > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
        .min(1024)
}

/// Runs `work(state, item)` for the items `0..items` on up to `threads` threads, each with a state of its
/// own, and returns the states. Items are handed out one by one, so their sizes may differ.
pub(crate) fn for_each<S: Send>(
    threads: usize,
    items: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
) -> Vec<S> {
    let threads = threads.clamp(1, items.max(1));
    if threads == 1 {
        let mut only = state();
        (0..items).for_each(|item| work(&mut only, item));
        return vec![only];
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut own = state();
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                return own;
            }
            work(&mut own, item);
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut states = vec![run()];
        for handle in handles {
            match handle.join() {
                Ok(own) => states.push(own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states
    })
}

/// Computes `work(state, item)` for every item, in order, on up to `threads` threads; also returns the
/// states.
pub(crate) fn map<S: Send, R: Send>(
    threads: usize,
    items: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> R + Sync,
) -> (Vec<R>, Vec<S>) {
    let outer = for_each(
        threads,
        items,
        || (Vec::new(), state()),
        |(results, own), item| results.push((item, work(own, item))),
    );
    let mut numbered = Vec::with_capacity(items);
    let mut states = Vec::with_capacity(outer.len());
    for (results, own) in outer {
        numbered.extend(results);
        states.push(own);
    }
    numbered.sort_unstable_by_key(|(item, _)| *item);
    (numbered.into_iter().map(|(_, result)| result).collect(), states)
}
