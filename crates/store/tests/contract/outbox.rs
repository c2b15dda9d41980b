//! Mail is put aside with the event that it tells of, sent by one at a time, and forgotten with the account.

use std::time::Duration;

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::{Action, NewEvent, Target};
use rndrkit_domain::mail::{DueMail, MailContent, MailKind};
use rndrkit_domain::notification::{NEW_PLACE, NEW_PLACE_YES, NotificationKind};
use rndrkit_domain::time::Timestamp;
use rndrkit_store::{NewSession, OpenOptions, Store};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{
    account, at, change, event, event_of, key, new_account, new_key, new_user, open, plans, seed, tamper,
};

on_both_databases!(
    an_event_becomes_one_mail_for_each_person,
    an_account_that_nobody_has_joined_is_told_at_its_own_address,
    what_is_not_wanted_is_not_put_aside,
    without_mail_nothing_is_put_aside,
    a_change_that_fails_leaves_no_mail,
    a_sign_in_from_a_new_place_is_told_to_that_person_alone,
    of_many_who_look_each_takes_another_mail,
    a_mail_that_nobody_marked_is_due_again_under_the_same_id,
    what_cannot_be_taken_for_good_is_not_taken,
    a_late_sender_cannot_undo_what_another_has_marked,
    nothing_of_an_accounts_mail_outlives_it,
    the_mail_of_an_hour_is_bounded,
    those_who_are_listed_are_those_who_are_mailed,
    what_cannot_be_read_is_taken_and_put_off_like_any_mail,
    old_mail_is_dropped,
);

/// A store of an installation that sends mail.
pub(crate) async fn open_with_mail(database: &TestDatabase) -> Store {
    let store = Store::open(&OpenOptions::new(database.url()).with_mail(true)).await.unwrap();
    store.sync_plans(&plans(), change(0), event(Action::PlansChanged)).await.unwrap();
    store
}

/// An account with a user of this name.
pub(crate) async fn joined(store: &Store, label: &str) -> Account {
    let events = vec![event(Action::UserCreated)];
    let signed_up = store.sign_up(None, new_account(label), new_user(label), seed(9_999), change(1), events);
    signed_up.await.unwrap().value
}

/// Takes all that is due at this second.
pub(crate) async fn claim_all(store: &Store, seconds: u64) -> Vec<DueMail> {
    let mut claimed = Vec::new();
    while let Some(mail) = store.claim_mail(at(seconds), at(seconds + 300)).await.unwrap() {
        claimed.push(mail);
    }
    claimed
}

async fn an_event_becomes_one_mail_for_each_person(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    tamper(
        database,
        &format!(
            "INSERT INTO users (id, account_id, email, password_hash, created_at)
             VALUES ('usr_00000000000000000000000000', '{}', 'bob@example.com', 'x', 7)",
            owner.id
        ),
    )
    .await;
    let new = new_key(owner.id);
    let mask = new.mask.to_string();
    let target = Target { kind: "key", id: new.id.to_string() };
    let event = NewEvent { target, ..event_of(owner.id, Action::KeyCreated) };
    let event_id = event.id.to_string();
    store.insert_key(new, None, change(5), event).await.unwrap();
    let mails = claim_all(&store, 5).await;
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.recipient.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["ada@example.com", "bob@example.com"]);
    for mail in &mails {
        assert!(mail.id.starts_with(&format!("{event_id}.usr_")), "{}", mail.id);
        assert_eq!((mail.kind, mail.attempts), (Some(MailKind::News(NotificationKind::KeyCreated)), 1));
        assert_eq!(mail.account_name, "ada");
        let MailContent::Event(told, Some(named)) = &mail.content else { panic!("{:?}", mail.content) };
        assert_eq!((told.id.to_string(), named.name.as_str()), (event_id.clone(), "CI/CD Pipeline"));
        assert_eq!(named.mask, mask);
    }
}

async fn an_account_that_nobody_has_joined_is_told_at_its_own_address(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = account(&store, "ada").await;
    key(&store, owner.id, 2).await;
    let mails = claim_all(&store, 2).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].recipient, "ada@example.com");
    assert!(mails[0].id.ends_with(&format!(".{}", owner.id)), "{}", mails[0].id);
}

