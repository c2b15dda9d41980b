//! The time that a caller has for its headers, counted in coarse ticks.
//!
//! The parser sets a timer before each head and drops it after. With timers of the runtime that costs more than
//! reading the head; here it costs two stores, and one tick of the connection's task now and then does the rest.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// Ticks in the longest wait: it may last so much longer than asked, and never ends earlier.
const TICKS: u32 = 4;
/// When a wait is due that nobody waits for.
const NEVER: u64 = u64::MAX;
/// All that touch these run in one task.
const HERE: Ordering = Ordering::Relaxed;

/// A timer for one connection, which waits for one thing at a time. Moved on by [`Ticks::tick`].
#[derive(Debug, Clone)]
pub(crate) struct Ticks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What the parser takes for the time of tick 0.
    start: Instant,
    length: Duration,
    now: AtomicU64,
    /// When the wait is over.
    due: AtomicU64,
    /// The number of the wait that was begun last: an earlier one may be dropped after it, and ends nothing.
    latest: AtomicU64,
}

impl Ticks {
    /// For waits of this length.
    #[expect(clippy::disallowed_methods, reason = "the parser only ever sees the distance to it")]
    pub(crate) fn for_waits_of(longest: Duration) -> Self {
        let length = (longest / TICKS).max(Duration::from_millis(1));
        let (now, due, latest) = (AtomicU64::new(0), AtomicU64::new(NEVER), AtomicU64::new(0));
        Self(Arc::new(Shared { start: Instant::now(), length, now, due, latest }))
    }

    /// How long after one tick the next is to come.
    pub(crate) fn length(&self) -> Duration {
        self.0.length
    }

    /// Moves on. Whether a wait is over, so that whoever waits has to be polled.
    pub(crate) fn tick(&self) -> bool {
        self.0.now.store(self.0.now.load(HERE) + 1, HERE);
        self.is_over()
    }

    fn is_over(&self) -> bool {
        self.0.due.load(HERE) <= self.0.now.load(HERE)
    }
}

impl Timer for Ticks {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let wait = deadline.saturating_duration_since(self.now());
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(NEVER);
        let ticks = milliseconds(wait).div_ceil(milliseconds(self.0.length).max(1));
        // One more, for the part of a tick that is over already.
        let due = self.0.now.load(HERE).saturating_add(ticks).saturating_add(1);
        self.0.due.store(due, HERE);
        let number = self.0.latest.load(HERE).wrapping_add(1);
        self.0.latest.store(number, HERE);
        Box::pin(Wait { ticks: self.clone(), number })
    }

    fn now(&self) -> Instant {
        // Only differences are ever looked at, so the time may stand still.
        self.0.start
    }
}

/// Until what is due.
struct Wait {
    ticks: Ticks,
    number: u64,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    /// Wakes nobody: the task that polls this is the one that ticks.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.ticks.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let shared = &self.ticks.0;
        if shared.latest.load(HERE) == self.number {
            shared.due.store(NEVER, HERE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_lasts_as_long_as_asked_and_little_longer() {
        let ticks = Ticks::for_waits_of(Duration::from_secs(4));
        assert_eq!(ticks.length(), Duration::from_secs(1));
        assert!(!ticks.tick());
        let wait = ticks.sleep_until(ticks.now() + Duration::from_secs(4));
        assert_eq!([0; 5].map(|_| ticks.tick()), [false, false, false, false, true]);
        drop(wait);
        assert!(!ticks.tick());
    }

    #[test]
    fn a_wait_that_begins_anew_is_not_ended_by_the_one_before() {
        let ticks = Ticks::for_waits_of(Duration::from_secs(4));
        let mut wait = ticks.sleep(Duration::from_secs(4));
        ticks.tick();
        ticks.reset(&mut wait, ticks.now() + Duration::from_secs(4));
        assert_eq!([0; 5].map(|_| ticks.tick()), [false, false, false, false, true]);
        drop(wait);
        assert!(!ticks.tick());
    }
}
