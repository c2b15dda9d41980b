//! What callers are told about their account's budget, on every door, and that it is exact.
//!
//! The clock of a world stands still, so every figure here is the only right one.

use std::num::NonZeroU32;
use std::time::Duration;

use rndrkit_domain::plan::RateLimit;
use serde_json::{Value, json};

use crate::upstream::Upstream;
use crate::wire::{Message, ask, connect, request};
use crate::world::{BURST, OPERATOR_TOKEN, TestKey, World};

fn limit(per_minute: u32, burst: u32) -> RateLimit {
    RateLimit { per_minute: NonZeroU32::new(per_minute).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
}

fn set_limit(world: &World, key: &TestKey, to: RateLimit) {
    world.change(key, |facts| facts.account.rate_limit = to);
}

async fn verify(world: &World, key: &TestKey, cost: u32) -> Value {
    let token = format!("Authorization: Bearer {OPERATOR_TOKEN}");
    let body = json!({"secret": key.text, "cost": cost}).to_string();
    let mut client = connect(world.internal).await;
    client.send(request("POST /v1/keys/verify", &[&token, "Content-Type: application/json"], &body)).await;
    client.answer().await.json()
}

async fn through(world: &World, path: &str, key: &TestKey) -> Message {
    ask(world.public, &format!("GET {path}"), &[&key.line()]).await
}

/// The two headers, as they stand on an answer.
fn headers(answer: &Message) -> [Option<&str>; 2] {
    [answer.header("ratelimit-policy"), answer.header("ratelimit")]
}

/// The same two, as verify hands them on.
fn handed_on(answer: &Value) -> [Option<&str>; 2] {
    ["RateLimit-Policy", "RateLimit"].map(|name| answer["headers"][name].as_str())
}

#[tokio::test]
async fn every_door_tells_the_same_figures_of_the_same_bucket() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let policy = Some("\"account\";q=20;w=20");

    let gateway = through(&world, "/api/x", &key).await;
    assert_eq!(headers(&gateway), [policy, Some("\"account\";r=19;t=1")]);
    let own = through(&world, "/api/rk/account", &key).await;
    assert_eq!(headers(&own), [policy, Some("\"account\";r=18;t=1")]);
    let verified = verify(&world, &key, 1).await;
    assert_eq!(handed_on(&verified), [policy, Some("\"account\";r=17;t=1")]);
    let figures = json!({"per_minute": 60, "burst": 20, "remaining": 17, "reset_seconds": 1});
    assert_eq!(verified["rate_limit"], figures);
    for answer in [&gateway, &own] {
        assert_eq!((answer.status(), answer.header("retry-after")), (200, None));
    }

    // All at once, from what is left: a cost is taken as a whole.
    assert_eq!(verify(&world, &key, BURST - 3).await["rate_limit"]["remaining"], 0);
    for answer in [through(&world, "/api/x", &key).await, through(&world, "/api/rk/account", &key).await] {
        assert_eq!((answer.status(), answer.code().as_str()), (429, "rate_limited"));
        assert_eq!(headers(&answer), [policy, Some("\"account\";r=0;t=1")]);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.json()["detail"], REFUSAL);
    }
    let refused = verify(&world, &key, 1).await;
    assert_eq!((refused["status"].clone(), refused["code"].clone()), (json!(429), json!("rate_limited")));
    assert_eq!(handed_on(&refused), [policy, Some("\"account\";r=0;t=1")]);
    assert_eq!(refused["headers"]["Retry-After"], "1");
    assert_eq!(refused["problem"]["detail"], REFUSAL);
    let figures = json!({"per_minute": 60, "burst": 20, "remaining": 0, "reset_seconds": 1});
    assert_eq!(refused["rate_limit"], figures);
    assert_eq!(upstream.seen().len(), 1);
}

const REFUSAL: &str = "Your account's budget of 60 requests a minute, 20 at once, is spent. All its keys share it. \
     Try again in 1 second.";

#[tokio::test]
async fn windows_and_waits_are_rounded_up_to_whole_seconds() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    for (per_minute, burst, policy, first) in [
        (600, 100, "\"account\";q=100;w=10", "\"account\";r=99;t=1"),
        (3_000, 500, "\"account\";q=500;w=10", "\"account\";r=499;t=1"),
        (7, 2, "\"account\";q=2;w=18", "\"account\";r=1;t=9"),
        (1, 1, "\"account\";q=1;w=60", "\"account\";r=0;t=60"),
        (60_000, 1, "\"account\";q=1;w=1", "\"account\";r=0;t=1"),
    ] {
        let key = world.key();
        set_limit(&world, &key, limit(per_minute, burst));
        let answer = through(&world, "/api/x", &key).await;
        assert_eq!(headers(&answer), [Some(policy), Some(first)], "{per_minute} a minute");
        // Full again, and not a request more, when the window has passed.
        world.clock.advance(Duration::from_secs(u64::from(burst) * 60 / u64::from(per_minute) + 1));
        let full = verify(&world, &key, 0).await;
        assert_eq!(full["headers"]["RateLimit"], format!("\"account\";r={burst};t=0"));
    }
}

