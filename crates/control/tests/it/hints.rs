//! What deserves a look: hints beside the list of keys, which is shown whatever becomes of them.

use std::time::Duration;

use rndrkit_control::{AccountPatch, Context, Error, Hints, KeyOverview};
use rndrkit_domain::hint::{KeyHint, LimitHint};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{LastUse, UsageCounts, UsageDelta};
use rndrkit_store::{OpenOptions, Store};
use rndrkit_testkit::database::{TestDatabase, meddle, on_postgres, on_sqlite};

use crate::setup::{Setup, admin, setup};

const DAY: Duration = Duration::from_secs(86_400);

async fn made(setup: &Setup, account: AccountId, name: &str) -> KeyId {
    setup.control.create_key(&admin(), account, name, None, None).await.unwrap().value.id
}

async fn overview(setup: &Setup, account: AccountId) -> (KeyOverview, Hints) {
    let account = setup.control.get_account(&admin(), account).await.unwrap().account;
    setup.control.key_overview_with_hints(&admin(), &account).await.unwrap()
}

async fn hints(setup: &Setup, account: AccountId) -> Hints {
    overview(setup, account).await.1
}

async fn used(database: &TestDatabase, key_id: KeyId, at: Timestamp) {
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    let last_use = LastUse { digest: Digest::of(&key_id.to_string()), key_id, at };
    store.record_usage(&[], &[last_use]).await.unwrap();
}

async fn a_year_of_hints(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let left = made(&setup, account, "left").await;
    // Of two keys of one moment either may come first.
    setup.clock.advance(Duration::from_millis(1));
    let lively = made(&setup, account, "lively").await;
    assert_eq!(hints(&setup, account).await, Hints { complete: true, ..Hints::default() });
    setup.clock.advance(DAY * 7);
    let both = [lively, left].map(|key| (key, KeyHint::NeverUsed { days: 7 }));
    assert_eq!(hints(&setup, account).await.keys, both, "in the order of the list");
    for key in [left, lively] {
        used(database, key, setup.control.now()).await;
    }
    assert_eq!(hints(&setup, account).await.keys, []);
    for (days, expected) in [(30, KeyHint::Unused { days: 30 }), (60, KeyHint::LongUnused { days: 90 })] {
        setup.clock.advance(DAY * days);
        used(database, lively, setup.control.now()).await;
        assert_eq!(hints(&setup, account).await.keys, [(left, expected)]);
    }
    setup.clock.advance(DAY * 83);
    used(database, lively, setup.control.now()).await;
    let now = hints(&setup, account).await;
    assert_eq!(now.of_key(lively), Some(KeyHint::RotationDue { days: 180 }));
    assert_eq!(now.of_key(left), Some(KeyHint::LongUnused { days: 173 }), "the most urgent of each");
}

#[test]
fn keys_are_named_as_they_age_and_each_once() {
    on_sqlite(a_year_of_hints);
    on_postgres(a_year_of_hints);
}

async fn near_the_limit(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let keys = [made(&setup, account, "one").await, made(&setup, account, "two").await];
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    let minute = setup.control.now().floor_to(Duration::from_secs(60));
    let record = async |key_id, allowed, limited| {
        let counts = UsageCounts { allowed, limited, ..UsageCounts::default() };
        let delta = UsageDelta { key_id, account_id: account, minute, counts };
        store.record_usage(&[delta], &[]).await.unwrap();
    };
    record(keys[0], 240, 0).await;
    record(keys[1], 239, 0).await;
    assert_eq!(hints(&setup, account).await.limit, None);
    record(keys[1], 1, 0).await;
    assert_eq!(hints(&setup, account).await.limit, Some(LimitHint::Near { percent: 80 }));
    record(keys[0], 0, 3).await;
    let reached = LimitHint::Reached { limited: 3, can_grow: false };
    assert_eq!(hints(&setup, account).await.limit, Some(reached), "no plan here has a higher limit");
    setup.clock.advance(Duration::from_secs(3_601));
    assert_eq!(hints(&setup, account).await.limit, None);
}

#[test]
fn a_limit_that_is_near_or_reached_is_said_for_an_hour() {
    on_sqlite(near_the_limit);
    on_postgres(near_the_limit);
}

