//! What whoever follows the feed has at hand: places, prefixes before their keys, revocations remembered, and
//! ends judged by the database's clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind};
use rndrkit_domain::key_text::{Digest, KeyPrefix, mint};
use rndrkit_domain::time::{Clock, ManualClock, Monotonic, Timestamp};
use rndrkit_domain::token::Scope;
use rndrkit_verifier::{
    Continuation, Follower, FollowerOptions, Lost, Place, Standing, TokenDenial, VerifierOptions,
};

use crate::world::{TestKey, World, beginning};

const fn head(number: i64, tag: i64, oldest: i64) -> FeedHead {
    FeedHead { number, tag, oldest }
}

#[test]
fn a_feed_leads_on_from_a_place_or_says_why_not() {
    let place = Place { number: 10, tag: 7 };
    assert_eq!(place.compare(head(10, 7, 1)), Ok(()));
    assert_eq!(place.compare(head(12, 9, 11)), Ok(()));
    assert_eq!(place.compare(head(12, 9, 12)), Err(Lost::Removed));
    assert_eq!(place.compare(head(9, 7, 1)), Err(Lost::Older));
    assert_eq!(place.compare(head(10, 8, 1)), Err(Lost::Rewritten));
    assert!(Lost::Older.commits_are_gone() && Lost::Rewritten.commits_are_gone());
    assert!(!Lost::Removed.commits_are_gone() && !Lost::Missing.commits_are_gone());
}

#[test]
fn entries_continue_a_place_or_not() {
    let entry = |number: i64, tag: i64| FeedEntry {
        number,
        tag,
        kind: FeedKind::Tokens,
        account_id: None,
        key_id: None,
        digests: Vec::new(),
    };
    let place = Place { number: 10, tag: 7 };
    let judge = |entries: &[(i64, i64)]| {
        let entries: Vec<_> = entries.iter().map(|(number, tag)| entry(*number, *tag)).collect();
        place.continuation(&entries)
    };
    assert_eq!(judge(&[(10, 7), (11, 1), (12, 2)]), Continuation::Good);
    assert_eq!(judge(&[(11, 1)]), Continuation::Good, "the place's own entry may have been removed");
    assert_eq!(judge(&[(10, 7)]), Continuation::Nothing);
    assert_eq!(judge(&[]), Continuation::Nothing);
    assert_eq!(judge(&[(10, 8), (11, 1)]), Continuation::Lost(Lost::Rewritten));
    assert_eq!(judge(&[(10, 7), (12, 1)]), Continuation::Lost(Lost::Missing));
    assert_eq!(judge(&[(12, 1)]), Continuation::Lost(Lost::Missing));
}

