//! Time as the product uses it: UTC milliseconds for records, a monotonic clock for decisions.
//!
//! Nothing here reads the machine's clock except [`SystemClock`]; everything else gets a [`Clock`].

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment in UTC, milliseconds since 1970. Written as RFC 3339 with milliseconds and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 moment between the years 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time, such as 2030-01-31T12:00:00Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z: the last moment that RFC 3339 can write.
    const MAX_UNIX_MS: i64 = 253_402_300_799_999;

    /// From milliseconds since 1970, held within the years 1970 to 9999.
    #[must_use]
    pub fn from_unix_ms(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(0, Self::MAX_UNIX_MS))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This moment moved later; held at the end of the year 9999.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_ms(self.0.saturating_add(milliseconds))
    }

    /// This moment moved earlier; held at 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_ms(self.0.saturating_sub(milliseconds))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The start of the minute, hour or day (any `unit`) that this moment lies in.
    #[must_use]
    pub fn floor_to(self, unit: Duration) -> Self {
        let unit = i64::try_from(unit.as_millis()).unwrap_or(1).max(1);
        Self(self.0 - self.0.rem_euclid(unit))
    }

    fn civil(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// `2026-11-23`: the UTC day.
    #[must_use]
    pub fn date(self) -> String {
        self.civil().strftime("%Y-%m-%d").to_string()
    }

    /// `23 Nov 2026`: the UTC day as people write it.
    #[must_use]
    pub fn date_for_people(self) -> String {
        self.civil().strftime("%-d %b %Y").to_string()
    }

    /// `23 Nov`: the UTC day where the year is known.
    #[must_use]
    pub fn day_for_people(self) -> String {
        self.civil().strftime("%-d %b").to_string()
    }

    /// `14:05`: the UTC time of day.
    #[must_use]
    pub fn time_for_people(self) -> String {
        self.civil().strftime("%H:%M").to_string()
    }

    /// `23 Nov 2026, 14:05 UTC`: for tooltips and exact statements.
    #[must_use]
    pub fn exact_for_people(self) -> String {
        self.civil().strftime("%-d %b %Y, %H:%M UTC").to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.civil())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Any RFC 3339 moment with an offset; finer than a millisecond is cut off.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        let milliseconds = parsed.as_millisecond();
        if (0..=Self::MAX_UNIX_MS).contains(&milliseconds) {
            Ok(Self(milliseconds))
        } else {
            Err(InvalidTimestamp)
        }
    }
}

/// A reading of a monotonic clock: nanoseconds since some moment before the process's first request.
///
/// Readings of one [`Clock`] compare with each other and with nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This reading moved later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Where the time comes from. Read by whoever decides, at the moment of deciding: never a ticker.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, for records and for ends that people set.
    fn now(&self) -> Timestamp;
    /// The monotonic clock, for budgets, trust and waits.
    fn monotonic(&self) -> Monotonic;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

/// Where [`SystemClock`] starts counting, so that "a while ago" never underflows.
const ORIGIN_NS: u64 = 1_000_000_000_000_000;

impl Default for SystemClock {
    fn default() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        let origin = Instant::now();
        Self { origin }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        let elapsed = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Monotonic(ORIGIN_NS.saturating_add(elapsed))
    }
}

/// A clock that stands still until it is told to move. For tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl ManualClock {
    /// Starts at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { wall_ms: AtomicI64::new(now.unix_ms()), monotonic_ns: AtomicU64::new(ORIGIN_NS) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, duration: Duration) {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.fetch_add(milliseconds, Ordering::SeqCst);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.monotonic_ns.fetch_add(nanoseconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.monotonic_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_as_rfc_3339_with_milliseconds_and_z() {
        let moment = Timestamp::from_unix_ms(1_700_000_000_120);
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20.120Z");
        assert_eq!(Timestamp::from_unix_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!(moment.date(), "2023-11-14");
        assert_eq!(moment.exact_for_people(), "14 Nov 2023, 22:13 UTC");
        assert_eq!((moment.day_for_people(), moment.time_for_people()), ("14 Nov".into(), "22:13".into()));
    }

    #[test]
    fn a_timestamp_with_an_offset_is_read_and_one_without_is_refused() {
        assert_eq!("2023-11-14T23:13:20.1209+01:00".parse(), Ok(Timestamp::from_unix_ms(1_700_000_000_120)));
        for bad in ["", "2023-11-14", "2023-11-14T22:13:20", "tomorrow", "1960-01-01T00:00:00Z"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(InvalidTimestamp), "{bad}");
        }
    }
}
