//! What a verifier reads: one statement, one snapshot.

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::audit::Action;
use rndrkit_domain::text::ExternalId;
use rndrkit_store::{AccountUpdate, NewKey};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, digest, event, key, new_key, open, plan_id};

on_both_databases!(
    a_secret_is_loaded_with_its_account_plan_and_the_feed_position,
    an_unknown_secret_is_answered_with_the_position_alone,
    changes_of_the_account_raise_the_revision,
    a_look_up_is_one_statement,
);

async fn a_secret_is_loaded_with_its_account_plan_and_the_feed_position(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let new = NewKey { expires_at: Some(at(99)), ..new_key(owner.id) };
    let made = store.insert_key(new.clone(), None, change(2), event(Action::KeyCreated)).await.unwrap();
    let loaded = store.load_key(new.digest).await.unwrap();
    assert_eq!(loaded.head, made.number);
    let facts = loaded.found.unwrap();
    assert_eq!((facts.key_id, facts.account_id), (new.id, owner.id));
    assert_eq!((facts.expires_at, facts.ends_at, facts.revoked), (Some(at(99)), None, false));
    assert_eq!((facts.status, facts.external_id), (AccountStatus::Active, None));
    assert_eq!((facts.plan, facts.api_access), (plan_id("agency"), true));
    assert_eq!((facts.rate_limit.per_minute.get(), facts.rate_limit.burst.get()), (600, 100));
}

async fn an_unknown_secret_is_answered_with_the_position_alone(database: &TestDatabase) {
    let store = open(database).await;
    let loaded = store.load_key(digest()).await.unwrap();
    assert_eq!((loaded.head, loaded.found), (1, None));
}

async fn changes_of_the_account_raise_the_revision(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (_, secret) = key(&store, owner.id, 1).await;
    let before = store.load_key(secret).await.unwrap().found.unwrap();
    let update = AccountUpdate {
        plan: Some(plan_id("starter")),
        status: Some(AccountStatus::Suspended),
        external_id: Some(Some(ExternalId::parse("cus_7").unwrap())),
        ..AccountUpdate::default()
    };
    store.update_account(owner.id, update, change(3), |_, _, _| Vec::new()).await.unwrap();
    let after = store.load_key(secret).await.unwrap().found.unwrap();
    assert!(after.revision > before.revision);
    assert_eq!((after.status, after.api_access), (AccountStatus::Suspended, false));
    assert_eq!(after.external_id.unwrap().as_str(), "cus_7");
}

async fn a_look_up_is_one_statement(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (_, secret) = key(&store, owner.id, 1).await;
    for wanted in [secret, digest()] {
        let before = store.statements_total();
        store.load_key(wanted).await.unwrap();
        assert_eq!(store.statements_total(), before + 1);
    }
}
