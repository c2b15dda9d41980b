//! Each metric of this crate moves when what it counts happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::usage::{LastUse, UsageDelta};
use rndrkit_verifier::{
    BoxFuture, ChangeFeed, Flusher, Follower, FollowerOptions, SourceError, UsageSink, VerifierOptions,
    describe_metrics,
};

use crate::world::{World, until};

/// A world whose metrics go to a recorder of its own.
fn measured(options: VerifierOptions) -> (World, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let world = metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        World::with(options)
    });
    (world, handle)
}

/// Takes all use and keeps none.
struct Anywhere;

impl UsageSink for Anywhere {
    fn record<'a>(&'a self, _: &'a [UsageDelta], _: &'a [LastUse]) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }
}

fn value(handle: &PrometheusHandle, name: &str) -> f64 {
    let text = handle.render();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()).map_or(f64::NAN, |value| value.parse().unwrap())
}

#[track_caller]
fn assert_value(handle: &PrometheusHandle, name: &str, expected: f64) {
    let seen = value(handle, name);
    assert!((seen - expected).abs() < f64::EPSILON, "{name} is {seen}, not {expected}\n{}", handle.render());
}

#[tokio::test]
async fn hits_misses_entries_errors_and_budgets_are_counted() {
    let (world, handle) = measured(VerifierOptions::default());
    let key = world.old_key(world.account());
    for _ in 0..3 {
        world.ask(&key).await;
    }
    world.ask(&world.unknown_key()).await;
    // Counted with the use, and shown when that is flushed.
    let flusher = Flusher::new(world.verifier.usage().clone(), Arc::new(Anywhere), Duration::from_secs(10));
    flusher.flush().await.unwrap();
    assert_value(&handle, "rndrkit_cache_hits_total", 2.0);
    assert_value(&handle, "rndrkit_cache_misses_total", 2.0);
    assert_value(&handle, r#"rndrkit_cache_entries{cache="good"}"#, 1.0);
    assert_value(&handle, r#"rndrkit_cache_entries{cache="refused"}"#, 1.0);
    assert_value(&handle, "rndrkit_accounts_held", 1.0);
    assert_value(&handle, "rndrkit_budget_restarts_total", 1.0);
    world.pass(Duration::from_secs(60));
    world.ask(&world.old_key(world.account())).await;
    assert_value(&handle, "rndrkit_budget_restarts_total", 1.0);
    world.source.failing.store(true, Ordering::SeqCst);
    world.ask(&world.unknown_key()).await;
    assert_value(&handle, "rndrkit_store_errors_total", 1.0);
}

#[tokio::test]
async fn evictions_and_running_look_ups_are_counted() {
    let (world, handle) = measured(VerifierOptions { cache_keys: 4, ..VerifierOptions::default() });
    let account = world.account();
    for _ in 0..10 {
        world.ask(&world.old_key(account)).await;
    }
    assert_value(&handle, "rndrkit_cache_evictions_total", 6.0);
    let gate = world.source.hold_answers();
    let loads = world.source.loads();
    let asked = world.ask_later(&world.old_key(account));
    until(|| world.source.loads() > loads).await;
    assert_value(&handle, "rndrkit_lookups_running", 1.0);
    gate.add_permits(1);
    asked.await.unwrap();
    assert_value(&handle, "rndrkit_lookups_running", 0.0);
}

#[tokio::test(start_paused = true)]
async fn lag_and_lost_histories_are_shown() {
    let (world, handle) = measured(VerifierOptions::default());
    let feed = Arc::clone(&world.source) as Arc<dyn ChangeFeed>;
    let (follower, nudge) = Follower::new(Arc::clone(&world.verifier), feed, FollowerOptions::default());
    tokio::spawn(follower.run(std::future::pending()));
    sleep_a_little().await;
    for _ in 0..7 {
        world.commit(FeedKind::Tokens);
    }
    world.source.entries_failing.store(true, Ordering::SeqCst);
    nudge.nudge();
    sleep_a_little().await;
    assert_value(&handle, "rndrkit_feed_lag", 7.0);
    assert_value(&handle, "rndrkit_store_errors_total", 1.0);
    world.source.entries_failing.store(false, Ordering::SeqCst);
    nudge.wait_applied(7).await;
    sleep_a_little().await;
    assert_value(&handle, "rndrkit_feed_lag", 0.0);
    world.source.database.lock().feed.truncate(3);
    nudge.nudge();
    sleep_a_little().await;
    assert_value(&handle, "rndrkit_feed_histories_lost_total", 1.0);
}

async fn sleep_a_little() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
