//! What guards a person's own access: password, address, sessions, and the places they sign in from.

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::{Action, NewEvent, Target};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::link::LinkKind;
use rndrkit_domain::place::Place;
use rndrkit_store::{
    EndSession, EndSessions, Error, NewLink, NewSession, NewUser, Proven, SessionSeed, Store,
};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{
    account, at, behind, change, digest, event, event_of, new_account, new_user, open, seed,
};
use crate::opening::text_of;
use crate::outbox::{claim_all, open_with_mail};

on_both_databases!(
    a_changed_password_ends_all_other_sessions_and_voids_links,
    a_session_that_has_ended_changes_no_password,
    a_password_that_was_changed_meanwhile_is_not_changed_again,
    a_sign_in_with_a_password_that_was_changed_meanwhile_opens_nothing,
    people_see_their_own_sessions_and_those_that_a_link_opened,
    signing_out_everywhere_leaves_other_people_and_the_asker,
    one_session_is_ended_only_by_whose_it_is,
    of_two_browsers_that_end_each_other_one_is_out,
    a_new_password_is_told_to_its_owner_and_so_is_the_new_place_that_it_came_from,
    the_first_place_is_not_new_and_another_one_is_once,
    places_are_bounded_and_go_with_the_account,
);

/// An account with a user who is signed in.
pub(crate) async fn signed_up(store: &Store, label: &str) -> (Account, NewUser, Digest) {
    let (new, user, session) = (new_account(label), new_user(label), seed(9_000));
    let events = vec![event_of(new.id, Action::AccountCreated)];
    let made = store.sign_up(None, new, user.clone(), session.clone(), change(1), events).await.unwrap();
    (made.value, user, session.digest)
}

/// One more browser of somebody, or of nobody in particular.
async fn browser(store: &Store, owner: &Account, user: Option<&NewUser>) -> Digest {
    let session = NewSession { seed: seed(9_000), account_id: owner.id, user_id: user.map(|user| user.id) };
    let cookie = session.seed.digest;
    store.insert_session(session, None, change(2), event(Action::UserSignedIn)).await.unwrap();
    cookie
}

async fn runs(store: &Store, session: Digest) -> bool {
    store.find_session(session, at(9)).await.unwrap().is_some()
}

/// What this person has proven with the password that they began with.
pub(crate) fn proven<'a>(owner: &Account, user: &'a NewUser, session: Digest) -> Proven<'a> {
    Proven { account_id: owner.id, user_id: user.id, session, hash: &user.password_hash }
}

pub(crate) async fn change_password(
    store: &Store,
    proven: Proven<'_>,
    new_hash: &str,
    seed: SessionSeed,
) -> Result<(), Error> {
    let event = event_of(proven.account_id, Action::UserPasswordChanged);
    store.change_password(proven, new_hash, seed, change(3), event).await
}

async fn a_changed_password_ends_all_other_sessions_and_voids_links(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let (other, by_link) = (browser(&store, &owner, Some(&user)).await, browser(&store, &owner, None).await);
    let link = NewLink {
        digest: digest(),
        kind: LinkKind::PasswordReset,
        account_id: owner.id,
        user_id: Some(user.id),
        return_to: None,
        expires_at: at(9_000),
    };
    let reset = link.digest;
    store.insert_link(link, change(2), event(Action::LinkCreated)).await.unwrap();
    let fresh = seed(9_000);
    change_password(&store, proven(&owner, &user, asking), "new hash", fresh.clone()).await.unwrap();
    assert_eq!(store.find_password_hash(user.id).await.unwrap().as_deref(), Some("new hash"));
    assert!(!runs(&store, asking).await, "the cookie that asked may be known to somebody");
    assert!(!runs(&store, other).await);
    assert!(runs(&store, fresh.digest).await);
    assert!(runs(&store, by_link).await, "it was opened without the password");
    assert_eq!(store.find_link(reset, at(4)).await.unwrap(), None);
    let last = &store.list_events(Some(owner.id), 1, None).await.unwrap().items[0].1;
    assert_eq!(last.action, "user.password_changed");
}

async fn a_session_that_has_ended_changes_no_password(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let by_link = browser(&store, &owner, None).await;
    store.delete_session(asking, change(2), None).await.unwrap();
    for session in [asking, by_link, digest()] {
        let result = change_password(&store, proven(&owner, &user, session), "new", seed(9_000)).await;
        assert!(matches!(result, Err(Error::NotFound)), "{result:?}");
    }
    assert_eq!(store.find_password_hash(user.id).await.unwrap(), Some(user.password_hash.clone()));
    assert!(runs(&store, by_link).await, "a refusal changes nothing");
}