/// A key under a prefix that this node has never heard of, as another node makes it: first the entry about
/// prefixes, then the key.
fn made_elsewhere(world: &World) -> TestKey {
    let prefix = KeyPrefix::parse("new_live_").unwrap();
    let minted = mint(&prefix, &world.entropy);
    let account = world.account();
    let key = TestKey {
        text: minted.secret.reveal().to_owned(),
        digest: minted.digest,
        account,
        ..world.unknown_key()
    };
    world.source.database.lock().prefixes = vec![world.prefix.clone(), prefix];
    world.commit(FeedKind::Prefixes);
    world.create(&key);
    key
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_prefix_that_another_node_introduced_is_known_once_its_creation_is_applied() {
    let world = World::new();
    world.source.database.lock().prefixes = vec![world.prefix.clone()];
    let feed = Arc::clone(&world.source) as Arc<dyn rndrkit_verifier::ChangeFeed>;
    let (follower, handle) = Follower::new(Arc::clone(&world.verifier), feed, FollowerOptions::default());
    tokio::spawn(follower.run(std::future::pending()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let key = made_elsewhere(&world);
    handle.nudge();
    handle.wait_applied(2).await;
    assert_eq!(world.code(&key).await, "valid");
}

#[tokio::test]
async fn entries_about_prefixes_are_not_applied_before_the_prefixes_are_read() {
    let world = World::new();
    let key = made_elsewhere(&world);
    let entries = world.source.database.lock().feed.clone();
    world.source.failing.store(true, Ordering::SeqCst);
    assert!(world.verifier.follow(&entries).await.is_err());
    assert_eq!(world.verifier.applied(), 0);
    world.source.failing.store(false, Ordering::SeqCst);
    world.verifier.follow(&entries).await.unwrap();
    assert_eq!(world.code(&key).await, "valid");
    // An answer from an older database takes no prefix away.
    world.source.database.lock().prefixes.clear();
    world.verifier.start_at(head(2, 62, 1)).await.unwrap();
    assert_eq!(world.code(&key).await, "valid");
}

/// A node that is cut off may have missed a prefix: it does not know, and says so.
#[tokio::test]
async fn without_trust_an_unknown_prefix_is_no_invalid_key() {
    let world = World::new();
    let key = made_elsewhere(&world);
    world.verifier.untrust();
    assert_eq!(world.code(&key).await, "unavailable");
    world.verifier.set_trust(Monotonic(u64::MAX));
    assert_eq!(world.code(&key).await, "invalid_key");
}

#[tokio::test]
async fn keys_whose_end_was_applied_within_the_hour_are_remembered_through_a_lost_history() {
    let world = World::new();
    let keys: Vec<_> = (0..3).map(|_| world.old_key(world.account())).collect();
    let end = |key: &TestKey| {
        world.revoke(key);
        world.source.database.lock().feed.last_mut().unwrap().kind = FeedKind::KeyRevoked;
        world.apply();
    };
    end(&keys[0]);
    world.pass(Duration::from_secs(1_800));
    end(&keys[1]);
    world.create_anew(&keys[2]);
    assert_eq!(world.code(&keys[1]).await, "key_revoked");
    world.verifier.lose_history(head(1, 5, 1), Lost::Older).await.unwrap();
    assert_eq!(world.verifier.place(), Place { number: 1, tag: 5 });
    assert_eq!(world.verifier.remembered_revocations(), [keys[0].id, keys[1].id]);
    // The database that came back knows nothing of the end; this node refuses the key all the same.
    world.source.database.lock().keys.get_mut(&keys[1].digest).unwrap().revoked = false;
    world.verifier.drop_everything();
    assert_eq!(world.code(&keys[1]).await, "key_revoked");
    assert_eq!(world.code(&keys[2]).await, "valid");
    world.pass(Duration::from_secs(1_801));
    assert_eq!(world.verifier.remembered_revocations(), [keys[1].id]);
}

/// A machine whose own clock is three minutes behind.
struct Behind(Arc<ManualClock>);

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        self.0.now().minus(Duration::from_secs(180))
    }

    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }
}

#[tokio::test]
async fn ends_come_in_time_although_the_nodes_clock_is_behind() {
    let clock = Arc::new(ManualClock::at(beginning()));
    let behind = Arc::new(Behind(Arc::clone(&clock)));
    let world = World::on(VerifierOptions::default(), Arc::clone(&clock), behind);
    let key = world.old_key(world.account());
    let end = beginning().plus(Duration::from_secs(60));
    world.edit_key(&key, |stored| stored.expires_at = Some(end));
    world.add_token("a token", Scope::Verify, Some(end));
    // Asked now; the database read its clock 20 ms later.
    world.verifier.set_wall(clock.monotonic(), beginning().plus(Duration::from_millis(20)));
    world.pass(Duration::from_millis(59_900));
    assert_eq!(world.code(&key).await, "valid");
    let digest = Digest::of("a token");
    assert!(world.verifier.authenticate_token_digest(digest).await.is_ok());
    let watch = world.ask(&key).await.watch.unwrap();
    world.pass(Duration::from_millis(100));
    assert_eq!(world.code(&key).await, "key_expired");
    assert_eq!(world.verifier.authenticate_token_digest(digest).await.unwrap_err(), TokenDenial::Invalid);
    assert_eq!(world.verifier.recheck(&watch).await, Standing::Refused);
}
