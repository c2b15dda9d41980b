//! The audit trail: complete, in order, tamper-evident, and forgetful where it must be.

use rndrkit_domain::audit::{Action, ActorType};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, event, event_of, key, open, tamper};

on_both_databases!(
    an_event_reads_back_as_it_was_written,
    events_page_newest_first_and_by_account,
    the_chain_verifies_and_survives_erasure,
    tampering_breaks_the_chain,
    dropping_old_events_does_not_break_the_chain,
);

async fn an_event_reads_back_as_it_was_written(database: &TestDatabase) {
    let store = open(database).await;
    let new = event(Action::UserSignedIn);
    store.append_event(change(1), new.clone()).await.unwrap();
    let (seq, read) = store.list_events(None, 1, None).await.unwrap().items.remove(0);
    assert_eq!(seq, 2, "the first event is about the plans");
    assert_eq!((read.id, read.at, read.action.as_str()), (new.id, new.at, "user.signed_in"));
    assert_eq!((read.actor.kind, &read.actor.id), (ActorType::User, &new.actor.id));
    assert_eq!(read.actor.name.as_deref(), Some("Ada"));
    assert_eq!((read.target_kind.as_str(), read.target_id.as_str()), ("key", "key_1"));
    assert_eq!((read.ip.as_deref(), read.user_agent.as_deref()), (Some("192.0.2.7"), Some("curl/8")));
    assert_eq!(read.request_id, new.origin.request_id.map(|id| id.to_string()));
    assert_eq!(read.details, [("from".to_owned(), "starter".to_owned())]);
}

async fn events_page_newest_first_and_by_account(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    for second in 1..=3 {
        key(&store, ada.id, second).await;
    }
    key(&store, bob.id, 4).await;
    let first = store.list_events(Some(ada.id), 3, None).await.unwrap();
    assert!(first.has_more);
    let after = first.items.last().unwrap().0;
    let second = store.list_events(Some(ada.id), 3, Some(after)).await.unwrap();
    assert!(!second.has_more);
    let seen: Vec<_> = first.items.iter().chain(&second.items).collect();
    assert!(seen.windows(2).all(|pair| pair[0].0 > pair[1].0));
    assert!(seen.iter().all(|(_, event)| event.account_id == Some(ada.id)));
    assert_eq!(seen.len(), 4);
    assert_eq!(store.list_events(None, 100, None).await.unwrap().items.len(), 7);
}

async fn the_chain_verifies_and_survives_erasure(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for second in 1..=3 {
        key(&store, owner.id, second).await;
    }
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at), (5, None));
    store.delete_account(owner.id, change(9), event_of(owner.id, Action::AccountDeleted)).await.unwrap();
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at), (6, None));
    let events = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    let erased = events.iter().filter(|(_, event)| event.actor.name.is_none()).count();
    assert_eq!(erased, 4, "all but the deletion's own");
}

async fn tampering_breaks_the_chain(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    key(&store, owner.id, 1).await;
    key(&store, owner.id, 2).await;
    let steps = [
        // What is put in, what is put back.
        ("UPDATE audit_events SET action = 'key.revoked' WHERE seq = 3", "key.created", "action"),
        ("UPDATE audit_events SET target_id = 'key_2' WHERE seq = 3", "key_1", "target_id"),
        ("UPDATE audit_events SET actor_name = 'Eve' WHERE seq = 3", "Ada", "actor_name"),
        ("UPDATE audit_events SET details = '{}' WHERE seq = 3", r#"{"from":"starter"}"#, "details"),
    ];
    for (statement, original, column) in steps {
        assert_eq!(tamper(database, statement).await, 1);
        assert_eq!(store.verify_audit_chain().await.unwrap().broken_at, Some(3), "{column}");
        tamper(database, &format!("UPDATE audit_events SET {column} = '{original}' WHERE seq = 3")).await;
        assert_eq!(store.verify_audit_chain().await.unwrap().broken_at, None, "{column}");
    }
    tamper(database, "DELETE FROM audit_events WHERE seq = 4").await;
    assert_eq!(store.verify_audit_chain().await.unwrap().broken_at, Some(4), "a missing tail");
}

async fn dropping_old_events_does_not_break_the_chain(database: &TestDatabase) {
    let store = open(database).await;
    for second in 1..=6 {
        let mut new = event(Action::UserSignedIn);
        // One clock was behind.
        new.at = if second == 4 { at(0) } else { at(second) };
        store.append_event(change(second), new).await.unwrap();
    }
    assert_eq!(store.prune_audit(at(3), 2).await.unwrap(), 2, "in batches, from the old end");
    assert_eq!(store.prune_audit(at(3), 2).await.unwrap(), 1, "up to the first that is young enough");
    assert_eq!(store.prune_audit(at(3), 2).await.unwrap(), 0);
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at, report.oldest_at), (4, None, Some(at(3))));
    while store.prune_audit(at(99), 2).await.unwrap() > 0 {}
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at), (1, None), "the newest stays");
    store.append_event(change(9), event(Action::UserSignedIn)).await.unwrap();
    assert_eq!(store.verify_audit_chain().await.unwrap().broken_at, None);
}
