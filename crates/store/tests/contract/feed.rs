//! The feed of changes: read from any position, dropped from the old end only.

use rndrkit_domain::feed::FeedHead;
use rndrkit_store::{OpenOptions, Store};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, event, open, plans, tamper};

on_both_databases!(
    a_new_database_is_before_the_first_change,
    entries_are_read_from_a_position_on_that_one_included,
    each_entry_carries_the_tag_of_its_change,
    pruning_moves_the_oldest_and_keeps_the_newest,
    pruning_stops_at_the_first_young_entry,
    an_entry_of_an_unknown_kind_is_readable,
);

async fn a_new_database_is_before_the_first_change(database: &TestDatabase) {
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    assert_eq!(store.feed_head().await.unwrap(), FeedHead { number: 0, tag: 0, oldest: 1 });
    assert_eq!(store.feed_entries(0, 10).await.unwrap(), []);
    assert_eq!(store.prune_feed(at(9), 10).await.unwrap(), 0);
    assert_eq!(store.feed_head().await.unwrap().oldest, 1);
}

async fn entries_are_read_from_a_position_on_that_one_included(database: &TestDatabase) {
    let store = open(database).await;
    for label in ["a", "b", "c"] {
        account(&store, label).await;
    }
    let numbers = |entries: Vec<rndrkit_domain::feed::FeedEntry>| {
        entries.iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(store.feed_entries(2, 2).await.unwrap()), [2, 3]);
    assert_eq!(numbers(store.feed_entries(4, 9).await.unwrap()), [4]);
    assert_eq!(numbers(store.feed_entries(5, 9).await.unwrap()), [0_i64; 0]);
}

async fn each_entry_carries_the_tag_of_its_change(database: &TestDatabase) {
    let store = open(database).await;
    let mut changed = plans();
    for active_keys in [6, 8] {
        changed[0].active_keys = active_keys;
        let change = change(1);
        let event = event(rndrkit_domain::audit::Action::PlansChanged);
        let number = store.sync_plans(&changed, change, event).await.unwrap().number;
        let head = store.feed_head().await.unwrap();
        assert_eq!((head.number, head.tag), (number, change.tag));
        assert_eq!(store.feed_entries(number, 1).await.unwrap()[0].tag, change.tag);
    }
}

async fn pruning_moves_the_oldest_and_keeps_the_newest(database: &TestDatabase) {
    let store = open(database).await;
    for label in ["a", "b", "c", "d"] {
        account(&store, label).await;
    }
    assert_eq!(store.prune_feed(at(99), 3).await.unwrap(), 3);
    let head = store.feed_head().await.unwrap();
    assert_eq!((head.number, head.oldest), (5, 4));
    assert_eq!(store.prune_feed(at(99), 3).await.unwrap(), 1);
    assert_eq!(store.prune_feed(at(99), 3).await.unwrap(), 0);
    let head = store.feed_head().await.unwrap();
    let entries = store.feed_entries(0, 9).await.unwrap();
    assert_eq!((head.oldest, entries.len()), (5, 1));
    assert_eq!((entries[0].number, entries[0].tag), (head.number, head.tag));
}

async fn pruning_stops_at_the_first_young_entry(database: &TestDatabase) {
    let store = open(database).await;
    for label in ["a", "b", "c"] {
        account(&store, label).await;
    }
    // Entry 2 was written by a node whose clock is ahead: 3 is older, but dropping it would leave a gap.
    assert_eq!(tamper(database, "UPDATE feed SET at = 1900000000000 WHERE number = 2").await, 1);
    assert_eq!(store.prune_feed(at(99), 9).await.unwrap(), 1);
    assert_eq!(store.feed_head().await.unwrap().oldest, 2);
    assert_eq!(store.feed_entries(0, 9).await.unwrap().len(), 3);
}

async fn an_entry_of_an_unknown_kind_is_readable(database: &TestDatabase) {
    let store = open(database).await;
    tamper(database, "UPDATE feed SET kind = 70000").await;
    let kind = store.feed_entries(1, 1).await.unwrap()[0].kind;
    assert!(matches!(kind, rndrkit_domain::feed::FeedKind::Unknown(_)), "{kind:?}");
}