async fn seen_from(database: &TestDatabase, account: AccountId, key: KeyId, at: Timestamp, network: usize) {
    let slot = at.floor_to(Duration::from_secs(600)).unix_ms();
    let row = format!(
        "INSERT INTO key_networks (key_id, slot, network, account_id)
         VALUES ('{key}', {slot}, '198.51.{network}.0/24', '{account}')"
    );
    meddle(database.url(), &row).await;
}

async fn many_networks(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let (spread, crowded) = (made(&setup, account, "spread").await, made(&setup, account, "crowded").await);
    let hour = Duration::from_secs(3_600);
    setup.clock.advance(hour * 23);
    for network in 0..5 {
        let ago = setup.control.now().minus(hour * u32::try_from(network).unwrap() * 4);
        seen_from(database, account, spread, ago, network).await;
        let ago = setup.control.now().minus(Duration::from_secs(600) * u32::try_from(network).unwrap());
        seen_from(database, account, crowded, ago, network).await;
    }
    let expected = [(crowded, KeyHint::ManyNetworks { networks: 5 })];
    assert_eq!(hints(&setup, account).await.keys, expected, "five in a day are no five in an hour");
}

#[test]
fn a_key_that_was_used_from_many_networks_within_an_hour_is_named() {
    on_sqlite(many_networks);
    on_postgres(many_networks);
}

/// A key that a fleet of machines uses all day long fills the day with rows; one that leaked has few, and new ones.
async fn a_leak_beside_a_fleet(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let (fleet, leaked) = (made(&setup, account, "fleet").await, made(&setup, account, "leaked").await);
    let day_ago = setup.control.now().minus(DAY).floor_to(Duration::from_secs(600)).unix_ms();
    let rows = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 12000)
         INSERT INTO key_networks (key_id, slot, network, account_id)
         SELECT '{fleet}', {day_ago} + 600000 * (1 + n / 100), 'fleet ' || (n % 100), '{account}' FROM numbers"
    );
    meddle(database.url(), &rows).await;
    for network in 0..5 {
        seen_from(database, account, leaked, setup.control.now(), network).await;
    }
    let mut keys = hints(&setup, account).await.keys;
    keys.sort_by_key(|(key, _)| *key == leaked);
    let networks = |networks| KeyHint::ManyNetworks { networks };
    assert_eq!(keys, [(fleet, networks(100)), (leaked, networks(5))]);
}

#[test]
fn a_key_that_leaked_is_named_though_another_is_used_from_everywhere() {
    on_sqlite(a_leak_beside_a_fleet);
    on_postgres(a_leak_beside_a_fleet);
}

#[test]
fn a_hint_that_cannot_be_found_out_hides_no_key() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        let key = made(&setup, account, "left").await;
        setup.clock.advance(DAY * 8);
        for table in ["key_networks", "usage"] {
            meddle(database.url(), &format!("ALTER TABLE {table} RENAME TO {table}_away")).await;
        }
        let (overview, hints) = overview(&setup, account).await;
        assert_eq!(overview.active.len(), 1);
        assert_eq!(hints.keys, [(key, KeyHint::NeverUsed { days: 8 })], "what is known is said");
        assert!(!hints.complete);
    });
}

#[test]
fn keys_that_cannot_be_used_are_not_blamed_for_it_and_strangers_learn_nothing() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        made(&setup, account, "left").await;
        setup.clock.advance(DAY * 100);
        assert_eq!(hints(&setup, account).await.keys.len(), 1);
        for patch in [
            AccountPatch { plan: Some("starter"), ..AccountPatch::default() },
            AccountPatch { plan: Some("agency"), status: Some("suspended"), ..AccountPatch::default() },
        ] {
            setup.control.update_account(&admin(), account, patch).await.unwrap();
            assert_eq!(hints(&setup, account).await, Hints { complete: true, ..Hints::default() });
        }
        let other = setup.account("eve@example.com", "agency").await;
        let eve: Context = setup.user_of(other).await;
        let account = setup.control.get_account(&admin(), account).await.unwrap().account;
        let asked = setup.control.key_overview_with_hints(&eve, &account).await;
        assert!(matches!(asked, Err(Error::NotFound)));
    });
}
