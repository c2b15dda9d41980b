//! Which calls wait until every node follows, what a call says when that cannot be known, and what is made
//! again after the database has lost it.

use std::sync::atomic::Ordering;

use rndrkit_control::{AccountPatch, Error, IdempotencyRequest, PageQuery};
use rndrkit_domain::key::KeyStatus;
use rndrkit_domain::key_text::Digest;
use rndrkit_testkit::database::{TestDatabase, meddle, on_postgres, on_sqlite};

use crate::setup::{Setup, admin, setup};

/// Runs a call and says how often it waited.
async fn waits<T>(setup: &Setup, call: impl Future<Output = Result<T, Error>>) -> usize {
    setup.nodes.asked();
    assert!(call.await.is_ok());
    setup.nodes.asked().len()
}

fn plan(id: &str) -> AccountPatch<'_> {
    AccountPatch { plan: Some(id), ..AccountPatch::default() }
}

fn status(status: &str) -> AccountPatch<'_> {
    AccountPatch { status: Some(status), ..AccountPatch::default() }
}

async fn narrowing_calls_wait(database: &TestDatabase) {
    let setup = setup(database).await;
    let (control, admin) = (&setup.control, &admin());
    let account = setup.account("ada@example.com", "agency").await;
    let key = control.create_key(admin, account, "CI", None, None).await.unwrap().value.id;
    // Each is made twice: the repeat of a call whose answer was lost must be as sure as the first.
    for _ in 0..2 {
        assert_eq!(waits(&setup, control.revoke_key(admin, key)).await, 1);
    }
    for patch in [plan("starter"), status("suspended"), status("active"), plan("agency")] {
        for _ in 0..2 {
            assert_eq!(waits(&setup, control.update_account(admin, account, patch)).await, 1, "{patch:?}");
        }
    }
    let request = || Some(IdempotencyRequest { key: "abc", fingerprint: Digest::of("body") });
    for _ in 0..2 {
        assert_eq!(waits(&setup, control.create_token(admin, "CI", "read", None, request())).await, 1);
    }
    let tokens = control.list_tokens(admin, PageQuery::default()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(waits(&setup, control.delete_token(admin, tokens.items[0].id)).await, 1);
        assert_eq!(waits(&setup, control.delete_account(admin, account)).await, 1);
    }
}

#[test]
fn what_narrows_waits_for_every_node_and_so_does_its_repeat() {
    on_sqlite(narrowing_calls_wait);
    on_postgres(narrowing_calls_wait);
}

async fn repeats_wait_for_the_first(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let key = setup.control.create_key(&admin(), account, "CI", None, None).await.unwrap().value.id;
    setup.nodes.asked();
    setup.control.revoke_key(&admin(), key).await.unwrap();
    let first = setup.nodes.asked();
    // Something else happens in between; it is not what the repeat is about.
    setup.account("bob@example.com", "agency").await;
    setup.control.revoke_key(&admin(), key).await.unwrap();
    assert_eq!(setup.nodes.asked(), first);
}

#[test]
fn a_repeat_waits_for_the_number_of_the_change_itself() {
    on_sqlite(repeats_wait_for_the_first);
    on_postgres(repeats_wait_for_the_first);
}

#[test]
fn making_an_account_or_a_key_waits_for_nobody() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        setup.nodes.broken.store(true, Ordering::SeqCst);
        let account = setup.account("ada@example.com", "agency").await;
        let made = setup.control.create_key(&admin(), account, "CI", None, None).await.unwrap();
        assert!(made.secret.is_some());
    });
}

#[test]
fn what_is_not_confirmed_is_not_called_done() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let (control, admin) = (&setup.control, &admin());
        let account = setup.account("ada@example.com", "agency").await;
        let key = control.create_key(admin, account, "CI", None, None).await.unwrap().value.id;
        setup.nodes.broken.store(true, Ordering::SeqCst);
        let said = [
            control.revoke_key(admin, key).await.map(drop).unwrap_err(),
            control.update_account(admin, account, plan("starter")).await.map(drop).unwrap_err(),
            control.create_token(admin, "CI", "read", None, None).await.map(drop).unwrap_err(),
            control.delete_account(admin, account).await.unwrap_err(),
        ];
        for error in said {
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
            let text = error.public_text();
            assert!(text.contains("may or may not have happened") && text.contains("repeat"), "{text}");
        }
    });
}

#[test]
fn no_key_is_made_with_a_new_prefix_before_every_node_knows_it() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        setup.nodes.broken.store(true, Ordering::SeqCst);
        setup.control.introduce_prefix(1);
        let create = async || setup.control.create_key(&admin(), account, "CI", None, None).await;
        assert!(matches!(create().await, Err(Error::Unavailable(_))));
        let account_view = setup.control.get_account(&admin(), account).await.unwrap();
        assert_eq!(account_view.account.active_keys, 0, "a key nobody has the secret of");

        setup.nodes.broken.store(false, Ordering::SeqCst);
        create().await.unwrap();
        setup.nodes.asked();
        create().await.unwrap();
        assert!(setup.nodes.asked().is_empty(), "once is enough");
    });
}

