//! What nobody's call brings is found, told once, and not told where it is no news.

use std::time::Duration;

use rndrkit_domain::account::Account;
use rndrkit_domain::audit::Action;
use rndrkit_domain::id::EventId;
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::mail::{MailContent, MailKind};
use rndrkit_domain::notification::NotificationKind;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{UsageCounts, UsageDelta};
use rndrkit_store::{NewKey, Store};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{at, change, event_of, key, new_key, tamper};
use crate::outbox::{claim_all, joined, open_with_mail};

on_both_databases!(
    a_key_about_to_end_is_found_until_it_is_told,
    of_many_nodes_one_tells,
    a_limit_is_told_once_a_day,
    a_walk_meets_every_key_with_its_last_use,
    a_summary_adds_up_the_week_and_is_written_once,
    an_account_without_keys_gets_no_summary,
);

const DAY: u64 = 86_400;

async fn key_until(store: &Store, owner: &Account, end: Timestamp) -> ApiKey {
    let new = NewKey { expires_at: Some(end), ..new_key(owner.id) };
    store.insert_key(new, None, change(2), event_of(owner.id, Action::KeyCreated)).await.unwrap().value
}

async fn used(store: &Store, key: &ApiKey, seconds: u64, counts: UsageCounts) {
    let delta = UsageDelta { key_id: key.id, account_id: key.account_id, minute: at(seconds), counts };
    store.record_usage(&[delta], &[]).await.unwrap();
}

async fn a_key_about_to_end_is_found_until_it_is_told(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let soon = key_until(&store, &owner, at(30 * DAY)).await;
    key_until(&store, &owner, at(40 * DAY)).await;
    // Chosen to be short: no news.
    key_until(&store, &owner, at(5 * DAY)).await;
    let find = |day: u64| {
        let span = (at((day + 1) * DAY), at((day + 7) * DAY));
        store.list_ending_keys(7, span, 9)
    };
    assert_eq!(find(0).await.unwrap(), []);
    let found = find(24).await.unwrap();
    assert_eq!(found.iter().map(|key| key.key_id).collect::<Vec<_>>(), [soon.id]);
    let name = found[0].name(7);
    let tell = || store.tell_once(&name, owner.id, change(9), event_of(owner.id, Action::KeyExpiring));
    assert!(tell().await.unwrap());
    assert!(!tell().await.unwrap());
    assert_eq!(find(24).await.unwrap(), []);
    assert_eq!(
        store.list_ending_keys(1, (at(29 * DAY), at(30 * DAY)), 9).await.unwrap().len(),
        1,
        "other news"
    );
    tamper(database, "UPDATE accounts SET status = 'suspended'").await;
    assert_eq!(find(34).await.unwrap(), [], "a suspended account has other worries");
}

async fn of_many_nodes_one_tells(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let nodes: Vec<_> = (0..8)
        .map(|_| {
            let (store, id) = (store.clone(), owner.id);
            let event = event_of(id, Action::AccountLimitReached);
            tokio::spawn(async move { store.tell_once("news", id, change(2), event).await.unwrap() })
        })
        .collect();
    let mut told = 0;
    for node in nodes {
        told += u32::from(node.await.unwrap());
    }
    assert_eq!(told, 1);
    assert_eq!(claim_all(&store, 2).await.len(), 1);
}

async fn a_limit_is_told_once_a_day(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let (ada, bob) = (joined(&store, "ada").await, joined(&store, "bob").await);
    let (hers, _) = key(&store, ada.id, 2).await;
    let (his, _) = key(&store, bob.id, 2).await;
    let limited = UsageCounts { limited: 3, ..UsageCounts::default() };
    used(&store, &his, 60, UsageCounts { allowed: 5, ..UsageCounts::default() }).await;
    used(&store, &hers, 120, limited).await;
    used(&store, &hers, 180, limited).await;
    let found = store.list_reached_limits(at(0), 9).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].account_id, found[0].minute), (ada.id, at(120).floor_to(Duration::from_secs(60))));
    let event = event_of(ada.id, Action::AccountLimitReached);
    assert!(store.tell_once(&found[0].name(), ada.id, change(200), event).await.unwrap());
    used(&store, &hers, 240, limited).await;
    assert_eq!(store.list_reached_limits(at(0), 9).await.unwrap(), [], "the same day");
    used(&store, &hers, DAY + 240, limited).await;
    assert_eq!(store.list_reached_limits(at(0), 9).await.unwrap().len(), 1, "the next day");
}

