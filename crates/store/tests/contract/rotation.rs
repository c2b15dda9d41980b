//! Rotating a key: two secrets at most, one of them with an end, and no slot taken.

use std::time::Duration;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::{ApiKey, KeyStatus, RevokedReason};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::observation::Sighting;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::LastUse;
use rndrkit_store::{AccountUpdate, Committed, Error, Idempotency, NewKey, NewSecret, Rotation, Store};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{
    account, at, behind, change, digest, event, event_of, key, new_key, open, plan_id, prefix, tamper,
};
use crate::opening::text_of;

on_both_databases!(
    a_rotated_key_keeps_its_id_and_shows_its_newer_mask,
    an_old_secret_works_until_its_end_and_no_longer_than_its_key,
    without_an_overlap_the_old_secret_has_ended_by_every_clock,
    a_second_rotation_leaves_two_secrets_and_ends_the_oldest,
    a_rotation_takes_no_slot,
    ending_the_old_secret_again_answers_with_the_first_number,
    a_rotation_and_its_end_name_every_secret_in_the_feed,
    what_is_not_active_gets_no_new_secret,
    a_refused_rotation_leaves_no_trace,
    a_key_of_another_account_is_not_rotated,
    a_repeated_rotation_is_found_and_rotates_once,
    what_was_noted_of_forgotten_secrets_goes_with_them_and_the_keys_last_use_stays,
    revoking_ends_both_secrets,
    a_key_remembers_its_newest_twenty_secrets,
    the_database_itself_keeps_a_key_to_one_secret_without_an_end,
    secrets_are_listed_with_their_use,
    a_secret_that_is_not_the_one_that_was_looked_at_is_left_as_it_is,
);

pub(crate) fn new_secret() -> NewSecret {
    let NewKey { digest, prefix, mask, .. } = new_key(AccountId::generate(at(0), &OsEntropy));
    NewSecret { digest, prefix, mask }
}

pub(crate) fn rotation(key: &ApiKey, overlap_seconds: u64) -> Rotation {
    Rotation {
        key_id: key.id,
        only_account: Some(key.account_id),
        only_secret: None,
        secret: new_secret(),
        overlap: Duration::from_secs(overlap_seconds),
    }
}

/// Rotates at a moment; the digest of the new secret.
async fn rotate(store: &Store, key: &ApiKey, overlap: u64, seconds: u64) -> (Committed<ApiKey>, Digest) {
    let rotation = rotation(key, overlap);
    let digest = rotation.secret.digest;
    let done = store.rotate_key(rotation, None, change(seconds), event(Action::KeyRotated)).await.unwrap();
    (done, digest)
}

async fn end(store: &Store, key: &ApiKey, seconds: u64) -> Committed<ApiKey> {
    let event = event(Action::KeyPreviousEnded);
    store.end_previous(key.id, Some(key.account_id), None, change(seconds), event).await.unwrap()
}

/// When a secret ends by itself, as a verifier hears it; the outer none for an unknown secret.
#[allow(clippy::option_option, reason = "no secret, or a secret without an end")]
async fn end_of(store: &Store, secret: Digest) -> Option<Option<Timestamp>> {
    store.load_key(secret).await.unwrap().found.map(|facts| facts.ends_at)
}

#[allow(clippy::option_option, reason = "no secret, or a secret without an end")]
const ENDED: Option<Option<i64>> = Some(Some(0));

#[allow(clippy::option_option, reason = "no secret, or a secret without an end")]
async fn end_ms(store: &Store, secret: Digest) -> Option<Option<i64>> {
    end_of(store, secret).await.map(|end| end.map(Timestamp::unix_ms))
}

async fn a_rotated_key_keeps_its_id_and_shows_its_newer_mask(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 100).await;
    // By a clock that is behind the one which made the key.
    let wanted = rotation(&made, 3_600);
    let (digest, mask) = (wanted.secret.digest, wanted.secret.mask.clone());
    let done = store.rotate_key(wanted, None, change(50), event(Action::KeyRotated)).await.unwrap();
    let rotated = done.value;
    assert_eq!((rotated.id, &rotated.mask, rotated.created_at), (made.id, &mask, at(100)));
    let previous = rotated.previous.clone().unwrap();
    assert_eq!((&previous.mask, previous.works_until), (&made.mask, at(50 + 3_600)));
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap(), rotated);
    assert_eq!(store.list_active_keys(owner.id, at(60)).await.unwrap(), std::slice::from_ref(&rotated));
    for secret in [old, digest] {
        assert_eq!(store.load_key(secret).await.unwrap().found.unwrap().key_id, made.id);
    }
    let (_, newest) = store.list_events(Some(owner.id), 1, None).await.unwrap().items.remove(0);
    assert_eq!(newest.action, "key.rotated", "the account's own trail shows it");
}

