//! API keys: five means five, revoked once, listed with their last use.

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::RevokedReason;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::usage::LastUse;
use rndrkit_store::{AccountUpdate, Error, Idempotency, NewKey, PageRequest};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{
    account, at, change, digest, event, event_of, key, new_key, open, page, plan_id, prefix,
};

on_both_databases!(
    a_key_reads_back_as_it_was_made,
    the_limit_counts_neither_revoked_nor_expired_keys,
    a_smaller_plan_deletes_nothing_and_admits_none,
    status_and_plan_are_judged_before_the_limit,
    a_refused_create_leaves_no_trace,
    revoking_again_answers_with_the_first_time,
    a_revocation_shows_in_the_trail_of_the_key_s_account,
    a_key_of_another_account_is_not_found,
    lists_tell_active_from_past_keys,
    keys_page_newest_first,
    last_use_is_the_newest_of_any_secret_and_never_moves_back,
    a_repeated_create_is_found_before_the_limit_is,
    prefixes_are_remembered,
);

async fn a_key_reads_back_as_it_was_made(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let new = NewKey { expires_at: Some(at(99)), ..new_key(owner.id) };
    let made = store.insert_key(new.clone(), None, change(5), event(Action::KeyCreated)).await.unwrap();
    assert_eq!(store.find_key(new.id).await.unwrap().unwrap(), made.value);
    assert_eq!((&made.value.mask, made.value.created_at), (&new.mask, at(5)));
    assert_eq!((made.value.expires_at, made.value.revoked), (Some(at(99)), None));
    let entry = store.feed_entries(made.number, 9).await.unwrap().remove(0);
    assert_eq!((entry.kind, entry.key_id, entry.account_id), (FeedKind::Key, Some(new.id), Some(owner.id)));
    assert_eq!(entry.digests, [new.digest]);
    assert_eq!(store.find_key(KeyId::generate(at(0), &OsEntropy)).await.unwrap(), None);
}

async fn the_limit_counts_neither_revoked_nor_expired_keys(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (first, _) = key(&store, owner.id, 1).await;
    let ending = NewKey { expires_at: Some(at(50)), ..new_key(owner.id) };
    store.insert_key(ending, None, change(1), event(Action::KeyCreated)).await.unwrap();
    for _ in 0..3 {
        key(&store, owner.id, 1).await;
    }
    let insert =
        |seconds| store.insert_key(new_key(owner.id), None, change(seconds), event(Action::KeyCreated));
    assert!(matches!(insert(49).await, Err(Error::KeyLimitReached { limit: 5 })));
    assert_eq!(store.find_account(owner.id, at(49)).await.unwrap().unwrap().active_keys, 5);
    // From the very moment it expires it does not count.
    assert_eq!(store.find_account(owner.id, at(50)).await.unwrap().unwrap().active_keys, 4);
    assert!(insert(50).await.is_ok());
    assert!(matches!(insert(50).await, Err(Error::KeyLimitReached { limit: 5 })));
    store
        .revoke_key(first.id, RevokedReason::User, Some(owner.id), change(51), event(Action::KeyRevoked))
        .await
        .unwrap();
    assert!(insert(51).await.is_ok());
    assert!(matches!(insert(51).await, Err(Error::KeyLimitReached { limit: 5 })));
}

async fn a_smaller_plan_deletes_nothing_and_admits_none(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let move_to = |plan: &str| {
        let update = AccountUpdate { plan: Some(plan_id(plan)), ..AccountUpdate::default() };
        store.update_account(owner.id, update, change(2), |_, _, _| Vec::new())
    };
    move_to("agency_plus").await.unwrap();
    for _ in 0..7 {
        key(&store, owner.id, 3).await;
    }
    move_to("agency").await.unwrap();
    assert_eq!(store.list_active_keys(owner.id, at(4)).await.unwrap().len(), 7);
    let result = store.insert_key(new_key(owner.id), None, change(4), event(Action::KeyCreated)).await;
    assert!(matches!(result, Err(Error::KeyLimitReached { limit: 5 })), "{result:?}");
}

