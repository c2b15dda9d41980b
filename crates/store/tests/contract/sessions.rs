//! Sessions: found while they run, moved forwards, ended once.

use rndrkit_domain::audit::Action;
use rndrkit_store::NewSession;
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, digest, event, event_of, new_account, new_user, open, seed};

on_both_databases!(
    a_session_shows_account_and_user_until_it_ends,
    using_a_session_moves_it_forwards_only,
    ending_a_session_is_reported_once,
    sessions_that_go_on_are_counted,
    users_of_an_account_are_listed_oldest_first,
);

async fn a_session_shows_account_and_user_until_it_ends(database: &TestDatabase) {
    let store = open(database).await;
    let (new, user) = (new_account("ada"), new_user("ada"));
    let events = vec![event_of(new.id, Action::AccountCreated)];
    let made = store.sign_up(None, new, user.clone(), seed(50), change(1), events).await.unwrap().value;
    let session = NewSession { seed: seed(100), account_id: made.id, user_id: Some(user.id) };
    let cookie = session.seed.digest;
    store.insert_session(session, None, change(2), event_of(made.id, Action::UserSignedIn)).await.unwrap();
    let found = store.find_session(cookie, at(99)).await.unwrap().unwrap();
    assert_eq!(found.account, store.find_account(made.id, at(99)).await.unwrap().unwrap());
    let signed_in = found.user.unwrap();
    assert_eq!((signed_in.id, signed_in.email, signed_in.account_id), (user.id, user.email, made.id));
    assert_eq!((found.created_at, found.last_seen_at, found.expires_at), (at(2), at(2), at(100)));
    assert_eq!(store.find_session(cookie, at(100)).await.unwrap(), None);
    assert_eq!(store.find_session(digest(), at(3)).await.unwrap(), None);
    assert_eq!(store.list_events(Some(made.id), 1, None).await.unwrap().items[0].1.action, "user.signed_in");
}

async fn using_a_session_moves_it_forwards_only(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let session = NewSession { seed: seed(100), account_id: owner.id, user_id: None };
    let cookie = session.seed.digest;
    store.insert_session(session, None, change(2), event(Action::UserSignedIn)).await.unwrap();
    let seen = || async {
        let found = store.find_session(cookie, at(3)).await.unwrap().unwrap();
        (found.last_seen_at, found.expires_at)
    };
    store.touch_session(cookie, at(60)).await.unwrap();
    assert_eq!(seen().await, (at(60), at(100)), "its end stays where it is");
    store.touch_session(cookie, at(55)).await.unwrap();
    assert_eq!(seen().await, (at(60), at(100)));
}

async fn ending_a_session_is_reported_once(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let session = NewSession { seed: seed(100), account_id: owner.id, user_id: None };
    let cookie = session.seed.digest;
    store.insert_session(session, None, change(2), event_of(owner.id, Action::UserSignedIn)).await.unwrap();
    let end = || store.delete_session(cookie, change(3), Some(event_of(owner.id, Action::UserSignedOut)));
    assert!(end().await.unwrap());
    assert!(!end().await.unwrap());
    assert_eq!(store.find_session(cookie, at(4)).await.unwrap(), None);
    let events = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    assert_eq!(events.iter().filter(|(_, event)| event.action == "user.signed_out").count(), 1);
}

async fn sessions_that_go_on_are_counted(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for (begun, end) in [(2, 50), (2, 100), (30, 100)] {
        let session = NewSession { seed: seed(end), account_id: owner.id, user_id: None };
        store.insert_session(session, None, change(begun), event(Action::UserSignedIn)).await.unwrap();
    }
    let count = async |now, seen_after| store.count_sessions(at(now), at(seen_after)).await.unwrap();
    assert_eq!(count(49, 1).await, 3);
    assert_eq!(count(50, 1).await, 2, "one has reached its end");
    assert_eq!(count(50, 2).await, 1, "another was not seen lately");
    assert_eq!(count(100, 1).await, 0);
}

async fn users_of_an_account_are_listed_oldest_first(database: &TestDatabase) {
    let store = open(database).await;
    assert!(!store.has_users().await.unwrap());
    let (new, first) = (new_account("ada"), new_user("ada"));
    let made = store
        .sign_up(None, new, first.clone(), seed(50), change(1), vec![event(Action::AccountCreated)])
        .await
        .unwrap()
        .value;
    let link = rndrkit_store::NewLink {
        digest: digest(),
        kind: rndrkit_domain::link::LinkKind::Invite,
        account_id: made.id,
        user_id: None,
        return_to: None,
        expires_at: at(99),
    };
    let invite = link.digest;
    store.insert_link(link, change(2), event(Action::LinkCreated)).await.unwrap();
    let second = new_user("bob");
    store.accept_invite(invite, second.clone(), seed(50), change(3), Vec::new()).await.unwrap();
    let users: Vec<_> = store.list_users(made.id).await.unwrap().iter().map(|user| user.id).collect();
    assert_eq!(users, [first.id, second.id]);
    // The hash appears nowhere but in the table.
    assert!(!format!("{second:?}").contains(&second.password_hash));
}
