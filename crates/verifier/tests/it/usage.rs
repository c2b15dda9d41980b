//! Counted use reaches the sink exactly, and survives a sink that fails.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::usage::{LastUse, UsageDelta};
use rndrkit_verifier::{BoxFuture, Flusher, SourceError, UsageSink};
use tokio::sync::oneshot;

use crate::world::{World, beginning, rate_limit, until};

struct Ledger {
    deltas: Mutex<Vec<UsageDelta>>,
    last_uses: Mutex<Vec<LastUse>>,
    failing: AtomicBool,
    hanging: AtomicBool,
    attempts: AtomicUsize,
    /// Attempts after which nothing is stored.
    stops_after: AtomicUsize,
    /// How long storing takes.
    takes: Mutex<Duration>,
    /// A key of which nothing is stored.
    refused: Mutex<Option<KeyId>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            deltas: Mutex::default(),
            last_uses: Mutex::default(),
            failing: AtomicBool::default(),
            hanging: AtomicBool::default(),
            attempts: AtomicUsize::default(),
            stops_after: AtomicUsize::new(usize::MAX),
            takes: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

impl UsageSink for Ledger {
    fn record<'a>(
        &'a self,
        deltas: &'a [UsageDelta],
        last_uses: &'a [LastUse],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
            if self.hanging.load(Ordering::SeqCst) {
                pending::<()>().await;
            }
            if self.failing.load(Ordering::SeqCst) || attempt >= self.stops_after.load(Ordering::SeqCst) {
                return Err(SourceError::new("full"));
            }
            let takes = *self.takes.lock();
            tokio::time::sleep(takes).await;
            let refused = *self.refused.lock();
            if deltas.iter().any(|delta| Some(delta.key_id) == refused) {
                return Err(SourceError::new("refused"));
            }
            self.deltas.lock().extend_from_slice(deltas);
            self.last_uses.lock().extend_from_slice(last_uses);
            Ok(())
        })
    }
}

impl Ledger {
    /// Allowed, limited and refused over everything that was stored.
    fn totals(&self) -> (u64, u64, u64) {
        self.deltas.lock().iter().fold((0, 0, 0), |(allowed, limited, refused), delta| {
            let counts = delta.counts;
            (allowed + counts.allowed, limited + counts.limited, refused + counts.refused)
        })
    }
}

fn flusher(world: &World, ledger: &Arc<Ledger>) -> Flusher {
    let sink = Arc::clone(ledger) as Arc<dyn UsageSink>;
    Flusher::new(Arc::clone(world.verifier.usage()), sink, Duration::from_secs(10))
}

#[tokio::test]
async fn every_request_with_an_active_secret_is_counted_by_what_became_of_it() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 3));
    let key = world.old_key(account);
    for _ in 0..5 {
        world.ask(&key).await;
    }
    world.change_account(account, |facts| facts.status = AccountStatus::Suspended);
    world.apply();
    world.pass(Duration::from_secs(5));
    world.ask(&key).await;
    let ledger = Arc::new(Ledger::default());
    flusher(&world, &ledger).flush().await.unwrap();
    assert_eq!(ledger.totals(), (3, 2, 1));
    let delta = ledger.deltas.lock()[0].clone();
    assert_eq!((delta.key_id, delta.account_id, delta.minute), (key.id, account, beginning()));
    let moved = LastUse { digest: key.digest, key_id: key.id, at: beginning().plus(Duration::from_secs(5)) };
    assert_eq!(*ledger.last_uses.lock(), [moved]);
    flusher(&world, &ledger).flush().await.unwrap();
    assert_eq!(ledger.attempts.load(Ordering::SeqCst), 1, "nothing was left to store");
}

#[tokio::test]
async fn looking_moves_the_last_use_and_is_no_request() {
    let world = World::new();
    let account = world.account();
    let key = world.old_key(account);
    world.budget(&key).await;
    world.change_account(account, |facts| facts.api_access = false);
    world.apply();
    world.ask_for(&key, 0).await;
    let ledger = Arc::new(Ledger::default());
    flusher(&world, &ledger).flush().await.unwrap();
    assert_eq!((ledger.deltas.lock().len(), ledger.last_uses.lock().len()), (0, 1));
}