async fn status_and_plan_are_judged_before_the_limit(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let update = |update| store.update_account(owner.id, update, change(2), |_, _, _| Vec::new());
    let insert = || store.insert_key(new_key(owner.id), None, change(3), event(Action::KeyCreated));
    update(AccountUpdate { plan: Some(plan_id("starter")), ..AccountUpdate::default() }).await.unwrap();
    assert!(matches!(insert().await, Err(Error::PlanRequired)));
    let suspend = AccountUpdate { status: Some(AccountStatus::Suspended), ..AccountUpdate::default() };
    update(suspend).await.unwrap();
    assert!(matches!(insert().await, Err(Error::AccountSuspended)));
    let unknown = new_key(AccountId::generate(at(0), &OsEntropy));
    let result = store.insert_key(unknown, None, change(3), event(Action::KeyCreated)).await;
    assert!(matches!(result, Err(Error::NotFound)));
}

async fn a_refused_create_leaves_no_trace(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for _ in 0..5 {
        key(&store, owner.id, 1).await;
    }
    let before = store.find_account(owner.id, at(2)).await.unwrap();
    let head = store.feed_head().await.unwrap();
    let events = store.list_events(None, 1, None).await.unwrap();
    store.insert_key(new_key(owner.id), None, change(2), event(Action::KeyCreated)).await.unwrap_err();
    assert_eq!(store.find_account(owner.id, at(2)).await.unwrap(), before);
    assert_eq!(store.feed_head().await.unwrap(), head);
    assert_eq!(store.list_events(None, 1, None).await.unwrap(), events);
}

async fn revoking_again_answers_with_the_first_time(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, secret) = key(&store, owner.id, 1).await;
    let revoke = |reason, seconds| {
        store.revoke_key(made.id, reason, None, change(seconds), event_of(owner.id, Action::KeyRevoked))
    };
    let first = revoke(RevokedReason::Holder, 7).await.unwrap();
    assert!(first.changed);
    assert_eq!(first.value.revoked, Some((at(7), RevokedReason::Holder)));
    let entry = store.feed_entries(first.number, 1).await.unwrap().remove(0);
    assert_eq!((entry.key_id, entry.digests), (Some(made.id), vec![secret]));
    account(&store, "bob").await;
    let events = store.list_events(Some(owner.id), 100, None).await.unwrap().items.len();
    let second = revoke(RevokedReason::Operator, 9).await.unwrap();
    assert_eq!((second.changed, second.number), (false, first.number));
    assert_eq!(second.value, first.value);
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap(), first.value);
    assert_eq!(store.list_events(Some(owner.id), 100, None).await.unwrap().items.len(), events);
}

async fn a_revocation_shows_in_the_trail_of_the_key_s_account(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, _) = key(&store, owner.id, 1).await;
    let by_whom = event(Action::KeyRevoked);
    assert_eq!(by_whom.account_id, None, "an operator names the key alone");
    store.revoke_key(made.id, RevokedReason::Operator, None, change(2), by_whom).await.unwrap();
    let (_, newest) = store.list_events(Some(owner.id), 1, None).await.unwrap().items.remove(0);
    assert_eq!(newest.action, "key.revoked");
}

async fn a_key_of_another_account_is_not_found(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (made, _) = key(&store, ada.id, 1).await;
    let revoke =
        |id, only| store.revoke_key(id, RevokedReason::User, only, change(2), event(Action::KeyRevoked));
    assert!(matches!(revoke(made.id, Some(bob.id)).await, Err(Error::NotFound)));
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap().revoked, None);
    assert!(matches!(revoke(KeyId::generate(at(0), &OsEntropy), None).await, Err(Error::NotFound)));
    assert!(store.list_keys(bob.id, page(9)).await.unwrap().items.is_empty());
    assert!(store.list_active_keys(bob.id, at(2)).await.unwrap().is_empty());
    assert!(revoke(made.id, Some(ada.id)).await.is_ok());
}

