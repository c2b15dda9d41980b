//! One budget per account, whoever draws on it and however many at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::world::{TestKey, World, plan_id, rate_limit};

#[tokio::test]
async fn all_keys_of_an_account_draw_on_one_budget() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 10));
    let keys: Vec<TestKey> = (0..5).map(|_| world.old_key(account)).collect();
    for round in 0..2_u32 {
        for (position, key) in (0_u32..).zip(&keys) {
            assert_eq!(world.code(key).await, "valid");
            assert_eq!(world.budget(key).await.remaining, 9 - round * 5 - position);
        }
    }
    for key in &keys {
        assert_eq!(world.code(key).await, "rate_limited");
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.code(&keys[3]).await, "valid");
    assert_eq!(world.code(&keys[4]).await, "rate_limited");
}

/// 64 threads race for the burst, and then for one request at a time while the clock moves.
#[test]
fn many_threads_over_five_keys_get_burst_and_rate_and_never_more() {
    const THREADS: usize = 64;
    const STEPS: u64 = 100;
    const BURST: u64 = 50;
    let world = World::new();
    let account = world.account_with(rate_limit(6_000, 50));
    // One request flows back in this time.
    let step = Duration::from_millis(10);
    let keys: Vec<TestKey> = (0..5).map(|_| world.old_key(account)).collect();
    runtime().block_on(async {
        for key in &keys {
            world.budget(key).await;
        }
    });
    let (admitted, steps, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let ask_until_done = |key: &TestKey| {
        runtime().block_on(async {
            while !done.load(Ordering::SeqCst) {
                if world.code(key).await == "valid" {
                    let total = admitted.fetch_add(1, Ordering::SeqCst) + 1;
                    let most = BURST + steps.load(Ordering::SeqCst);
                    assert!(total <= most, "{total} admitted, at most {most}");
                }
                thread::yield_now();
            }
        });
    };
    let reached = |count: u64| {
        while admitted.load(Ordering::SeqCst) < count {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ask_until_done, key) = (&ask_until_done, &keys[thread % keys.len()]);
            scope.spawn(move || ask_until_done(key));
        }
        for taken in 1..=STEPS {
            reached(BURST + taken - 1);
            steps.store(taken, Ordering::SeqCst);
            world.pass(step);
        }
        reached(BURST + STEPS);
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(admitted.load(Ordering::SeqCst), BURST + STEPS);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn a_plan_change_is_seen_by_the_next_request_and_refills_nothing() {
    let world = World::new();
    let account = world.account();
    let keys = [world.old_key(account), world.old_key(account)];
    for _ in 0..40 {
        assert_eq!(world.code(&keys[0]).await, "valid");
    }
    world.change_account(account, |facts| {
        facts.plan = plan_id("agency_plus");
        facts.rate_limit = rate_limit(3_000, 500);
    });
    world.apply();
    for key in &keys {
        let budget = world.budget(key).await;
        assert_eq!((budget.limit, budget.remaining), (rate_limit(3_000, 500), 460));
    }
    world.change_account(account, |facts| {
        facts.plan = plan_id("agency");
        facts.rate_limit = rate_limit(600, 100);
    });
    world.apply();
    for key in &keys {
        let budget = world.budget(key).await;
        assert_eq!((budget.limit, budget.remaining), (rate_limit(600, 100), 60));
    }
    world.change_account(account, |facts| facts.api_access = false);
    world.apply();
    for key in &keys {
        assert_eq!(world.code(key).await, "plan_required");
    }
    world.change_account(account, |facts| facts.api_access = true);
    world.apply();
    assert_eq!(world.budget(&keys[0]).await.remaining, 60);
}

#[tokio::test]
async fn forgetting_everything_does_not_refill_budgets() {
    let world = World::new();
    let key = world.old_key(world.account_with(rate_limit(60, 5)));
    for _ in 0..5 {
        assert_eq!(world.code(&key).await, "valid");
    }
    world.verifier.drop_everything();
    assert_eq!(world.code(&key).await, "rate_limited");
}
