//! Counted use: added up, by day, and forgotten on time.

use std::time::Duration;

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{AnswerCounts, KeyUsage, LastUse, UsageCounts, UsageDelta, UsagePeriod};
use rndrkit_store::Store;
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;
use sea_orm::{ConnectionTrait as _, Statement};

use crate::builders::{account, at, behind, digest, key, open, tamper};

on_both_databases!(
    counts_add_up_by_minute_hour_and_day,
    sums_name_some_keys_and_add_up_the_others,
    one_keys_use_is_its_own,
    keys_are_found_by_id_within_their_account,
    writing_more_rows_than_one_statement_holds,
    concurrent_writers_lose_nothing,
    each_period_is_dropped_on_its_own_time,
    what_a_node_of_version_2_writes_is_added_to_what_this_one_has_counted,
);

const DAY: u64 = 86_400;
const MINUTE: Duration = Duration::from_secs(60);

/// The tests' first day; `at(0)` lies within it.
fn day(number: u64) -> Timestamp {
    at(number * DAY).floor_to(Duration::from_secs(DAY))
}

fn delta(key_id: KeyId, account_id: AccountId, seconds: u64, allowed: u64) -> UsageDelta {
    let minute = at(seconds).floor_to(Duration::from_secs(60));
    UsageDelta {
        key_id,
        account_id,
        minute,
        counts: UsageCounts { allowed, limited: 1, refused: 2, answers: answers(allowed) },
    }
}

/// Each class another number.
fn answers(of: u64) -> AnswerCounts {
    AnswerCounts { successful: of, redirection: 2 * of, client_error: 3 * of, server_error: 4 * of }
}

async fn days(store: &Store, account: AccountId, from: u64, to: u64) -> Vec<KeyUsage> {
    store.list_usage(account, UsagePeriod::Day, (day(from), day(to)), 1_000).await.unwrap()
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
    let usage = days(&store, account, 0, 2).await;
    let counts = |index: usize| (usage[index].key_id, usage[index].starts_at, usage[index].counts);
    assert_eq!(
        counts(0),
        (key, day(0), UsageCounts { allowed: 22, limited: 4, refused: 8, answers: answers(22) })
    );
    let mut last = [usage[1].key_id, usage[2].key_id];
    last.sort_unstable();
    let mut expected = [key, other_key];
    expected.sort_unstable();
    assert_eq!((last, usage[1].starts_at, usage.len()), (expected, day(1), 3));
    assert_eq!(days(&store, account, 0, 1).await.len(), 1);
    assert_eq!(days(&store, other_account, 0, 9).await.len(), 1);
    assert_eq!(rows(database, "minute").await, 5);
    let minutes =
        store.list_usage(account, UsagePeriod::Minute, (at(0).minus(MINUTE), at(0).plus(MINUTE)), 9);
    let minutes = minutes.await.unwrap();
    let seen: Vec<_> = minutes.iter().map(|usage| (usage.period, usage.counts.allowed)).collect();
    assert_eq!(seen, [(UsagePeriod::Minute, 17), (UsagePeriod::Minute, 5)]);
    let oldest = store.list_usage(account, UsagePeriod::Day, (day(0), day(2)), 1).await.unwrap();
    assert_eq!(oldest.iter().map(|usage| usage.starts_at).collect::<Vec<_>>(), [day(0)]);
}

