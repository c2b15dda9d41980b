//! Late answers: what was read before a change is neither kept nor given after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::feed::{FeedHead, FeedKind};
use rndrkit_domain::time::{Clock, ManualClock, Monotonic, Timestamp};
use rndrkit_verifier::VerifierOptions;

use crate::world::{World, beginning, until};

#[tokio::test]
async fn a_key_revoked_while_its_look_up_travels_is_neither_kept_nor_let_through() {
    let world = World::new();
    let key = world.old_key(world.account());
    let gate = world.source.hold_answers();
    let early = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    world.revoke(&key);
    world.apply();
    // Joins the look-up that began before the revocation.
    let late = world.ask_later(&key);
    tokio::task::yield_now().await;
    gate.add_permits(1);
    until(|| world.source.loads() == 2).await;
    gate.add_permits(100);
    assert_eq!(early.await.unwrap(), "key_revoked");
    assert_eq!(late.await.unwrap(), "key_revoked");
    assert_eq!(world.code(&key).await, "key_revoked");
    assert_eq!(world.source.loads(), 2, "read once more for all, then from memory");
}

#[tokio::test]
async fn a_plan_changed_while_a_look_up_travels_is_obeyed() {
    let world = World::new();
    let account = world.account();
    let key = world.old_key(account);
    let gate = world.source.hold_answers();
    let asked = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    world.change_account(account, |facts| facts.api_access = false);
    world.apply();
    gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), "plan_required");
    assert_eq!(world.code(&key).await, "plan_required");
}

#[tokio::test]
async fn a_key_made_while_its_look_up_travels_is_not_called_unknown() {
    let world = World::new();
    let key = crate::world::TestKey { account: world.account(), ..world.unknown_key() };
    let gate = world.source.hold_answers();
    let asked = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    world.create(&key);
    world.apply();
    gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), "valid");
}

/// A clock that, at a chosen reading, does something first: the only place to stand between a look-up
/// that has landed and the request that waited for it.
struct HookedClock {
    clock: Arc<ManualClock>,
    readings: AtomicUsize,
    hook: Mutex<Option<Hook>>,
}

struct Hook {
    at_reading: usize,
    act: Box<dyn FnOnce() + Send>,
}

impl Clock for HookedClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Monotonic {
        let reading = self.readings.fetch_add(1, Ordering::SeqCst) + 1;
        let due = self.hook.lock().take_if(|hook| hook.at_reading == reading);
        if let Some(hook) = due {
            (hook.act)();
        }
        self.clock.monotonic()
    }
}

#[tokio::test]
async fn a_key_revoked_between_landing_and_waking_is_not_let_through() {
    // The readings of one verification with a look-up: trust, the failures of the address, landing, and
    // trust again. The change comes with the last.
    let readings = {
        let (clock, hooked) = hooked_clock();
        let world = World::on(VerifierOptions::default(), clock, Arc::clone(&hooked) as Arc<dyn Clock>);
        let key = world.old_key(world.account());
        let before = hooked.readings.load(Ordering::SeqCst);
        assert_eq!(world.code(&key).await, "valid");
        hooked.readings.load(Ordering::SeqCst) - before
    };
    let mut applied_at = Vec::new();
    for revoked_at in 1..=readings {
        let (clock, hooked) = hooked_clock();
        let seen = Arc::clone(&hooked) as Arc<dyn Clock>;
        let world = Arc::new(World::on(VerifierOptions::default(), clock, seen));
        let key = world.old_key(world.account());
        let (actor, victim) = (Arc::clone(&world), key.clone());
        let (applied, is_applied) = channel();
        let act = Box::new(move || {
            actor.revoke(&victim);
            // A reading under the lock of the position: there, applying has to wait until after it.
            let (done, is_done) = channel();
            std::thread::spawn(move || {
                actor.apply();
                done.send(()).ok();
            });
            applied.send(is_done.recv_timeout(Duration::from_millis(200)).is_ok()).ok();
        });
        let at_reading = hooked.readings.load(Ordering::SeqCst) + revoked_at;
        *hooked.hook.lock() = Some(Hook { at_reading, act });
        let code = world.code(&key).await;
        if is_applied.recv().unwrap() {
            assert_eq!(code, "key_revoked", "revoked at reading {revoked_at} of {readings}");
            applied_at.push(revoked_at);
        }
    }
    assert_eq!(applied_at.last(), Some(&readings), "the last reading is the one after landing");
}

fn hooked_clock() -> (Arc<ManualClock>, Arc<HookedClock>) {
    let clock = Arc::new(ManualClock::at(beginning()));
    let hooked =
        HookedClock { clock: Arc::clone(&clock), readings: AtomicUsize::new(0), hook: Mutex::new(None) };
    (clock, Arc::new(hooked))
}

