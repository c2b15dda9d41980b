//! Accounts, keys and tokens: made, repeated, changed, ended.

use rndrkit_control::{
    AccountPatch, Error, IdempotencyRequest, KeyLabel, KeyPatch, NewAccountInput, PageQuery,
};
use rndrkit_domain::key::RevokedReason;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::usage::{UsageCounts, UsageDelta};
use rndrkit_store::{OpenOptions, Store};
use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};

use crate::setup::{admin, setup};

async fn sixth_key(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let mut keys = Vec::new();
    for n in 0..5 {
        let made =
            setup.control.create_key(&admin(), account, &format!("key {n}"), None, None).await.unwrap();
        keys.push(made.value.id);
    }
    let sixth = setup.control.create_key(&admin(), account, "key 6", None, None).await;
    assert!(matches!(sixth, Err(Error::KeyLimitReached { limit: 5 })));
    setup.control.revoke_key(&admin(), keys[0]).await.unwrap();
    setup.control.create_key(&admin(), account, "key 6", None, None).await.unwrap();

    let patch = AccountPatch { plan: Some("starter"), ..AccountPatch::default() };
    setup.control.update_account(&admin(), account, patch).await.unwrap();
    let view = setup.control.get_account(&admin(), account).await.unwrap();
    assert_eq!(view.account.active_keys, 5, "a smaller plan deletes nothing");
    let refused = setup.control.create_key(&admin(), account, "key 7", None, None).await;
    assert!(matches!(refused, Err(Error::PlanRequired)));
}

#[test]
fn a_sixth_key_needs_a_deletion_and_a_downgrade_deletes_nothing() {
    on_sqlite(sixth_key);
    on_postgres(sixth_key);
}

#[test]
fn expired_and_revoked_keys_leave_room() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        let end = setup.control.now().plus(std::time::Duration::from_secs(60)).to_string();
        for n in 0..5 {
            setup.control.create_key(&admin(), account, &format!("{n}"), Some(&end), None).await.unwrap();
        }
        assert!(setup.control.create_key(&admin(), account, "6", None, None).await.is_err());
        setup.clock.advance(std::time::Duration::from_secs(61));
        setup.control.create_key(&admin(), account, "6", None, None).await.unwrap();
        let account = setup.control.get_account(&admin(), account).await.unwrap().account;
        let overview = setup.control.key_overview(&admin(), &account).await.unwrap();
        assert_eq!((overview.active.len(), overview.past.len()), (1, 5));
    });
}

async fn repeated_create(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let request = |body: &str| Some(IdempotencyRequest { key: "abc", fingerprint: Digest::of(body) });
    let create =
        async |body: &str| setup.control.create_key(&admin(), account, "x", None, request(body)).await;
    let first = create("one").await.unwrap();
    let second = create("one").await.unwrap();
    assert_eq!(first.value.id, second.value.id);
    assert!(first.secret.is_some() && second.secret.is_none(), "a secret is shown once");
    assert!(matches!(create("two").await, Err(Error::IdempotencyMismatch)));
    let other = setup.account("bob@example.com", "agency").await;
    let elsewhere = setup.control.create_key(&admin(), other, "x", None, request("one")).await.unwrap();
    assert_ne!(elsewhere.value.id, first.value.id, "another route is another call");
}

#[test]
fn a_repeated_create_answers_with_the_same_key_and_no_secret() {
    on_sqlite(repeated_create);
    on_postgres(repeated_create);
}

#[test]
fn a_repeat_is_answered_even_after_the_keys_own_end() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        let end = setup.control.now().plus(std::time::Duration::from_secs(60)).to_string();
        let request = Some(IdempotencyRequest { key: "abc", fingerprint: Digest::of("body") });
        let create = async || setup.control.create_key(&admin(), account, "x", Some(&end), request).await;
        let first = create().await.unwrap();
        setup.clock.advance(std::time::Duration::from_secs(61));
        assert_eq!(create().await.unwrap().value.id, first.value.id);
    });
}

#[test]
fn revoking_again_answers_the_same_moment() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let account = setup.account("ada@example.com", "agency").await;
        let key = setup.control.create_key(&admin(), account, "x", None, None).await.unwrap().value.id;
        let first = setup.control.revoke_key(&admin(), key).await.unwrap();
        setup.clock.advance(std::time::Duration::from_secs(5));
        let second = setup.control.revoke_key(&admin(), key).await.unwrap();
        assert_eq!(first.revoked_at, second.revoked_at);
        assert_eq!(second.key.revoked.map(|(_, reason)| reason), Some(RevokedReason::Operator));
        let events = setup.control.list_events(&admin(), Some(account), PageQuery::default()).await.unwrap();
        let revocations = events.items.iter().filter(|event| event.action == "key.revoked").count();
        assert_eq!(revocations, 1, "a repeat is no second event");
    });
}

