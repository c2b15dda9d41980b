//! Real time, and what the clocks of a node and of the database make of it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use tokio::time::Instant;

/// Real time: the runtime's paused clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealTime {
    began: Instant,
}

impl RealTime {
    #[expect(clippy::disallowed_methods, reason = "the runtime's paused clock is this world's real time")]
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Time that has passed since a moment that [`Self::now`] returned.
    pub(crate) fn since(&self, moment: Duration) -> Duration {
        self.now().saturating_sub(moment)
    }

    /// Since the world began.
    #[expect(clippy::disallowed_methods, reason = "the runtime's paused clock is this world's real time")]
    pub(crate) fn now(&self) -> Duration {
        Instant::now().duration_since(self.began)
    }
}

/// When every world begins: the start of a minute.
pub(crate) fn beginning() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

/// What a planted fault makes of a node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockFault {
    None,
    /// Moves only when a task of the node ticks it.
    Coarse,
    /// Does not count while the process is stopped.
    StopsInPauses,
}

/// The clocks of one node's machine: a rate of its own, and a wall clock that is wrong by minutes.
#[derive(Debug)]
pub(crate) struct NodeClock {
    real: RealTime,
    rate_percent: u32,
    wall_offset_ms: i64,
    fault: ClockFault,
    /// Real time, in nanoseconds, that this clock did not count.
    uncounted_ns: AtomicU64,
    stopped_at_ns: AtomicU64,
    stopped: AtomicBool,
    ticked_ns: AtomicU64,
    went_on_ns: AtomicU64,
}

/// How long other tasks run before the one that ticks, once a process goes on.
const LATE_TICK_NS: u64 = 5_000_000;
/// Where every node's monotonic clock begins.
const ORIGIN_NS: u64 = 1_000_000_000_000;

impl NodeClock {
    pub(crate) fn new(real: RealTime, rate_percent: u32, wall_offset_ms: i64, fault: ClockFault) -> Self {
        let clock = Self {
            real,
            rate_percent,
            wall_offset_ms,
            fault,
            uncounted_ns: AtomicU64::new(0),
            stopped_at_ns: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            ticked_ns: AtomicU64::new(0),
            went_on_ns: AtomicU64::new(0),
        };
        clock.ticked_ns.store(clock.exact().0, Ordering::Relaxed);
        clock
    }

    fn real_ns(&self) -> u64 {
        u64::try_from(self.real.now().as_nanos()).unwrap()
    }

    fn exact(&self) -> Monotonic {
        let now = if self.stopped.load(Ordering::Relaxed) {
            self.stopped_at_ns.load(Ordering::Relaxed)
        } else {
            self.real_ns()
        };
        let counted = now - self.uncounted_ns.load(Ordering::Relaxed);
        Monotonic(ORIGIN_NS + counted * u64::from(self.rate_percent) / 100)
    }

    /// How much real time passes while this clock counts `span`.
    pub(crate) fn real_span(&self, span: Duration) -> Duration {
        span * 100 / self.rate_percent
    }

    /// What a coarse clock shows from now on. The task that ticks is not the first to run after a stop.
    pub(crate) fn tick(&self) {
        if self.real_ns() < self.went_on_ns.load(Ordering::Relaxed) + LATE_TICK_NS {
            return;
        }
        self.ticked_ns.store(self.exact().0, Ordering::Relaxed);
    }

    pub(crate) fn is_coarse(&self) -> bool {
        self.fault == ClockFault::Coarse
    }

    /// The process is stopped.
    pub(crate) fn stop(&self) {
        if self.fault == ClockFault::StopsInPauses && !self.stopped.load(Ordering::Relaxed) {
            self.stopped_at_ns.store(self.real_ns(), Ordering::Relaxed);
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    /// The process goes on.
    pub(crate) fn go_on(&self) {
        self.went_on_ns.store(self.real_ns(), Ordering::Relaxed);
        if self.stopped.swap(false, Ordering::Relaxed) {
            let missed = self.real_ns() - self.stopped_at_ns.load(Ordering::Relaxed);
            self.uncounted_ns.fetch_add(missed, Ordering::Relaxed);
        }
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.real.now().as_millis()).unwrap();
        Timestamp::from_unix_ms(beginning().unix_ms() + ms + self.wall_offset_ms)
    }

    fn monotonic(&self) -> Monotonic {
        match self.fault {
            ClockFault::Coarse => Monotonic(self.ticked_ns.load(Ordering::Relaxed)),
            ClockFault::None | ClockFault::StopsInPauses => self.exact(),
        }
    }
}

/// The database server's wall clock. May step.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    real: RealTime,
    offset_ms: AtomicI64,
}

impl DatabaseClock {
    pub(crate) fn new(real: RealTime) -> Self {
        Self { real, offset_ms: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.real.now().as_millis()).unwrap();
        Timestamp::from_unix_ms(beginning().unix_ms() + ms + self.offset_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn step(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }
}