async fn an_old_secret_works_until_its_end_and_no_longer_than_its_key(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let new = NewKey { expires_at: Some(at(500)), ..new_key(owner.id) };
    let old = new.digest;
    let made = store.insert_key(new, None, change(1), event(Action::KeyCreated)).await.unwrap().value;
    let (done, fresh) = rotate(&store, &made, 100, 10).await;
    assert_eq!(end_of(&store, old).await, Some(Some(at(110))));
    assert_eq!(end_of(&store, fresh).await, Some(None));
    assert!(done.value.previous_at(at(109)).is_some());
    assert!(done.value.previous_at(at(110)).is_none());
    let (done, _) = rotate(&store, &made, 604_800, 20).await;
    assert_eq!(done.value.previous.as_ref().unwrap().works_until, at(500), "the key ends before");
    assert!(done.value.previous_at(at(499)).is_some());
    assert!(done.value.previous_at(at(500)).is_none());
    let told = async || {
        let (_, newest) = store.list_events(Some(owner.id), 1, None).await.unwrap().items.remove(0);
        newest.details.into_iter().find(|(name, _)| name == "works_until").map(|(_, end)| end)
    };
    assert_eq!(told().await, Some(at(500).to_string()));
    rotate(&store, &made, 0, 30).await;
    assert_eq!(told().await, None, "it ended at once");
}

async fn without_an_overlap_the_old_secret_has_ended_by_every_clock(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 1).await;
    let (done, fresh) = rotate(&store, &made, 0, 10).await;
    assert_eq!(done.value.previous, None);
    // Also by the clock of a node that is behind the one which wrote it.
    assert_eq!(end_ms(&store, old).await, ENDED);
    assert_eq!(end_of(&store, fresh).await, Some(None));
    let (made, old) = key(&store, owner.id, 1).await;
    rotate(&store, &made, 900, 10).await;
    assert_eq!(end(&store, &made, 20).await.value.previous, None);
    assert_eq!(end_ms(&store, old).await, ENDED);
}

async fn a_second_rotation_leaves_two_secrets_and_ends_the_oldest(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, first) = key(&store, owner.id, 1).await;
    let (once, second) = rotate(&store, &made, 900, 10).await;
    let (twice, third) = rotate(&store, &made, 900, 20).await;
    assert_eq!(end_ms(&store, first).await, ENDED);
    assert_eq!(end_of(&store, second).await, Some(Some(at(920))));
    assert_eq!(end_of(&store, third).await, Some(None));
    let previous = twice.value.previous.unwrap();
    assert_eq!((previous.mask, previous.works_until), (once.value.mask, at(920)));
    let (thrice, _) = rotate(&store, &made, 0, 30).await;
    assert_eq!(thrice.value.previous, None);
    assert_eq!((end_ms(&store, second).await, end_ms(&store, third).await), (ENDED, ENDED));
}

async fn a_rotation_takes_no_slot(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(key(&store, owner.id, 1).await.0);
    }
    for key in &keys {
        rotate(&store, key, 604_800, 2).await;
        rotate(&store, key, 604_800, 3).await;
    }
    assert_eq!(store.find_account(owner.id, at(4)).await.unwrap().unwrap().active_keys, 5);
    assert_eq!(store.list_active_keys(owner.id, at(4)).await.unwrap().len(), 5);
    store
        .revoke_key(keys[0].id, RevokedReason::User, None, change(4), event(Action::KeyRevoked))
        .await
        .unwrap();
    let insert = || store.insert_key(new_key(owner.id), None, change(5), event(Action::KeyCreated));
    assert!(insert().await.is_ok(), "old halves do not count");
    assert!(matches!(insert().await, Err(Error::KeyLimitReached { limit: 5 })));
}

