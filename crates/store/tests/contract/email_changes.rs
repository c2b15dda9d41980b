//! Changes of address: asked for only by who is still who they were, confirmed once, and bounded.

use rndrkit_domain::account::{Account, User};
use rndrkit_domain::audit::Action;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::mail::{MailContent, MailKind};
use rndrkit_domain::text::Email;
use rndrkit_store::{
    AccountUpdate, AskingLimit, ConfirmedEmail, EndSessions, Error, NewEmailChange, NewUser, Proven, Store,
};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::account_security::{change_password, proven, signed_up};
use crate::builders::{account, at, change, digest, email, event_of, name, seed};
use crate::outbox::{claim_all, open_with_mail};

on_both_databases!(
    a_password_that_was_changed_meanwhile_asks_for_no_address,
    whoever_was_signed_out_meanwhile_asks_for_no_address,
    nothing_that_the_old_password_asked_for_outlives_its_change,
    of_two_confirmations_at_once_one_changes_the_address,
    an_address_taken_meanwhile_is_not_taken_away_and_nothing_else_changes,
    whoever_follows_their_account_to_another_address_is_told_at_the_old_one,
    a_change_is_void_once_another_is_asked_for,
    a_link_is_mailed_while_it_waits_and_not_once_it_is_void,
    an_account_asks_strangers_a_few_times_an_hour_at_most,
    changes_that_have_ended_are_dropped_in_batches,
);

const NEW: &str = "ada@lovelace.example";

/// Asks for this address at this second; the link, which works for an hour.
async fn ask(store: &Store, proven: Proven<'_>, address: &str, seconds: u64) -> Result<Digest, Error> {
    let new = NewEmailChange { digest: digest(), email: email(address), expires_at: at(seconds + 3_600) };
    let link = new.digest;
    let limit = AskingLimit { times: 9, since: at(0) };
    let event = event_of(proven.account_id, Action::UserEmailChangeAsked);
    let url = "https://keys.example/confirm-email?link=x";
    store.ask_email_change(proven, new, url, limit, change(seconds), event).await.map(|()| link)
}

async fn confirm(store: &Store, link: Digest, seconds: u64) -> Result<ConfirmedEmail, Error> {
    let event = |user: &User, _| event_of(user.account_id, Action::UserEmailChanged);
    store.confirm_email_change(link, change(seconds), event).await
}

async fn waiting(store: &Store, user: &NewUser) -> Option<String> {
    let waiting = store.find_waiting_email_change(user.id, at(9)).await.unwrap();
    waiting.map(|waiting| waiting.email.to_string())
}

async fn a_password_that_was_changed_meanwhile_asks_for_no_address(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, first) = signed_up(&store, "ada").await;
    let fresh = seed(9_000);
    change_password(&store, proven(&owner, &user, first), "new hash", fresh.clone()).await.unwrap();
    claim_all(&store, 9).await;
    // The intruder's own session ended with the change. The owner's goes on, but not with the old password.
    for (session, ended) in [(first, true), (fresh.digest, false)] {
        let late = ask(&store, proven(&owner, &user, session), NEW, 4).await;
        match late {
            Err(Error::NotFound) if ended => {}
            Err(Error::PasswordChanged) if !ended => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waiting(&store, &user).await, None);
    assert_eq!(claim_all(&store, 9).await, [], "a refusal mails nothing");
    let current = Proven { hash: "new hash", ..proven(&owner, &user, fresh.digest) };
    ask(&store, current, NEW, 5).await.unwrap();
    assert_eq!(waiting(&store, &user).await.as_deref(), Some(NEW));
}

async fn whoever_was_signed_out_meanwhile_asks_for_no_address(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let (_, other, elsewhere) = signed_up(&store, "eve").await;
    let which = EndSessions { account_id: owner.id, user_id: Some(user.id), asking, this_too: true };
    let event = |_| event_of(owner.id, Action::UserSignedOutEverywhere);
    assert_eq!(store.end_sessions(which, change(3), event).await.unwrap(), 1);
    for session in [asking, elsewhere, digest()] {
        let late = ask(&store, proven(&owner, &user, session), NEW, 4).await;
        assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    }
    assert_eq!((waiting(&store, &user).await, waiting(&store, &other).await), (None, None));
    assert_eq!(claim_all(&store, 9).await, []);
}