async fn sums_name_some_keys_and_add_up_the_others(database: &TestDatabase) {
    let store = open(database).await;
    let (_, account) = ids();
    let keys: Vec<KeyId> = (0..4).map(|_| ids().0).collect();
    let mut deltas: Vec<_> =
        keys.iter().zip([1, 50, 7, 3]).map(|(key, n)| delta(*key, account, 0, n)).collect();
    deltas.push(delta(keys[0], account, DAY, 4));
    deltas.push(delta(ids().0, ids().1, 0, 999));
    store.record_usage(&deltas, &[]).await.unwrap();
    let span = (day(0), day(2));
    let busiest = store.list_busiest_keys(account, UsagePeriod::Day, span, 3).await.unwrap();
    assert_eq!(busiest, [keys[1], keys[0], keys[2]], "limited and refused requests count: 53, 11, 10, 6");
    let sums = store.sum_usage(account, UsagePeriod::Day, span, &busiest[..2]).await.unwrap();
    let mut seen: Vec<_> = sums.iter().map(|sum| (sum.starts_at, sum.key_id, sum.counts.allowed)).collect();
    seen.sort_unstable();
    let mut expected = vec![
        (day(0), None, 10),
        (day(0), Some(keys[0]), 1),
        (day(0), Some(keys[1]), 50),
        (day(1), Some(keys[0]), 4),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert!(sums.windows(2).all(|pair| pair[0].starts_at <= pair[1].starts_at), "by start");
    let others = sums.iter().find(|sum| sum.key_id.is_none()).unwrap().counts;
    assert_eq!(others, UsageCounts { allowed: 10, limited: 2, refused: 4, answers: answers(10) });
    let together = store.sum_usage(account, UsagePeriod::Day, span, &[]).await.unwrap();
    assert_eq!(together.iter().map(|sum| sum.counts.allowed).collect::<Vec<_>>(), [61, 4]);
    assert_eq!(store.sum_usage(ids().1, UsagePeriod::Day, span, &keys).await.unwrap(), []);
}

async fn one_keys_use_is_its_own(database: &TestDatabase) {
    let store = open(database).await;
    let (key, account) = ids();
    let deltas = [delta(key, account, 0, 1), delta(key, account, DAY, 2), delta(ids().0, account, 0, 9)];
    store.record_usage(&deltas, &[]).await.unwrap();
    let own = store.list_key_usage(key, UsagePeriod::Day, (day(0), day(2)), 10).await.unwrap();
    let seen: Vec<_> = own.iter().map(|usage| (usage.starts_at, usage.counts.allowed)).collect();
    assert_eq!(seen, [(day(0), 1), (day(1), 2)]);
    assert_eq!(store.list_key_usage(key, UsagePeriod::Day, (day(0), day(1)), 10).await.unwrap().len(), 1);
    assert_eq!(store.list_key_usage(key, UsagePeriod::Day, (day(0), day(2)), 1).await.unwrap().len(), 1);
}

async fn keys_are_found_by_id_within_their_account(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await.id, account(&store, "bob").await.id);
    let mut wanted = Vec::new();
    for second in 2..5 {
        wanted.push(key(&store, ada, second).await.0.id);
    }
    wanted.extend((0..120).map(|_| ids().0));
    wanted.push(key(&store, bob, 6).await.0.id);
    let mut found: Vec<_> = store.find_keys(ada, &wanted).await.unwrap().iter().map(|key| key.id).collect();
    found.sort_unstable();
    let mut expected = wanted[..3].to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(store.find_keys(ada, &[]).await.unwrap(), []);
}

async fn writing_more_rows_than_one_statement_holds(database: &TestDatabase) {
    let store = open(database).await;
    let (_, account) = ids();
    let deltas: Vec<_> = (0..700).map(|_| delta(ids().0, account, 0, 1)).collect();
    let last_uses: Vec<_> =
        deltas.iter().map(|delta| LastUse { digest: digest(), key_id: delta.key_id, at: at(1) }).collect();
    store.record_usage(&deltas, &last_uses).await.unwrap();
    assert_eq!(rows(database, "minute").await, 700);
    let usage = days(&store, account, 0, 1).await;
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
    let usage = days(&store, account, 0, 1).await;
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

/// How version 2 adds to what is counted, as it was released; it stays able to run on this schema.
const OF_VERSION_2: &str =
    "INSERT INTO usage (key_id, period, starts_at, account_id, allowed, limited, refused) VALUES ({row})
     ON CONFLICT (key_id, period, starts_at) DO UPDATE SET allowed = usage.allowed + excluded.allowed,
         limited = usage.limited + excluded.limited, refused = usage.refused + excluded.refused";

async fn what_a_node_of_version_2_writes_is_added_to_what_this_one_has_counted(database: &TestDatabase) {
    let store = open(database).await;
    let (key, account) = ids();
    store.record_usage(&[delta(key, account, 0, 3)], &[]).await.unwrap();
    let other = ids().0;
    for key in [key, other] {
        let row = format!("'{key}', 'day', {}, '{account}', 10, 20, 30", day(0).unix_ms());
        tamper(database, &OF_VERSION_2.replace("{row}", &row)).await;
    }
    store.record_usage(&[delta(other, account, 0, 1)], &[]).await.unwrap();
    let usage = days(&store, account, 0, 1).await;
    let of = |key| usage.iter().find(|usage| usage.key_id == key).unwrap().counts;
    assert_eq!(of(key), UsageCounts { allowed: 13, limited: 21, refused: 32, answers: answers(3) });
    assert_eq!(of(other), UsageCounts { allowed: 11, limited: 21, refused: 32, answers: answers(1) });
}
