//! Accounts: unique, changed with a report, erased on deletion.

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key::RevokedReason;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::text::ExternalId;
use rndrkit_store::{AccountFilter, AccountUpdate, Error, Idempotency, NewAccount, PageRequest};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{
    account, at, change, digest, email, event, event_of, key, name, new_account, new_user, open, page,
    plan_id, seed,
};

on_both_databases!(
    an_account_reads_back_as_it_was_made,
    addresses_and_external_ids_are_unique_and_say_which,
    an_account_needs_a_plan_that_exists,
    lists_go_newest_first_in_pages_and_by_filter,
    an_update_reports_before_and_after_and_raises_the_revision,
    an_update_that_changes_nothing_takes_no_number,
    a_refused_update_leaves_everything_as_it_was,
    deleting_ends_keys_and_sessions_and_erases_people,
    a_repeated_create_answers_with_the_first,
    an_idempotency_key_begins_anew_after_a_day,
);

async fn an_account_reads_back_as_it_was_made(database: &TestDatabase) {
    let store = open(database).await;
    let new = NewAccount { external_id: Some(ExternalId::parse("cus_42").unwrap()), ..new_account("ada") };
    let made =
        store.insert_account(new.clone(), None, change(5), event(Action::AccountCreated)).await.unwrap();
    assert!(made.changed);
    assert_eq!(made.number, store.feed_head().await.unwrap().number);
    let found = store.find_account(new.id, at(6)).await.unwrap().unwrap();
    assert_eq!(found, made.value);
    assert_eq!((found.created_at, found.status, found.active_keys), (at(5), AccountStatus::Active, 0));
    assert_eq!(found.external_id, new.external_id);
    assert_eq!(store.find_account(AccountId::generate(at(0), &OsEntropy), at(6)).await.unwrap(), None);
}

async fn addresses_and_external_ids_are_unique_and_say_which(database: &TestDatabase) {
    let store = open(database).await;
    let external_id = Some(ExternalId::parse("cus_42").unwrap());
    let first = NewAccount { external_id: external_id.clone(), ..new_account("ada") };
    store.insert_account(first.clone(), None, change(1), event(Action::AccountCreated)).await.unwrap();
    let insert = |new| store.insert_account(new, None, change(1), event(Action::AccountCreated));
    assert!(matches!(insert(new_account("ada")).await, Err(Error::EmailTaken)));
    let other = NewAccount { external_id, ..new_account("bob") };
    assert!(matches!(insert(other).await, Err(Error::ExternalIdTaken)));
    let third = account(&store, "carol").await;
    let update = AccountUpdate { email: Some(first.email), ..AccountUpdate::default() };
    let result = store.update_account(third.id, update, change(2), |_, _, _| Vec::new()).await;
    assert!(matches!(result, Err(Error::EmailTaken)), "{result:?}");
    // Deleting frees both.
    store.delete_account(first.id, change(3), event(Action::AccountDeleted)).await.unwrap();
    let again = NewAccount { external_id: first.external_id, ..new_account("ada") };
    assert!(insert(again).await.is_ok());
}

async fn an_account_needs_a_plan_that_exists(database: &TestDatabase) {
    let store = open(database).await;
    let new = NewAccount { plan: plan_id("gold"), ..new_account("ada") };
    let result = store.insert_account(new, None, change(1), event(Action::AccountCreated)).await;
    assert!(matches!(result, Err(Error::UnknownPlan)), "{result:?}");
    let made = account(&store, "bob").await;
    let update = AccountUpdate { plan: Some(plan_id("gold")), ..AccountUpdate::default() };
    let result = store.update_account(made.id, update, change(2), |_, _, _| Vec::new()).await;
    assert!(matches!(result, Err(Error::UnknownPlan)), "{result:?}");
}