async fn ending_the_old_secret_again_answers_with_the_first_number(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, _) = key(&store, owner.id, 1).await;
    let untouched = end(&store, &made, 2).await;
    assert!(!untouched.changed, "nothing to end");
    assert_eq!(untouched.value, made);
    rotate(&store, &made, 900, 3).await;
    let first = end(&store, &made, 4).await;
    assert!(first.changed);
    let trail = store.list_events(Some(owner.id), 100, None).await.unwrap().items;
    assert_eq!(trail[0].1.action, "key.previous_ended");
    account(&store, "bob").await;
    let second = end(&store, &made, 5).await;
    assert_eq!((second.changed, second.number), (false, first.number));
    assert_eq!(second.value, first.value);
    assert_eq!(store.list_events(Some(owner.id), 100, None).await.unwrap().items.len(), trail.len());
    // One whose time is over by this clock need not be over by another's.
    rotate(&store, &made, 10, 6).await;
    assert!(end(&store, &made, 600).await.changed);
}

async fn a_rotation_and_its_end_name_every_secret_in_the_feed(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, first) = key(&store, owner.id, 1).await;
    let (_, second) = rotate(&store, &made, 900, 10).await;
    let (done, third) = rotate(&store, &made, 900, 20).await;
    let ended = end(&store, &made, 30).await;
    let mut all = vec![first, second, third];
    all.sort_unstable_by_key(|digest| digest.0);
    for number in [done.number, ended.number] {
        let entry = store.feed_entries(number, 1).await.unwrap().remove(0);
        assert_eq!(
            (entry.kind, entry.key_id, entry.account_id),
            (FeedKind::Key, Some(made.id), Some(owner.id))
        );
        let mut named = entry.digests;
        named.sort_unstable_by_key(|digest| digest.0);
        assert_eq!(named, all);
    }
}

async fn what_is_not_active_gets_no_new_secret(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let expiring = NewKey { expires_at: Some(at(50)), ..new_key(owner.id) };
    let expiring =
        store.insert_key(expiring, None, change(1), event(Action::KeyCreated)).await.unwrap().value;
    let (gone, _) = key(&store, owner.id, 1).await;
    let (good, _) = key(&store, owner.id, 1).await;
    let rotate_at = |key: &ApiKey, seconds| {
        store.rotate_key(rotation(key, 9), None, change(seconds), event(Action::KeyRotated))
    };
    assert!(rotate_at(&expiring, 49).await.is_ok());
    assert!(matches!(rotate_at(&expiring, 50).await, Err(Error::KeyNotActive)));
    store.revoke_key(gone.id, RevokedReason::User, None, change(2), event(Action::KeyRevoked)).await.unwrap();
    assert!(matches!(rotate_at(&gone, 3).await, Err(Error::KeyNotActive)));
    let update = |update| store.update_account(owner.id, update, change(4), |_, _, _| Vec::new());
    update(AccountUpdate { plan: Some(plan_id("starter")), ..AccountUpdate::default() }).await.unwrap();
    assert!(matches!(rotate_at(&good, 5).await, Err(Error::PlanRequired)));
    let suspend = AccountUpdate { status: Some(AccountStatus::Suspended), ..AccountUpdate::default() };
    update(suspend).await.unwrap();
    assert!(matches!(rotate_at(&good, 5).await, Err(Error::AccountSuspended)));
    assert!(matches!(rotate_at(&gone, 5).await, Err(Error::KeyNotActive)), "what is final is said first");
}

async fn a_refused_rotation_leaves_no_trace(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 1).await;
    rotate(&store, &made, 900, 2).await;
    let update = AccountUpdate { plan: Some(plan_id("starter")), ..AccountUpdate::default() };
    store.update_account(owner.id, update, change(3), |_, _, _| Vec::new()).await.unwrap();
    let before = (store.find_key(made.id).await.unwrap(), store.feed_head().await.unwrap());
    let events = store.list_events(None, 1, None).await.unwrap();
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let refused =
        store.rotate_key(rotation(&made, 0), Some(idempotency), change(4), event(Action::KeyRotated)).await;
    assert!(matches!(refused, Err(Error::PlanRequired)));
    assert_eq!((store.find_key(made.id).await.unwrap(), store.feed_head().await.unwrap()), before);
    assert_eq!(store.list_events(None, 1, None).await.unwrap(), events);
    assert_eq!(store.find_idempotency(idempotency.digest, at(5)).await.unwrap(), None);
    assert_eq!(end_of(&store, old).await, Some(Some(at(902))));
    // What takes something away is allowed on every plan.
    assert!(end(&store, &made, 5).await.changed);
}

