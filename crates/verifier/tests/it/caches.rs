//! What is held in memory: bounded, and nobody can push the good keys out.

use std::time::Duration;

use rndrkit_domain::decision::Denial;
use rndrkit_domain::feed::FeedKind;
use rndrkit_verifier::VerifierOptions;

use crate::world::{TestKey, World, denial, rate_limit};

fn small(cache_keys: usize) -> VerifierOptions {
    VerifierOptions { cache_keys, ..VerifierOptions::default() }
}

#[tokio::test]
async fn a_million_verifications_of_a_known_key_ask_the_source_nothing() {
    let world = World::new();
    let key = world.old_key(world.account_with(rate_limit(u32::MAX, 2_000_000)));
    assert_eq!(world.code(&key).await, "valid");
    for _ in 0..1_000_000 {
        assert_eq!(world.code(&key).await, "valid");
    }
    assert_eq!(world.source.loads(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_pushes_no_good_key_out() {
    let world = World::with(small(100));
    let account = world.account_with(rate_limit(60_000, 10_000));
    let good: Vec<TestKey> = (0..50).map(|_| world.old_key(account)).collect();
    for key in &good {
        assert_eq!(world.code(key).await, "valid");
    }
    for _ in 0..40_000 {
        assert_eq!(world.code(&world.unknown_key()).await, "invalid_key");
    }
    let loads = world.source.loads();
    for key in &good {
        assert_eq!(world.code(key).await, "valid");
    }
    assert_eq!(world.source.loads(), loads, "a good key had to be looked up again");
}

#[tokio::test]
async fn twice_as_many_keys_as_fit_are_all_answered_rightly_in_bounded_memory() {
    let world = World::with(small(200));
    let account = world.account_with(rate_limit(60_000, 100_000));
    let keys: Vec<TestKey> = (0..400).map(|_| world.old_key(account)).collect();
    for key in &keys[300..] {
        world.edit_key(key, |stored| stored.revoked = true);
    }
    for _ in 0..3 {
        for (position, key) in keys.iter().enumerate() {
            assert_eq!(world.code(key).await, if position < 300 { "valid" } else { "key_revoked" });
            assert!(world.verifier.cached_keys() <= 200);
        }
    }
    // A change reaches keys that were pushed out and keys that were not.
    for key in &keys[..300] {
        world.revoke(key);
    }
    world.apply();
    for key in &keys {
        assert_eq!(world.code(key).await, "key_revoked");
    }
}

#[tokio::test]
async fn pushing_keys_out_does_not_refill_their_accounts_budget() {
    let world = World::with(small(10));
    let account = world.account_with(rate_limit(60, 20));
    let keys: Vec<TestKey> = (0..5).map(|_| world.old_key(account)).collect();
    let (mut admitted, mut looked_up) = (0, 0);
    for round in 0..10 {
        let before = world.source.loads();
        for key in &keys {
            admitted += u32::from(world.code(key).await == "valid");
        }
        looked_up += world.source.loads() - before;
        // In the first round also accounts enough for the unused ones to be forgotten.
        world.push_out(if round == 0 { 3_000 } else { 100 }).await;
    }
    assert_eq!(admitted, 20);
    assert!(looked_up > 20, "only {looked_up} of 50 had been pushed out");
}

#[tokio::test]
async fn an_unknown_secret_is_remembered_for_half_a_minute() {
    let world = World::new();
    let key = world.unknown_key();
    assert_eq!(world.code(&key).await, "invalid_key");
    world.pass(Duration::from_millis(29_999));
    assert_eq!(world.code(&key).await, "invalid_key");
    assert_eq!(world.source.loads(), 1);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.code(&key).await, "invalid_key");
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test]
async fn a_new_key_works_although_its_secret_was_just_unknown() {
    let world = World::new();
    let key = TestKey { account: world.account(), ..world.unknown_key() };
    assert_eq!(world.code(&key).await, "invalid_key");
    world.create(&key);
    world.apply();
    assert_eq!(world.code(&key).await, "valid");
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_memory_and_follows_its_account() {
    let world = World::new();
    let account = world.account();
    let key = world.old_key(account);
    assert_eq!(world.code(&key).await, "valid");
    world.revoke(&key);
    world.apply();
    for _ in 0..10 {
        assert_eq!(world.code(&key).await, "key_revoked");
    }
    assert_eq!(world.source.loads(), 2);
    world.change_account(account, |facts| facts.plan = crate::world::plan_id("starter"));
    world.apply();
    let verified = world.ask(&key).await;
    assert_eq!(verified.decision.caller().unwrap().plan.as_str(), "starter");
}

#[tokio::test]
async fn a_deleted_account_ends_all_its_keys_although_the_entry_names_none() {
    let world = World::new();
    let account = world.account();
    let keys: Vec<TestKey> = (0..5).map(|_| world.old_key(account)).collect();
    for key in &keys {
        assert_eq!(world.code(key).await, "valid");
    }
    for key in &keys {
        world.edit_key(key, |stored| stored.revoked = true);
    }
    world.change_account(account, |_| {});
    world.apply();
    for key in &keys {
        assert_eq!(world.code(key).await, "key_revoked");
    }
}

#[tokio::test]
async fn an_entry_about_a_key_that_names_no_secret_is_taken_to_be_about_all_of_the_account() {
    let world = World::new();
    let account = world.account();
    let key = world.old_key(account);
    assert_eq!(world.code(&key).await, "valid");
    world.revoke(&key);
    world.source.database.lock().feed.last_mut().unwrap().digests.clear();
    world.apply();
    assert_eq!(world.code(&key).await, "key_revoked");
}

#[tokio::test]
async fn changed_plans_are_read_again_for_every_account() {
    let world = World::new();
    let accounts = [world.account(), world.account()];
    let keys = accounts.map(|account| world.old_key(account));
    for key in &keys {
        assert_eq!(world.code(key).await, "valid");
    }
    // The plan changes, the accounts' rows do not.
    for facts in world.source.database.lock().accounts.values_mut() {
        facts.api_access = false;
    }
    world.commit(FeedKind::Plans);
    world.apply();
    for key in &keys {
        assert_eq!(world.code(key).await, "plan_required");
    }
}

#[tokio::test]
async fn an_entry_of_an_unknown_kind_makes_everything_be_read_again() {
    let world = World::new();
    let (good, unknown) = (world.old_key(world.account()), world.unknown_key());
    assert_eq!(world.code(&good).await, "valid");
    assert_eq!(world.code(&unknown).await, "invalid_key");
    world.edit_key(&good, |stored| stored.revoked = true);
    world.store_key(&TestKey { account: good.account, ..unknown.clone() });
    world.commit(FeedKind::Unknown(99));
    world.apply();
    assert_eq!(world.code(&good).await, "key_revoked");
    assert_eq!(world.code(&unknown).await, "valid");
}

#[tokio::test]
async fn a_gap_in_the_feed_makes_everything_be_read_again() {
    let world = World::new();
    let key = world.old_key(world.account());
    assert_eq!(world.code(&key).await, "valid");
    world.revoke(&key);
    let last = world.commit(FeedKind::Tokens);
    let tail = world.source.database.lock().feed[1..].to_vec();
    world.verifier.apply(&tail);
    assert_eq!(world.verifier.applied(), last);
    assert_eq!(world.code(&key).await, "key_revoked");
}

#[tokio::test]
async fn dropping_everything_reads_again_what_was_changed_by_hand() {
    let world = World::new();
    let account = world.account();
    let key = world.old_key(account);
    assert_eq!(world.code(&key).await, "valid");
    world.source.database.lock().accounts.get_mut(&account).unwrap().api_access = false;
    world.verifier.drop_everything();
    assert_eq!(world.code(&key).await, "plan_required");
}

#[tokio::test]
async fn one_address_is_stopped_after_a_hundred_failed_look_ups_and_answers_from_memory_are_not() {
    let world = World::new();
    let good = world.old_key(world.account());
    let first = world.unknown_key();
    assert_eq!(world.ask_from(&good, "192.0.2.1").await.decision.code(), "valid");
    assert_eq!(world.ask_from(&first, "192.0.2.1").await.decision.code(), "invalid_key");
    for _ in 0..99 {
        assert_eq!(world.ask_from(&world.unknown_key(), "192.0.2.1").await.decision.code(), "invalid_key");
    }
    let loads = world.source.loads();
    let refused = world.ask_from(&world.unknown_key(), "192.0.2.1").await;
    assert_eq!(denial(&refused.decision), Some(Denial::TooManyFailures));
    assert_eq!(world.source.loads(), loads);
    assert_eq!(world.ask_from(&good, "192.0.2.1").await.decision.code(), "valid");
    assert_eq!(world.ask_from(&first, "192.0.2.1").await.decision.code(), "invalid_key");
    assert_eq!(world.ask_from(&world.unknown_key(), "192.0.2.2").await.decision.code(), "invalid_key");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.ask_from(&world.unknown_key(), "192.0.2.1").await.decision.code(), "invalid_key");
}

#[tokio::test]
async fn good_keys_seen_for_the_first_time_are_no_failures() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 1_000));
    for _ in 0..300 {
        let key = world.old_key(account);
        assert_eq!(world.ask_from(&key, "192.0.2.1").await.decision.code(), "valid");
    }
}

#[tokio::test]
async fn an_address_cannot_have_more_look_ups_than_its_bound_by_asking_all_at_once() {
    let world = World::with(VerifierOptions { lookup_concurrency: 1, ..VerifierOptions::default() });
    let asked: Vec<_> = (0..300)
        .map(|_| {
            let (verifier, key) = (std::sync::Arc::clone(&world.verifier), world.unknown_key());
            tokio::spawn(async move {
                let client = "192.0.2.1".parse().ok();
                let ask = rndrkit_verifier::Ask { secret: key.text.as_bytes(), cost: 1, client };
                verifier.verify(&ask).await.decision.code()
            })
        })
        .collect();
    let mut invalid = 0;
    for answer in asked {
        match answer.await.unwrap() {
            "invalid_key" => invalid += 1,
            code => assert_eq!(code, "too_many_failures"),
        }
    }
    assert_eq!((invalid, world.source.loads()), (100, 100));
}