#[tokio::test]
async fn a_caller_who_waits_as_long_as_he_is_told_is_let_through_and_no_sooner() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    set_limit(&world, &key, limit(7, 2));
    for _ in 0..2 {
        assert_eq!(through(&world, "/api/x", &key).await.status(), 200);
    }
    for _ in 0..5 {
        let refused = through(&world, "/api/x", &key).await;
        assert_eq!(refused.status(), 429);
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(refused.header("ratelimit"), Some(format!("\"account\";r=0;t={seconds}").as_str()));
        // One request flows back in 8.57… seconds.
        world.clock.advance(Duration::from_secs(seconds - 1));
        assert_eq!(through(&world, "/api/x", &key).await.status(), 429);
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(through(&world, "/api/x", &key).await.status(), 200);
    }
}

/// Asks over all doors in turn with both keys until nobody is let through any more; how many were.
async fn admitted(world: &World, keys: &[TestKey; 2]) -> u32 {
    let mut count = 0;
    let mut refused_in_a_row = 0;
    for turn in 0_usize.. {
        let key = &keys[turn % 2];
        let passed = match turn % 3 {
            0 => through(world, "/api/x", key).await.status() == 200,
            1 => through(world, "/api/rk/account", key).await.status() == 200,
            _ => verify(world, key, 1).await["valid"] == true,
        };
        refused_in_a_row = if passed { 0 } else { refused_in_a_row + 1 };
        count += u32::from(passed);
        if refused_in_a_row == 6 {
            return count;
        }
    }
    count
}

#[tokio::test]
async fn all_doors_and_keys_together_admit_burst_and_then_rate_times_time_to_the_request() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let one = world.key();
    let keys = [one.clone(), world.key_of(one.account)];
    assert_eq!(admitted(&world, &keys).await, BURST);
    // 60 a minute: one in each second, and what is left over of a second is not lost.
    for (milliseconds, flowed_in) in [(999, 0), (1, 1), (7_000, 7), (2_500, 2), (2_500, 3), (100, 0)] {
        world.clock.advance(Duration::from_millis(milliseconds));
        assert_eq!(admitted(&world, &keys).await, flowed_in, "after {milliseconds} ms");
    }
    // However long nobody comes, no more than the burst is saved up.
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(admitted(&world, &keys).await, BURST);
}

#[tokio::test]
async fn another_limit_is_told_at_once_and_keeps_what_is_spent() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    let (small, large) = (limit(60, 20), limit(120, 50));
    for _ in 0..15 {
        assert_eq!(through(&world, "/api/x", &key).await.status(), 200);
    }
    // 15 of 20 are spent; of 50 it is 15 as well, and the next makes 16.
    set_limit(&world, &key, large);
    let answer = through(&world, "/api/x", &key).await;
    assert_eq!(headers(&answer), [Some("\"account\";q=50;w=25"), Some("\"account\";r=34;t=1")]);
    let figures = json!({"per_minute": 120, "burst": 50, "remaining": 34, "reset_seconds": 1});
    assert_eq!(verify(&world, &key, 0).await["rate_limit"], figures);
    // Back and forth gives nothing away: 16 of 20 are spent now.
    for to in [small, large, small] {
        set_limit(&world, &key, to);
    }
    let own = through(&world, "/api/rk/account", &key).await;
    assert_eq!(headers(&own), [Some("\"account\";q=20;w=20"), Some("\"account\";r=3;t=1")]);
    // Who has spent more than the smaller bucket holds waits until that is paid off.
    set_limit(&world, &key, large);
    assert_eq!(verify(&world, &key, 33).await["rate_limit"]["remaining"], 0);
    set_limit(&world, &key, small);
    let refused = through(&world, "/api/x", &key).await;
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("31")));
    assert_eq!(headers(&refused), [Some("\"account\";q=20;w=20"), Some("\"account\";r=0;t=31")]);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(through(&world, "/api/x", &key).await.status(), 429);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(through(&world, "/api/x", &key).await.status(), 200);
}

#[tokio::test]
async fn an_account_without_access_learns_nothing_of_its_budget_and_spends_none() {
    let upstream = Upstream::simple().await;
    let world = World::over(&upstream).await;
    let key = world.key();
    assert_eq!(through(&world, "/api/x", &key).await.status(), 200);
    world.suspend(&key);
    for _ in 0..3 {
        let refused = through(&world, "/api/x", &key).await;
        assert_eq!((refused.code().as_str(), headers(&refused)), ("account_suspended", [None, None]));
        assert_eq!(refused.header("retry-after"), None);
        let refused = verify(&world, &key, 1).await;
        assert_eq!((handed_on(&refused), refused["rate_limit"].clone()), ([None, None], Value::Null));
    }
    world.change(&key, |facts| facts.account.status = rndrkit_domain::account::AccountStatus::Active);
    assert_eq!(verify(&world, &key, 0).await["rate_limit"]["remaining"], BURST - 1);
}