async fn what_is_not_wanted_is_not_put_aside(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let wanted = [(NotificationKind::KeyCreated, false), (NotificationKind::WeeklySummary, true)];
    let switch = |second| {
        let event = event_of(owner.id, Action::NotificationsChanged);
        store.update_notifications(owner.id, &wanted, change(second), move |switched| {
            assert_eq!(switched, wanted);
            event
        })
    };
    assert!(switch(2).await.unwrap());
    assert!(!switch(3).await.unwrap(), "nothing is left to switch, and no event tells of it");
    let choices = store.notification_choices(owner.id).await.unwrap();
    for (kind, by_email) in choices {
        assert_eq!(by_email, kind != NotificationKind::KeyCreated, "{kind:?}");
    }
    key(&store, owner.id, 4).await;
    store.append_event(change(5), event_of(owner.id, Action::KeyRotated)).await.unwrap();
    let kinds: Vec<_> = claim_all(&store, 9).await.iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [Some(MailKind::News(NotificationKind::KeyRotated))]);
}

async fn without_mail_nothing_is_put_aside(database: &TestDatabase) {
    let store = open(database).await;
    let owner = joined(&store, "ada").await;
    key(&store, owner.id, 2).await;
    assert_eq!(store.mail_backlog().await.unwrap().waiting, 0);
    let later = open_with_mail(database).await;
    assert_eq!(claim_all(&later, 99).await, [], "no news of the time before");
}

async fn a_change_that_fails_leaves_no_mail(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    for second in 2..7 {
        key(&store, owner.id, second).await;
    }
    assert_eq!(claim_all(&store, 9).await.len(), 5);
    let one_more =
        store.insert_key(new_key(owner.id), None, change(8), event_of(owner.id, Action::KeyCreated));
    assert!(one_more.await.is_err(), "the plan allows five");
    assert_eq!(claim_all(&store, 9).await, []);
}

async fn a_sign_in_from_a_new_place_is_told_to_that_person_alone(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let user = store.list_users(owner.id).await.unwrap().remove(0);
    tamper(
        database,
        &format!(
            "INSERT INTO users (id, account_id, email, password_hash, created_at)
             VALUES ('usr_00000000000000000000000000', '{}', 'bob@example.com', 'x', 7)",
            owner.id
        ),
    )
    .await;
    for details in [Vec::new(), vec![(NEW_PLACE, NEW_PLACE_YES.to_owned())]] {
        let target = Target { kind: "user", id: user.id.to_string() };
        let event = NewEvent { target, details, ..event_of(owner.id, Action::UserSignedIn) };
        let session = NewSession { seed: seed(9_999), account_id: owner.id, user_id: Some(user.id) };
        store.insert_session(session, None, change(2), event).await.unwrap();
    }
    let mails = claim_all(&store, 2).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].kind, mails[0].recipient.as_str()),
        (Some(MailKind::News(NotificationKind::NewPlace)), "ada@example.com")
    );
}

async fn of_many_who_look_each_takes_another_mail(database: &TestDatabase) {
    const MAILS: usize = 40;
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    for _ in 0..MAILS {
        store.append_event(change(2), event_of(owner.id, Action::KeyRotated)).await.unwrap();
    }
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { claim_all(&store, 3).await })
        })
        .collect();
    let mut ids = Vec::new();
    for taker in takers {
        ids.extend(taker.await.unwrap().into_iter().map(|mail| mail.id));
    }
    // Who looks while another is about to commit may see nothing; the next look finds what is left.
    ids.extend(claim_all(&store, 3).await.into_iter().map(|mail| mail.id));
    assert_eq!(ids.len(), MAILS);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MAILS, "none was taken twice");
}

async fn a_mail_that_nobody_marked_is_due_again_under_the_same_id(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    key(&store, owner.id, 2).await;
    let first = store.claim_mail(at(2), at(302)).await.unwrap().unwrap();
    assert!(store.claim_mail(at(301), at(601)).await.unwrap().is_none(), "its sender may be at it");
    let second = store.claim_mail(at(302), at(602)).await.unwrap().unwrap();
    assert_eq!((second.id, second.attempts), (first.id, 2));
}