#[tokio::test]
async fn an_answer_that_changes_of_others_have_overtaken_is_used() {
    let world = World::new();
    let (key, other) = (world.old_key(world.account()), world.old_key(world.account()));
    let gate = world.source.hold_answers();
    let asked = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    for _ in 0..100 {
        world.revoke(&other);
    }
    world.apply();
    gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), "valid");
    assert_eq!(world.source.loads(), 1);
}

#[tokio::test]
async fn an_answer_older_than_what_is_remembered_is_read_again() {
    let world = World::new();
    let (key, other) = (world.old_key(world.account()), world.old_key(world.account()));
    let gate = world.source.hold_answers();
    let asked = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    for _ in 0..4_097 {
        world.revoke(&other);
    }
    world.apply();
    gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), "valid");
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test]
async fn an_answer_from_a_replica_that_lags_is_read_again() {
    let world = World::new();
    let key = world.old_key(world.account());
    let before = world.source.database.lock().clone();
    world.revoke(&key);
    world.apply();
    let after = std::mem::replace(&mut *world.source.database.lock(), before);
    let gate = world.source.hold_answers();
    let asked = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    *world.source.database.lock() = after;
    gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), "key_revoked");
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test]
async fn an_answer_from_before_a_reset_is_read_again_whatever_its_number() {
    let world = World::new();
    let key = world.old_key(world.account());
    for _ in 0..5 {
        world.commit(FeedKind::Tokens);
    }
    world.apply();
    let gate = world.source.hold_answers();
    let asked = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    // An older database came back, in which the key is revoked.
    world.edit_key(&key, |stored| stored.revoked = true);
    world.source.database.lock().feed.truncate(2);
    world.verifier.reset(FeedHead { number: 2, tag: 62, oldest: 1 });
    gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), "key_revoked");
}

#[tokio::test]
async fn a_source_that_never_catches_up_ends_as_unavailable() {
    let world = World::new();
    let key = world.old_key(world.account());
    let before = world.source.database.lock().clone();
    world.revoke(&key);
    world.apply();
    *world.source.database.lock() = before;
    assert_eq!(world.code(&key).await, "unavailable");
    assert!(world.source.loads() <= 40, "{} reads for one request", world.source.loads());
}

#[tokio::test]
async fn trust_that_lapses_while_a_look_up_travels_makes_its_answer_unusable() {
    let world = World::new();
    let (known, unknown) = (world.old_key(world.account()), world.unknown_key());
    for key in [&known, &unknown] {
        let gate = world.source.hold_answers();
        let loads = world.source.loads();
        let asked = world.ask_later(key);
        until(|| world.source.loads() > loads).await;
        world.verifier.untrust();
        gate.add_permits(1);
        assert_eq!(asked.await.unwrap(), "unavailable");
        world.verifier.set_trust(Monotonic(u64::MAX));
    }
}

#[tokio::test]
async fn however_many_wait_for_one_secret_it_is_looked_up_once() {
    let world = World::new();
    let key = world.old_key(world.account());
    let gate = world.source.hold_answers();
    let asked: Vec<_> = (0..100).map(|_| world.ask_later(&key)).collect();
    until(|| world.source.loads() == 1).await;
    gate.add_permits(100);
    for answer in asked {
        assert_eq!(answer.await.unwrap(), "valid");
    }
    assert_eq!(world.source.loads(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_look_up_for_nobody() {
    let world = World::new();
    let key = world.old_key(world.account());
    let gate = world.source.hold_answers();
    let first = world.ask_later(&key);
    until(|| world.source.loads() == 1).await;
    let second = world.ask_later(&key);
    tokio::task::yield_now().await;
    first.abort();
    let _ = first.await;
    gate.add_permits(1);
    assert_eq!(second.await.unwrap(), "valid");
    assert_eq!(world.source.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_takes_too_long_is_unavailable_and_the_next_one_begins_anew() {
    let world = World::new();
    let key = world.old_key(world.account());
    let gate = world.source.hold_answers();
    assert_eq!(world.code(&key).await, "unavailable");
    gate.add_permits(10);
    assert_eq!(world.code(&key).await, "valid");
}

#[tokio::test(start_paused = true)]
async fn look_ups_beyond_the_bound_wait_briefly_and_are_then_unavailable() {
    let world = World::with(VerifierOptions { lookup_concurrency: 2, ..VerifierOptions::default() });
    let account = world.account();
    let keys: Vec<_> = (0..3).map(|_| world.old_key(account)).collect();
    let gate = world.source.hold_answers();
    let running: Vec<_> = keys[..2].iter().map(|key| world.ask_later(key)).collect();
    until(|| world.source.loads() == 2).await;
    assert_eq!(world.code(&keys[2]).await, "unavailable");
    assert_eq!(world.source.loads(), 2);
    gate.add_permits(10);
    for answer in running {
        assert_eq!(answer.await.unwrap(), "valid");
    }
    assert_eq!(world.code(&keys[2]).await, "valid");
}