async fn a_key_of_another_account_is_not_rotated(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (made, _) = key(&store, ada.id, 1).await;
    rotate(&store, &made, 900, 2).await;
    let before = store.find_key(made.id).await.unwrap();
    let foreign = Rotation { only_account: Some(bob.id), ..rotation(&made, 0) };
    let refused = store.rotate_key(foreign, None, change(3), event(Action::KeyRotated)).await;
    assert!(matches!(refused, Err(Error::NotFound)));
    let event = || event(Action::KeyPreviousEnded);
    let refused = store.end_previous(made.id, Some(bob.id), None, change(3), event()).await;
    assert!(matches!(refused, Err(Error::NotFound)));
    assert_eq!(store.find_key(made.id).await.unwrap(), before);
    let unknown = KeyId::generate(at(0), &OsEntropy);
    assert!(matches!(
        store.end_previous(unknown, None, None, change(3), event()).await,
        Err(Error::NotFound)
    ));
    let by_operator = Rotation { only_account: None, ..rotation(&made, 900) };
    assert!(
        store.rotate_key(by_operator, None, change(4), event_of(ada.id, Action::KeyRotated)).await.is_ok()
    );
    assert!(store.end_previous(made.id, None, None, change(5), event()).await.unwrap().changed);
}

async fn a_repeated_rotation_is_found_and_rotates_once(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 1).await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let send =
        || store.rotate_key(rotation(&made, 900), Some(idempotency), change(2), event(Action::KeyRotated));
    send().await.unwrap();
    let after = store.find_key(made.id).await.unwrap();
    let Err(Error::IdempotencyReplay(record)) = send().await else { panic!("not a repeat") };
    assert_eq!(record.resource_id, made.id.to_string());
    assert_eq!(store.find_key(made.id).await.unwrap(), after);
    assert_eq!(end_of(&store, old).await, Some(Some(at(902))), "and the old secret lives on");
}

async fn revoking_ends_both_secrets(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 1).await;
    let (_, fresh) = rotate(&store, &made, 900, 2).await;
    let revoked = store
        .revoke_key(made.id, RevokedReason::User, None, change(3), event(Action::KeyRevoked))
        .await
        .unwrap();
    assert_eq!(revoked.value.status(at(4)), KeyStatus::Revoked);
    assert_eq!(revoked.value.previous_at(at(4)), None);
    for secret in [old, fresh] {
        assert!(store.load_key(secret).await.unwrap().found.unwrap().revoked);
    }
    let entry = store.feed_entries(revoked.number, 1).await.unwrap().remove(0);
    assert_eq!(entry.kind, FeedKind::KeyRevoked);
    assert!(entry.digests.contains(&old) && entry.digests.contains(&fresh));
    let again = end(&store, &made, 5).await;
    assert_eq!((again.changed, again.number), (false, revoked.number));
}

async fn a_key_remembers_its_newest_twenty_secrets(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, first) = key(&store, owner.id, 1).await;
    let mut secrets = vec![first];
    for round in 0..20 {
        secrets.push(rotate(&store, &made, 900, 2 + round).await.1);
    }
    assert_eq!(end_of(&store, secrets[0]).await, None, "forgotten, and so unknown");
    for secret in &secrets[1..19] {
        assert_eq!(end_ms(&store, *secret).await, ENDED);
    }
    assert_eq!(end_of(&store, secrets[19]).await, Some(Some(at(21 + 900))));
    assert_eq!(end_of(&store, secrets[20]).await, Some(None));
    let head = store.feed_head().await.unwrap().number;
    let entry = store.feed_entries(head, 1).await.unwrap().remove(0);
    assert_eq!(entry.digests.len(), 21, "the one that went is named once more");
}