async fn nothing_that_the_old_password_asked_for_outlives_its_change(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    // Whichever comes first: nothing waits once both have answered.
    let (asked, changed) = tokio::join!(
        ask(&store, proven(&owner, &user, asking), NEW, 3),
        change_password(&store, proven(&owner, &user, asking), "new hash", seed(9_000))
    );
    changed.unwrap();
    match asked {
        Ok(link) => assert_eq!(store.find_email_change(link, at(4)).await.unwrap(), None),
        Err(error) => assert!(matches!(error, Error::NotFound), "{error:?}"),
    }
    assert_eq!(waiting(&store, &user).await, None);
}

async fn of_two_confirmations_at_once_one_changes_the_address(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let link = ask(&store, proven(&owner, &user, asking), NEW, 2).await.unwrap();
    claim_all(&store, 9).await;
    let (one, two) = tokio::join!(confirm(&store, link, 3), confirm(&store, link, 3));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let won = won.unwrap();
    assert!(matches!(lost, Err(Error::LinkInvalid)), "{lost:?}");
    assert_eq!((won.user.id, won.user.email.as_str()), (user.id, NEW));
    assert!(won.account_too, "the account's own address was the same");
    let found = store.find_account(owner.id, at(4)).await.unwrap().unwrap();
    assert_eq!(found.email.as_str(), NEW);
    let mails = claim_all(&store, 9).await;
    let told: Vec<_> = mails.iter().map(|mail| (mail.kind.unwrap(), mail.recipient.as_str())).collect();
    assert_eq!(told, [(MailKind::EmailChanged, "ada@example.com")], "once, and to the old mailbox");
    let changed = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    assert_eq!(changed.iter().filter(|(_, event)| event.action == "user.email_changed").count(), 1);
}

async fn an_address_taken_meanwhile_is_not_taken_away_and_nothing_else_changes(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let link = ask(&store, proven(&owner, &user, asking), "bob@example.com", 2).await.unwrap();
    let (_, bob, _) = signed_up(&store, "bob").await;
    claim_all(&store, 9).await;
    let late = confirm(&store, link, 3).await;
    assert!(matches!(late, Err(Error::EmailTaken)), "{late:?}");
    let (found, _) = store.find_user_by_email(&email("bob@example.com")).await.unwrap().unwrap();
    assert_eq!(found.id, bob.id);
    let (found, _) = store.find_user_by_email(&email("ada@example.com")).await.unwrap().unwrap();
    assert_eq!(found.id, user.id);
    assert_eq!(claim_all(&store, 9).await, [], "what did not happen is not told");
    // Of an account only, which nobody has joined: that address is taken as well.
    account(&store, "carol").await;
    let link = ask(&store, proven(&owner, &user, asking), "carol@example.com", 4).await.unwrap();
    let mails = claim_all(&store, 9).await;
    assert!(mails.iter().any(|mail| mail.kind == Some(MailKind::EmailInUse)), "{mails:?}");
    let taken = confirm(&store, link, 5).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
}

async fn whoever_follows_their_account_to_another_address_is_told_at_the_old_one(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, _) = signed_up(&store, "ada").await;
    let update = async |email: Option<Email>, second| {
        let (name, id) = (Some(name(&format!("Northwind {second}"))), owner.id);
        let update = AccountUpdate { email, name, ..AccountUpdate::default() };
        let events = move |_: &Account, _: &Account, user: Option<&User>| {
            let mut events = vec![event_of(id, Action::AccountUpdated)];
            events.extend(user.map(|_| event_of(id, Action::UserEmailChanged)));
            events
        };
        store.update_account(id, update, change(second), events).await.unwrap();
        claim_all(&store, 9)
            .await
            .into_iter()
            .map(|mail| (mail.kind.unwrap(), mail.recipient))
            .collect::<Vec<_>>()
    };
    assert_eq!(update(None, 2).await, [], "another name is not another way in");
    let told = update(Some(email(NEW)), 3).await;
    assert_eq!(told, [(MailKind::EmailChanged, "ada@example.com".to_owned())]);
    let (found, _) = store.find_user_by_email(&email(NEW)).await.unwrap().unwrap();
    assert_eq!(found.id, user.id);
}