async fn a_password_that_was_changed_meanwhile_is_not_changed_again(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, first) = signed_up(&store, "ada").await;
    let second = browser(&store, &owner, Some(&user)).await;
    let asked = |session, hash: &'static str, seed| {
        let (store, owner, user) = (store.clone(), owner.clone(), user.clone());
        async move { change_password(&store, proven(&owner, &user, session), hash, seed).await }
    };
    let seeds = [seed(9_000), seed(9_000)];
    let (one, two) =
        tokio::join!(asked(first, "hash one", seeds[0].clone()), asked(second, "hash two", seeds[1].clone()));
    assert_eq!([&one, &two].iter().filter(|result| result.is_ok()).count(), 1, "{one:?} {two:?}");
    let (won, lost) = if one.is_ok() { (0, 1) } else { (1, 0) };
    assert!(runs(&store, seeds[won].digest).await && !runs(&store, seeds[lost].digest).await);
    let hash = store.find_password_hash(user.id).await.unwrap().unwrap();
    assert_eq!(hash, ["hash one", "hash two"][won]);
}

async fn a_sign_in_with_a_password_that_was_changed_meanwhile_opens_nothing(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let sign_in = |hash: String| {
        let session = NewSession { seed: seed(9_000), account_id: owner.id, user_id: Some(user.id) };
        let (store, cookie) = (store.clone(), session.seed.digest);
        async move {
            let event = event(Action::UserSignedIn);
            store.insert_session(session, Some(&hash), change(2), event).await.map(|()| cookie)
        }
    };
    // Whichever comes first: no session of the old password is left.
    let (signed_in, changed) = tokio::join!(
        sign_in(user.password_hash.clone()),
        change_password(&store, proven(&owner, &user, asking), "new hash", seed(9_000))
    );
    changed.unwrap();
    match signed_in {
        Ok(cookie) => assert!(!runs(&store, cookie).await),
        Err(error) => assert!(matches!(error, Error::PasswordChanged), "{error:?}"),
    }
    let late = sign_in(user.password_hash.clone()).await;
    assert!(matches!(late, Err(Error::PasswordChanged)), "{late:?}");
    assert!(runs(&store, sign_in("new hash".to_owned()).await.unwrap()).await);
}

async fn people_see_their_own_sessions_and_those_that_a_link_opened(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, ada, first) = signed_up(&store, "ada").await;
    signed_up(&store, "eve").await;
    let link = NewLink {
        digest: digest(),
        kind: LinkKind::Invite,
        account_id: owner.id,
        user_id: None,
        return_to: None,
        expires_at: at(9_000),
    };
    let (invite, bob, of_bob) = (link.digest, new_user("bob"), seed(9_000));
    store.insert_link(link, change(2), event(Action::LinkCreated)).await.unwrap();
    store.accept_invite(invite, bob.clone(), of_bob.clone(), change(2), Vec::new()).await.unwrap();
    let (second, by_link) = (browser(&store, &owner, Some(&ada)).await, browser(&store, &owner, None).await);
    store.touch_session(first, at(60)).await.unwrap();
    let list = async |user: Option<&NewUser>, now, seen_after| {
        let user_id = user.map(|user| user.id);
        let listed = store.list_sessions(owner.id, user_id, at(now), at(seen_after)).await.unwrap();
        let mut digests: Vec<_> = listed.iter().map(|session| session.digest).collect();
        assert!(digests.first().is_none_or(|newest| user != Some(&ada) || *newest == first));
        digests.sort_unstable_by_key(|digest| digest.0);
        digests
    };
    let sorted = |mut digests: Vec<Digest>| {
        digests.sort_unstable_by_key(|digest| digest.0);
        digests
    };
    assert_eq!(list(Some(&ada), 70, 0).await, sorted(vec![first, second, by_link]));
    assert_eq!(list(Some(&bob), 70, 0).await, sorted(vec![of_bob.digest, by_link]));
    assert_eq!(list(None, 70, 0).await, [by_link]);
    assert_eq!(list(Some(&ada), 70, 2).await, [first], "the others were not seen lately");
    assert_eq!(list(Some(&ada), 9_000, 0).await, [], "all have reached their end");
    let listed = store.list_sessions(owner.id, Some(ada.id), at(70), at(0)).await.unwrap();
    assert_eq!(
        (listed[0].user_id, listed[0].created_at, listed[0].last_seen_at),
        (Some(ada.id), at(1), at(60))
    );
    assert_eq!(listed[0].ip.as_deref(), Some("2001:db8::1"));
    assert_eq!(listed[0].user_agent.as_deref(), Some("Firefox"));
}

