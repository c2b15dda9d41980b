//! Counted use, in memory until it is flushed: requests per key and minute, and when each secret was last
//! presented. Bounded; what finds no room is dropped and counted.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Counter;
use parking_lot::Mutex;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{AnswerCounts, LastUse, StatusClass, UsageCounts, UsageDelta, UsagePeriod};

use crate::meters;

/// Rows (one secret in one minute) that wait for a flush: as many keys as fit the default cache, and room
/// for a turn of the minute. About 40 MB at the worst.
const MAX_ROWS: usize = 262_144;
/// Each thread counts in one of these, so that busy threads do not wait for each other.
const SHARDS: usize = 16;

/// What became of a request that presented an active, unexpired secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Let through.
    Allowed,
    /// Refused for want of budget.
    Limited,
    /// Refused for another reason.
    Refused,
    /// Looked at without spending: moves the last use, counts nothing.
    Looked,
}

/// Whose secret was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) digest: Digest,
    pub(crate) key_id: KeyId,
    pub(crate) account_id: AccountId,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    key_id: KeyId,
    account_id: AccountId,
    counts: UsageCounts,
    last_used_at: Timestamp,
}

impl Row {
    fn merge(&mut self, other: &Self) {
        self.counts = self.counts.plus(other.counts);
        self.last_used_at = self.last_used_at.max(other.last_used_at);
    }
}

const fn total(counts: UsageCounts) -> u64 {
    counts.allowed + counts.limited + counts.refused
}

/// One secret in one minute.
type RowKey = (Digest, Timestamp);

/// Counts use in memory until it is flushed.
pub struct UsageBuffer {
    shards: Vec<Mutex<HashMap<RowKey, Row>>>,
    rows: AtomicUsize,
    max_rows: usize,
    dropped: Counter,
}

impl UsageBuffer {
    pub(crate) fn new() -> Self {
        Self::with_bound(MAX_ROWS)
    }

    fn with_bound(max_rows: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, rows: AtomicUsize::new(0), max_rows, dropped: meters::usage_dropped() }
    }

    pub(crate) fn record(&self, owner: &Owner, at: Timestamp, what: Use) {
        let one = |is: bool| u64::from(is);
        let counts = UsageCounts {
            allowed: one(what == Use::Allowed),
            limited: one(what == Use::Limited),
            refused: one(what == Use::Refused),
            answers: AnswerCounts::default(),
        };
        self.count(owner, at, counts);
    }

    /// Counts what an admitted request was answered, in the minute of the answer.
    pub(crate) fn answered(&self, owner: &Owner, at: Timestamp, class: StatusClass) {
        self.count(owner, at, UsageCounts { answers: AnswerCounts::one(class), ..UsageCounts::default() });
    }

    fn count(&self, owner: &Owner, at: Timestamp, counts: UsageCounts) {
        let row = Row { key_id: owner.key_id, account_id: owner.account_id, counts, last_used_at: at };
        self.add((owner.digest, at.floor_to(UsagePeriod::Minute.length())), row);
    }

    fn add(&self, key: RowKey, row: Row) {
        let Some(shard) = self.shards.get(shard_of_this_thread()) else { return };
        let mut rows = shard.lock();
        if let Some(present) = rows.get_mut(&key) {
            present.merge(&row);
        } else if self.rows.fetch_add(1, Ordering::Relaxed) < self.max_rows {
            rows.insert(key, row);
        } else {
            self.rows.fetch_sub(1, Ordering::Relaxed);
            self.dropped.increment(total(row.counts));
        }
    }

    /// Rows waiting now.
    pub fn waiting(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Takes everything out. What the batch is not [`Batch::done`] with comes back.
    pub(crate) fn drain(self: &Arc<Self>) -> Batch {
        let mut all: HashMap<RowKey, Row> = HashMap::new();
        for shard in &self.shards {
            let rows = mem::take(&mut *shard.lock());
            self.rows.fetch_sub(rows.len(), Ordering::Relaxed);
            for (key, row) in rows {
                all.entry(key).and_modify(|present| present.merge(&row)).or_insert(row);
            }
        }
        Batch { buffer: Arc::clone(self), rows: all }
    }
}

fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

/// Use on its way to the store. Dropped without [`Self::done`], it goes back into the buffer.
pub(crate) struct Batch {
    buffer: Arc<UsageBuffer>,
    rows: HashMap<RowKey, Row>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What to add per key and minute, in order of key and minute.
    pub(crate) fn deltas(&self) -> Vec<UsageDelta> {
        let mut sums: BTreeMap<(KeyId, Timestamp), UsageDelta> = BTreeMap::new();
        for ((_, minute), row) in &self.rows {
            if row.counts == UsageCounts::default() {
                continue;
            }
            sums.entry((row.key_id, *minute))
                .and_modify(|delta| delta.counts = delta.counts.plus(row.counts))
                .or_insert(UsageDelta {
                    key_id: row.key_id,
                    account_id: row.account_id,
                    minute: *minute,
                    counts: row.counts,
                });
        }
        sums.into_values().collect()
    }

