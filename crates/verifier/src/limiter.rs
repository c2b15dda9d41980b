//! An account's budget: a bucket of `burst` requests that refills at `per_minute` / 60 a second.
//!
//! Kept as the theoretical arrival time of the generic cell rate algorithm in one atomic. The limit itself
//! is not stored here: whoever holds the account's view passes it in, and converts when it changes.

use std::sync::atomic::{AtomicU64, Ordering};

use rndrkit_domain::decision::BudgetState;
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::time::Monotonic;

const NANOSECONDS_PER_MINUTE: u64 = 60_000_000_000;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
/// The longest debt: 146 years. Absurd limits (four thousand million requests at one a minute) end here,
/// so that no sum of a reading of the clock and a debt overflows.
const MAX_CAPACITY_NS: u64 = u64::MAX / 4;

/// A rate limit in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    limit: RateLimit,
    /// Time in which one request flows back, rounded up: rounding never admits more than the limit says.
    interval_ns: u64,
    /// Time in which an empty bucket fills.
    capacity_ns: u64,
}

impl Rule {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let interval_ns = NANOSECONDS_PER_MINUTE.div_ceil(u64::from(limit.per_minute.get()));
        let capacity_ns = interval_ns.saturating_mul(u64::from(limit.burst.get())).min(MAX_CAPACITY_NS);
        Self { limit, interval_ns, capacity_ns }
    }

    pub(crate) const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// The state of a bucket from which `spent_ns` worth of requests is taken.
    #[inline]
    fn state(&self, spent_ns: u64) -> BudgetState {
        let remaining = self.capacity_ns.saturating_sub(spent_ns) / self.interval_ns;
        let room_for_one_more_ns = (remaining + 1).saturating_mul(self.interval_ns);
        // A full bucket gets no fuller. One in debt (a smaller plan) first has to come back to empty.
        let wait_ns = match spent_ns {
            0 => 0,
            _ => spent_ns.saturating_add(room_for_one_more_ns).saturating_sub(self.capacity_ns),
        };
        BudgetState {
            limit: self.limit,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset_seconds: wait_ns.div_ceil(NANOSECONDS_PER_SECOND),
        }
    }
}

/// What came of taking from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There was room; it is taken.
    Admitted(BudgetState),
    /// There was not; nothing is taken.
    Refused(BudgetState),
}

/// One bucket. Starts full.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// When the bucket will be full again; in the past = it is full.
    full_at_ns: AtomicU64,
}

impl Limiter {
    /// Takes `cost` requests, all or none. A cost of 0 looks and is always admitted.
    #[inline]
    pub(crate) fn take(&self, rule: &Rule, cost: u32, now: Monotonic) -> Taken {
        let need_ns = rule.interval_ns.saturating_mul(u64::from(cost));
        let mut full_at_ns = self.full_at_ns.load(Ordering::Acquire);
        loop {
            let spent_ns = full_at_ns.saturating_sub(now.0);
            if cost == 0 {
                return Taken::Admitted(rule.state(spent_ns));
            }
            let after_ns = spent_ns.saturating_add(need_ns);
            if after_ns > rule.capacity_ns {
                return Taken::Refused(rule.state(spent_ns));
            }
            let next_ns = now.0.saturating_add(after_ns);
            match self.full_at_ns.compare_exchange_weak(
                full_at_ns,
                next_ns,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Taken::Admitted(rule.state(after_ns)),
                Err(seen) => full_at_ns = seen,
            }
        }
    }

    /// Carries what is spent from one limit over to another: ten requests spent stay ten requests spent,
    /// so that going back and forth between plans refills nothing. The caller keeps takers away meanwhile.
    pub(crate) fn convert(&self, from: &Rule, to: &Rule, now: Monotonic) {
        let spent_ns = self.full_at_ns.load(Ordering::Acquire).saturating_sub(now.0);
        let converted =
            (u128::from(spent_ns) * u128::from(to.interval_ns)).div_ceil(u128::from(from.interval_ns));
        let spent_ns = u64::try_from(converted).unwrap_or(MAX_CAPACITY_NS).min(MAX_CAPACITY_NS);
        self.full_at_ns.store(now.0.saturating_add(spent_ns), Ordering::Release);
    }