async fn a_lost_prefix(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let create = async || setup.control.create_key(&admin(), account, "CI", None, None).await;
    create().await.unwrap();
    meddle(database.url(), "DELETE FROM key_prefixes").await;
    setup.clock.advance(std::time::Duration::from_millis(1));
    setup.nodes.asked();
    setup.nodes.broken.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        // The second time it is stored; that every node knows it is not sure yet.
        assert!(matches!(create().await, Err(Error::Unavailable(_))));
    }
    let made = async || setup.control.get_account(&admin(), account).await.unwrap().account.active_keys;
    assert_eq!(made().await, 1, "a key that a node may call invalid");
    setup.nodes.broken.store(false, Ordering::SeqCst);
    create().await.unwrap();
    assert_eq!(setup.nodes.asked().len(), 3);

    // Lost, and stored again by another node: this one cannot know how far that one came.
    meddle(database.url(), "UPDATE key_prefixes SET first_used_at = first_used_at + 1").await;
    create().await.unwrap();
    assert_eq!(setup.nodes.asked().len(), 1);
    create().await.unwrap();
    assert!(setup.nodes.asked().is_empty(), "once is enough");
}

#[test]
fn a_prefix_that_the_database_lost_is_stored_and_known_again_before_the_next_key() {
    on_sqlite(a_lost_prefix);
    on_postgres(a_lost_prefix);
}

async fn replayed(database: &TestDatabase) {
    let setup = setup(database).await;
    let (control, admin) = (&setup.control, &admin());
    let account = setup.account("ada@example.com", "agency").await;
    let mut keys = Vec::new();
    for name in ["lost", "still revoked", "never revoked"] {
        keys.push(control.create_key(admin, account, name, None, None).await.unwrap().value.id);
    }
    control.revoke_key(admin, keys[1]).await.unwrap();
    // Made and revoked in what was lost: the database knows nothing of it.
    let unknown = "key_00000000000000000000000000".parse().unwrap();
    setup.nodes.asked();
    let revoked = control.replay_revocations(vec![keys[0], unknown, keys[1]]).await.unwrap();
    assert_eq!(revoked, 1);
    assert_eq!(setup.nodes.asked().len(), 1, "answers when no node accepts any of them");
    let now = control.now();
    let states = [KeyStatus::Revoked, KeyStatus::Revoked, KeyStatus::Active];
    for (key, state) in keys.iter().zip(states) {
        assert_eq!(control.get_key(admin, *key).await.unwrap().status(now), state);
    }
    let events = control.list_events(admin, None, PageQuery::default()).await.unwrap().items;
    let event = &events[0];
    assert_eq!(
        (event.action.as_str(), event.target_id.as_str()),
        ("key.revoked", keys[0].to_string().as_str())
    );
    assert!(event.details[0].1.contains("the database had lost that"), "{:?}", event.details);
    assert_eq!(control.replay_revocations(keys[..2].to_vec()).await.unwrap(), 0, "repeating it is safe");
}

#[test]
fn what_could_not_be_revoked_again_is_handed_back_and_nothing_else() {
    on_sqlite(async |database: &TestDatabase| {
        let setup = setup(database).await;
        let (control, admin) = (&setup.control, &admin());
        let account = setup.account("ada@example.com", "agency").await;
        let mut keys = Vec::new();
        for name in ["1", "2", "3", "4"] {
            keys.push(control.create_key(admin, account, name, None, None).await.unwrap().value.id);
        }
        let fail = format!(
            "CREATE TRIGGER fail BEFORE UPDATE ON api_keys WHEN NEW.id = '{}' BEGIN SELECT RAISE(ABORT, 'no'); END",
            keys[2]
        );
        meddle(database.url(), &fail).await;
        let unfinished = control.replay_revocations(keys.clone()).await.unwrap_err();
        // The second stands for those that are revoked: it is the newest change to wait for.
        assert_eq!(unfinished.left, [keys[3], keys[2], keys[1]]);
        let unfinished = control.replay_revocations(unfinished.left).await.unwrap_err();
        assert_eq!(unfinished.left, [keys[1], keys[2], keys[3]]);
        meddle(database.url(), "DROP TRIGGER fail").await;
        setup.nodes.broken.store(true, Ordering::SeqCst);
        let unfinished = control.replay_revocations(unfinished.left).await.unwrap_err();
        assert_eq!(unfinished.left, [keys[2]], "what is left is to wait for the last");
        setup.nodes.broken.store(false, Ordering::SeqCst);
        let newest = setup.nodes.asked().into_iter().max();
        assert_eq!(control.replay_revocations(unfinished.left).await.unwrap(), 0);
        assert_eq!(setup.nodes.asked().into_iter().max(), newest);
    });
}

#[test]
fn revocations_that_the_database_has_lost_are_made_again() {
    on_sqlite(replayed);
    on_postgres(replayed);
}
