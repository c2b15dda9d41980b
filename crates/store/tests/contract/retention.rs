//! What has ended is dropped, in batches, and nothing else is.

use rndrkit_domain::audit::Action;
use rndrkit_domain::link::LinkKind;
use rndrkit_store::{Idempotency, NewLink, NewSession};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, digest, event, new_account, open, seed};

on_both_databases!(ended_sessions_go, ended_links_go, old_idempotency_records_go);

async fn ended_sessions_go(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let mut cookies = Vec::new();
    for end in [10, 20, 30, 40] {
        let session = NewSession { seed: seed(end), account_id: owner.id, user_id: None };
        cookies.push(session.seed.digest);
        store.insert_session(session, None, change(1), event(Action::UserSignedIn)).await.unwrap();
    }
    assert_eq!(store.prune_sessions(at(30), 2).await.unwrap(), 2);
    assert_eq!(store.prune_sessions(at(30), 2).await.unwrap(), 1);
    assert_eq!(store.prune_sessions(at(30), 2).await.unwrap(), 0);
    assert!(store.find_session(cookies[3], at(2)).await.unwrap().is_some());
}

async fn ended_links_go(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    let mut links = Vec::new();
    for end in [10, 20, 30] {
        let link = NewLink {
            digest: digest(),
            kind: LinkKind::SignIn,
            account_id: owner.id,
            user_id: None,
            return_to: None,
            expires_at: at(end),
        };
        links.push(link.digest);
        store.insert_link(link, change(1), event(Action::LinkCreated)).await.unwrap();
    }
    assert_eq!(store.prune_links(at(20), 1).await.unwrap(), 1);
    assert_eq!(store.prune_links(at(20), 9).await.unwrap(), 1);
    assert!(store.find_link(links[2], at(2)).await.unwrap().is_some());
}

async fn old_idempotency_records_go(database: &TestDatabase) {
    const DAY: u64 = 86_400;
    let store = open(database).await;
    let mut records = Vec::new();
    for (label, second) in [("a", 0), ("b", 1), ("c", 2)] {
        let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
        records.push(idempotency.digest);
        let event = event(Action::AccountCreated);
        store.insert_account(new_account(label), Some(idempotency), change(second), event).await.unwrap();
    }
    assert_eq!(store.prune_idempotency(at(DAY + 1), 9).await.unwrap(), 2);
    assert_eq!(store.prune_idempotency(at(DAY + 1), 9).await.unwrap(), 0);
    assert!(store.find_idempotency(records[2], at(DAY + 1)).await.unwrap().is_some());
}
