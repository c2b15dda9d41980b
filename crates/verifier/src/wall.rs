//! The database's clock, estimated from what it said last and the time since: what ends are judged by where
//! several machines judge the same end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use rndrkit_domain::time::{Monotonic, Timestamp};

/// What the database's clock said, and when it was asked.
#[derive(Debug)]
struct Reading {
    asked: Monotonic,
    said: Timestamp,
    /// What an earlier reading led to already; the estimate never goes back behind it.
    floor: Timestamp,
}

impl Reading {
    /// The database read its clock after it was asked: counting from the question, this is never behind.
    fn at(&self, now: Monotonic) -> Timestamp {
        self.said.plus(now.since(self.asked)).max(self.floor)
    }
}

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// How old the reading of a wall clock may be that use is dated by. Ends are never judged by it.
const ABOUT_NS: u64 = 250 * NANOSECONDS_PER_MILLISECOND;

/// The estimate. Empty until the database has said something.
#[derive(Debug, Default)]
pub(crate) struct Wall {
    last: ArcSwapOption<Reading>,
    /// When a wall clock was last read to date use by, and how far it was ahead of the monotonic one, in
    /// milliseconds. Who sees one of the two from an earlier reading dates by that one.
    read_at_ns: AtomicU64,
    ahead_ms: AtomicI64,
}

impl Wall {
    pub(crate) fn at(&self, now: Monotonic) -> Option<Timestamp> {
        self.last.load().as_ref().map(|reading| reading.at(now))
    }

    /// What time it is, for dating use: by the monotonic clock and a reading of the wall clock, `exact`, that
    /// is a quarter of a second old at most. Saves a reading for each request.
    #[inline]
    pub(crate) fn about(&self, now: Monotonic, exact: impl FnOnce() -> Timestamp) -> Timestamp {
        let now_ms = (now.0 / NANOSECONDS_PER_MILLISECOND).cast_signed();
        let since_ns = now.0.wrapping_sub(self.read_at_ns.load(Ordering::Relaxed));
        if since_ns < ABOUT_NS {
            return Timestamp::from_unix_ms(now_ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed)));
        }
        let exact = exact();
        self.ahead_ms.store(exact.unix_ms().saturating_sub(now_ms), Ordering::Relaxed);
        self.read_at_ns.store(now.0, Ordering::Relaxed);
        exact
    }

    /// Takes a newer reading over. One that was asked for before the one in force says nothing new.
    pub(crate) fn set(&self, asked: Monotonic, said: Timestamp, now: Monotonic) {
        self.last.rcu(|last| match last {
            Some(last) if last.asked > asked => Arc::clone(last),
            Some(last) => Arc::new(Reading { asked, said, floor: last.at(now) }),
            None => Arc::new(Reading { asked, said, floor: Timestamp::from_unix_ms(0) }),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(0).plus(Duration::from_millis(ms))
    }

    fn moment(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    #[test]
    fn the_estimate_is_ahead_of_the_database_by_at_most_the_round_trip_and_never_behind() {
        let wall = Wall::default();
        assert_eq!(wall.at(at(0)), None);
        // Asked at 1,000, read by the database 30 ms later, heard at 1,050.
        wall.set(at(1_000), moment(1_030), at(1_050));
        assert_eq!(wall.at(at(1_050)), Some(moment(1_080)));
        assert_eq!(wall.at(at(9_000)), Some(moment(9_030)));
    }

    #[test]
    fn use_is_dated_by_a_reading_that_is_a_quarter_of_a_second_old_at_most() {
        let wall = Wall::default();
        let start = at(5_000);
        let dated = |after_ms: u64, clock: i64| {
            wall.about(start.plus(Duration::from_millis(after_ms)), || moment(clock)).unix_ms()
                - moment(0).unix_ms()
        };
        assert_eq!(dated(0, 100), 100, "read for the first time");
        assert_eq!(dated(249, 7_000), 349, "not read again");
        assert_eq!(dated(250, 7_000), 7_000, "somebody set the clock, and it is read again");
        assert_eq!(dated(300, 0), 7_050);
    }

    #[test]
    fn the_estimate_never_goes_back() {
        let wall = Wall::default();
        wall.set(at(1_000), moment(1_040), at(1_050));
        let before = wall.at(at(2_000));
        wall.set(at(1_990), moment(1_995), at(2_000));
        assert_eq!(wall.at(at(2_000)), before);
        assert_eq!(wall.at(at(2_040)), Some(moment(2_045)));
        // A reading that was overtaken on its way changes nothing.
        wall.set(at(1_500), moment(5_000), at(2_040));
        assert_eq!(wall.at(at(2_040)), Some(moment(2_045)));
    }
}