/// A full disk shows when a change is committed, after the statement gave its rows. So does a rule that is looked at
/// then.
async fn what_cannot_be_taken_for_good_is_not_taken(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    key(&store, owner.id, 2).await;
    for statement in late_rule(database.url()) {
        tamper(database, statement).await;
    }
    assert!(store.claim_mail(at(2), at(302)).await.is_err(), "it would be sent, and be due again at once");
    let is_sqlite = database.url().starts_with("sqlite:");
    tamper(database, if is_sqlite { "DROP TRIGGER late" } else { "DROP TRIGGER late ON outbox" }).await;
    assert_eq!(store.claim_mail(at(2), at(302)).await.unwrap().unwrap().attempts, 1);
}

/// That no change of the outbox can be committed.
fn late_rule(url: &str) -> &'static [&'static str] {
    if url.starts_with("sqlite:") {
        &[
            "CREATE TABLE homes (id INTEGER PRIMARY KEY)",
            "CREATE TABLE guests (home INTEGER REFERENCES homes (id) DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TRIGGER late AFTER UPDATE ON outbox BEGIN INSERT INTO guests VALUES (1); END",
        ]
    } else {
        &[
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'late'; END $$",
            "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON outbox DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION refuse()",
        ]
    }
}

async fn a_late_sender_cannot_undo_what_another_has_marked(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    key(&store, owner.id, 2).await;
    let late = store.claim_mail(at(2), at(302)).await.unwrap().unwrap();
    let second = store.claim_mail(at(302), at(602)).await.unwrap().unwrap();
    store.mark_mail_failed(&late, at(303), "late").await.unwrap();
    store.mark_mail_given_up(&late, at(303), "late").await.unwrap();
    assert!(store.claim_mail(at(601), at(901)).await.unwrap().is_none(), "the second has it still");
    store.mark_mail_sent(&second.id, at(400)).await.unwrap();
    store.mark_mail_failed(&second, at(401), "lost its answer").await.unwrap();
    assert_eq!(claim_all(&store, 9_999).await, []);
    assert_eq!(store.mail_backlog().await.unwrap().waiting, 0);
}

async fn nothing_of_an_accounts_mail_outlives_it(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (ada, bob) = (joined(&store, "ada").await, joined(&store, "bob").await);
    for owner in [&ada, &bob] {
        key(&store, owner.id, 2).await;
        let event = event_of(owner.id, Action::AccountLimitReached);
        assert!(store.tell_once(&owner.id.to_string(), owner.id, change(3), event).await.unwrap());
        let event = event_of(owner.id, Action::NotificationsChanged);
        let wanted = [(NotificationKind::KeyDeleted, false)];
        store.update_notifications(owner.id, &wanted, change(4), |_| event).await.unwrap();
    }
    store.delete_account(ada.id, change(5), event_of(ada.id, Action::AccountDeleted)).await.unwrap();
    let to: Vec<String> = claim_all(&store, 9).await.into_iter().map(|mail| mail.recipient).collect();
    assert_eq!(to, ["bob@example.com", "bob@example.com"]);
    for table in ["notification_settings", "told_once"] {
        let left = tamper(database, &format!("DELETE FROM {table} WHERE account_id = '{}'", ada.id)).await;
        assert_eq!(left, 0, "{table}");
    }
}

async fn the_mail_of_an_hour_is_bounded(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let tell = |seconds| {
        let event = NewEvent { at: at(seconds), ..event_of(owner.id, Action::KeyRotated) };
        store.append_event(change(seconds), event)
    };
    for _ in 0..120 {
        tell(10).await.unwrap();
    }
    assert_eq!(claim_all(&store, 10).await.len(), 100);
    let events = store.list_events(Some(owner.id), 1_000, None).await.unwrap();
    assert_eq!(events.items.len(), 120, "all are in the trail");
    tell(3_611).await.unwrap();
    assert_eq!(store.mail_backlog().await.unwrap().waiting, 101, "the next hour has its own");
}

