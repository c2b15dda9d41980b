//! Metrics of this crate. Handles are made once, so that counting on the hot path is one addition.

use std::fmt;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use rndrkit_domain::feed::FeedNumber;

const CACHE_ENTRIES: &str = "rndrkit_cache_entries";
const CACHE_HITS: &str = "rndrkit_cache_hits_total";
const CACHE_MISSES: &str = "rndrkit_cache_misses_total";
const CACHE_EVICTIONS: &str = "rndrkit_cache_evictions_total";
const LOOKUPS_RUNNING: &str = "rndrkit_lookups_running";
const STORE_ERRORS: &str = "rndrkit_store_errors_total";
const USAGE_DROPPED: &str = "rndrkit_usage_dropped_total";
const OBSERVATIONS_DROPPED: &str = "rndrkit_observations_dropped_total";
const FEED_LAG: &str = "rndrkit_feed_lag";
const HISTORIES_LOST: &str = "rndrkit_feed_histories_lost_total";
const BUDGET_RESTARTS: &str = "rndrkit_budget_restarts_total";
const SLICE_STATEMENTS: &str = "rndrkit_slice_statements_total";
const SLICE_DRAWS: &str = "rndrkit_slice_draws_total";
const SLICE_WAITS: &str = "rndrkit_slice_waits_total";
const SLICE_REQUESTS_DRAWN: &str = "rndrkit_slice_requests_drawn_total";
const SLICE_REQUESTS_LAPSED: &str = "rndrkit_slice_requests_lapsed_total";
const ACCOUNTS_HELD: &str = "rndrkit_accounts_held";

/// Describes this crate's metrics to the recorder in force.
pub fn describe_metrics() {
    describe_gauge!(CACHE_ENTRIES, "Secrets held in memory, good and refused ones");
    describe_counter!(CACHE_HITS, "Verifications answered from memory, up to the last flush of use");
    describe_counter!(CACHE_MISSES, "Verifications that had to wait for a look-up");
    describe_counter!(CACHE_EVICTIONS, "Good keys that left memory for want of room");
    describe_gauge!(LOOKUPS_RUNNING, "Look-ups running now");
    describe_counter!(STORE_ERRORS, "Look-ups, reads of the feed and flushes of use that failed");
    describe_counter!(
        USAGE_DROPPED,
        "Requests, answers and last uses that were not counted because too many were waiting"
    );
    describe_counter!(
        OBSERVATIONS_DROPPED,
        "Refusals and sightings of secrets that were not kept for pages, because enough were waiting"
    );
    describe_gauge!(FEED_LAG, Unit::Count, "Changes that are committed and not yet applied here");
    describe_counter!(
        HISTORIES_LOST,
        "Times that all was forgotten because the feed did not continue what was applied"
    );
    describe_counter!(
        BUDGET_RESTARTS,
        "Budgets that began full in the first minute of the process and may admit one burst more"
    );
    describe_counter!(SLICE_STATEMENTS, "Statements that drew from budgets shared between nodes");
    describe_counter!(
        SLICE_DRAWS,
        "Draws from shared budgets, one for each account in a statement, by outcome"
    );
    describe_counter!(SLICE_WAITS, "Requests that waited for a draw");
    describe_counter!(SLICE_REQUESTS_DRAWN, "Requests drawn from shared budgets");
    describe_counter!(
        SLICE_REQUESTS_LAPSED,
        "Requests drawn from shared budgets that nobody could spend in time"
    );
    describe_gauge!(ACCOUNTS_HELD, "Accounts held in memory");
}

/// The handles.
pub(crate) struct Meters {
    pub(crate) good_entries: Gauge,
    pub(crate) refused_entries: Gauge,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) evictions: Counter,
    pub(crate) lookups_running: Gauge,
    pub(crate) store_errors: Counter,
    pub(crate) feed_lag: Gauge,
    pub(crate) histories_lost: Counter,
    pub(crate) budget_restarts: Counter,
    pub(crate) accounts_held: Gauge,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            good_entries: gauge!(CACHE_ENTRIES, "cache" => "good"),
            refused_entries: gauge!(CACHE_ENTRIES, "cache" => "refused"),
            hits: counter!(CACHE_HITS),
            misses: counter!(CACHE_MISSES),
            evictions: counter!(CACHE_EVICTIONS),
            lookups_running: gauge!(LOOKUPS_RUNNING),
            store_errors: counter!(STORE_ERRORS),
            feed_lag: gauge!(FEED_LAG),
            histories_lost: counter!(HISTORIES_LOST),
            budget_restarts: counter!(BUDGET_RESTARTS),
            accounts_held: gauge!(ACCOUNTS_HELD),
        }
    }

    // Sizes are far below 2^52, where a gauge's floating point begins to round.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating point number")]
    pub(crate) fn show_sizes(&self, good: usize, refused: usize, accounts: usize) {
        self.good_entries.set(good as f64);
        self.refused_entries.set(refused as f64);
        self.accounts_held.set(accounts as f64);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating point number")]
    pub(crate) fn show_lag(&self, entries: FeedNumber) {
        self.feed_lag.set(entries.max(0) as f64);
    }
}

/// The handles of what is drawn from shared budgets.
pub(crate) struct SliceMeters {
    pub(crate) statements: Counter,
    pub(crate) drawn: Counter,
    pub(crate) empty: Counter,
    pub(crate) stale: Counter,
    pub(crate) failed: Counter,
    pub(crate) waits: Counter,
    pub(crate) requests_drawn: Counter,
    pub(crate) lapsed: Counter,
}

impl SliceMeters {
    pub(crate) fn new() -> Self {
        Self {
            statements: counter!(SLICE_STATEMENTS),
            drawn: counter!(SLICE_DRAWS, "outcome" => "drawn"),
            empty: counter!(SLICE_DRAWS, "outcome" => "empty"),
            stale: counter!(SLICE_DRAWS, "outcome" => "stale"),
            failed: counter!(SLICE_DRAWS, "outcome" => "failed"),
            waits: counter!(SLICE_WAITS),
            requests_drawn: counter!(SLICE_REQUESTS_DRAWN),
            lapsed: counter!(SLICE_REQUESTS_LAPSED),
        }
    }
}

impl fmt::Debug for SliceMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceMeters").finish_non_exhaustive()
    }
}

/// Counter of uses that were dropped, for the buffer that drops them.
pub(crate) fn usage_dropped() -> Counter {
    counter!(USAGE_DROPPED)
}

/// Counter of observations that were dropped, for the buffer that drops them.
pub(crate) fn observations_dropped(kind: &'static str) -> Counter {
    counter!(OBSERVATIONS_DROPPED, "kind" => kind)
}

/// Counter of failed store calls, for the flusher.
pub(crate) fn store_errors() -> Counter {
    counter!(STORE_ERRORS)
}