async fn lists_tell_active_from_past_keys(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let insert = |ends| {
        let new = NewKey { expires_at: ends, ..new_key(owner.id) };
        store.insert_key(new, None, change(1), event(Action::KeyCreated))
    };
    let lasting = insert(None).await.unwrap().value.id;
    let ending = insert(Some(at(500))).await.unwrap().value.id;
    let long_gone = insert(Some(at(10))).await.unwrap().value.id;
    let expired = insert(Some(at(60))).await.unwrap().value.id;
    let revoked = insert(Some(at(90))).await.unwrap().value.id;
    store
        .revoke_key(revoked, RevokedReason::User, None, change(70), event(Action::KeyRevoked))
        .await
        .unwrap();
    let mut active: Vec<_> =
        store.list_active_keys(owner.id, at(100)).await.unwrap().iter().map(|key| key.id).collect();
    active.sort_unstable();
    let mut expected = [lasting, ending];
    expected.sort_unstable();
    assert_eq!(active, expected);
    let past = |since, limit| store.list_past_keys(owner.id, at(since), at(100), limit);
    let ids = |keys: Vec<rndrkit_domain::key::ApiKey>| keys.iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(past(20, 9).await.unwrap()), [revoked, expired]);
    assert_eq!(ids(past(0, 9).await.unwrap()), [revoked, expired, long_gone]);
    assert_eq!(ids(past(0, 1).await.unwrap()), [revoked]);
}

async fn keys_page_newest_first(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let mut made = Vec::new();
    for second in [1, 2, 2, 2] {
        made.push(key(&store, owner.id, second).await.0.id);
    }
    let first = store.list_keys(owner.id, page(2)).await.unwrap();
    assert!(first.has_more);
    let last = first.items.last().unwrap();
    let request = PageRequest { limit: 2, after: Some((last.created_at, last.id.to_string())) };
    let second = store.list_keys(owner.id, request).await.unwrap();
    assert!(!second.has_more);
    assert_eq!(second.items.last().unwrap().id, made[0]);
    let mut seen: Vec<_> = first.items.iter().chain(&second.items).map(|key| key.id).collect();
    seen.sort_unstable();
    made.sort_unstable();
    assert_eq!(seen, made);
}

async fn last_use_is_the_newest_of_any_secret_and_never_moves_back(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, secret) = key(&store, owner.id, 1).await;
    assert_eq!(made.last_used_at, None);
    let used = |digest, seconds| LastUse { digest, key_id: made.id, at: at(seconds) };
    let other = digest();
    store.record_usage(&[], &[used(secret, 30), used(secret, 40), used(other, 20)]).await.unwrap();
    let last_use = || async { store.find_key(made.id).await.unwrap().unwrap().last_used_at };
    assert_eq!(last_use().await, Some(at(40)));
    store.record_usage(&[], &[used(secret, 35), used(other, 50)]).await.unwrap();
    assert_eq!(last_use().await, Some(at(50)));
    assert_eq!(store.list_active_keys(owner.id, at(60)).await.unwrap()[0].last_used_at, Some(at(50)));
    store.record_usage(&[], &[used(other, 10)]).await.unwrap();
    assert_eq!(last_use().await, Some(at(50)));
}

async fn a_repeated_create_is_found_before_the_limit_is(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let insert = || {
        let new = new_key(owner.id);
        (new.id, store.insert_key(new, Some(idempotency), change(1), event(Action::KeyCreated)))
    };
    let (id, created) = insert();
    created.await.unwrap();
    for _ in 0..4 {
        key(&store, owner.id, 2).await;
    }
    let Err(Error::IdempotencyReplay(record)) = insert().1.await else { panic!("not a repeat") };
    assert_eq!(record.resource_id, id.to_string());
    assert_eq!(store.list_active_keys(owner.id, at(3)).await.unwrap().len(), 5);
}

async fn prefixes_are_remembered(database: &TestDatabase) {
    let store = open(database).await;
    assert_eq!(store.list_prefixes().await.unwrap(), []);
    let newer = rndrkit_domain::key_text::KeyPrefix::parse("acme_").unwrap();
    store.ensure_prefix(&prefix(), change(1)).await.unwrap();
    store.ensure_prefix(&newer, change(2)).await.unwrap();
    store.ensure_prefix(&prefix(), change(3)).await.unwrap();
    assert_eq!(store.list_prefixes().await.unwrap(), [newer, prefix()]);
}
