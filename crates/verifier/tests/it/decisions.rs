//! What is decided, in which order, and when we say that we do not know.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::decision::{Decision, Denial};
use rndrkit_domain::text::ExternalId;
use rndrkit_domain::time::{Clock, Monotonic};
use rndrkit_verifier::{Ask, Verifier, VerifierOptions};

use crate::world::{World, beginning, denial, plan_id, rate_limit};

#[tokio::test]
async fn a_good_key_is_allowed_and_says_whose_it_is() {
    let world = World::new();
    let account = world.account();
    world.change_account(account, |facts| facts.external_id = ExternalId::parse("cus_42").ok());
    let key = world.old_key(account);
    let verified = world.ask(&key).await;
    let Decision::Allowed { caller, budget } = verified.decision else { panic!("denied") };
    assert_eq!((caller.key_id, caller.account_id), (key.id, account));
    assert_eq!(caller.external_id.as_ref().unwrap().as_str(), "cus_42");
    assert_eq!(caller.plan.as_str(), "agency");
    assert_eq!((budget.limit, budget.remaining, budget.reset_seconds), (rate_limit(600, 100), 99, 1));
    assert!(verified.watch.is_some());
}

#[tokio::test]
async fn a_text_that_cannot_be_a_secret_is_refused_without_a_look_up() {
    let world = World::new();
    let key = world.old_key(world.account());
    let cut = &key.text[..key.text.len() - 1];
    for text in ["", "rk_live_", "sk_live_abc", cut, &format!("{}x", key.text)] {
        let verified = world.verifier.verify(&Ask { secret: text.as_bytes(), cost: 1, client: None }).await;
        assert_eq!(verified.decision, Decision::denied(Denial::InvalidKey), "{text}");
    }
    assert_eq!(world.source.loads(), 0);
}

/// Everything is wrong at once; taking the first cause away shows the next.
#[tokio::test]
async fn causes_are_judged_in_the_order_of_the_contract() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 1));
    let key = world.unknown_key();
    let key = crate::world::TestKey { account, ..key };
    assert_eq!(world.code(&key).await, "invalid_key");

    world.store_key(&key);
    world.edit_key(&key, |stored| {
        stored.revoked = true;
        stored.expires_at = Some(beginning());
        stored.ends_at = Some(beginning());
    });
    world.change_account(account, |facts| {
        facts.status = AccountStatus::Suspended;
        facts.api_access = false;
    });
    world.create_anew(&key);
    assert_eq!(world.code(&key).await, "key_revoked");
    world.edit_key(&key, |stored| stored.revoked = false);
    world.create_anew(&key);
    assert_eq!(world.code(&key).await, "key_expired");
    world.edit_key(&key, |stored| stored.expires_at = None);
    world.create_anew(&key);
    // The old half of a rotation, whose end has passed.
    assert_eq!(world.code(&key).await, "key_revoked");
    world.edit_key(&key, |stored| stored.ends_at = None);
    world.create_anew(&key);
    assert_eq!(world.code(&key).await, "account_suspended");
    world.change_account(account, |facts| facts.status = AccountStatus::Active);
    world.apply();
    assert_eq!(world.code(&key).await, "plan_required");
    world.change_account(account, |facts| facts.api_access = true);
    world.apply();
    // None of the refusals has spent the one request.
    assert_eq!(world.code(&key).await, "valid");
    assert_eq!(world.code(&key).await, "rate_limited");
}

#[tokio::test]
async fn a_refusal_names_the_caller_when_the_secret_was_right() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 1));
    let revoked = world.old_key(account);
    world.edit_key(&revoked, |stored| stored.revoked = true);
    let expired = world.old_key(account);
    world.edit_key(&expired, |stored| stored.expires_at = Some(beginning()));
    let limited = world.old_key(account);
    assert_eq!(world.code(&limited).await, "valid");
    for (key, code, with_budget) in
        [(&revoked, "key_revoked", false), (&expired, "key_expired", false), (&limited, "rate_limited", true)]
    {
        let verified = world.ask(key).await;
        let Decision::Denied { caller, budget, .. } = &verified.decision else { panic!("allowed: {code}") };
        assert_eq!(verified.decision.code(), code);
        let caller = caller.as_ref().unwrap();
        assert_eq!((caller.key_id, caller.account_id), (key.id, account), "{code}");
        assert_eq!(&caller.plan, &plan_id("agency"), "{code}");
        assert_eq!(budget.is_some(), with_budget, "{code}");
        assert!(verified.watch.is_none(), "{code}");
    }
}

