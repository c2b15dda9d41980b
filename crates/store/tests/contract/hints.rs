//! Facts behind the dashboard's hints.

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{UsageCounts, UsageDelta};
use rndrkit_store::MinutePeak;
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, key, open, tamper};

on_both_databases!(
    the_busiest_minute_is_that_of_all_keys_of_the_account_together,
    a_key_is_named_when_it_was_used_from_more_networks_than_said,
    the_newest_secrets_age_is_the_keys_own_until_it_is_rotated,
);

/// The tests' beginning lies within a minute; the first whole one begins 40 seconds later.
const MINUTE: u64 = 40;

fn delta(key_id: KeyId, account_id: AccountId, seconds: u64, allowed: u64, limited: u64) -> UsageDelta {
    let counts = UsageCounts { allowed, limited, ..UsageCounts::default() };
    UsageDelta { key_id, account_id, minute: at(seconds), counts }
}

async fn the_busiest_minute_is_that_of_all_keys_of_the_account_together(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (first, _) = key(&store, ada.id, 1).await;
    let (second, _) = key(&store, ada.id, 1).await;
    let (other, _) = key(&store, bob.id, 1).await;
    assert_eq!(store.minute_peak(ada.id, at(0)).await.unwrap(), MinutePeak::default());
    let deltas = [
        delta(first.id, ada.id, MINUTE, 900, 1),
        delta(first.id, ada.id, MINUTE + 60, 300, 2),
        delta(second.id, ada.id, MINUTE + 60, 301, 0),
        delta(first.id, ada.id, MINUTE + 120, 600, 4),
        delta(other.id, bob.id, MINUTE + 60, 5_000, 7),
    ];
    store.record_usage(&deltas, &[]).await.unwrap();
    let peak = async |since| store.minute_peak(ada.id, at(since)).await.unwrap();
    assert_eq!(peak(0).await, MinutePeak { allowed: 900, limited: 7 });
    assert_eq!(peak(MINUTE + 60).await, MinutePeak { allowed: 601, limited: 6 }, "two keys in one minute");
    assert_eq!(peak(MINUTE + 120).await, MinutePeak { allowed: 600, limited: 4 });
    assert_eq!(peak(MINUTE + 121).await, MinutePeak::default(), "hours and days are not minutes");
}

async fn a_key_is_named_when_it_was_used_from_more_networks_than_said(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (few, _) = key(&store, ada.id, 1).await;
    let (many, _) = key(&store, ada.id, 1).await;
    let (other, _) = key(&store, bob.id, 1).await;
    let seen = [(few.id, ada.id, 3), (many.id, ada.id, 4), (other.id, bob.id, 9)];
    for (key_id, account_id, networks) in seen {
        for network in 0..networks {
            // The same network twice is one.
            for slot in [at(600), at(1_200)].map(Timestamp::unix_ms) {
                let row = format!(
                    "INSERT INTO key_networks (key_id, slot, network, account_id)
                     VALUES ('{key_id}', {slot}, '192.0.{network}.0/24', '{account_id}')"
                );
                tamper(database, &row).await;
            }
        }
    }
    let beyond =
        async |since, networks| store.list_keys_beyond_networks(ada.id, at(since), networks).await.unwrap();
    assert_eq!(beyond(600, 3).await, [many.id]);
    assert_eq!(beyond(1_200, 3).await, [many.id]);
    assert_eq!(beyond(600, 4).await, []);
    assert_eq!(beyond(1_201, 0).await, []);
    assert_eq!(beyond(0, 0).await.len(), 2, "another account's keys are its own");
}

async fn the_newest_secrets_age_is_the_keys_own_until_it_is_rotated(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, _) = key(&store, owner.id, 5).await;
    assert_eq!(made.secret_created_at, at(5));
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap(), made);
    assert_eq!(store.list_active_keys(owner.id, at(6)).await.unwrap(), [made]);
}