#[test]
fn unacceptable_values_are_all_named_at_once() {
    on_sqlite(async |database| {
        let setup = setup(database).await;
        let input = NewAccountInput {
            email: "nonsense",
            name: Some("a\nb"),
            plan: Some("Nope"),
            external_id: Some("ü"),
        };
        let Err(Error::Invalid(fields)) = setup.control.create_account(&admin(), input, None).await else {
            panic!("accepted")
        };
        let names: Vec<_> = fields.iter().map(|field| field.field).collect();
        assert_eq!(names, ["email", "name", "plan", "external_id"]);
        let unknown =
            NewAccountInput { email: "a@b.c", plan: Some("platinum"), ..NewAccountInput::default() };
        assert!(matches!(
            setup.control.create_account(&admin(), unknown, None).await,
            Err(Error::Invalid(fields)) if fields[0].field == "plan" && fields[0].detail.contains("agency")
        ));
    });
}

async fn deleted_account(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let user = setup.user_of(account).await;
    let key = setup.control.create_key(&user, account, "x", None, None).await.unwrap().value.id;
    setup.control.delete_account(&admin(), account).await.unwrap();
    assert!(matches!(setup.control.get_account(&admin(), account).await, Err(Error::NotFound)));
    assert!(setup.control.get_key(&admin(), key).await.is_ok_and(|key| key.revoked.is_some()));
    // The address is free again, and nothing of the old account comes back with it.
    let again = setup.account("ada@example.com", "agency").await;
    assert_ne!(again, account);
}

#[test]
fn deleting_an_account_ends_its_keys_and_frees_its_address() {
    on_sqlite(deleted_account);
    on_postgres(deleted_account);
}

async fn days_of_use(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let key = setup.control.create_key(&admin(), account, "CI", None, None).await.unwrap().value.id;
    let day = std::time::Duration::from_secs(86_400);
    let today = setup.control.now();
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    for at in [today.minus(day), today] {
        let counts = UsageCounts { allowed: 3, ..UsageCounts::default() };
        let delta = UsageDelta { key_id: key, account_id: account, minute: at, counts };
        store.record_usage(&[delta], &[]).await.unwrap();
    }
    let days = async |from: Option<&str>, to: Option<&str>| {
        let usage = setup.control.daily_usage(&admin(), account, from, to).await.unwrap();
        usage.iter().map(|day| day.starts_at.date()).collect::<Vec<_>>()
    };
    let (yesterday, today) = (today.minus(day).date(), today.date());
    assert_eq!(
        days(None, None).await,
        [yesterday.clone(), today.clone()],
        "today belongs to the last 30 days"
    );
    assert_eq!(days(Some(&today), Some(&today)).await, [today], "one day is from that day to that day");
    assert_eq!(days(None, Some(&yesterday)).await, [yesterday]);
}

#[test]
fn use_is_answered_with_the_first_and_the_last_day_that_were_asked_for() {
    on_sqlite(days_of_use);
    on_postgres(days_of_use);
}

async fn relabelled(database: &TestDatabase) {
    let setup = setup(database).await;
    let account = setup.account("ada@example.com", "agency").await;
    let user = setup.user_of(account).await;
    let label = KeyLabel { name: "Nightly", environment: Some("staging") };
    let made = setup.control.create_key(&user, account, label, None, None).await.unwrap().value;
    assert_eq!(made.environment.as_ref().unwrap().as_str(), "staging");
    setup.nodes.asked();
    let patch = KeyPatch { name: Some("Weekly"), environment: Some(None) };
    let changed = setup.control.update_key(&user, made.id, patch).await.unwrap();
    assert_eq!((changed.name.as_str(), &changed.environment), ("Weekly", &None));
    assert!(setup.nodes.asked().is_empty(), "no node has to know");

    let bob = setup.account("bob@example.com", "agency").await;
    let other = setup.user_of(bob).await;
    assert!(matches!(setup.control.update_key(&other, made.id, patch).await, Err(Error::NotFound)));
    let both_bad = KeyPatch { name: Some(""), environment: Some(Some(" ")) };
    assert!(matches!(
        setup.control.update_key(&user, made.id, both_bad).await,
        Err(Error::Invalid(fields)) if fields.len() == 2
    ));
}

#[test]
fn a_keys_words_are_changed_by_its_account_and_wait_for_no_node() {
    on_sqlite(relabelled);
    on_postgres(relabelled);
}
