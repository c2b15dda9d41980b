//! Single-use links and what they open.

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::Action;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::link::LinkKind;
use rndrkit_store::{Error, NewLink, NewSession, NewUser, SessionSeed, Store};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{
    account, at, change, digest, event, event_of, new_account, new_user, open, seed, tamper,
};

on_both_databases!(
    looking_at_a_link_does_not_use_it_up,
    the_first_account_link_works_once_and_is_replaced,
    an_invite_lets_a_person_join,
    a_taken_address_leaves_the_invite_unused,
    a_reset_sets_the_password_and_ends_other_sessions,
    a_sign_in_link_opens_the_dashboard_once,
    links_of_another_kind_or_past_their_end_are_refused,
    a_link_names_users_of_its_own_account_only,
    links_to_a_deleted_account_are_gone,
);

fn link_to(account: &Account, kind: LinkKind) -> NewLink {
    NewLink {
        digest: digest(),
        kind,
        account_id: account.id,
        user_id: None,
        return_to: Some("/settings#api-keys".to_owned()),
        expires_at: at(100),
    }
}

async fn insert(store: &Store, link: NewLink) -> Digest {
    let digest = link.digest;
    let event = event_of(link.account_id, Action::LinkCreated);
    store.insert_link(link, change(1), event).await.unwrap();
    digest
}

/// An account with a user who is signed in.
async fn signed_up(store: &Store, label: &str) -> (Account, NewUser, SessionSeed) {
    let (new, user, session) = (new_account(label), new_user(label), seed(900));
    let events = vec![event_of(new.id, Action::AccountCreated)];
    let made = store.sign_up(None, new, user.clone(), session.clone(), change(1), events).await.unwrap();
    (made.value, user, session)
}

async fn looking_at_a_link_does_not_use_it_up(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let link = insert(&store, link_to(&owner, LinkKind::Invite)).await;
    for _ in 0..2 {
        let found = store.find_link(link, at(99)).await.unwrap().unwrap();
        assert_eq!((found.kind, found.account_id), (LinkKind::Invite, Some(owner.id)));
        assert_eq!((found.return_to.as_deref(), found.expires_at), (Some("/settings#api-keys"), at(100)));
    }
    assert_eq!(store.find_link(link, at(100)).await.unwrap(), None);
    assert_eq!(store.find_link(digest(), at(1)).await.unwrap(), None);
}

async fn the_first_account_link_works_once_and_is_replaced(database: &TestDatabase) {
    let store = open(database).await;
    let (old, new) = (digest(), digest());
    store.replace_first_account_link(old, at(100), change(1)).await.unwrap();
    store.replace_first_account_link(new, at(100), change(2)).await.unwrap();
    let sign_up = |link, label: &str| {
        let events = vec![event(Action::AccountCreated)];
        store.sign_up(Some(link), new_account(label), new_user(label), seed(900), change(3), events)
    };
    assert!(matches!(sign_up(old, "ada").await, Err(Error::LinkInvalid)));
    assert!(!store.has_users().await.unwrap());
    let made = sign_up(new, "ada").await.unwrap();
    assert_eq!(made.number, store.feed_head().await.unwrap().number);
    assert!(store.has_users().await.unwrap());
    assert!(matches!(sign_up(new, "bob").await, Err(Error::LinkInvalid)));
    assert_eq!(store.find_link(new, at(4)).await.unwrap(), None);
    assert_eq!(store.list_users(made.value.id).await.unwrap().len(), 1);
}

async fn an_invite_lets_a_person_join(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let link = insert(&store, link_to(&owner, LinkKind::Invite)).await;
    let (user, session) = (new_user("ada"), seed(900));
    let events = vec![event_of(owner.id, Action::UserCreated)];
    let opened = store.accept_invite(link, user.clone(), session.clone(), change(2), events).await.unwrap();
    assert_eq!((opened.account_id, opened.user_id), (owner.id, Some(user.id)));
    assert_eq!(opened.return_to.as_deref(), Some("/settings#api-keys"));
    let running = store.find_session(session.digest, at(3)).await.unwrap().unwrap();
    assert_eq!((running.account.id, running.user.unwrap().id), (owner.id, user.id));
    let (found, hash) = store.find_user_by_email(&user.email).await.unwrap().unwrap();
    assert_eq!((found.id, found.account_id, found.created_at), (user.id, owner.id, at(2)));
    assert_eq!(hash, user.password_hash);
    let again = store.accept_invite(link, new_user("bob"), seed(900), change(3), Vec::new()).await;
    assert!(matches!(again, Err(Error::LinkInvalid)));
}