#[tokio::test]
async fn both_kinds_of_end_are_judged_when_the_request_comes() {
    let end = Some(beginning().plus(Duration::from_secs(60)));
    for (expires_at, ends_at, code) in [(end, None, "key_expired"), (None, end, "key_revoked")] {
        let world = World::new();
        let key = world.old_key(world.account());
        world.edit_key(&key, |stored| (stored.expires_at, stored.ends_at) = (expires_at, ends_at));
        assert_eq!(world.code(&key).await, "valid");
        world.pass(Duration::from_millis(59_999));
        assert_eq!(world.code(&key).await, "valid");
        world.pass(Duration::from_millis(1));
        assert_eq!(world.code(&key).await, code);
        assert_eq!(world.source.loads(), 1);
    }
}

#[tokio::test]
async fn looking_spends_nothing_and_is_never_rate_limited() {
    let world = World::new();
    let key = world.old_key(world.account_with(rate_limit(60, 2)));
    assert_eq!(world.budget(&key).await.remaining, 2);
    assert_eq!(world.ask_for(&key, 2).await.decision.code(), "valid");
    assert_eq!(world.budget(&key).await.remaining, 0);
    assert_eq!(world.code(&key).await, "rate_limited");
}

#[tokio::test]
async fn without_trust_nothing_is_decided_from_memory_or_by_a_look_up() {
    let world = World::new();
    let (known, other) = (world.old_key(world.account()), world.old_key(world.account()));
    let unknown = world.unknown_key();
    assert_eq!(world.code(&known).await, "valid");
    assert_eq!(world.code(&unknown).await, "invalid_key");
    let loads = world.source.loads();
    world.verifier.untrust();
    assert!(!world.verifier.is_trusted());
    for key in [&known, &unknown, &other] {
        assert_eq!(world.ask(key).await.decision, Decision::denied(Denial::Unavailable));
    }
    assert_eq!(world.source.loads(), loads);
    world.verifier.set_trust(Monotonic(u64::MAX));
    assert_eq!(world.code(&known).await, "valid");
    assert_eq!(world.code(&unknown).await, "invalid_key");
}

#[tokio::test]
async fn trust_ends_at_its_moment_on_the_clock_of_the_deciding_request() {
    let world = World::new();
    let key = world.old_key(world.account());
    world.verifier.untrust();
    let until = world.clock.monotonic().plus(Duration::from_secs(5));
    world.verifier.set_trust(until);
    world.verifier.set_trust(Monotonic(until.0 - 1_000));
    world.pass(Duration::from_nanos(4_999_999_999));
    assert_eq!(world.code(&key).await, "valid");
    world.pass(Duration::from_nanos(1));
    assert_eq!(world.code(&key).await, "unavailable");
}

#[tokio::test]
async fn before_the_prefixes_are_known_no_key_is_called_invalid() {
    let mut world = World::new();
    let key = world.old_key(world.account());
    world.verifier = Verifier::new(VerifierOptions::default(), world.clock.clone(), world.source.clone());
    world.verifier.set_trust(Monotonic(u64::MAX));
    assert_eq!(world.code(&key).await, "unavailable");
    world.verifier.add_prefixes(std::slice::from_ref(&world.prefix));
    assert_eq!(world.code(&key).await, "valid");
}

#[tokio::test]
async fn a_failing_source_is_unavailable_and_not_remembered() {
    let world = World::new();
    let (known, unknown) = (world.old_key(world.account()), world.unknown_key());
    world.source.failing.store(true, Ordering::SeqCst);
    for key in [&known, &unknown] {
        assert_eq!(denial(&world.ask(key).await.decision), Some(Denial::Unavailable));
    }
    world.source.failing.store(false, Ordering::SeqCst);
    assert_eq!(world.code(&known).await, "valid");
    assert_eq!(world.code(&unknown).await, "invalid_key");
    // What is held goes on being answered while the source fails and trust lasts.
    world.source.failing.store(true, Ordering::SeqCst);
    assert_eq!(world.code(&known).await, "valid");
    assert_eq!(world.code(&unknown).await, "invalid_key");
}