async fn signing_out_everywhere_leaves_other_people_and_the_asker(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let (_, _, elsewhere) = signed_up(&store, "eve").await;
    let (other, by_link) = (browser(&store, &owner, Some(&user)).await, browser(&store, &owner, None).await);
    let end = async |asking, this_too| {
        let which = EndSessions { account_id: owner.id, user_id: Some(user.id), asking, this_too };
        let event = |count| {
            let mut event = event_of(owner.id, Action::UserSignedOutEverywhere);
            event.details = vec![("sessions", format!("{count}"))];
            event
        };
        store.end_sessions(which, change(3), event).await
    };
    assert_eq!(end(asking, false).await.unwrap(), 2);
    assert!(runs(&store, asking).await && runs(&store, elsewhere).await);
    assert!(!runs(&store, other).await && !runs(&store, by_link).await);
    assert!(matches!(end(other, false).await, Err(Error::NotFound)), "it is out itself");
    assert!(runs(&store, asking).await);
    assert_eq!(end(asking, false).await.unwrap(), 0);
    assert_eq!(end(asking, true).await.unwrap(), 1);
    assert!(!runs(&store, asking).await && runs(&store, elsewhere).await);
    let events = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    let counts: Vec<_> = events
        .iter()
        .filter(|(_, event)| event.action == "user.signed_out_everywhere")
        .map(|(_, event)| event.details[0].1.as_str())
        .collect();
    assert_eq!(counts, ["1", "2"], "nothing is reported when nothing was ended");
}

async fn one_session_is_ended_only_by_whose_it_is(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, mine) = signed_up(&store, "ada").await;
    let (other_owner, other_user, theirs) = signed_up(&store, "eve").await;
    let by_link = browser(&store, &owner, None).await;
    let end = async |asking, owner: &Account, user: Option<&NewUser>, ended| {
        let event = event_of(owner.id, Action::UserSessionEnded);
        let which = EndSession { account_id: owner.id, user_id: user.map(|user| user.id), asking, ended };
        store.end_session(which, change(3), event).await
    };
    assert!(!end(mine, &owner, Some(&user), theirs).await.unwrap());
    assert!(!end(mine, &owner, Some(&other_user), theirs).await.unwrap());
    assert!(!end(theirs, &other_owner, Some(&user), mine).await.unwrap());
    let by_stranger = end(theirs, &owner, Some(&user), mine).await;
    assert!(matches!(by_stranger, Err(Error::NotFound)), "{by_stranger:?}");
    let by_nobody = end(by_link, &owner, None, mine).await;
    assert!(!by_nobody.unwrap(), "a session of a link ends no session of a person");
    assert!(runs(&store, mine).await && runs(&store, theirs).await);
    assert!(end(mine, &owner, Some(&user), by_link).await.unwrap());
    assert!(!end(mine, &owner, Some(&user), by_link).await.unwrap());
    assert!(end(mine, &owner, Some(&user), mine).await.unwrap());
    let late = end(mine, &owner, Some(&user), mine).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    let events = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    assert_eq!(events.iter().filter(|(_, event)| event.action == "user.session_ended").count(), 2);
}

async fn of_two_browsers_that_end_each_other_one_is_out(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, first) = signed_up(&store, "ada").await;
    let second = browser(&store, &owner, Some(&user)).await;
    let end = |asking, ended| {
        let which = EndSession { account_id: owner.id, user_id: Some(user.id), asking, ended };
        store.end_session(which, change(3), event_of(owner.id, Action::UserSessionEnded))
    };
    let (one, two) = tokio::join!(end(first, second), end(second, first));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert!(matches!((&won, &lost), (Ok(true), Err(Error::NotFound))), "{won:?} {lost:?}");
    assert_ne!(runs(&store, first).await, runs(&store, second).await);
}

