//! Comparing this machine's clock with the database's, after the fact.
//!
//! A machine that was suspended or moved may not have counted the time: trust then lasts longer than anybody
//! waits. Nothing here can prevent that; it can be noticed and said.

use std::time::Duration;

use rndrkit_domain::node::{CLOCK_RATE_ERROR_PERCENT, UNCOUNTED_PAUSE};
use rndrkit_domain::time::{Monotonic, Timestamp};

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
struct Sight {
    sent: Monotonic,
    heard: Monotonic,
    database: Timestamp,
}

/// The spans between beats on both clocks.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    last: Option<Sight>,
}

/// How the clocks disagree about a span, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    /// By the database's clock.
    pub(crate) database_ms: i64,
    /// By this machine's.
    pub(crate) own_ms: i64,
}

impl Spans {
    /// An answer that says the database's time. The difference to the one before if it is more than clocks are
    /// assumed to differ.
    pub(crate) fn compare(
        &mut self,
        sent: Monotonic,
        heard: Monotonic,
        database: Timestamp,
    ) -> Option<Difference> {
        let before = self.last.replace(Sight { sent, heard, database })?;
        let database_ms = database.unix_ms() - before.database.unix_ms();
        // The database read its clock somewhere between question and answer, both times.
        let shortest = milliseconds(sent.since(before.heard));
        let longest = milliseconds(heard.since(before.sent));
        let rate = i64::from(CLOCK_RATE_ERROR_PERCENT);
        let pause = milliseconds(UNCOUNTED_PAUSE);
        let too_short = database_ms < shortest - shortest * rate / 100 - pause;
        let too_long = database_ms > longest + longest * rate / 100 + pause;
        (too_short || too_long).then_some(Difference { database_ms, own_ms: longest })
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(ms: u64) -> Monotonic {
        Monotonic(0).plus(Duration::from_millis(ms))
    }

    fn database(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    fn after_one_second(database_ms: i64) -> Option<Difference> {
        let mut spans = Spans::default();
        assert_eq!(spans.compare(own(0), own(10), database(0)), None);
        spans.compare(own(1_000), own(1_010), database(database_ms))
    }

    #[test]
    fn clocks_that_agree_within_what_is_allowed_for_say_nothing() {
        for database_ms in [400, 990, 1_000, 1_600] {
            assert_eq!(after_one_second(database_ms), None, "{database_ms}");
        }
    }

    #[test]
    fn a_pause_that_was_not_counted_and_a_clock_that_was_set_back_are_noticed() {
        for database_ms in [1_700, 60_000, 300, -5_000] {
            let difference = Some(Difference { database_ms, own_ms: 1_010 });
            assert_eq!(after_one_second(database_ms), difference, "{database_ms}");
        }
    }

    #[test]
    fn a_slow_answer_is_no_difference() {
        let mut spans = Spans::default();
        spans.compare(own(0), own(10), database(0));
        // Asked after one second, read after five, answered after five.
        assert_eq!(spans.compare(own(1_000), own(5_000), database(5_000)), None);
        assert_eq!(spans.compare(own(6_000), own(6_010), database(6_000)), None);
    }
}
