//! A key's name and environment: changed under the account's lock, told to the trail and not to the feed.

use rndrkit_domain::audit::Action;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::RevokedReason;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::text::Environment;
use rndrkit_store::{Error, KeyUpdate, NewKey};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, event, key, name, new_key, open};

on_both_databases!(
    an_environment_of_32_characters_of_any_script_reads_back,
    the_words_of_a_key_change_without_a_word_to_the_feed,
    what_changes_nothing_leaves_no_trace,
    words_of_another_accounts_key_cannot_be_changed,
);

fn environment(text: &str) -> Environment {
    Environment::parse(text).unwrap()
}

async fn an_environment_of_32_characters_of_any_script_reads_back(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let widest = environment(&"ß".repeat(32));
    let new = NewKey { environment: Some(widest.clone()), ..new_key(owner.id) };
    let made = store.insert_key(new.clone(), None, change(2), event(Action::KeyCreated)).await.unwrap();
    assert_eq!(made.value.environment, Some(widest));
    assert_eq!(store.find_key(new.id).await.unwrap().unwrap(), made.value);
}

async fn the_words_of_a_key_change_without_a_word_to_the_feed(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, _) = key(&store, owner.id, 1).await;
    let (head, before) =
        (store.feed_head().await.unwrap(), store.find_account(owner.id, at(2)).await.unwrap());
    let update = |update, seconds| {
        store.update_key(made.id, update, None, change(seconds), |_, _| event(Action::KeyUpdated))
    };
    let labelled = KeyUpdate { environment: Some(Some(environment("staging"))), ..KeyUpdate::default() };
    let after = update(labelled, 2).await.unwrap();
    assert!(after.changed);
    assert_eq!((&after.value.name, &after.value.environment), (&made.name, &Some(environment("staging"))));
    let renamed = KeyUpdate { name: Some(name("Nightly")), environment: None };
    let after = update(renamed, 3).await.unwrap().value;
    assert_eq!((after.name.as_str(), &after.environment), ("Nightly", &Some(environment("staging"))));
    let bare = KeyUpdate { environment: Some(None), ..KeyUpdate::default() };
    assert_eq!(update(bare, 4).await.unwrap().value.environment, None);
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap().name.as_str(), "Nightly");

    assert_eq!(store.feed_head().await.unwrap(), head);
    assert_eq!(store.find_account(owner.id, at(2)).await.unwrap(), before, "the account is as it was");
    // An operator names the key alone; the trail of its account shows the change all the same.
    let events = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    assert_eq!(events.iter().filter(|(_, event)| event.action == "key.updated").count(), 3);
}

async fn what_changes_nothing_leaves_no_trace(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let (made, _) = key(&store, owner.id, 1).await;
    let events = store.list_events(None, 1, None).await.unwrap();
    let same = KeyUpdate { name: Some(made.name.clone()), environment: Some(None) };
    let none =
        store.update_key(made.id, same, Some(owner.id), change(2), |_, _| panic!("asked")).await.unwrap();
    assert!(!none.changed);
    assert_eq!(none.value, made);
    assert_eq!(store.list_events(None, 1, None).await.unwrap(), events);
}

async fn words_of_another_accounts_key_cannot_be_changed(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (made, _) = key(&store, ada.id, 1).await;
    let rename = |id, only| {
        let update = KeyUpdate { name: Some(name("Mine now")), environment: None };
        store.update_key(id, update, only, change(2), |_, _| event(Action::KeyUpdated))
    };
    assert!(matches!(rename(made.id, Some(bob.id)).await, Err(Error::NotFound)));
    let unknown = KeyId::generate(at(0), &OsEntropy);
    assert!(matches!(rename(unknown, None).await, Err(Error::NotFound)));
    assert_eq!(store.find_key(made.id).await.unwrap().unwrap(), made);
    // What has ended may still be put in order.
    store.revoke_key(made.id, RevokedReason::User, None, change(3), event(Action::KeyRevoked)).await.unwrap();
    assert_eq!(rename(made.id, Some(ada.id)).await.unwrap().value.name, name("Mine now"));
    store.delete_account(ada.id, change(4), event(Action::AccountDeleted)).await.unwrap();
    assert!(matches!(rename(made.id, None).await, Err(Error::NotFound)), "nothing of it is left to name");
}