async fn a_change_is_void_once_another_is_asked_for(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let first = ask(&store, proven(&owner, &user, asking), NEW, 2).await.unwrap();
    let second = ask(&store, proven(&owner, &user, asking), "ada@elsewhere.example", 3).await.unwrap();
    assert!(matches!(confirm(&store, first, 4).await, Err(Error::LinkInvalid)));
    assert_eq!(waiting(&store, &user).await.as_deref(), Some("ada@elsewhere.example"));
    let late = confirm(&store, second, 3_603).await;
    assert!(matches!(late, Err(Error::LinkInvalid)), "at its end a link does not work any more: {late:?}");
    confirm(&store, second, 3_602).await.unwrap();
    assert_eq!(waiting(&store, &user).await, None);
}

async fn a_link_is_mailed_while_it_waits_and_not_once_it_is_void(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let link_of = async |seconds| {
        let mails = claim_all(&store, seconds).await;
        let confirming = mails.into_iter().filter(|mail| mail.kind == Some(MailKind::EmailConfirmation));
        confirming.map(|mail| mail.content).collect::<Vec<_>>()
    };
    ask(&store, proven(&owner, &user, asking), NEW, 2).await.unwrap();
    let url = "https://keys.example/confirm-email?link=x".to_owned();
    let link = MailContent::Link { url, works_until: at(3_602) };
    assert_eq!(link_of(2).await, [link]);
    // Not handed over, so it is due again; by then another one was asked for.
    ask(&store, proven(&owner, &user, asking), "ada@elsewhere.example", 3).await.unwrap();
    let user_of = User { id: user.id, account_id: owner.id, email: user.email.clone(), created_at: at(1) };
    assert_eq!(link_of(302).await.len(), 2);
    store.cancel_email_change(&user_of, change(303)).await.unwrap();
    assert_eq!(link_of(602).await, [MailContent::Gone, MailContent::Gone]);
}

async fn an_account_asks_strangers_a_few_times_an_hour_at_most(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    for second in 2..7 {
        ask(&store, proven(&owner, &user, asking), &format!("ada{second}@lovelace.example"), second)
            .await
            .unwrap();
    }
    let one_more = ask(&store, proven(&owner, &user, asking), NEW, 8).await;
    assert!(matches!(one_more, Err(Error::TooManyEmailChanges)), "{one_more:?}");
    let last = Some("ada6@lovelace.example");
    assert_eq!(waiting(&store, &user).await.as_deref(), last, "a refusal voids nothing");
}

async fn changes_that_have_ended_are_dropped_in_batches(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (owner, user, asking) = signed_up(&store, "ada").await;
    let ask_at = async |second| {
        let owner: &Account = &owner;
        ask(&store, proven(owner, &user, asking), NEW, second).await.unwrap()
    };
    let (first, replaced, kept) = (ask_at(2).await, ask_at(3).await, ask_at(10).await);
    let now = at(3_605);
    assert_eq!(store.prune_email_changes(now, 1).await.unwrap(), 1);
    assert_eq!(store.prune_email_changes(now, 9).await.unwrap(), 1, "the one that works goes on");
    assert_eq!(store.prune_email_changes(now, 9).await.unwrap(), 0);
    for link in [first, replaced] {
        assert_eq!(store.find_email_change(link, at(4)).await.unwrap(), None);
    }
    assert!(store.find_email_change(kept, now).await.unwrap().is_some());
}
