//! Idle connections to one upstream, kept apart by worker, so that a connection stays where its socket lives
//! and no two threads want one lock.
//!
//! The one that was used last is taken first: the others then grow old, and are let go. Deliberately absent:
//! opening connections, and what travels on them.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

/// How often idle connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How many looks a connection survives unused. It is kept for 10 to 15 seconds: shorter than most servers
/// keep theirs, so that few are met closing.
const SWEEPS_SURVIVED: u64 = 2;

/// What a kept connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A request can be sent on it.
    Ready,
    /// Its last exchange is not quite over.
    Busy,
    /// It was closed, or holds what nobody asked for.
    Gone,
}

/// A connection that can be used again.
pub(super) trait Reusable: Send + 'static {
    /// What it is good for at this moment, as far as can be told without waiting.
    fn state(&self) -> State;
}

struct Idle<C> {
    connection: C,
    /// The number of the look after which it was put here.
    since: u64,
}

struct Shard<C> {
    idle: Vec<Idle<C>>,
    /// Whether it has ever held a connection, and so counts when the bound is divided.
    counted: bool,
    /// Whether a task looks at it now and then.
    swept: bool,
    looks: u64,
}

/// Idle connections of one kind to one upstream.
pub(super) struct Pool<C> {
    /// One for each worker.
    shards: Vec<Mutex<Shard<C>>>,
    shards_in_use: AtomicUsize,
    /// The most connections kept idle, over all workers: about, since each keeps one at least, and has more than its
    /// share until the next look when another begins to keep some.
    max_idle: usize,
}

impl<C: Reusable> Pool<C> {
    /// An empty pool for so many workers.
    pub(super) fn new(max_idle: usize, workers: NonZeroUsize) -> Arc<Self> {
        let shard = || Mutex::new(Shard { idle: Vec::new(), counted: false, swept: false, looks: 0 });
        let shards = std::iter::repeat_with(shard).take(workers.get()).collect();
        Arc::new(Self { shards, shards_in_use: AtomicUsize::new(0), max_idle })
    }

    /// Workers that were not counted on share one, which costs them a lock and nothing else.
    fn shard(&self, worker: usize) -> Option<&Mutex<Shard<C>>> {
        self.shards.get(worker.checked_rem(self.shards.len())?)
    }

    /// How many each worker may keep: the same, so that one that came first does not have it all.
    fn share(&self) -> usize {
        (self.max_idle / self.shards_in_use.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// A connection of this worker that looks alive, the one used last if possible.
    pub(super) fn take(&self, worker: usize) -> Option<C> {
        let mut shard = self.shard(worker)?.lock();
        let mut position = shard.idle.len();
        while let Some(before) = position.checked_sub(1) {
            position = before;
            match shard.idle.get(position)?.connection.state() {
                State::Ready => return Some(shard.idle.remove(position).connection),
                State::Busy => {}
                State::Gone => drop(shard.idle.remove(position)),
            }
        }
        None
    }

    /// Keeps a connection for the next request of this worker, unless the worker has its share already.
    pub(super) fn keep(self: &Arc<Self>, worker: usize, connection: C) {
        let Some(mut shard) = self.shard(worker).map(Mutex::lock) else { return };
        if !shard.counted {
            shard.counted = true;
            self.shards_in_use.fetch_add(1, Ordering::Relaxed);
        }
        if shard.idle.len() >= self.share() {
            return;
        }
        if !shard.swept {
            // Nobody would ever let go of what is put here outside of a runtime.
            let Ok(runtime) = Handle::try_current() else { return };
            shard.swept = true;
            runtime.spawn(sweep(Arc::downgrade(self), worker));
        }
        let since = shard.looks;
        shard.idle.push(Idle { connection, since });
    }

    /// Lets go of what was not used for long, is closed or beyond the share; false when nothing is left.
    fn sweep(&self, worker: usize) -> bool {
        let Some(mut shard) = self.shard(worker).map(Mutex::lock) else { return false };
        shard.looks += 1;
        let looks = shard.looks;
        shard
            .idle
            .retain(|idle| looks - idle.since <= SWEEPS_SURVIVED && idle.connection.state() != State::Gone);
        // The longest unused are at the front.
        let beyond = shard.idle.len().saturating_sub(self.share());
        drop(shard.idle.drain(..beyond));
        shard.swept = !shard.idle.is_empty();
        shard.swept
    }

    /// Connections kept at this moment.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().idle.len()).sum()
    }
}

async fn sweep<C: Reusable>(pool: Weak<Pool<C>>, worker: usize) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.sweep(worker) {
            return;
        }
    }
}