async fn a_walk_meets_every_key_with_its_last_use(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let mut ids = Vec::new();
    for second in 2..7 {
        ids.push(key(&store, owner.id, second).await.0.id);
    }
    ids.sort_unstable();
    let mut met = Vec::new();
    let mut after = None;
    loop {
        let page = store.walk_keys(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key_id);
        met.extend(page.iter().map(|key| key.key_id));
        assert!(page.iter().all(|key| key.since >= at(2) && key.since < at(7) && key.revoked_at.is_none()));
    }
    assert_eq!(met, ids);
}

async fn a_summary_adds_up_the_week_and_is_written_once(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let (busy, _) = key(&store, owner.id, 2).await;
    let (idle, _) = key(&store, owner.id, 3).await;
    let counts = |allowed| UsageCounts { allowed, limited: 1, refused: 2, ..UsageCounts::default() };
    for (seconds, allowed) in [(DAY, 10), (3 * DAY, 20), (20 * DAY, 999)] {
        used(&store, &busy, seconds, counts(allowed)).await;
    }
    let day = Duration::from_secs(DAY);
    let week = (at(0).floor_to(day), at(7 * DAY).floor_to(day));
    let list = || store.list_accounts_without_summary(week.1, 9);
    assert_eq!(list().await.unwrap(), [], "only who asked for it");
    let event = event_of(owner.id, Action::NotificationsChanged);
    let wanted = [(NotificationKind::WeeklySummary, true), (NotificationKind::KeyCreated, false)];
    store.update_notifications(owner.id, &wanted, change(4), |_| event).await.unwrap();
    assert_eq!(list().await.unwrap(), [owner.id]);
    let write = || {
        let event_id = EventId::generate(at(9), &OsEntropy);
        store.write_summary(owner.id, week, change(9), event_id)
    };
    let before = (week.0.minus(day * 7), week.0);
    let event_id = EventId::generate(at(9), &OsEntropy);
    assert!(
        !store.write_summary(owner.id, before, change(9), event_id).await.unwrap(),
        "no key was there yet"
    );
    assert!(write().await.unwrap());
    assert!(!write().await.unwrap());
    assert_eq!(list().await.unwrap(), []);
    let mails = claim_all(&store, 9).await;
    let mut weeks =
        mails.iter().filter(|mail| mail.kind == Some(MailKind::News(NotificationKind::WeeklySummary)));
    let (Some(mail), None) = (weeks.next(), weeks.next()) else { panic!("{mails:?}") };
    let MailContent::Week(summary) = &mail.content else { panic!("{:?}", mail.content) };
    let first = &summary.keys[0];
    assert_eq!((first.key.mask.as_str(), first.allowed), (busy.mask.to_string().as_str(), 30));
    assert_eq!((first.limited, first.refused), (2, 4));
    assert_eq!(summary.keys[1].key.mask, idle.mask.to_string());
    assert_eq!((summary.keys[1].allowed, summary.more_keys), (0, 0));
}

async fn an_account_without_keys_gets_no_summary(database: &TestDatabase) {
    let store = open_with_mail(database).await;
    let owner = joined(&store, "ada").await;
    let event_id = EventId::generate(at(9), &OsEntropy);
    assert!(!store.write_summary(owner.id, (at(0), at(7 * DAY)), change(9), event_id).await.unwrap());
    assert_eq!(store.mail_backlog().await.unwrap().waiting, 0);
}