async fn a_new_password_is_told_to_its_owner_and_so_is_the_new_place_that_it_came_from(
    database: &TestDatabase,
) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let told = async || {
        let mails = claim_all(&store, 9).await;
        let mut kinds: Vec<_> = mails
            .iter()
            .map(|mail| {
                assert_eq!(mail.recipient, "ada@example.com");
                mail.kind.unwrap().as_str()
            })
            .collect();
        kinds.sort_unstable();
        kinds
    };
    let at_place = |network: u8| {
        let place = Place::of(Some([10, 0, network, 1].into()), Some("Firefox"));
        SessionSeed { place, ..seed(9_000) }
    };
    let event = |action| {
        let target = Target { kind: "user", id: user.id.to_string() };
        NewEvent { target, details: Vec::new(), ..event_of(owner.id, action) }
    };
    let reset = async |seed: SessionSeed, second| {
        let link = NewLink {
            digest: digest(),
            kind: LinkKind::PasswordReset,
            account_id: owner.id,
            user_id: Some(user.id),
            return_to: None,
            expires_at: at(9_000),
        };
        let text = link.digest;
        store.insert_link(link, change(2), event(Action::LinkCreated)).await.unwrap();
        let event = event(Action::UserPasswordReset);
        store.reset_password(text, "hash two", seed, change(second), event).await.unwrap();
    };
    let seed = at_place(1);
    let known = seed.digest;
    let changed = event(Action::UserPasswordChanged);
    store.change_password(proven(&owner, &user, asking), "hash one", seed, change(3), changed).await.unwrap();
    assert_eq!(told().await, ["new_place", "password_changed"]);
    reset(at_place(1), 4).await;
    assert_eq!(told().await, ["password_changed"], "from there the password was changed before");
    assert!(!runs(&store, known).await);
    reset(at_place(2), 5).await;
    assert_eq!(told().await, ["new_place", "password_changed"]);
    let last = &store.list_events(Some(owner.id), 1, None).await.unwrap().items[0].1;
    assert_eq!(last.action, "user.password_reset");
    assert_eq!(last.details, [("new_place".to_owned(), "yes".to_owned())]);
}

async fn the_first_place_is_not_new_and_another_one_is_once(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, _) = signed_up(&store, "ada").await;
    let sign_in = async |ip: &str, agent: &str, seconds| {
        let place = Place::of(Some(ip.parse().unwrap()), Some(agent));
        let seed = SessionSeed { place, ..seed(9_000) };
        let session = NewSession { seed, account_id: owner.id, user_id: Some(user.id) };
        let mut event = event_of(owner.id, Action::UserSignedIn);
        event.details.clear();
        store.insert_session(session, None, change(seconds), event).await.unwrap();
        store.list_events(Some(owner.id), 1, None).await.unwrap().items[0].1.details.clone()
    };
    let new = [("new_place".to_owned(), "yes".to_owned())];
    assert_eq!(sign_in("2001:db8::2", "Firefox", 2).await, [], "the network and browser of the sign-up");
    assert_eq!(sign_in("198.51.100.1", "Firefox", 3).await, new);
    assert_eq!(sign_in("198.51.100.200", "Firefox", 4).await, []);
    assert_eq!(sign_in("198.51.100.1", "curl", 5).await, new);
    assert_eq!(sign_in("2001:db8::1", "Firefox", 1).await, [], "it is still known");
}

async fn places_are_bounded_and_go_with_the_account(database: &TestDatabase) {
    let store = open(database).await;
    let (owner, user, _) = signed_up(&store, "ada").await;
    for network in 0..60_u8 {
        let place = Place::of(Some([10, 0, network, 1].into()), None);
        let seed = SessionSeed { place, ..seed(9_000) };
        let session = NewSession { seed, account_id: owner.id, user_id: Some(user.id) };
        let event = event(Action::UserSignedIn);
        store.insert_session(session, None, change(10 + u64::from(network)), event).await.unwrap();
    }
    let places = "SELECT place FROM known_places ORDER BY last_at DESC";
    let known = text_of(&behind(database).await, places).await;
    assert_eq!(known.len(), 50);
    assert!(known[0].starts_with("10.0.59.0/24"), "{known:?}");
    store.delete_account(owner.id, change(99), event(Action::AccountDeleted)).await.unwrap();
    assert_eq!(text_of(&behind(database).await, places).await, [""; 0]);
    account(&store, "bob").await;
}