/// Where a connection goes when its exchange is over.
pub(super) struct Home<C> {
    /// The pool that it came from.
    pub(super) pool: Arc<Pool<C>>,
    /// The worker that uses it.
    pub(super) worker: usize,
}

impl<C: Reusable> Home<C> {
    /// Keeps the connection for the next request.
    pub(super) fn keep(&self, connection: C) {
        self.pool.keep(self.worker, connection);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU8;

    use super::*;

    const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    struct Fake(u32, Arc<AtomicU8>);

    impl Reusable for Fake {
        fn state(&self) -> State {
            match self.1.load(Ordering::SeqCst) {
                0 => State::Ready,
                1 => State::Busy,
                _ => State::Gone,
            }
        }
    }

    fn ready(number: u32) -> Fake {
        Fake(number, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_used_last_is_taken_first_and_only_by_its_worker() {
        let pool = Pool::new(8, WORKERS);
        pool.keep(1, ready(1));
        pool.keep(1, ready(2));
        assert!(pool.take(0).is_none());
        assert_eq!(pool.take(1).map(|taken| taken.0), Some(2));
        assert_eq!(pool.take(1).map(|taken| taken.0), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_closed_is_dropped_and_what_is_busy_waits() {
        let pool = Pool::new(8, WORKERS);
        let (busy, gone) = (Arc::new(AtomicU8::new(1)), Arc::new(AtomicU8::new(2)));
        pool.keep(0, Fake(1, busy.clone()));
        pool.keep(0, Fake(2, gone));
        assert!(pool.take(0).is_none());
        assert_eq!(pool.idle(), 1);
        busy.store(0, Ordering::SeqCst);
        assert_eq!(pool.take(0).map(|taken| taken.0), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn workers_share_the_bound() {
        let pool = Pool::new(8, WORKERS);
        (0..20).for_each(|number| pool.keep(0, ready(number)));
        assert_eq!(pool.idle(), 8);
        (0..20).for_each(|number| pool.keep(1, ready(number)));
        assert_eq!(pool.idle(), 12, "the second worker has half");
        // The first gives back what is too much as it uses it.
        for number in 0..8 {
            let taken = pool.take(0);
            assert!(taken.is_some(), "{number}");
        }
        (0..20).for_each(|number| pool.keep(0, ready(number)));
        assert_eq!(pool.idle(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_use_its_connections_gives_back_what_is_beyond_its_share() {
        let pool = Pool::new(8, WORKERS);
        (0..8).for_each(|number| pool.keep(0, ready(number)));
        (0..8).for_each(|number| pool.keep(1, ready(number)));
        tokio::time::sleep(SWEEP_INTERVAL + Duration::from_secs(1)).await;
        assert_eq!(pool.idle(), 8);
        assert_eq!(pool.take(0).map(|taken| taken.0), Some(7), "those used last stay");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_let_go_within_fifteen_seconds() {
        let pool = Pool::new(8, WORKERS);
        pool.keep(0, ready(1));
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(pool.idle(), 1);
        pool.keep(0, ready(2));
        tokio::time::sleep(Duration::from_millis(6_500)).await;
        assert_eq!(pool.take(0).map(|taken| taken.0), Some(2));
        assert_eq!(pool.idle(), 0);
    }
}
