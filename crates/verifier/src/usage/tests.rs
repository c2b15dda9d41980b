//! Counting, draining, and coming back.

use std::num::NonZeroU32;
use std::thread;

use metrics_exporter_prometheus::PrometheusBuilder;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Monotonic;

use super::*;
use crate::account::Accounts;
use crate::entry::KeyEntry;
use crate::meters::Meters;
use crate::source::{AccountFacts, KeyFacts};
use crate::table::TableMeters;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_040_000 + seconds * 1_000)
}

/// A secret and what is known of it.
struct Key {
    digest: Digest,
    entry: KeyEntry,
}

fn key(seed: u8) -> Key {
    let now = Timestamp::from_unix_ms(0);
    let account = AccountFacts {
        id: AccountId::generate(now, &OsEntropy),
        external_id: None,
        status: AccountStatus::Active,
        plan: PlanId::parse("agency").unwrap(),
        api_access: true,
        rate_limit: RateLimit { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN },
        revision: 1,
    };
    let (state, _) = Accounts::new(10).intern(&account, 0, Monotonic(0)).unwrap();
    let key_id = KeyId::generate(now, &OsEntropy);
    let facts = KeyFacts { key_id, expires_at: None, ends_at: None, revoked: false, account };
    Key { digest: Digest([seed; 32]), entry: KeyEntry::new(&facts, state) }
}

fn buffer(max_rows: usize) -> Arc<UsageBuffer> {
    buffer_beside(100, max_rows)
}

/// Beside so many keys at most.
fn buffer_beside(keys: usize, max_rows: usize) -> Arc<UsageBuffer> {
    let meters = TableMeters::of(&Meters::new());
    Arc::new(UsageBuffer::new(Arc::new(KeyTable::new(keys, max_rows, meters))))
}

impl UsageBuffer {
    fn record(&self, key: &Key, at: Timestamp, what: Use) {
        self.table.count(&key.digest, &key.entry, at, what);
    }

    /// As the hot path counts: with the key found.
    fn record_found(&self, key: &Key, at: Timestamp, what: Use) {
        self.table.find(&key.digest).unwrap().used(&key.digest, Some((at, what)));
    }

    fn hold(&self, key: &Key) {
        self.table.insert(key.digest, &key.entry);
    }

    fn answer(&self, key: &Key, at: Timestamp, class: StatusClass) {
        let (key_id, account_id) = key.entry.owner();
        self.table.answered(&Owner { digest: key.digest, key_id, account_id }, at, class);
    }
}

fn counts(allowed: u64, limited: u64, refused: u64) -> UsageCounts {
    UsageCounts { allowed, limited, refused, ..UsageCounts::default() }
}

fn allowed(batch: &Batch) -> Vec<u64> {
    batch.deltas().iter().map(|delta| delta.counts.allowed).collect()
}

#[test]
fn every_request_of_many_threads_is_counted_in_its_minute_whether_its_key_is_held_or_not() {
    for held in [true, false] {
        let (buffer, key) = (buffer(10_000), key(1));
        if held {
            buffer.hold(&key);
        }
        thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    for second in 0..90 {
                        buffer.record(&key, at(second), Use::Allowed);
                        buffer.record(&key, at(second), Use::Limited);
                    }
                    buffer.record(&key, at(0), Use::Refused);
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
        let last = LastUse { digest: key.digest, key_id: key.entry.key_id, at: at(89) };
        assert_eq!(batch.last_uses(), [last]);
        batch.done();
        assert!(buffer.drain().take(1).is_none());
        assert_eq!(buffer.waiting(), 0);
    }
}

#[test]
fn a_key_that_is_held_takes_one_row_a_minute_and_a_new_one_after_a_flush() {
    let (buffer, key) = (buffer(100), key(1));
    buffer.hold(&key);
    for second in 0..120 {
        buffer.record_found(&key, at(second), Use::Allowed);
    }
    assert_eq!(buffer.waiting(), 2);
    let batch = buffer.drain();
    assert_eq!(allowed(&batch), [60, 60]);
    batch.done();
    buffer.record_found(&key, at(119), Use::Allowed);
    assert_eq!(buffer.waiting(), 1);
    assert_eq!(allowed(&buffer.drain()), [1]);
}

#[test]
fn what_a_key_did_is_stored_although_it_left_the_table_and_another_came() {
    let (buffer, first, second) = (buffer(100), key(1), key(2));
    buffer.hold(&first);
    buffer.record_found(&first, at(0), Use::Allowed);
    buffer.table.clear();
    buffer.hold(&second);
    buffer.record_found(&second, at(1), Use::Refused);
    buffer.hold(&first);
    buffer.record_found(&first, at(2), Use::Allowed);
    let batch = buffer.drain();
    let mut seen: Vec<_> = batch.deltas().iter().map(|delta| (delta.key_id, delta.counts)).collect();
    seen.sort_unstable_by_key(|(_, counts)| counts.allowed);
    assert_eq!(seen, [(second.entry.key_id, counts(0, 0, 1)), (first.entry.key_id, counts(2, 0, 0))]);
    assert_eq!(batch.last_uses().iter().map(|last| last.at).collect::<Vec<_>>(), [at(2), at(1)]);
}

#[test]
fn the_rows_that_may_wait_take_as_much_memory_as_is_said() {
    assert!(size_of::<Row>() * MAX_ROWS < 30_000_000, "{} bytes a row", size_of::<Row>());
}