    /// Whether forgetting this bucket would give nothing away.
    pub(crate) fn is_full(&self, now: Monotonic) -> bool {
        self.full_at_ns.load(Ordering::Acquire) <= now.0
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn rule(per_minute: u32, burst: u32) -> Rule {
        Rule::new(RateLimit {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic(1_000_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn admitted(taken: Taken) -> BudgetState {
        match taken {
            Taken::Admitted(state) => state,
            Taken::Refused(state) => panic!("refused: {state:?}"),
        }
    }

    fn refused(taken: Taken) -> BudgetState {
        match taken {
            Taken::Refused(state) => state,
            Taken::Admitted(state) => panic!("admitted: {state:?}"),
        }
    }

    #[test]
    fn a_full_bucket_admits_its_burst_and_then_one_request_per_interval() {
        let (limiter, rule) = (Limiter::default(), rule(60, 3));
        for left in [2, 1, 0] {
            assert_eq!(admitted(limiter.take(&rule, 1, at(0))).remaining, left);
        }
        let state = refused(limiter.take(&rule, 1, at(0)));
        assert_eq!((state.remaining, state.reset_seconds), (0, 1));
        assert_eq!(admitted(limiter.take(&rule, 1, at(1))).remaining, 0);
        refused(limiter.take(&rule, 1, at(1)));
        assert_eq!(
            admitted(limiter.take(&rule, 0, at(60))),
            BudgetState { limit: rule.limit(), remaining: 3, reset_seconds: 0 }
        );
    }

    #[test]
    fn the_wait_is_rounded_up_to_the_moment_when_one_more_fits() {
        let (limiter, rule) = (Limiter::default(), rule(7, 2));
        // One request flows back in 8.57… seconds.
        assert_eq!(admitted(limiter.take(&rule, 1, at(0))).reset_seconds, 9);
        assert_eq!(admitted(limiter.take(&rule, 1, at(0))).reset_seconds, 9);
        assert_eq!(refused(limiter.take(&rule, 1, at(8))).reset_seconds, 1);
        assert_eq!(admitted(limiter.take(&rule, 1, at(9))).remaining, 0);
    }

    #[test]
    fn looking_spends_nothing_and_is_admitted_from_an_empty_bucket() {
        let (limiter, rule) = (Limiter::default(), rule(60, 1));
        admitted(limiter.take(&rule, 0, at(0)));
        admitted(limiter.take(&rule, 1, at(0)));
        assert_eq!(admitted(limiter.take(&rule, 0, at(0))).remaining, 0);
        assert_eq!(refused(limiter.take(&rule, 1, at(0))).remaining, 0);
    }

    #[test]
    fn a_cost_that_does_not_fit_takes_nothing() {
        let (limiter, rule) = (Limiter::default(), rule(60, 5));
        refused(limiter.take(&rule, 6, at(0)));
        assert_eq!(admitted(limiter.take(&rule, 5, at(0))).remaining, 0);
    }

    #[test]
    fn another_limit_keeps_what_is_spent() {
        let (agency, agency_plus) = (rule(600, 100), rule(3_000, 500));
        let limiter = Limiter::default();
        admitted(limiter.take(&agency, 30, at(0)));
        limiter.convert(&agency, &agency_plus, at(0));
        assert_eq!(admitted(limiter.take(&agency_plus, 0, at(0))).remaining, 470);
        admitted(limiter.take(&agency_plus, 470, at(0)));
        for _ in 0..10 {
            limiter.convert(&agency_plus, &agency, at(0));
            refused(limiter.take(&agency, 1, at(0)));
            limiter.convert(&agency, &agency_plus, at(0));
            refused(limiter.take(&agency_plus, 1, at(0)));
        }
        limiter.convert(&agency_plus, &agency, at(0));
        // 500 spent of 100: forty seconds of debt, then a tenth of a second for the request.
        assert_eq!(refused(limiter.take(&agency, 1, at(0))).reset_seconds, 41);
        refused(limiter.take(&agency, 1, at(40)));
        assert_eq!(admitted(limiter.take(&agency, 1, at(41))).remaining, 9);
    }

    #[test]
    fn threads_that_race_for_a_bucket_get_exactly_what_it_holds() {
        let (limiter, rule) = (Limiter::default(), rule(60, 200_000));
        let take_all = || {
            (0..250_000).take_while(|_| matches!(limiter.take(&rule, 1, at(0)), Taken::Admitted(_))).count()
        };
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take_all)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 200_000);
    }

    #[test]
    fn the_largest_and_smallest_limits_do_not_overflow() {
        for (per_minute, burst) in [(1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX), (1, 1)] {
            let (limiter, rule) = (Limiter::default(), rule(per_minute, burst));
            admitted(limiter.take(&rule, 1, at(0)));
            limiter.take(&rule, u32::MAX, at(0));
            limiter.take(&rule, 0, Monotonic(u64::MAX));
        }
    }

    /// The exact bucket in whole numbers: its level is counted in 1 / 60e9 of a request.
    struct ReferenceBucket {
        level: u128,
        at_ns: u64,
        rule: Rule,
    }

    impl ReferenceBucket {
        const REQUEST: u128 = NANOSECONDS_PER_MINUTE as u128;

        fn full(rule: Rule, now: Monotonic) -> Self {
            Self { level: u128::from(rule.limit.burst.get()) * Self::REQUEST, at_ns: now.0, rule }
        }

        fn take(&mut self, cost: u32, now: Monotonic) -> bool {
            let refill = u128::from(now.0 - self.at_ns) * u128::from(self.rule.limit.per_minute.get());
            let full = u128::from(self.rule.limit.burst.get()) * Self::REQUEST;
            self.level = (self.level + refill).min(full);
            self.at_ns = now.0;
            let need = u128::from(cost) * Self::REQUEST;
            let fits = need <= self.level;
            if fits {
                self.level -= need;
            }
            fits
        }
    }

    proptest! {
        /// Divisors of 60e9 have an exact interval, so the two must agree on every single request.
        #[test]
        fn with_an_exact_interval_it_decides_as_the_exact_bucket_does(
            per_minute in prop::sample::select(vec![1_u32, 2, 3, 60, 600, 3_000, 60_000]),
            burst in 1_u32..200,
            steps in prop::collection::vec((0_u64..3_000_000_000, 1_u32..5), 1..300),
        ) {
            let rule = rule(per_minute, burst);
            let limiter = Limiter::default();
            let mut now = at(0);
            let mut reference = ReferenceBucket::full(rule, now);
            for (pause_ns, cost) in steps {
                now = now.plus(Duration::from_nanos(pause_ns));
                let taken = matches!(limiter.take(&rule, cost, now), Taken::Admitted(_));
                prop_assert_eq!(taken, reference.take(cost, now));
            }
        }

        /// Whatever is admitted, the exact bucket would have admitted too.
        #[test]
        fn with_any_limit_it_never_admits_what_the_exact_bucket_refuses(
            per_minute in 1_u32..100_000,
            burst in 1_u32..200,
            steps in prop::collection::vec((0_u64..3_000_000_000, 1_u32..5), 1..300),
        ) {
            let rule = rule(per_minute, burst);
            let limiter = Limiter::default();
            let mut now = at(0);
            let mut reference = ReferenceBucket::full(rule, now);
            for (pause_ns, cost) in steps {
                now = now.plus(Duration::from_nanos(pause_ns));
                if matches!(limiter.take(&rule, cost, now), Taken::Admitted(_)) {
                    prop_assert!(reference.take(cost, now));
                }
            }
        }

        #[test]
        fn waiting_as_long_as_it_says_makes_room_for_one_more(
            per_minute in 1_u32..10_000,
            burst in 1_u32..50,
            spent in 1_u32..50,
        ) {
            let rule = rule(per_minute, burst);
            let limiter = Limiter::default();
            for _ in 0..spent {
                limiter.take(&rule, 1, at(0));
            }
            let Taken::Admitted(before) = limiter.take(&rule, 0, at(0)) else { unreachable!() };
            let Taken::Admitted(after) = limiter.take(&rule, 0, at(before.reset_seconds)) else { unreachable!() };
            prop_assert!(after.remaining > before.remaining);
            let almost = at(before.reset_seconds - 1);
            let Taken::Admitted(early) = limiter.take(&rule, 0, almost) else { unreachable!() };
            // One interval may be shorter than a second; then there may be room already.
            prop_assert!(rule.interval_ns < NANOSECONDS_PER_SECOND || early.remaining == before.remaining);
        }

        #[test]
        fn changing_limits_never_makes_room(
            limits in prop::collection::vec((1_u32..5_000, 1_u32..200), 2..20),
        ) {
            let rules: Vec<Rule> = limits.iter().map(|(per_minute, burst)| rule(*per_minute, *burst)).collect();
            let largest = rules.iter().map(|rule| rule.limit.burst.get()).max().unwrap();
            let limiter = Limiter::default();
            let mut total = 0;
            for pair in rules.windows(2) {
                while matches!(limiter.take(&pair[0], 1, at(0)), Taken::Admitted(_)) {
                    total += 1;
                }
                limiter.convert(&pair[0], &pair[1], at(0));
            }
            prop_assert!(total <= largest, "{} admitted at one moment, the largest bucket holds {}", total, largest);
        }
    }
}
