//! Long connections learn of changes, all of them, and are told whether they may go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::feed::{FeedHead, FeedKind};
use rndrkit_verifier::{Change, Standing, VerifierOptions, Watch};
use tokio::time::timeout;

use crate::world::{TestKey, World, is_ready, rate_limit, until};

async fn watch(world: &World, key: &TestKey) -> Watch {
    world.ask(key).await.watch.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_revocation_wakes_the_connections_of_the_key_and_ends_them() {
    let world = World::new();
    let key = world.old_key(world.account());
    let mut waiting = watch(&world, &key).await;
    let woken = tokio::spawn(async move {
        waiting.changed().await;
        waiting
    });
    tokio::task::yield_now().await;
    assert!(!woken.is_finished());
    world.revoke(&key);
    world.apply();
    let waiting = timeout(Duration::from_secs(1), woken).await.unwrap().unwrap();
    assert_eq!(world.verifier.recheck(&waiting).await, Standing::Refused);
}

#[tokio::test]
async fn a_change_before_the_owner_begins_to_wait_is_not_missed() {
    let world = World::new();
    let key = world.old_key(world.account());
    let mut late = watch(&world, &key).await;
    world.revoke(&key);
    world.apply();
    assert!(is_ready(late.changed()));
    assert_eq!(world.verifier.recheck(&late).await, Standing::Refused);
    // Seen once; the next wait is for the next change.
    assert!(!is_ready(late.changed()));
}

#[tokio::test]
async fn changes_of_the_account_and_of_another_key_wake_and_are_rechecked() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 1));
    let (key, other) = (world.old_key(account), world.old_key(account));
    let stranger = world.old_key(world.account());
    let mut watching = watch(&world, &key).await;

    world.revoke(&stranger);
    world.apply();
    assert!(!is_ready(watching.changed()), "another account's change woke it");

    // The budget is spent; a connection that was let in stays.
    world.revoke(&other);
    world.apply();
    assert!(is_ready(watching.changed()));
    assert_eq!(world.code(&key).await, "rate_limited");
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Good);

    for kind in [FeedKind::Plans, FeedKind::Unknown(9), FeedKind::Key] {
        world.commit(kind);
        world.apply();
        assert!(is_ready(watching.changed()), "{kind:?}");
        assert_eq!(world.verifier.recheck(&watching).await, Standing::Good, "{kind:?}");
    }
    world.change_account(account, |facts| facts.api_access = false);
    world.apply();
    assert!(is_ready(watching.changed()));
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Refused);
}

#[tokio::test]
async fn a_connection_whose_key_was_pushed_out_of_memory_is_woken_too() {
    let world = World::with(VerifierOptions { cache_keys: 5, ..VerifierOptions::default() });
    let key = world.old_key(world.account());
    let mut watching = watch(&world, &key).await;
    // Long enough for the budget to be full again: nothing but the connection refers to the account.
    world.pass(Duration::from_secs(60));
    world.push_out(3_000).await;
    world.revoke(&key);
    world.apply();
    assert!(is_ready(watching.changed()));
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Refused);
}

#[tokio::test(start_paused = true)]
async fn not_knowing_in_time_is_no_refusal() {
    let world = World::new();
    let key = world.old_key(world.account());
    let mut watching = watch(&world, &key).await;
    world.commit(FeedKind::Plans);
    world.apply();
    assert!(is_ready(watching.changed()));
    world.source.failing.store(true, Ordering::SeqCst);
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Unknown);
    world.source.failing.store(false, Ordering::SeqCst);
    let gate = world.source.hold_answers();
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Unknown);
    gate.add_permits(10);
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Good);
    world.verifier.untrust();
    assert_eq!(world.verifier.recheck(&watching).await, Standing::Unknown);
    assert_eq!(world.verifier.recheck_in_turn(&watching).await, Standing::Unknown);
}

/// Else a connection could be left to go on, or be cut, for the wrong reason.
#[tokio::test]
async fn what_may_hide_a_revocation_is_told_apart_from_what_names_nobody() {
    let world = World::new();
    let account = world.account();
    let (key, sibling) = (world.old_key(account), world.old_key(account));
    let mut watching = watch(&world, &key).await;

    world.commit(FeedKind::Plans);
    world.commit(FeedKind::ANYTHING);
    world.apply();
    world.verifier.drop_everything();
    assert_eq!(watching.changed().await, Change::Broad);

    world.revoke(&sibling);
    world.commit(FeedKind::Plans);
    world.apply();
    assert_eq!(watching.changed().await, Change::Named, "the gravest of several");

    // Of a newer version; and about keys and accounts that it does not name.
    for kind in [FeedKind::Unknown(99), FeedKind::Key, FeedKind::KeyRevoked, FeedKind::Account] {
        world.commit(kind);
        world.apply();
        assert_eq!(watching.changed().await, Change::Named, "{kind:?}");
    }
    let number = world.commit(FeedKind::Tokens) + 5;
    world.verifier.reset(FeedHead { number, tag: 1, oldest: 1 });
    assert_eq!(watching.changed().await, Change::Named, "entries were passed over");
}

#[tokio::test]
async fn however_many_connections_look_at_once_requests_are_looked_up_beside_them() {
    let world = World::with(VerifierOptions { lookup_concurrency: 4, ..VerifierOptions::default() });
    let mut watches = Vec::new();
    for _ in 0..200 {
        watches.push(watch(&world, &world.old_key(world.account())).await);
    }
    world.verifier.drop_everything();
    let (before, gate) = (world.source.loads(), world.source.hold_answers());
    let looks: Vec<_> = watches
        .into_iter()
        .map(|watching| {
            let verifier = Arc::clone(&world.verifier);
            tokio::spawn(async move { verifier.recheck_in_turn(&watching).await })
        })
        .collect();
    until(|| world.source.loads() == before + 2).await;
    let asked = world.ask_later(&world.old_key(world.account()));
    until(|| world.source.loads() == before + 3).await;
    gate.add_permits(1_000);
    assert_eq!(asked.await.unwrap(), "valid");
    for look in looks {
        assert_eq!(look.await.unwrap(), Standing::Good);
    }
}

#[tokio::test]
async fn many_connections_of_one_key_are_all_woken() {
    let world = World::new();
    let key = world.old_key(world.account());
    let mut woken = Vec::new();
    for _ in 0..50 {
        let mut watching = watch(&world, &key).await;
        woken.push(tokio::spawn(async move { watching.changed().await }));
    }
    tokio::task::yield_now().await;
    world.revoke(&key);
    world.apply();
    until(|| woken.iter().all(tokio::task::JoinHandle::is_finished)).await;
}