async fn a_taken_address_leaves_the_invite_unused(database: &TestDatabase) {
    let store = open(database).await;
    signed_up(&store, "ada").await;
    let owner = account(&store, "bob").await;
    let link = insert(&store, link_to(&owner, LinkKind::Invite)).await;
    let taken = store.accept_invite(link, new_user("ada"), seed(900), change(2), Vec::new()).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    assert!(store.accept_invite(link, new_user("bob"), seed(900), change(3), Vec::new()).await.is_ok());
}

async fn a_reset_sets_the_password_and_ends_other_sessions(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, session) = signed_up(&store, "ada").await;
    let reset = || NewLink { user_id: Some(user.id), ..link_to(&owner, LinkKind::PasswordReset) };
    let (link, other_link) = (insert(&store, reset()).await, insert(&store, reset()).await);
    let fresh = seed(900);
    let event = event_of(owner.id, Action::UserPasswordReset);
    let opened =
        store.reset_password(link, "new hash", fresh.clone(), change(3), event.clone()).await.unwrap();
    assert_eq!((opened.account_id, opened.user_id), (owner.id, Some(user.id)));
    assert_eq!(store.find_user_by_email(&user.email).await.unwrap().unwrap().1, "new hash");
    assert_eq!(store.find_session(session.digest, at(4)).await.unwrap(), None);
    assert!(store.find_session(fresh.digest, at(4)).await.unwrap().is_some());
    for used in [link, other_link] {
        let again = store.reset_password(used, "newer hash", seed(900), change(4), event.clone()).await;
        assert!(matches!(again, Err(Error::LinkInvalid)));
    }
}

async fn a_sign_in_link_opens_the_dashboard_once(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let link = insert(&store, link_to(&owner, LinkKind::SignIn)).await;
    let session = seed(900);
    let use_it =
        |seed| store.sign_in_by_link(link, seed, change(2), event_of(owner.id, Action::UserSignedIn));
    let opened = use_it(session.clone()).await.unwrap();
    assert_eq!((opened.account_id, opened.user_id), (owner.id, None));
    let running = store.find_session(session.digest, at(3)).await.unwrap().unwrap();
    assert_eq!((running.account.id, running.user), (owner.id, None));
    let refused = seed(900);
    assert!(matches!(use_it(refused.clone()).await, Err(Error::LinkInvalid)));
    assert_eq!(store.find_session(refused.digest, at(3)).await.unwrap(), None);
}

async fn links_of_another_kind_or_past_their_end_are_refused(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let invite = insert(&store, link_to(&owner, LinkKind::Invite)).await;
    let event = || event_of(owner.id, Action::UserSignedIn);
    let result = store.sign_in_by_link(invite, seed(900), change(2), event()).await;
    assert!(matches!(result, Err(Error::LinkInvalid)));
    let result = store.reset_password(invite, "hash", seed(900), change(2), event()).await;
    assert!(matches!(result, Err(Error::LinkInvalid)));
    let result =
        store.sign_up(Some(invite), new_account("b"), new_user("b"), seed(9), change(2), vec![]).await;
    assert!(matches!(result, Err(Error::LinkInvalid)));
    let late = insert(&store, link_to(&owner, LinkKind::SignIn)).await;
    let result = store.sign_in_by_link(late, seed(900), change(100), event()).await;
    assert!(matches!(result, Err(Error::LinkInvalid)));
    assert!(store.sign_in_by_link(late, seed(900), change(99), event()).await.is_ok());
}

async fn a_link_names_users_of_its_own_account_only(database: &TestDatabase) {
    let store = open(database).await;
    let (_, stranger, _) = signed_up(&store, "ada").await;
    let owner = account(&store, "bob").await;
    let link = NewLink { user_id: Some(stranger.id), ..link_to(&owner, LinkKind::PasswordReset) };
    let result = store.insert_link(link, change(2), event(Action::LinkCreated)).await;
    assert!(matches!(result, Err(Error::NotFound)), "{result:?}");
}

async fn links_to_a_deleted_account_are_gone(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let link = insert(&store, link_to(&owner, LinkKind::SignIn)).await;
    store.delete_account(owner.id, change(2), event(Action::AccountDeleted)).await.unwrap();
    assert_eq!(tamper(database, "UPDATE links SET used_at = NULL").await, 0);
    let event = || event(Action::UserSignedIn);
    let result = store.sign_in_by_link(link, seed(900), change(3), event()).await;
    assert!(matches!(result, Err(Error::LinkInvalid)));
    let result = store.insert_link(link_to(&owner, LinkKind::SignIn), change(3), event()).await;
    assert!(matches!(result, Err(Error::NotFound)));
    let session = NewSession { seed: seed(900), account_id: owner.id, user_id: None };
    let result = store.insert_session(session, None, change(3), event()).await;
    assert!(matches!(result, Err(Error::NotFound)));
}