#[test]
fn a_look_moves_the_last_use_and_counts_nothing() {
    let (buffer, key) = (buffer(100), key(1));
    buffer.record(&key, at(5), Use::Looked);
    let batch = buffer.drain();
    assert_eq!(batch.deltas(), []);
    assert_eq!(batch.last_uses().len(), 1);
}

#[test]
fn an_answer_counts_in_its_minute_and_moves_no_last_use() {
    let (buffer, key) = (buffer(100), key(1));
    buffer.hold(&key);
    buffer.record_found(&key, at(5), Use::Allowed);
    buffer.answer(&key, at(59), StatusClass::ServerError);
    buffer.answer(&key, at(61), StatusClass::Successful);
    let batch = buffer.drain();
    let answers: Vec<_> = batch.deltas().iter().map(|delta| delta.counts.answers).collect();
    assert_eq!(answers, [StatusClass::ServerError, StatusClass::Successful].map(AnswerCounts::one));
    assert_eq!(batch.last_uses().iter().map(|last| last.at).collect::<Vec<_>>(), [at(5)]);
    batch.done();
    buffer.answer(&key, at(62), StatusClass::Redirection);
    assert_eq!(buffer.drain().last_uses(), []);
}

#[test]
fn two_secrets_of_one_key_are_one_count_and_two_last_uses() {
    let (buffer, old) = (buffer(100), key(1));
    let new = Key { digest: Digest([2; 32]), entry: old.entry.clone() };
    buffer.record(&old, at(0), Use::Allowed);
    buffer.record(&new, at(1), Use::Allowed);
    let batch = buffer.drain();
    assert_eq!(batch.deltas().iter().map(|delta| delta.counts).collect::<Vec<_>>(), [counts(2, 0, 0)]);
    assert_eq!(batch.last_uses().iter().map(|last| last.at).collect::<Vec<_>>(), [at(0), at(1)]);
}

#[test]
fn a_batch_that_was_not_stored_comes_back_and_joins_what_came_meanwhile() {
    let (buffer, key) = (buffer(100), key(1));
    buffer.hold(&key);
    buffer.record_found(&key, at(9), Use::Allowed);
    buffer.answer(&key, at(9), StatusClass::ClientError);
    let failed = buffer.drain();
    buffer.record_found(&key, at(3), Use::Allowed);
    drop(failed);
    assert_eq!(buffer.waiting(), 1);
    let batch = buffer.drain();
    assert_eq!(allowed(&batch), [2]);
    assert_eq!(batch.deltas()[0].counts.answers.client_error, 1);
    assert_eq!(batch.last_uses().iter().map(|last| last.at).collect::<Vec<_>>(), [at(9)]);
}

#[test]
fn what_finds_no_room_is_dropped_and_counted_and_what_is_there_goes_on_counting() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let buffer = metrics::with_local_recorder(&recorder, || buffer(2));
    let dropped = |count: u32| recorder.handle().render().contains(&format!("usage_dropped_total {count}\n"));
    let keys = [key(1), key(2), key(3)];
    for key in &keys {
        buffer.hold(key);
    }
    for _ in 0..5 {
        for key in &keys {
            buffer.record_found(key, at(0), Use::Allowed);
        }
    }
    assert_eq!(buffer.waiting(), 2);
    assert!(dropped(5));
    let batch = buffer.drain();
    assert_eq!(allowed(&batch).iter().sum::<u64>(), 10);
    // Coming back, it is bounded too, and what is lost is counted.
    for key in &keys {
        buffer.record_found(key, at(60), Use::Allowed);
    }
    drop(batch);
    assert_eq!(buffer.waiting(), 2);
    assert!(dropped(5 + 1 + 10));
}

#[test]
fn an_answer_or_a_look_that_finds_no_room_is_counted_as_lost_too() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let buffer = metrics::with_local_recorder(&recorder, || buffer(1));
    let dropped = |count: u32| recorder.handle().render().contains(&format!("usage_dropped_total {count}\n"));
    let (first, second) = (key(1), key(2));
    buffer.record(&first, at(0), Use::Allowed);
    buffer.answer(&second, at(0), StatusClass::Successful);
    assert!(dropped(1));
    buffer.record(&second, at(1), Use::Looked);
    assert!(dropped(2));
    let batch = buffer.drain();
    buffer.answer(&second, at(2), StatusClass::Successful);
    drop(batch);
    assert!(dropped(3), "the row that came back");
}

#[test]
fn a_secret_that_left_or_comes_and_goes_takes_one_row_a_minute() {
    let (buffer, key, other) = (buffer_beside(1, 100), key(1), key(2));
    for second in 0..60 {
        // Held or not: let through, pushed out while the upstream works, answered.
        buffer.hold(&key);
        buffer.record_found(&key, at(second), Use::Allowed);
        match second % 3 {
            0 => assert!(buffer.table.remove(&key.digest)),
            1 => buffer.table.clear(),
            _ => buffer.hold(&other),
        }
        buffer.answer(&key, at(second), StatusClass::Successful);
        buffer.record(&key, at(second), Use::Limited);
    }
    assert_eq!(buffer.waiting(), 1);
    buffer.answer(&key, at(60), StatusClass::Successful);
    buffer.answer(&key, at(61), StatusClass::Successful);
    assert_eq!(buffer.waiting(), 2, "and another for the next minute");
    buffer.drain().done();
    buffer.record(&key, at(62), Use::Refused);
    let batch = buffer.drain();
    assert_eq!(batch.deltas().iter().map(|delta| delta.counts).collect::<Vec<_>>(), [counts(0, 0, 1)]);
}
