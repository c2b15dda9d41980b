//! The table holds what was put in, within its bound, and lets the right ones go.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Monotonic;

use super::*;
use crate::account::{AccountState, Accounts};
use crate::source::{AccountFacts, KeyFacts};

struct Maker {
    account: Arc<AccountState>,
    facts: AccountFacts,
}

impl Maker {
    fn new() -> Self {
        let facts = AccountFacts {
            id: AccountId::generate(Timestamp::from_unix_ms(0), &OsEntropy),
            external_id: None,
            status: AccountStatus::Active,
            plan: PlanId::parse("agency").unwrap(),
            api_access: true,
            rate_limit: RateLimit { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN },
            revision: 1,
        };
        let (account, _) = Accounts::new(10).intern(&facts, 0, Monotonic(0)).unwrap();
        Self { account, facts }
    }

    fn entry(&self) -> KeyEntry {
        let key_id = KeyId::generate(Timestamp::from_unix_ms(0), &OsEntropy);
        let account = self.facts.clone();
        let facts = KeyFacts { key_id, expires_at: None, ends_at: None, revoked: false, account };
        KeyEntry::new(&facts, Arc::clone(&self.account))
    }
}

fn table(capacity: usize) -> KeyTable {
    KeyTable::new(capacity, 1_000, TableMeters::of(&Meters::new()))
}

fn digest(number: u32) -> Digest {
    Digest::of(&number.to_string())
}

/// The same place in every part: as unlucky as digests can be.
fn crowded(number: u8) -> Digest {
    let mut bytes = [0; 32];
    bytes[31] = number;
    Digest(bytes)
}

#[test]
fn a_full_table_holds_its_bound_and_no_more_and_counts_who_went() {
    for capacity in [1, 2, 7, 300, 5_000] {
        let recorder = PrometheusBuilder::new().build_recorder();
        let table = metrics::with_local_recorder(&recorder, || table(capacity));
        let entry = Maker::new().entry();
        let keys = u32::try_from(capacity).unwrap() * 3;
        for number in 0..keys {
            table.insert(digest(number), &entry);
            assert!(table.find(&digest(number)).is_some(), "the newest is there");
        }
        assert_eq!(table.len(), capacity);
        assert_eq!(table.entries().len(), capacity);
        let found = (0..keys).filter(|number| table.find(&digest(*number)).is_some()).count();
        assert_eq!(found, capacity);
        let evictions = format!("cache_evictions_total {}\n", capacity * 2);
        assert!(recorder.handle().render().contains(&evictions), "{}", recorder.handle().render());
    }
}

#[test]
fn keys_in_use_outlive_a_stream_of_keys_that_are_used_once() {
    let (table, entry) = (table(1_000), Maker::new().entry());
    let use_all =
        || (0..200).for_each(|number| table.find(&digest(number)).unwrap().used(&digest(number), None));
    (0..200).for_each(|number| table.insert(digest(number), &entry));
    for passing in 1_000..20_000 {
        if passing % 100 == 0 {
            use_all();
        }
        table.insert(digest(passing), &entry);
    }
    use_all();
}

#[test]
fn a_key_put_in_again_is_there_once() {
    let (table, maker) = (table(10), Maker::new());
    let (first, second) = (maker.entry(), maker.entry());
    table.insert(digest(1), &first);
    table.insert(digest(1), &second);
    assert_eq!(table.len(), 1);
    assert_eq!(table.get(&digest(1)).unwrap().key_id, second.key_id);
    assert!(table.remove(&digest(1)));
    assert!(!table.remove(&digest(1)));
    assert!(table.get(&digest(1)).is_none());
    table.insert(digest(1), &first);
    table.clear();
    assert_eq!((table.len(), table.entries().len()), (0, 0));
}

#[test]
fn what_left_the_table_refers_to_no_account_any_more() {
    let (table, maker) = (table(4), Maker::new());
    let before = Arc::strong_count(&maker.account);
    for number in 0..100 {
        table.insert(digest(number), &maker.entry());
    }
    assert_eq!(Arc::strong_count(&maker.account), before + 4);
    table.clear();
    assert_eq!(Arc::strong_count(&maker.account), before);
}

#[test]
fn keys_are_read_while_others_come_and_go() {
    let (table, entry) = (table(2_000), Maker::new().entry());
    (0..500).for_each(|number| table.insert(digest(number), &entry));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1_000..1_500 {
                table.insert(digest(number), &entry);
            }
            for number in 1_000..1_500 {
                assert!(table.remove(&digest(number)));
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                for number in (0..500).cycle().take(20_000) {
                    assert!(table.find(&digest(number)).is_some());
                }
            });
        }
    });
    assert_eq!(table.len(), 500);
}

proptest! {
    /// Whatever is put in and taken out, and however unluckily they lie: what is there is found, and nothing
    /// else.
    #[test]
    fn it_holds_what_a_map_would_hold(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u8..40), 1..300),
    ) {
        let (table, maker) = (table(1_000), Maker::new());
        let mut map = BTreeMap::new();
        for (insert, unlucky, number) in steps {
            let digest = if unlucky { crowded(number) } else { digest(number.into()) };
            if insert {
                let entry = maker.entry();
                table.insert(digest, &entry);
                map.insert(digest, entry.key_id);
            } else {
                prop_assert_eq!(table.remove(&digest), map.remove(&digest).is_some());
            }
            prop_assert_eq!(table.len(), map.len());
        }
        let held: BTreeMap<_, _> =
            table.entries().into_iter().map(|(digest, entry)| (digest, entry.key_id)).collect();
        prop_assert_eq!(&held, &map);
        for (digest, key_id) in map {
            prop_assert_eq!(table.get(&digest).map(|entry| entry.key_id), Some(key_id));
        }
    }
}