async fn what_was_noted_of_forgotten_secrets_goes_with_them_and_the_keys_last_use_stays(
    database: &TestDatabase,
) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, first) = key(&store, owner.id, 1).await;
    let (_, second) = rotate(&store, &made, 900, 2).await;
    let used = async |digest: Digest, seconds: u64| {
        let (key_id, at) = (made.id, at(seconds));
        store.record_usage(&[], &[LastUse { digest, key_id, at }]).await.unwrap();
        let (account_id, user_agent) = (owner.id, None);
        let sighting = Sighting { digest, key_id, account_id, at, ip: None, user_agent };
        store.record_observations(&[sighting], &[]).await.unwrap();
    };
    let noted = async || {
        let count = "SELECT CAST(count(*) AS TEXT) FROM ";
        let connection = behind(database).await;
        let mut counts = Vec::new();
        for table in ["key_usage", "secret_hours", "sightings"] {
            counts.extend(text_of(&connection, &format!("{count}{table}")).await);
        }
        connection.close().await.unwrap();
        counts
    };
    let last_use = async || store.find_key(made.id).await.unwrap().unwrap().last_used_at;
    used(first, 5).await;
    used(second, 9_000).await;
    for round in 0..19 {
        assert_eq!(noted().await, ["2", "2", "2"], "{round}");
        rotate(&store, &made, 0, 3 + round).await;
    }
    assert_eq!(noted().await, ["1", "1", "1"], "the first is forgotten");
    let (_, newest) = rotate(&store, &made, 0, 30).await;
    assert_eq!(noted().await, ["1", "0", "0"], "the second is forgotten, and not the key's last use");
    assert_eq!(last_use().await, Some(at(9_000)));
    used(newest, 9_500).await;
    rotate(&store, &made, 0, 31).await;
    assert_eq!((noted().await, last_use().await), (vec!["1".to_owned(); 3], Some(at(9_500))));
}

async fn the_database_itself_keeps_a_key_to_one_secret_without_an_end(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, _) = key(&store, owner.id, 1).await;
    let zeros = if database.is_sqlite() { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
    let second = |end: &str| {
        format!(
            "INSERT INTO key_secrets (digest, key_id, prefix, mask, created_at, ends_at)
             VALUES ({zeros}, '{}', '{}', 'acme_9xyz', 1800000000000, {end})",
            made.id,
            prefix()
        )
    };
    let connection = crate::builders::behind(database).await;
    let refused = sea_orm::ConnectionTrait::execute_unprepared(&connection, &second("NULL")).await;
    assert!(refused.is_err(), "{refused:?}");
    connection.close().await.unwrap();
    assert_eq!(tamper(database, &second("1700000009000")).await, 1);
    let found = store.find_key(made.id).await.unwrap().unwrap();
    assert_eq!(
        (found.mask, found.secret_created_at),
        (made.mask, at(1)),
        "whichever looks newer by its time"
    );
}

async fn secrets_are_listed_with_their_use(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, old) = key(&store, owner.id, 1).await;
    let (done, fresh) = rotate(&store, &made, 900, 10).await;
    let used = LastUse { digest: old, key_id: made.id, at: at(30) };
    store.record_usage(&[], &[used]).await.unwrap();
    let secrets = store.list_secrets(made.id).await.unwrap();
    let seen: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.digest, &secret.mask, secret.created_at, secret.ends_at, secret.last_used_at))
        .collect();
    assert_eq!(
        seen,
        [
            (fresh, &done.value.mask, at(10), None, None),
            (old, &made.mask, at(1), Some(at(910)), Some(at(30))),
        ]
    );
    assert_eq!(store.list_secrets(KeyId::generate(at(0), &OsEntropy)).await.unwrap(), []);
}

/// Two people look at one key, and both decide.
async fn a_secret_that_is_not_the_one_that_was_looked_at_is_left_as_it_is(database: &TestDatabase) {
    let store = open(database).await;
    let ada = account(&store, "ada").await;
    let (made, _) = key(&store, ada.id, 2).await;
    let seen = |mask: &str| Rotation { only_secret: Some(mask.to_owned()), ..rotation(&made, 900) };
    let first = made.mask.as_str().to_owned();
    let rotate_seen = async |mask: &str, seconds| {
        store.rotate_key(seen(mask), None, change(seconds), event(Action::KeyRotated)).await
    };
    let second = rotate_seen(&first, 3).await.unwrap().value.mask;
    assert!(matches!(rotate_seen(&first, 4).await, Err(Error::SecretChanged)));
    rotate_seen(second.as_str(), 5).await.unwrap();
    let end_seen = async |mask: &str, seconds| {
        let event = event(Action::KeyPreviousEnded);
        store.end_previous(made.id, Some(ada.id), Some(mask), change(seconds), event).await
    };
    assert!(matches!(end_seen(&first, 6).await, Err(Error::SecretChanged)));
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap().previous.unwrap().mask, second);
    assert!(end_seen(second.as_str(), 7).await.unwrap().changed);
    assert!(!end_seen(&first, 8).await.unwrap().changed, "there is none that could be the wrong one");
}
