//! Long connections learn of changes, all of them, and are told whether they may go on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::feed::FeedKind;
use rndrkit_verifier::Watch;
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
    assert!(!world.verifier.recheck(&waiting).await);
}

#[tokio::test]
async fn a_change_before_the_owner_begins_to_wait_is_not_missed() {
    let world = World::new();
    let key = world.old_key(world.account());
    let mut late = watch(&world, &key).await;
    world.revoke(&key);
    world.apply();
    assert!(is_ready(late.changed()));
    assert!(!world.verifier.recheck(&late).await);
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
    assert!(world.verifier.recheck(&watching).await);

    for kind in [FeedKind::Plans, FeedKind::Unknown(9), FeedKind::Key] {
        world.commit(kind);
        world.apply();
        assert!(is_ready(watching.changed()), "{kind:?}");
        assert!(world.verifier.recheck(&watching).await, "{kind:?}");
    }
    world.change_account(account, |facts| facts.api_access = false);
    world.apply();
    assert!(is_ready(watching.changed()));
    assert!(!world.verifier.recheck(&watching).await);
}

#[tokio::test]
async fn a_connection_whose_key_was_pushed_out_of_memory_is_woken_too() {
    let world = World::with(rndrkit_verifier::VerifierOptions { cache_keys: 5, ..Default::default() });
    let key = world.old_key(world.account());
    let mut watching = watch(&world, &key).await;
    // Long enough for the budget to be full again: nothing but the connection refers to the account.
    world.pass(Duration::from_secs(60));
    world.push_out(3_000).await;
    world.revoke(&key);
    world.apply();
    assert!(is_ready(watching.changed()));
    assert!(!world.verifier.recheck(&watching).await);
}

#[tokio::test(start_paused = true)]
async fn not_knowing_in_time_ends_a_connection() {
    let world = World::new();
    let key = world.old_key(world.account());
    let mut watching = watch(&world, &key).await;
    world.commit(FeedKind::Plans);
    world.apply();
    assert!(is_ready(watching.changed()));
    world.source.failing.store(true, Ordering::SeqCst);
    assert!(!world.verifier.recheck(&watching).await);
    world.source.failing.store(false, Ordering::SeqCst);
    let gate = world.source.hold_answers();
    assert!(!world.verifier.recheck(&watching).await);
    gate.add_permits(10);
    assert!(world.verifier.recheck(&watching).await);
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
