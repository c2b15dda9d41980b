//! What one account's limit means where several nodes share it.
//!
//! The promise: in every stretch of time Δ, all nodes together admit at most `B + r·Δ`. A slice may be spent
//! up to H after its draw was sent, so what is admitted within [a, b] was drawn within [a − H', b], where H'
//! is H as a node's clock measures it that runs ρ too slow. The shared bucket hands out at most
//! `S + r·(b − a + H')` in that time. With `S = B − r·H'` that is `B + r·(b − a)`.
//!
//! H is 495 ms by the node's clock, which is at most 550 ms for a clock that is 10 % slow. It is shorter for
//! an account whose reserve `r·H'` would be more than a quarter of its burst, but never shorter than 90 ms
//! (a draw has to come back within it).
//!
//! Where even then less than one request would be left of the burst, the shared bucket holds exactly one, and
//! the rate is lowered to one request in `1/r + H'`: two draws are then at least that far apart, so what is
//! spent of them is at least `1/r` apart.
//!
//! A cost above S can never pass while nodes share the bucket: it is refused as over the limit.

use std::time::Duration;

use rndrkit_domain::decision::BudgetState;
use rndrkit_domain::node::CLOCK_RATE_ERROR_PERCENT;
use rndrkit_domain::plan::RateLimit;

/// Amounts are counted in millionths of a request.
pub(crate) const REQUEST: i64 = 1_000_000;
const LONGEST_HOLD_NS: u64 = 495_000_000;
const SHORTEST_HOLD_NS: u64 = 90_000_000;
/// The part of the burst that the reserve may take before slices are held for a shorter time.
const RESERVE_DIVISOR: u64 = 4;
/// The part of the shared bucket that one node may draw without a request waiting for it.
const AHEAD_DIVISOR: i64 = 32;
/// The part of the shared bucket that may be missing where it is called nearly full.
const NEARLY_DIVISOR: i64 = 16;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
const NANOSECONDS_PER_MINUTE: u64 = 60 * NANOSECONDS_PER_SECOND;

/// The terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) limit: RateLimit,
    /// What flows into the shared bucket in a second.
    pub(crate) rate_micros: i64,
    /// What the shared bucket holds at most.
    pub(crate) burst_micros: i64,
    /// How long a slice may be spent after its draw was sent.
    pub(crate) hold_ns: u64,
    /// Whole requests that a node may have drawn without anybody waiting for them.
    pub(crate) ahead: u32,
}

/// `duration_ns` of a clock that runs as slow as one may, in real time.
const fn stretched(duration_ns: u64) -> u64 {
    (duration_ns * 100).div_ceil(100 - CLOCK_RATE_ERROR_PERCENT as u64)
}