    /// When each secret was last presented, in order of digest.
    pub(crate) fn last_uses(&self) -> Vec<LastUse> {
        let mut latest: BTreeMap<Digest, LastUse> = BTreeMap::new();
        for ((digest, _), row) in &self.rows {
            latest
                .entry(*digest)
                .and_modify(|last| last.at = last.at.max(row.last_used_at))
                .or_insert(LastUse { digest: *digest, key_id: row.key_id, at: row.last_used_at });
        }
        latest.into_values().collect()
    }

    /// It is stored.
    pub(crate) fn done(mut self) {
        self.rows.clear();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for (key, row) in self.rows.drain() {
            self.buffer.add(key, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use rndrkit_domain::random::OsEntropy;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_040_000 + seconds * 1_000)
    }

    fn owner(seed: u8) -> Owner {
        let now = Timestamp::from_unix_ms(0);
        Owner {
            digest: Digest([seed; 32]),
            key_id: KeyId::generate(now, &OsEntropy),
            account_id: AccountId::generate(now, &OsEntropy),
        }
    }

    fn buffer(max_rows: usize) -> Arc<UsageBuffer> {
        Arc::new(UsageBuffer::with_bound(max_rows))
    }

    fn counts(allowed: u64, limited: u64, refused: u64) -> UsageCounts {
        UsageCounts { allowed, limited, refused, ..UsageCounts::default() }
    }

    #[test]
    fn every_request_of_many_threads_is_counted_in_its_minute() {
        let (buffer, owner) = (buffer(100), owner(1));
        thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    for second in 0..90 {
                        buffer.record(&owner, at(second), Use::Allowed);
                        buffer.record(&owner, at(second), Use::Limited);
                    }
                    buffer.record(&owner, at(0), Use::Refused);
                });
            }
        });
        let batch = buffer.drain();
        let deltas = batch.deltas();
        let seen: Vec<_> = deltas.iter().map(|delta| (delta.minute, delta.counts)).collect();
        let first = at(0).floor_to(UsagePeriod::Minute.length());
        let second = at(60).floor_to(UsagePeriod::Minute.length());
        assert_eq!(first, at(0), "the test begins on a minute");
        assert_eq!(seen, [(first, counts(1_440, 1_440, 24)), (second, counts(720, 720, 0))]);
        assert_eq!(batch.last_uses(), [LastUse { digest: owner.digest, key_id: owner.key_id, at: at(89) }]);
        batch.done();
        assert!(buffer.drain().is_empty());
    }

    #[test]
    fn a_look_moves_the_last_use_and_counts_nothing() {
        let (buffer, owner) = (buffer(100), owner(1));
        buffer.record(&owner, at(5), Use::Looked);
        let batch = buffer.drain();
        assert_eq!(batch.deltas(), []);
        assert_eq!(batch.last_uses().len(), 1);
    }

    #[test]
    fn two_secrets_of_one_key_are_one_count_and_two_last_uses() {
        let (buffer, old) = (buffer(100), owner(1));
        let new = Owner { digest: Digest([2; 32]), ..old };
        buffer.record(&old, at(0), Use::Allowed);
        buffer.record(&new, at(1), Use::Allowed);
        let batch = buffer.drain();
        assert_eq!(batch.deltas().iter().map(|delta| delta.counts).collect::<Vec<_>>(), [counts(2, 0, 0)]);
        assert_eq!(batch.last_uses().iter().map(|last| last.at).collect::<Vec<_>>(), [at(0), at(1)]);
    }

    #[test]
    fn a_batch_that_was_not_stored_comes_back_and_joins_what_came_meanwhile() {
        let (buffer, owner) = (buffer(100), owner(1));
        buffer.record(&owner, at(9), Use::Allowed);
        let failed = buffer.drain();
        buffer.record(&owner, at(3), Use::Allowed);
        drop(failed);
        assert_eq!(buffer.waiting(), 1);
        let batch = buffer.drain();
        assert_eq!(batch.deltas().iter().map(|delta| delta.counts.allowed).collect::<Vec<_>>(), [2]);
        assert_eq!(batch.last_uses().iter().map(|last| last.at).collect::<Vec<_>>(), [at(9)]);
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_what_is_there_goes_on_counting() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let buffer = metrics::with_local_recorder(&recorder, || buffer(2));
        let dropped =
            |count: u32| recorder.handle().render().contains(&format!("usage_dropped_total {count}\n"));
        let owners = [owner(1), owner(2), owner(3)];
        for _ in 0..5 {
            for owner in &owners {
                buffer.record(owner, at(0), Use::Allowed);
            }
        }
        assert_eq!(buffer.waiting(), 2);
        assert!(dropped(5));
        let batch = buffer.drain();
        assert_eq!(batch.deltas().iter().map(|delta| delta.counts.allowed).sum::<u64>(), 10);
        // Coming back, it is bounded too, and what is lost is counted.
        for owner in &owners {
            buffer.record(owner, at(60), Use::Allowed);
        }
        drop(batch);
        assert_eq!(buffer.waiting(), 2);
        assert!(dropped(5 + 1 + 10));
    }
}
