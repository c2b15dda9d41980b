//! Many at once: what must hold whoever wins.

use std::collections::BTreeSet;
use std::sync::Arc;

use rndrkit_domain::audit::Action;
use rndrkit_store::{AccountFilter, Error, Idempotency, Store};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::builders::{
    account, at, change, digest, event, event_of, key, new_account, new_key, new_token, open, page, seed,
};

on_both_databases!(
    a_hundred_creates_at_once_leave_five_keys,
    racing_creates_with_one_idempotency_key_make_one,
    racing_accounts_with_one_address_make_one,
    feed_numbers_have_no_gaps_and_follow_commits,
    aborted_changes_leave_the_writer_usable_and_no_trace,
    readers_see_a_change_as_soon_as_it_is_answered,
    rotations_creates_and_revocations_that_race_leave_two_secrets_and_five_keys,
    racing_rotations_with_one_idempotency_key_rotate_once,
    one_of_many_uses_a_link,
    plan_changes_and_accounts_do_not_lock_each_other_out,
);

/// Runs `count` futures that begin together; their results in any order.
async fn together<T, F>(count: usize, mut work: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let gate = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for index in 0..count {
        let (gate, future) = (gate.clone(), work(index));
        tasks.spawn(async move {
            gate.wait().await;
            future.await
        });
    }
    tasks.join_all().await
}

async fn a_hundred_creates_at_once_leave_five_keys(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let results = together(100, |_| {
        let (store, new) = (store.clone(), new_key(owner.id));
        async move { store.insert_key(new, None, change(1), event(Action::KeyCreated)).await }
    })
    .await;
    let made = results.iter().filter(|result| result.is_ok()).count();
    let refused =
        results.iter().filter(|result| matches!(result, Err(Error::KeyLimitReached { limit: 5 }))).count();
    assert_eq!((made, refused), (5, 95), "{results:?}");
    assert_eq!(store.list_active_keys(owner.id, at(2)).await.unwrap().len(), 5);
}

async fn racing_creates_with_one_idempotency_key_make_one(database: &TestDatabase) {
    let store = open(database).await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let results =
        together(64, |index| {
            let (store, new) = (store.clone(), new_account(&format!("a{index}")));
            async move {
                store.insert_account(new, Some(idempotency), change(1), event(Action::AccountCreated)).await
            }
        })
        .await;
    let made: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(made.len(), 1);
    for result in &results {
        if let Err(error) = result {
            let Error::IdempotencyReplay(record) = error else { panic!("{error:?}") };
            assert_eq!(record.resource_id, made[0].value.id.to_string());
        }
    }
    let stored = store.list_accounts(AccountFilter::default(), page(99), at(2)).await.unwrap();
    assert_eq!(stored.items.len(), 1);
}

async fn racing_accounts_with_one_address_make_one(database: &TestDatabase) {
    let store = open(database).await;
    let results = together(32, |_| {
        let (store, new) = (store.clone(), new_account("ada"));
        async move { store.insert_account(new, None, change(1), event(Action::AccountCreated)).await }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| matches!(result, Err(Error::EmailTaken))).count(), 31);
}

async fn feed_numbers_have_no_gaps_and_follow_commits(database: &TestDatabase) {
    let store = open(database).await;
    let mut owners = Vec::new();
    for index in 0..8 {
        owners.push(account(&store, &format!("a{index}")).await.id);
    }
    let before = store.feed_head().await.unwrap().number;
    // Follows like a verifier does: whatever it has seen must be everything below it.
    let follower = tokio::spawn(follow(store.clone(), before, 40));
    let numbers = together(40, |index| {
        let (store, owner) = (store.clone(), owners[index % owners.len()]);
        async move {
            let committed =
                store.insert_key(new_key(owner), None, change(1), event(Action::KeyCreated)).await.unwrap();
            // Answered means visible, with everything before it.
            assert!(store.feed_head().await.unwrap().number >= committed.number);
            committed.number
        }
    })
    .await;
    let numbers: BTreeSet<_> = numbers.into_iter().collect();
    assert_eq!(numbers, (before + 1..=before + 40).collect());
    follower.await.unwrap();
}

async fn follow(store: Store, from: i64, count: i64) {
    let mut applied = from;
    while applied < from + count {
        for entry in store.feed_entries(applied + 1, 100).await.unwrap() {
            assert_eq!(entry.number, applied + 1, "an entry became visible after a later one");
            applied = entry.number;
        }
        tokio::task::yield_now().await;
    }
}

async fn aborted_changes_leave_the_writer_usable_and_no_trace(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for round in 0..40_u32 {
        let (task_store, new) = (store.clone(), new_key(owner.id));
        let id = new.id;
        let task = tokio::spawn(async move {
            task_store.insert_key(new, None, change(1), event(Action::KeyCreated)).await
        });
        // A different number of steps into the change each time.
        for _ in 0..round {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_micros(100)).await;
        }
        task.abort();
        let outcome = task.await;
        // The writer answers whatever was cut off; on its way it may still finish a commit.
        let renamed = rndrkit_store::AccountUpdate {
            name: Some(crate::builders::name(&format!("round {round}"))),
            ..rndrkit_store::AccountUpdate::default()
        };
        store.update_account(owner.id, renamed, change(2), |_, _, _| Vec::new()).await.unwrap();
        if let Some(found) = store.find_key(id).await.unwrap() {
            let head = store.feed_head().await.unwrap().number;
            let entries = store.feed_entries(1, 1_000).await.unwrap();
            assert_eq!(i64::try_from(entries.len()).unwrap(), head);
            assert!(entries.iter().any(|entry| entry.key_id == Some(id)), "half a change is visible");
            let event = event(Action::KeyRevoked);
            let reason = rndrkit_domain::key::RevokedReason::Operator;
            store.revoke_key(found.id, reason, None, change(3), event).await.unwrap();
        } else {
            assert!(!matches!(outcome, Ok(Ok(_))), "an answered create is gone");
        }
    }
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!(report.broken_at(), None);
}

