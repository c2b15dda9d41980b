//! Counted use: added up, by day, and forgotten on time.

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{LastUse, UsageCounts, UsageDelta};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;
use sea_orm::{ConnectionTrait as _, Statement};

use crate::builders::{at, behind, digest, open};

on_both_databases!(
    counts_add_up_by_minute_hour_and_day,
    writing_more_rows_than_one_statement_holds,
    concurrent_writers_lose_nothing,
    each_period_is_dropped_on_its_own_time,
);

const DAY: u64 = 86_400;

/// The tests' first day; `at(0)` lies within it.
fn day(number: u64) -> Timestamp {
    at(number * DAY).floor_to(std::time::Duration::from_secs(DAY))
}

fn delta(key_id: KeyId, account_id: AccountId, seconds: u64, allowed: u64) -> UsageDelta {
    let minute = at(seconds).floor_to(std::time::Duration::from_secs(60));
    UsageDelta {
        key_id,
        account_id,
        minute,
        counts: UsageCounts { allowed, limited: 1, refused: 2, ..UsageCounts::default() },
    }
}

fn ids() -> (KeyId, AccountId) {
    (KeyId::generate(at(0), &OsEntropy), AccountId::generate(at(0), &OsEntropy))
}

async fn rows(database: &TestDatabase, period: &str) -> i64 {
    let connection = behind(database).await;
    let count = format!("SELECT count(*) AS value FROM usage WHERE period = '{period}'");
    let count = Statement::from_string(connection.get_database_backend(), count);
    let row = connection.query_one_raw(count).await.unwrap().unwrap();
    connection.close().await.unwrap();
    row.try_get("", "value").unwrap()
}

async fn counts_add_up_by_minute_hour_and_day(database: &TestDatabase) {
    let store = open(database).await;
    let (key, account) = ids();
    let (other_key, other_account) = ids();
    store.record_usage(&[], &[]).await.unwrap();
    let first = [delta(key, account, 0, 3), delta(key, account, 5, 4), delta(key, account, 61, 5)];
    store.record_usage(&first, &[]).await.unwrap();
    let second = [
        delta(key, account, 0, 10),
        delta(key, account, DAY, 1),
        delta(other_key, account, DAY, 2),
        delta(other_key, other_account, 2 * DAY, 9),
    ];
    store.record_usage(&second, &[]).await.unwrap();
    let usage = store.daily_usage(account, day(0), day(2)).await.unwrap();
    let counts = |index: usize| (usage[index].key_id, usage[index].day, usage[index].counts);
    assert_eq!(
        counts(0),
        (key, day(0), UsageCounts { allowed: 22, limited: 4, refused: 8, ..UsageCounts::default() })
    );
    let mut last = [usage[1].key_id, usage[2].key_id];
    last.sort_unstable();
    let mut expected = [key, other_key];
    expected.sort_unstable();
    assert_eq!((last, usage[1].day, usage.len()), (expected, day(1), 3));
    assert_eq!(store.daily_usage(account, day(0), day(1)).await.unwrap().len(), 1);
    assert_eq!(store.daily_usage(other_account, day(0), day(9)).await.unwrap().len(), 1);
    assert_eq!(rows(database, "minute").await, 5);
}

async fn writing_more_rows_than_one_statement_holds(database: &TestDatabase) {
    let store = open(database).await;
    let (_, account) = ids();
    let deltas: Vec<_> = (0..700).map(|_| delta(ids().0, account, 0, 1)).collect();
    let last_uses: Vec<_> =
        deltas.iter().map(|delta| LastUse { digest: digest(), key_id: delta.key_id, at: at(1) }).collect();
    store.record_usage(&deltas, &last_uses).await.unwrap();
    assert_eq!(rows(database, "minute").await, 700);
    let usage = store.daily_usage(account, day(0), day(1)).await.unwrap();
    assert_eq!(usage.iter().map(|usage| usage.counts.allowed).sum::<u64>(), 700);
}

async fn concurrent_writers_lose_nothing(database: &TestDatabase) {
    let store = open(database).await;
    let (_, account) = ids();
    let keys: Vec<_> = (0..20).map(|_| ids().0).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..16_usize {
        let store = store.clone();
        // Each in another order: the store sorts, so that nobody waits in a circle.
        let mut deltas: Vec<_> = keys.iter().map(|key| delta(*key, account, 0, 1)).collect();
        deltas.rotate_left(index);
        if index % 2 == 0 {
            deltas.reverse();
        }
        tasks.spawn(async move { store.record_usage(&deltas, &[]).await });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    let usage = store.daily_usage(account, day(0), day(1)).await.unwrap();
    assert!(usage.iter().all(|usage| usage.counts.allowed == 16), "{usage:?}");
    assert_eq!(usage.len(), 20);
}

async fn each_period_is_dropped_on_its_own_time(database: &TestDatabase) {
    let store = open(database).await;
    let (key, account) = ids();
    let deltas: Vec<_> = (0..4).map(|number| delta(key, account, number * DAY, 1)).collect();
    store.record_usage(&deltas, &[]).await.unwrap();
    let dropped = store.prune_usage(day(3), day(2), day(1), 2).await.unwrap();
    assert_eq!(dropped, 2 + 2 + 1, "at most the batch of each");
    assert_eq!(store.prune_usage(day(3), day(2), day(1), 2).await.unwrap(), 1);
    assert_eq!(store.prune_usage(day(3), day(2), day(1), 2).await.unwrap(), 0);
    let left = (rows(database, "minute").await, rows(database, "hour").await, rows(database, "day").await);
    assert_eq!(left, (1, 2, 3));
}
