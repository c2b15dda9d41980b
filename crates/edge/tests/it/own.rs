//! The reserved tree: judged here, answered elsewhere.

use std::sync::atomic::Ordering;

use rndrkit_domain::decision::Decision;

use crate::upstream::Upstream;
use crate::wire::ask;
use crate::world::{BURST, LOOPBACK, World};

#[tokio::test]
async fn the_decision_travels_beside_the_request_and_the_secret_does_not_travel_at_all() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let answer = ask(world.public, "GET /api/rk/account", &[&key.line()]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "passed on"));
    assert_eq!(answer.header("ratelimit"), Some("\"account\";r=19;t=1"));
    let passed = &world.passed()[0];
    let Some(Decision::Allowed { caller, .. }) = &passed.decision else { panic!("{passed:?}") };
    assert_eq!((caller.key_id, caller.account_id), (key.id, key.account));
    assert_eq!(passed.client.unwrap().ip, LOOPBACK);
    assert_eq!(passed.request_id.unwrap().to_string(), answer.header("x-rk-request-id").unwrap());
    assert!(passed.headers.get("x-api-key").is_none());
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn refusals_are_answered_without_asking_further() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    assert_eq!(ask(world.public, "GET /api/rk/account", &[]).await.code(), "missing_key");
    assert_eq!(ask(world.public, "GET /api/rk/anything", &["X-Api-Key: bad"]).await.code(), "invalid_key");
    world.downgrade(&key);
    assert_eq!(ask(world.public, "GET /api/rk/usage", &[&key.line()]).await.code(), "plan_required");
    assert_eq!(ask(world.public, "GET /api/rk%2Faccount", &[&key.line()]).await.code(), "invalid_request");
    assert!(world.passed().is_empty());
}

#[tokio::test]
async fn whoever_holds_a_secret_may_end_it_suspended_downgraded_or_throttled() {
    let world = World::with(|_| {}).await;
    let (suspended, downgraded, throttled) = (world.key(), world.key(), world.key());
    world.suspend(&suspended);
    world.downgrade(&downgraded);
    for _ in 0..BURST {
        ask(world.public, "GET /api/rk/account", &[&throttled.line()]).await;
    }
    assert_eq!(ask(world.public, "GET /api/rk/account", &[&throttled.line()]).await.code(), "rate_limited");
    for key in [&suspended, &downgraded, &throttled] {
        let answer = ask(world.public, "DELETE /api/rk/keys/self", &[&key.line()]).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "passed on"));
        let passed = world.passed();
        let decision = passed.last().unwrap().decision.clone().unwrap();
        assert_eq!(decision.caller().unwrap().key_id, key.id);
    }
}

#[tokio::test]
async fn the_tree_in_another_spelling_is_judged_and_then_a_problem_and_no_page() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    for line in ["GET /api/%72k/account", "DELETE /api/r%6B/keys/self"] {
        let answer = ask(world.public, line, &[&key.line()]).await;
        assert_eq!((answer.status(), answer.code().as_str()), (404, "not_found"), "{line}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(ask(world.public, line, &[]).await.code(), "missing_key", "{line}");
    }
    assert!(world.passed().is_empty());
}

#[tokio::test]
async fn ending_a_key_takes_nothing_from_the_budget() {
    let world = World::with(|_| {}).await;
    let key = world.key();
    for _ in 0..2 {
        let answer = ask(world.public, "DELETE /api/rk/keys/self", &[&key.line()]).await;
        assert_eq!(answer.header("ratelimit"), Some("\"account\";r=20;t=0"));
    }
}

#[tokio::test]
async fn only_a_right_secret_ends_a_key_and_only_by_the_very_call() {
    let world = World::with(|_| {}).await;
    let (revoked, suspended) = (world.key(), world.key());
    world.revoke(&revoked);
    world.suspend(&suspended);
    let delete = "DELETE /api/rk/keys/self";
    assert_eq!(ask(world.public, delete, &["X-Api-Key: bad"]).await.code(), "invalid_key");
    assert_eq!(ask(world.public, delete, &[]).await.code(), "missing_key");
    assert_eq!(ask(world.public, delete, &[&revoked.line()]).await.code(), "key_revoked");
    for other in ["GET /api/rk/keys/self", "DELETE /api/rk/keys/self/x", "DELETE /api/rk/keys/%73elf"] {
        assert_eq!(
            ask(world.public, other, &[&suspended.line()]).await.code(),
            "account_suspended",
            "{other}"
        );
    }
    world.source.failing.store(true, Ordering::SeqCst);
    let unknown = world.key();
    assert_eq!(ask(world.public, delete, &[&unknown.line()]).await.code(), "unavailable");
    assert!(world.passed().is_empty());
}