#[tokio::test]
async fn secrets_that_are_unknown_revoked_or_expired_move_nothing() {
    let world = World::new();
    let account = world.account();
    let (revoked, expired) = (world.old_key(account), world.old_key(account));
    world.edit_key(&revoked, |stored| stored.revoked = true);
    world.edit_key(&expired, |stored| stored.expires_at = Some(beginning()));
    for key in [&revoked, &expired, &world.unknown_key()] {
        assert_ne!(world.code(key).await, "valid");
    }
    assert_eq!(world.verifier.usage().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_or_hanging_sink_did_not_take_is_stored_later() {
    let world = World::new();
    let key = world.old_key(world.account());
    let ledger = Arc::new(Ledger::default());
    let flusher = flusher(&world, &ledger);
    world.ask(&key).await;
    ledger.failing.store(true, Ordering::SeqCst);
    assert!(flusher.flush().await.is_err());
    ledger.failing.store(false, Ordering::SeqCst);
    ledger.hanging.store(true, Ordering::SeqCst);
    assert!(flusher.flush().await.is_err());
    ledger.hanging.store(false, Ordering::SeqCst);
    world.ask(&key).await;
    flusher.flush().await.unwrap();
    assert_eq!(ledger.totals(), (2, 0, 0));
}

#[tokio::test]
async fn many_keys_are_stored_in_parts_and_what_came_before_a_failure_is_not_stored_again() {
    const KEYS: usize = 5_000;
    let world = World::new();
    let account = world.account_with(rate_limit(60, 10_000));
    for _ in 0..KEYS {
        let key = world.old_key(account);
        world.ask(&key).await;
    }
    let ledger = Arc::new(Ledger::default());
    ledger.stops_after.store(1, Ordering::SeqCst);
    assert!(flusher(&world, &ledger).flush().await.is_err());
    let stored = ledger.deltas.lock().len();
    assert!(stored > 0 && stored < KEYS / 2, "{stored} of {KEYS} in one part");
    assert_eq!(world.verifier.usage().waiting(), KEYS - stored);
    ledger.stops_after.store(usize::MAX, Ordering::SeqCst);
    flusher(&world, &ledger).flush().await.unwrap();
    let times: std::collections::BTreeMap<_, u32> =
        ledger.deltas.lock().iter().fold(std::collections::BTreeMap::new(), |mut times, delta| {
            *times.entry(delta.key_id).or_default() += 1;
            times
        });
    assert_eq!((times.len(), times.values().max()), (KEYS, Some(&1)));
    assert_eq!((ledger.totals(), ledger.last_uses.lock().len()), ((KEYS as u64, 0, 0), KEYS));
}

#[tokio::test]
async fn a_part_that_is_refused_keeps_no_other_from_being_stored() {
    const KEYS: usize = 5_000;
    let world = World::new();
    let account = world.account_with(rate_limit(60, 10_000));
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        let key = world.old_key(account);
        world.ask(&key).await;
        keys.push(key);
    }
    // Whichever end a flush begins with.
    keys.sort_unstable_by_key(|key| key.digest);
    let ledger = Arc::new(Ledger::default());
    for refused in [&keys[0], &keys[KEYS - 1]] {
        *ledger.refused.lock() = Some(refused.id);
        let error = flusher(&world, &ledger).flush().await.unwrap_err();
        assert_eq!(error.cause(), "refused");
        let waiting = world.verifier.usage().waiting();
        assert!(waiting > 0 && waiting < KEYS / 2, "{waiting} of {KEYS} wait");
        world.ask(&keys[KEYS - 1]).await;
    }
    *ledger.refused.lock() = None;
    flusher(&world, &ledger).flush().await.unwrap();
    assert_eq!(ledger.totals(), (KEYS as u64 + 2, 0, 0), "nothing is lost or stored twice");
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_with_the_first_part_that_takes_too_long() {
    let world = World::new();
    let account = world.account_with(rate_limit(60, 10_000));
    for _ in 0..5_000 {
        world.ask(&world.old_key(account)).await;
    }
    let ledger = Arc::new(Ledger::default());
    ledger.hanging.store(true, Ordering::SeqCst);
    assert!(flusher(&world, &ledger).flush().await.is_err());
    assert_eq!(ledger.attempts.load(Ordering::SeqCst), 1);
    assert_eq!(world.verifier.usage().waiting(), 5_000);
    ledger.hanging.store(false, Ordering::SeqCst);
    flusher(&world, &ledger).flush().await.unwrap();
    assert_eq!(ledger.totals(), (5_000, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_minute_that_turns_while_a_flush_hangs_is_counted_beside_the_one_before() {
    let world = World::new();
    let key = world.old_key(world.account());
    let ledger = Arc::new(Ledger::default());
    let flusher = Arc::new(flusher(&world, &ledger));
    world.ask(&key).await;
    ledger.hanging.store(true, Ordering::SeqCst);
    let flush = tokio::spawn({
        let flusher = Arc::clone(&flusher);
        async move { flusher.flush().await }
    });
    until(|| ledger.attempts.load(Ordering::SeqCst) == 1).await;
    world.ask(&key).await;
    world.pass(Duration::from_secs(60));
    for _ in 0..3 {
        world.ask(&key).await;
    }
    assert!(flush.await.unwrap().is_err());
    ledger.hanging.store(false, Ordering::SeqCst);
    flusher.flush().await.unwrap();
    let stored: Vec<_> =
        ledger.deltas.lock().iter().map(|delta| (delta.minute, delta.counts.allowed)).collect();
    let next = beginning().plus(Duration::from_secs(60));
    assert_eq!(stored, [(beginning(), 2), (next, 3)]);
    assert_eq!(ledger.last_uses.lock().iter().map(|last| last.at).collect::<Vec<_>>(), [next]);
}

#[tokio::test(start_paused = true)]
async fn use_is_stored_at_the_interval_and_once_more_at_the_end() {
    let world = World::new();
    let key = world.old_key(world.account());
    let ledger = Arc::new(Ledger::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(flusher(&world, &ledger).run(async {
        let _ = stopped.await;
    }));
    world.ask(&key).await;
    tokio::time::sleep(Duration::from_millis(10_001)).await;
    assert_eq!(ledger.totals(), (1, 0, 0));
    world.ask(&key).await;
    ledger.failing.store(true, Ordering::SeqCst);
    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    ledger.failing.store(false, Ordering::SeqCst);
    running.await.unwrap();
    assert_eq!(ledger.totals(), (2, 0, 0), "the last flush is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_takes_its_time_does_not_put_off_the_next() {
    let world = World::new();
    let key = world.old_key(world.account());
    let ledger = Arc::new(Ledger::default());
    *ledger.takes.lock() = Duration::from_secs(4);
    let running = tokio::spawn(flusher(&world, &ledger).run(pending()));
    let mut began = Vec::new();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for second in 0..31 {
        world.ask(&key).await;
        if ledger.attempts.load(Ordering::SeqCst) > began.len() {
            began.push(second);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(began, [10, 20, 30]);
    running.abort();
}