async fn those_who_are_listed_are_those_who_are_mailed(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let nobody = account(&store, "nobody").await;
    let rows: Vec<String> = (0..60)
        .map(|n| {
            let (id, at) = (format!("usr_{n:026}"), at(2 + n % 7).unix_ms());
            format!("('{id}', '{}', 'p{n}@example.com', 'x', {at})", owner.id)
        })
        .collect();
    let insert = "INSERT INTO users (id, account_id, email, password_hash, created_at) VALUES";
    tamper(database, &format!("{insert} {}", rows.join(", "))).await;
    let sorted = |addresses: Vec<String>| {
        let mut addresses = addresses;
        addresses.sort_unstable();
        addresses
    };
    let listed = store.list_recipients(owner.id).await.unwrap();
    assert_eq!((listed.len(), listed[0].as_str()), (50, "ada@example.com"), "who joined first");
    let listed = sorted(listed.iter().map(ToString::to_string).collect());
    key(&store, owner.id, 20).await;
    let mailed = claim_all(&store, 20).await.into_iter().map(|mail| mail.recipient).collect();
    assert_eq!(sorted(mailed), listed);
    let week = store.write_summary(owner.id, (at(0), at(30)), change(31), event(Action::KeyCreated).id);
    assert!(week.await.unwrap());
    let mailed = claim_all(&store, 31).await.into_iter().map(|mail| mail.recipient).collect();
    assert_eq!(sorted(mailed), listed);
    assert_eq!(store.list_recipients(nobody.id).await.unwrap(), [nobody.email]);
    store.delete_account(owner.id, change(40), event(Action::AccountDeleted)).await.unwrap();
    assert_eq!(store.list_recipients(owner.id).await.unwrap(), []);
}

async fn what_cannot_be_read_is_taken_and_put_off_like_any_mail(database: &TestDatabase) {
    const UNREADABLE: usize = 40;
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    for n in 0..UNREADABLE {
        let (kind, payload) = [("of_a_newer_version", "?"), ("weekly_summary", "{}")][n % 2];
        let values = format!("'{n}', '{}', '{kind}', '{payload}', 'ada@example.com'", owner.id);
        let due = at(1).unix_ms();
        let row = format!(
            "INSERT INTO outbox (id, account_id, kind, payload, recipient, created_at, due_at)
             VALUES ({values}, {due}, {due})"
        );
        tamper(database, &row).await;
    }
    key(&store, owner.id, 2).await;
    let mails = claim_all(&store, 2).await;
    assert_eq!(mails.len(), UNREADABLE + 1, "none stops the others");
    let (good, unreadable): (Vec<_>, Vec<_>) =
        mails.iter().partition(|mail| matches!(mail.content, MailContent::Event(..)));
    assert_eq!((good.len(), good[0].kind), (1, Some(MailKind::News(NotificationKind::KeyCreated))));
    for mail in &unreadable {
        let MailContent::Unreadable(why) = &mail.content else { panic!("{:?}", mail.content) };
        assert!(why.contains("does not read"), "{why}");
        store.mark_mail_failed(mail, at(900), why).await.unwrap();
    }
    assert_eq!(claim_all(&store, 899).await.len(), 1, "the good one, whose sender has died");
    let again = claim_all(&store, 900).await;
    assert_eq!((again.len(), again[0].attempts), (UNREADABLE, 2));
    store.mark_mail_given_up(&again[0], at(901), "too old").await.unwrap();
    assert_eq!(store.mail_backlog().await.unwrap().waiting, 40, "39 and the good one");
}

async fn old_mail_is_dropped(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    for seconds in [10, 20, 30] {
        let event = NewEvent { at: at(seconds), ..event_of(owner.id, Action::KeyRotated) };
        store.append_event(change(seconds), event).await.unwrap();
    }
    assert_eq!(store.prune_outbox(at(30), 1).await.unwrap(), 1);
    assert_eq!(store.prune_outbox(at(30), 9).await.unwrap(), 1);
    assert_eq!(store.mail_backlog().await.unwrap().waiting, 1);
    assert!(store.claim_once("round", at(1)).await.unwrap());
    assert!(!store.claim_once("round", at(2)).await.unwrap());
    let later: Timestamp = at(0).plus(Duration::from_secs(2));
    assert_eq!(store.prune_told(later, 9).await.unwrap(), 1);
    assert!(store.claim_once("round", at(3)).await.unwrap());
}
