//! Keeping level with the feed: what is applied when, and when trust ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::feed::{FeedKind, FeedNumber};
use rndrkit_domain::time::Monotonic;
use rndrkit_verifier::{ChangeFeed, Follower, FollowerHandle, FollowerOptions};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::world::{World, until};

struct Running {
    handle: FollowerHandle,
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Running {
    async fn applied(&self, number: FeedNumber) {
        timeout(Duration::from_secs(1), self.handle.wait_applied(number)).await.unwrap();
    }
}

fn follow(world: &World, options: FollowerOptions) -> Running {
    world.verifier.untrust();
    let feed = Arc::clone(&world.source) as Arc<dyn ChangeFeed>;
    let (follower, handle) = Follower::new(Arc::clone(&world.verifier), feed, options);
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(follower.run(async {
        let _ = stopped.await;
    }));
    Running { handle, task, stop }
}

/// Polls so rarely that only nudges matter.
fn by_nudge() -> FollowerOptions {
    FollowerOptions { trust: None, poll_interval: Duration::from_secs(86_400) }
}

#[tokio::test(start_paused = true)]
async fn trust_begins_with_the_first_catch_up_and_ends_with_the_follower() {
    let world = World::new();
    let key = world.old_key(world.account());
    let running = follow(&world, by_nudge());
    assert_eq!(world.code(&key).await, "unavailable");
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    assert_eq!(world.code(&key).await, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_nudge_applies_what_was_committed_and_waiters_learn_of_it() {
    let world = World::new();
    let key = world.old_key(world.account());
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    let number = world.revoke(&key);
    assert_eq!(world.code(&key).await, "valid", "nobody has said so yet");
    running.handle.nudge();
    running.applied(number).await;
    assert_eq!(running.handle.applied(), number);
    assert_eq!(world.code(&key).await, "key_revoked");
}

#[tokio::test(start_paused = true)]
async fn without_a_nudge_the_feed_is_looked_at_by_and_by() {
    let world = World::new();
    let running = follow(&world, FollowerOptions::default());
    until(|| world.verifier.is_trusted()).await;
    let number = world.commit(FeedKind::Tokens);
    timeout(Duration::from_millis(1_100), running.handle.wait_applied(number)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_entries_are_applied_in_batches() {
    let world = World::new();
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    let key = world.old_key(world.account());
    assert_eq!(world.code(&key).await, "valid");
    for _ in 0..2_000 {
        world.commit(FeedKind::Tokens);
    }
    let number = world.revoke(&key);
    running.handle.nudge();
    running.applied(number).await;
    assert_eq!(world.code(&key).await, "key_revoked");
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_cannot_be_read_ends_trust_until_it_is_caught_up_again() {
    let world = World::new();
    let key = world.old_key(world.account());
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    world.source.feed_failing.store(true, Ordering::SeqCst);
    world.revoke(&key);
    running.handle.nudge();
    until(|| !world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "unavailable");
    let reads = world.source.feed_reads.load(Ordering::SeqCst);
    sleep(Duration::from_secs(60)).await;
    let reads = world.source.feed_reads.load(Ordering::SeqCst) - reads;
    assert!((30..=70).contains(&reads), "{reads} attempts in a minute");
    world.source.feed_failing.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.code(&key).await, "key_revoked");
}

#[tokio::test(start_paused = true)]
async fn with_a_term_trust_lasts_that_long_after_the_last_catch_up() {
    let world = World::new();
    let key = world.old_key(world.account());
    let term = Duration::from_secs(5);
    let _running =
        follow(&world, FollowerOptions { trust: Some(term), poll_interval: Duration::from_secs(1) });
    until(|| world.verifier.is_trusted()).await;
    world.source.feed_failing.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    world.pass(Duration::from_millis(4_999));
    assert_eq!(world.code(&key).await, "valid", "a short failure is ridden out");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.code(&key).await, "unavailable");
    world.source.feed_failing.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.code(&key).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn the_term_of_trust_begins_before_the_feed_is_asked() {
    let world = World::new();
    let gate = Arc::new(Semaphore::new(0));
    *world.source.head_gate.lock() = Some(Arc::clone(&gate));
    let term = Duration::from_secs(5);
    let _running = follow(&world, FollowerOptions { trust: Some(term), ..by_nudge() });
    until(|| world.source.feed_reads.load(Ordering::SeqCst) == 1).await;
    world.pass(Duration::from_secs(3));
    gate.add_permits(1);
    until(|| world.verifier.is_trusted()).await;
    world.pass(Duration::from_millis(1_999));
    assert!(world.verifier.is_trusted());
    world.pass(Duration::from_millis(1));
    assert!(!world.verifier.is_trusted(), "what was committed while the answer travelled was not seen");
}

#[tokio::test(start_paused = true)]
async fn entries_committed_after_the_head_was_read_are_no_other_history() {
    let world = World::new();
    let key = world.old_key(world.account());
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    let gate = Arc::new(Semaphore::new(0));
    *world.source.head_gate.lock() = Some(Arc::clone(&gate));
    let reads = world.source.feed_reads.load(Ordering::SeqCst);
    world.commit(FeedKind::Tokens);
    running.handle.nudge();
    until(|| world.source.feed_reads.load(Ordering::SeqCst) > reads).await;
    let last = world.commit(FeedKind::Tokens);
    gate.add_permits(100);
    running.applied(last).await;
    running.handle.nudge();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(world.code(&key).await, "valid");
    assert_eq!(world.source.loads(), 1, "nothing had to be read again");
}

#[tokio::test(start_paused = true)]
async fn an_older_database_that_came_back_is_noticed_by_its_number() {
    let world = World::new();
    let key = world.old_key(world.account());
    world.commit(FeedKind::Tokens);
    let old = world.source.database.lock().clone();
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    world.commit(FeedKind::Tokens);
    running.handle.nudge();
    running.applied(2).await;
    assert_eq!(world.code(&key).await, "valid");
    *world.source.database.lock() = old;
    world.edit_key(&key, |stored| stored.revoked = true);
    running.handle.nudge();
    until(|| world.verifier.applied() == 1).await;
    assert_eq!(world.code(&key).await, "key_revoked");
}

/// The same number with another tag, at the head and below it.
#[tokio::test(start_paused = true)]
async fn a_history_that_was_rewritten_is_noticed_by_its_tag() {
    for further in [0, 3] {
        let world = World::new();
        let key = world.old_key(world.account());
        world.commit(FeedKind::Tokens);
        let running = follow(&world, by_nudge());
        until(|| world.verifier.is_trusted()).await;
        assert_eq!(world.code(&key).await, "valid");
        world.source.database.lock().feed[0].tag += 1;
        world.edit_key(&key, |stored| stored.revoked = true);
        for _ in 0..further {
            world.commit(FeedKind::Tokens);
        }
        running.handle.nudge();
        until(|| world.verifier.cached_keys() == 0).await;
        assert_eq!(world.code(&key).await, "key_revoked");
        assert_eq!(world.verifier.applied(), 1 + further);
    }
}

#[tokio::test(start_paused = true)]
async fn entries_removed_before_they_were_applied_make_everything_be_read_again() {
    let world = World::new();
    let key = world.old_key(world.account());
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    world.revoke(&key);
    let last = world.commit(FeedKind::Tokens);
    {
        let mut database = world.source.database.lock();
        database.oldest = last;
        database.feed.retain(|entry| entry.number >= last);
    }
    running.handle.nudge();
    running.applied(last).await;
    assert_eq!(world.code(&key).await, "key_revoked");
}

#[tokio::test(start_paused = true)]
async fn entries_removed_up_to_the_position_lose_nothing() {
    let world = World::new();
    let key = world.old_key(world.account());
    for _ in 0..3 {
        world.commit(FeedKind::Tokens);
    }
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    let last = world.commit(FeedKind::Tokens);
    {
        let mut database = world.source.database.lock();
        database.oldest = last;
        database.feed.retain(|entry| entry.number >= last);
    }
    running.handle.nudge();
    running.applied(last).await;
    assert_eq!(world.code(&key).await, "valid");
    assert_eq!(world.source.loads(), 1, "nothing had to be read again");
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_feed_makes_everything_be_read_again() {
    let world = World::new();
    let key = world.old_key(world.account());
    let running = follow(&world, by_nudge());
    until(|| world.verifier.is_trusted()).await;
    assert_eq!(world.code(&key).await, "valid");
    world.revoke(&key);
    let last = world.commit(FeedKind::Tokens);
    world.source.database.lock().feed.remove(0);
    running.handle.nudge();
    running.applied(last).await;
    assert_eq!(world.code(&key).await, "key_revoked");
    assert!(world.verifier.is_trusted());
}

#[test]
fn for_ever_is_the_last_reading_of_the_clock() {
    let world = World::new();
    world.verifier.untrust();
    world.verifier.set_trust(Monotonic(u64::MAX));
    world.pass(Duration::from_secs(10 * 365 * 86_400));
    assert!(world.verifier.is_trusted());
}