impl Terms {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let (per_minute, burst) = (u64::from(limit.per_minute.get()), u64::from(limit.burst.get()));
        let trusted_percent = u64::from(100 - CLOCK_RATE_ERROR_PERCENT);
        let part_ns = NANOSECONDS_PER_MINUTE / 100 * trusted_percent / RESERVE_DIVISOR;
        let bearable_ns = part_ns.saturating_mul(burst) / per_minute;
        let hold_ns = bearable_ns.clamp(SHORTEST_HOLD_NS, LONGEST_HOLD_NS);
        let reserve_micros =
            (per_minute * stretched(hold_ns)).div_ceil(NANOSECONDS_PER_MINUTE / REQUEST.unsigned_abs());
        let shared_micros = (burst * REQUEST.unsigned_abs()).saturating_sub(reserve_micros);
        let (rate_micros, burst_micros) = if shared_micros >= REQUEST.unsigned_abs() {
            (per_minute * REQUEST.unsigned_abs() / 60, shared_micros)
        } else {
            let apart_ns = NANOSECONDS_PER_MINUTE.div_ceil(per_minute) + stretched(hold_ns);
            (REQUEST.unsigned_abs() * NANOSECONDS_PER_SECOND / apart_ns, REQUEST.unsigned_abs())
        };
        let burst_micros = i64::try_from(burst_micros).unwrap_or(i64::MAX);
        let ahead = u32::try_from(burst_micros / REQUEST / AHEAD_DIVISOR).unwrap_or(u32::MAX).max(1);
        let rate_micros = i64::try_from(rate_micros).unwrap_or(i64::MAX).max(1);
        Self { limit, rate_micros, burst_micros, hold_ns, ahead }
    }

    /// The largest cost that can ever pass.
    pub(crate) fn largest_cost(&self) -> u32 {
        u32::try_from(self.burst_micros / REQUEST).unwrap_or(u32::MAX)
    }

    /// With so much in the shared bucket, what has lapsed before is no longer missed.
    pub(crate) const fn nearly_full_micros(&self) -> i64 {
        self.burst_micros - self.burst_micros / NEARLY_DIVISOR
    }

    /// What the shared bucket holds at most, `later` after it held `left_micros`.
    pub(crate) fn refilled(&self, left_micros: i64, later: Duration) -> i64 {
        let later_us = i64::try_from(later.as_micros()).unwrap_or(i64::MAX);
        let flowed = later_us.checked_mul(self.rate_micros).map_or(i64::MAX, |micros| micros / REQUEST);
        left_micros.saturating_add(flowed).min(self.burst_micros)
    }

    /// The time in which so much flows in; rounded up.
    pub(crate) fn time_for(&self, micros: i64) -> Duration {
        let (micros, rate) = (micros.max(0).unsigned_abs(), self.rate_micros.unsigned_abs());
        // More than this takes so long that milliseconds do.
        let ns = match micros.checked_mul(NANOSECONDS_PER_SECOND) {
            Some(product) => product.div_ceil(rate),
            None => (micros / 1_000).saturating_mul(1_000_000).div_ceil(rate).saturating_mul(1_000_000),
        };
        Duration::from_nanos(ns)
    }

    /// The budget as callers see it, of what a node holds and of what the bucket may hold.
    pub(crate) fn state(&self, held: u32, bucket_micros: i64) -> BudgetState {
        let micros = i64::from(held).saturating_mul(REQUEST).saturating_add(bucket_micros);
        let remaining = u32::try_from((micros / REQUEST).max(0)).unwrap_or(u32::MAX);
        let missing_micros = REQUEST - bucket_micros.rem_euclid(REQUEST);
        let is_full = bucket_micros >= self.burst_micros;
        let reset_seconds = if is_full { 0 } else { seconds(self.time_for(missing_micros)) };
        BudgetState { limit: self.limit, remaining: remaining.min(self.limit.burst.get()), reset_seconds }
    }

    /// The budget as a caller sees it who is refused `cost` and may come back after `wait`.
    pub(crate) fn refusal(&self, cost: u32, held: u32, bucket_micros: i64, wait: Duration) -> BudgetState {
        let state = self.state(held, bucket_micros);
        let remaining = state.remaining.min(cost.saturating_sub(1));
        BudgetState { remaining, reset_seconds: seconds(wait).max(1), ..state }
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn terms(per_minute: u32, burst: u32) -> Terms {
        Terms::new(RateLimit {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    #[test]
    fn the_reserve_is_what_flows_in_while_a_slice_is_held() {
        let agency = terms(600, 100);
        assert_eq!((agency.rate_micros, agency.burst_micros), (10_000_000, 94_500_000));
        assert_eq!((agency.hold_ns, agency.largest_cost(), agency.ahead), (495_000_000, 94, 2));
        let agency_plus = terms(3_000, 500);
        assert_eq!((agency_plus.rate_micros, agency_plus.burst_micros), (50_000_000, 472_500_000));
        assert_eq!((agency_plus.hold_ns, agency_plus.ahead), (495_000_000, 14));
    }

    #[test]
    fn a_small_burst_shortens_the_hold_and_then_lowers_the_rate() {
        let small = terms(600, 10);
        assert_eq!((small.burst_micros, small.rate_micros), (7_500_000, 10_000_000));
        assert_eq!(small.hold_ns, 225_000_000);
        let smallest = terms(600, 1);
        assert_eq!((smallest.burst_micros, smallest.hold_ns), (1_000_000, 90_000_000));
        // One in 100 ms and the 100 ms that a slice may be held by the slowest clock.
        assert_eq!(smallest.rate_micros, 5_000_000);
    }

    #[test]
    fn the_largest_and_smallest_limits_do_not_overflow() {
        for (per_minute, burst) in [(1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX), (1, 1)] {
            let terms = terms(per_minute, burst);
            assert!(terms.largest_cost() >= 1);
            assert!(terms.refilled(0, Duration::from_secs(1_000_000_000)) <= terms.burst_micros);
            terms.state(u32::MAX, terms.burst_micros);
            terms.refusal(1, 0, i64::MIN / 2, terms.time_for(i64::MAX));
        }
    }

    proptest! {
        /// However slices are drawn and spent: at the latest moment each, or at the earliest, by a node whose
        /// clock is as slow as one may be. The worst stretch begins with slices drawn just before it.
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^52")]
        fn what_is_drawn_and_held_never_exceeds_the_limit(per_minute in 1_u32..200_000, burst in 1_u32..2_000) {
            let terms = terms(per_minute, burst);
            let held_s = f64::from(u32::try_from(terms.hold_ns / 1_000).unwrap()) / 1e6 / 0.9;
            let (shared, rate) = (terms.burst_micros as f64 / 1e6, terms.rate_micros as f64 / 1e6);
            let limit_rate = f64::from(per_minute) / 60.0;
            for requests in 1_u32..200 {
                // The shortest stretch of the shared bucket's time in which so many can be drawn...
                let drawn_s = ((f64::from(requests) - shared) / rate).max(0.0);
                // ...and the shortest in which they can be spent.
                let spent_s = (drawn_s - held_s).max(0.0);
                let admitted_most = f64::from(burst) + limit_rate * spent_s + 1e-6;
                prop_assert!(f64::from(requests) <= admitted_most, "{requests} of {terms:?}");
            }
        }
    }
}