async fn lists_go_newest_first_in_pages_and_by_filter(database: &TestDatabase) {
    let store = open(database).await;
    let mut made = Vec::new();
    for (label, second) in [("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
        let new = new_account(label);
        made.push(new.id);
        store.insert_account(new, None, change(second), event(Action::AccountCreated)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut request = page(1);
    loop {
        let slice = store.list_accounts(AccountFilter::default(), request, at(9)).await.unwrap();
        assert_eq!(slice.items.len(), 1);
        seen.push(slice.items[0].id);
        if !slice.has_more {
            break;
        }
        let last = &slice.items[0];
        request = PageRequest { limit: 1, after: Some((last.created_at, last.id.to_string())) };
    }
    assert_eq!((seen[0], seen[3], seen.len()), (made[3], made[0], 4));
    made.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, made, "accounts made in the same millisecond are all listed, once");
    let filter = AccountFilter { email: Some("b@example.com".to_owned()), external_id: None };
    let slice = store.list_accounts(filter, page(20), at(9)).await.unwrap();
    assert_eq!((slice.items.len(), slice.has_more), (1, false));
    let filter = AccountFilter { email: None, external_id: Some("none".to_owned()) };
    assert!(store.list_accounts(filter, page(20), at(9)).await.unwrap().items.is_empty());
}

async fn an_update_reports_before_and_after_and_raises_the_revision(database: &TestDatabase) {
    let store = open(database).await;
    let made = account(&store, "ada").await;
    let (_, _) = key(&store, made.id, 2).await;
    let update = AccountUpdate {
        plan: Some(plan_id("agency_plus")),
        status: Some(AccountStatus::Suspended),
        name: Some(name("Ada L")),
        email: Some(email("lovelace@example.com")),
        external_id: Some(Some(ExternalId::parse("cus_1").unwrap())),
    };
    let mut reported = None;
    let committed = store
        .update_account(made.id, update, change(3), |before, after, _| {
            reported = Some((before.clone(), after.clone()));
            vec![event_of(after.id, Action::AccountUpdated), event_of(after.id, Action::AccountSuspended)]
        })
        .await
        .unwrap();
    let (before, after) = reported.unwrap();
    assert_eq!((before.name.as_str(), before.active_keys), ("ada", 1));
    assert_eq!(after, committed.value);
    assert!(after.revision > before.revision && committed.changed);
    assert_eq!(store.find_account(made.id, at(4)).await.unwrap().unwrap(), after);
    let entry = store.feed_entries(committed.number, 1).await.unwrap().remove(0);
    assert_eq!((entry.kind, entry.account_id), (FeedKind::Account, Some(made.id)));
    let events = store.list_events(Some(made.id), 2, None).await.unwrap();
    let actions: Vec<_> = events.items.iter().map(|(_, event)| event.action.as_str()).collect();
    assert_eq!(actions, ["account.suspended", "account.updated"]);
}

async fn an_update_that_changes_nothing_takes_no_number(database: &TestDatabase) {
    let store = open(database).await;
    let made = account(&store, "ada").await;
    let own = store.feed_head().await.unwrap().number;
    account(&store, "bob").await;
    let head = store.feed_head().await.unwrap();
    let update = AccountUpdate { plan: Some(made.plan.clone()), ..AccountUpdate::default() };
    let committed = store
        .update_account(made.id, update, change(3), |_, _, _| panic!("nothing to report"))
        .await
        .unwrap();
    assert_eq!((committed.changed, committed.number), (false, own));
    assert_eq!(committed.value, made);
    assert_eq!(store.feed_head().await.unwrap(), head);
    assert_eq!(store.find_account(made.id, at(4)).await.unwrap().unwrap(), made);
}

async fn a_refused_update_leaves_everything_as_it_was(database: &TestDatabase) {
    let store = open(database).await;
    let made = account(&store, "ada").await;
    let head = store.feed_head().await.unwrap();
    let update =
        AccountUpdate { name: Some(name("X")), plan: Some(plan_id("gold")), ..AccountUpdate::default() };
    store.update_account(made.id, update, change(2), |_, _, _| Vec::new()).await.unwrap_err();
    assert_eq!(store.find_account(made.id, at(3)).await.unwrap().unwrap(), made);
    assert_eq!(store.feed_head().await.unwrap(), head);
    let unknown = AccountId::generate(at(0), &OsEntropy);
    let result =
        store.update_account(unknown, AccountUpdate::default(), change(2), |_, _, _| Vec::new()).await;
    assert!(matches!(result, Err(Error::NotFound)));
}

async fn deleting_ends_keys_and_sessions_and_erases_people(database: &TestDatabase) {
    let store = open(database).await;
    let (new, user, session) = (new_account("ada"), new_user("ada"), seed(900));
    let id = new.id;
    let events = vec![event_of(id, Action::AccountCreated), event_of(id, Action::UserCreated)];
    store.sign_up(None, new, user.clone(), session.clone(), change(1), events).await.unwrap();
    let (made, secret) = key(&store, id, 2).await;
    let first = store.delete_account(id, change(7), event(Action::AccountDeleted)).await.unwrap();
    assert!(first.changed);

    assert_eq!(store.find_account(id, at(8)).await.unwrap(), None);
    let revoked = store.find_key(made.id).await.unwrap().unwrap().revoked;
    assert_eq!(revoked, Some((at(7), RevokedReason::AccountDeleted)));
    assert!(store.load_key(secret).await.unwrap().found.unwrap().revoked);
    assert_eq!(store.find_session(session.digest, at(8)).await.unwrap(), None);
    assert_eq!(store.find_user_by_email(&user.email).await.unwrap(), None);
    assert!(!store.has_users().await.unwrap());
    for (_, event) in store.list_events(Some(id), 100, None).await.unwrap().items {
        assert_eq!((event.actor.name, event.ip, event.user_agent), (None, None, None), "{}", event.action);
    }
    let again = store.delete_account(id, change(9), event(Action::AccountDeleted)).await.unwrap();
    assert_eq!((again.changed, again.number), (false, first.number));
    // A repeated revocation of its key waits for the deletion.
    let repeat = store
        .revoke_key(made.id, RevokedReason::Operator, None, change(9), event(Action::KeyRevoked))
        .await
        .unwrap();
    assert_eq!((repeat.changed, repeat.number), (false, first.number));
    let unknown = AccountId::generate(at(0), &OsEntropy);
    let result = store.delete_account(unknown, change(9), event(Action::AccountDeleted)).await;
    assert!(matches!(result, Err(Error::NotFound)));
}

async fn a_repeated_create_answers_with_the_first(database: &TestDatabase) {
    let store = open(database).await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let new = new_account("ada");
    assert_eq!(store.find_idempotency(idempotency.digest, at(1)).await.unwrap(), None);
    let insert = |new| store.insert_account(new, Some(idempotency), change(1), event(Action::AccountCreated));
    insert(new.clone()).await.unwrap();
    let Err(Error::IdempotencyReplay(record)) = insert(new_account("bob")).await else {
        panic!("the second create happened");
    };
    assert_eq!(
        (record.resource_id.as_str(), record.fingerprint),
        (new.id.to_string().as_str(), idempotency.fingerprint)
    );
    assert_eq!(store.find_idempotency(idempotency.digest, at(2)).await.unwrap(), Some(record));
    assert_eq!(store.list_accounts(AccountFilter::default(), page(9), at(2)).await.unwrap().items.len(), 1);
}

async fn an_idempotency_key_begins_anew_after_a_day(database: &TestDatabase) {
    const DAY: u64 = 86_400;
    let store = open(database).await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let insert = |label, seconds| {
        let new = new_account(label);
        store.insert_account(new, Some(idempotency), change(seconds), event(Action::AccountCreated))
    };
    insert("ada", 0).await.unwrap();
    assert!(matches!(insert("bob", DAY - 1).await, Err(Error::IdempotencyReplay(_))));
    assert_eq!(store.find_idempotency(idempotency.digest, at(DAY)).await.unwrap(), None);
    let second = insert("bob", DAY).await.unwrap().value;
    let record = store.find_idempotency(idempotency.digest, at(DAY + 1)).await.unwrap().unwrap();
    assert_eq!(record.resource_id, second.id.to_string());
}