async fn readers_see_a_change_as_soon_as_it_is_answered(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for round in 0..20 {
        let (made, secret) = key(&store, owner.id, round).await;
        let loaded = store.load_key(secret).await.unwrap();
        assert!(!loaded.found.unwrap().revoked);
        let reason = rndrkit_domain::key::RevokedReason::User;
        let revoked =
            store.revoke_key(made.id, reason, None, change(round), event(Action::KeyRevoked)).await.unwrap();
        let loaded = store.load_key(secret).await.unwrap();
        assert!(loaded.found.unwrap().revoked && loaded.head >= revoked.number);
    }
}

async fn rotations_creates_and_revocations_that_race_leave_two_secrets_and_five_keys(
    database: &TestDatabase,
) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(key(&store, owner.id, 1).await.0);
    }
    let results = together(60, |index| {
        let (store, new, key) = (store.clone(), new_key(owner.id), keys[index % 2].clone());
        async move {
            match index % 6 {
                0..=3 => {
                    let rotation = crate::rotation::rotation(&key, [0, 900, 3_600][index % 3]);
                    store.rotate_key(rotation, None, change(2), event(Action::KeyRotated)).await.map(|_| ())
                }
                4 => {
                    let event = event(Action::KeyPreviousEnded);
                    store.end_previous(key.id, None, None, change(2), event).await.map(|_| ())
                }
                _ if index == 59 => {
                    let (reason, event) =
                        (rndrkit_domain::key::RevokedReason::User, event(Action::KeyRevoked));
                    store.revoke_key(key.id, reason, None, change(2), event).await.map(|_| ())
                }
                _ => store.insert_key(new, None, change(2), event(Action::KeyCreated)).await.map(|_| ()),
            }
        }
    })
    .await;
    let refused_rightly = |result: &Result<(), Error>| {
        matches!(result, Ok(()) | Err(Error::KeyNotActive | Error::KeyLimitReached { limit: 5 }))
    };
    assert!(results.iter().all(refused_rightly), "{results:?}");
    assert!(store.find_key(keys[1].id).await.unwrap().unwrap().revoked.is_some());
    assert!(store.list_active_keys(owner.id, at(3)).await.unwrap().len() <= 5);
    for key in &keys {
        let secrets = store.list_secrets(key.id).await.unwrap();
        let ends: Vec<_> = secrets.iter().map(|secret| secret.ends_at.map(|end| end > at(2))).collect();
        assert_eq!(ends.iter().filter(|end| end.is_none()).count(), 1, "{ends:?}");
        assert!(ends.iter().filter(|end| **end == Some(true)).count() <= 1, "{ends:?}");
    }
    assert_eq!(store.verify_audit_chain().await.unwrap().broken_at(), None);
}

async fn racing_rotations_with_one_idempotency_key_rotate_once(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 1).await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let results =
        together(32, |_| {
            let (store, rotation) = (store.clone(), crate::rotation::rotation(&made, 900));
            async move {
                store.rotate_key(rotation, Some(idempotency), change(2), event(Action::KeyRotated)).await
            }
        })
        .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let repeats = results.iter().filter(|result| matches!(result, Err(Error::IdempotencyReplay(_)))).count();
    assert_eq!(repeats, 31, "{results:?}");
    assert_eq!(store.list_secrets(made.id).await.unwrap().len(), 2);
    assert_eq!(store.load_key(old).await.unwrap().found.unwrap().ends_at, Some(at(902)));
}

async fn one_of_many_uses_a_link(database: &TestDatabase) {
    let store = open(database).await;
    let link = digest();
    store.replace_first_account_link(link, at(100), change(1)).await.unwrap();
    let results = together(16, |index| {
        let label = format!("a{index}");
        let (store, new, user) = (store.clone(), new_account(&label), crate::builders::new_user(&label));
        async move {
            let events = vec![event_of(new.id, Action::AccountCreated)];
            store.sign_up(Some(link), new, user, seed(900), change(2), events).await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| matches!(result, Err(Error::LinkInvalid))).count(), 15);
    let stored = store.list_accounts(AccountFilter::default(), page(99), at(2)).await.unwrap();
    assert_eq!(stored.items.len(), 1);
}

async fn plan_changes_and_accounts_do_not_lock_each_other_out(database: &TestDatabase) {
    let store = open(database).await;
    let results = together(24, |index| {
        let store = store.clone();
        async move {
            match index % 3 {
                0 => {
                    let mut plans = crate::builders::plans();
                    plans[0].active_keys = u32::try_from(index).unwrap() + 10;
                    let event = event(Action::PlansChanged);
                    store.sync_plans(&plans, change(1), event).await.map(|_| ())
                }
                1 => {
                    let new = new_account(&format!("a{index}"));
                    store
                        .insert_account(new, None, change(1), event(Action::AccountCreated))
                        .await
                        .map(|_| ())
                }
                _ => {
                    let new = new_token(&format!("t{index}"));
                    store.insert_token(new, None, change(1), event(Action::TokenCreated)).await.map(|_| ())
                }
            }
        }
    })
    .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
