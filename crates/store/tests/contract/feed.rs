//! The feed of changes: read from any position, dropped from the old end only.

use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::{FeedHead, FeedKind};
use rndrkit_domain::key::RevokedReason;
use rndrkit_store::{OpenOptions, Store};
use rndrkit_testkit::database::{TestDatabase, on_postgres};
use rndrkit_testkit::on_both_databases;
use sea_orm::sqlx::postgres::PgListener;

use crate::builders::{account, at, change, event, key, new_key, new_token, open, plans, prefix, tamper};

on_both_databases!(
    a_new_database_is_before_the_first_change,
    entries_are_read_from_a_position_on_that_one_included,
    each_entry_carries_the_tag_of_its_change,
    pruning_moves_the_oldest_and_keeps_the_newest,
    pruning_stops_at_the_first_young_entry,
    an_entry_of_an_unknown_kind_is_readable,
    every_change_says_what_it_is_and_keeps_its_number,
    a_prefix_is_news_once,
    what_is_found_after_settling_is_final,
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

async fn every_change_says_what_it_is_and_keeps_its_number(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (first, first_digest) = key(&store, owner.id, 1).await;
    let (second, _) = key(&store, owner.id, 1).await;
    let revoke = |id| store.revoke_key(id, RevokedReason::User, None, change(2), event(Action::KeyRevoked));
    let revoked = revoke(first.id).await.unwrap();
    assert!(revoked.changed);
    let entry = store.feed_entries(revoked.number, 1).await.unwrap().remove(0);
    let told = (entry.kind, entry.account_id, entry.key_id, entry.digests);
    assert_eq!(told, (FeedKind::KeyRevoked, Some(owner.id), Some(first.id), vec![first_digest]));
    let token = new_token("ci");
    let made = store.insert_token(token.clone(), None, change(3), event(Action::TokenCreated)).await.unwrap();
    let gone = store.delete_token(token.id, change(3), event(Action::TokenDeleted)).await.unwrap();
    let deleted = store.delete_account(owner.id, change(4), event(Action::AccountDeleted)).await.unwrap();
    let kinds: Vec<FeedKind> =
        store.feed_entries(made.number, 9).await.unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [FeedKind::Tokens, FeedKind::Tokens, FeedKind::Account]);
    // Whoever repeats a change waits for the change itself, not for the newest one.
    account(&store, "bob").await;
    assert_eq!(revoke(first.id).await.unwrap().number, revoked.number);
    let repeated = revoke(second.id).await.unwrap();
    assert_eq!((repeated.changed, repeated.number), (false, deleted.number), "it ended with its account");
    let repeated = store.delete_token(token.id, change(5), event(Action::TokenDeleted)).await.unwrap();
    assert_eq!((repeated.changed, repeated.number), (false, gone.number));
    let repeated = store.delete_account(owner.id, change(5), event(Action::AccountDeleted)).await.unwrap();
    assert_eq!((repeated.changed, repeated.number), (false, deleted.number));
}

async fn a_prefix_is_news_once(database: &TestDatabase) {
    let store = open(database).await;
    let added = store.ensure_prefix(&prefix(), change(1)).await.unwrap();
    assert!(added.changed);
    let entry = store.feed_entries(added.number, 1).await.unwrap().remove(0);
    assert_eq!((entry.kind, entry.account_id, entry.key_id), (FeedKind::Prefixes, None, None));
    let again = store.ensure_prefix(&prefix(), change(2)).await.unwrap();
    assert_eq!((again.changed, again.number), (false, added.number));
    assert_eq!(store.feed_head().await.unwrap().number, added.number);
}

async fn what_is_found_after_settling_is_final(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for _ in 0..20 {
        let new = new_key(owner.id);
        let (id, task_store) = (new.id, store.clone());
        let task = tokio::spawn(async move {
            task_store.insert_key(new, None, change(1), event(Action::KeyCreated)).await
        });
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let number = store.settle().await.unwrap();
        let found = store.find_key(id).await.unwrap();
        let made = task.await.unwrap().unwrap();
        // What had a number when it was asked is there. What had none may have come meanwhile, or later.
        assert!(found.is_some() || made.number > number, "{} came after {number} was told", made.number);
        let event = event(Action::KeyRevoked);
        store.revoke_key(id, RevokedReason::Operator, None, change(2), event).await.unwrap();
    }
}

#[test]
fn a_change_on_postgresql_holds_the_feed_for_one_statement_and_its_commit() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let owner = account(&store, "ada").await;
        let (made, _) = key(&store, owner.id, 1).await;
        let mut listener = PgListener::connect(database.url()).await.unwrap();
        listener.listen("rndrkit").await.unwrap();
        let before = store.statements_total();
        let event = event(Action::KeyRevoked);
        let revoked = store.revoke_key(made.id, RevokedReason::User, None, change(2), event).await.unwrap();
        // BEGIN, lock, read, write, digests, three for the audit trail, the number, COMMIT.
        assert_eq!(store.statements_total() - before, 10);
        assert_eq!(listener.recv().await.unwrap().payload(), revoked.number.to_string());
    });
}
