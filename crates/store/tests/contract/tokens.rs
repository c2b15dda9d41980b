//! Tokens of the operator API.

use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedKind;
use rndrkit_domain::id::TokenId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_store::{Error, Idempotency, NewToken, PageRequest};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{at, change, digest, event, new_token, open, page, tamper};

on_both_databases!(
    a_token_reads_back_and_is_loaded_with_its_digest,
    a_deleted_token_is_gone_and_its_deletion_repeats,
    loading_leaves_out_what_has_expired,
    tokens_page_newest_first,
    live_tokens_are_limited,
    a_repeated_create_answers_with_the_first,
);

async fn a_token_reads_back_and_is_loaded_with_its_digest(database: &TestDatabase) {
    let store = open(database).await;
    let empty = store.load_tokens(at(1)).await.unwrap();
    assert_eq!((empty.head, empty.tokens.len()), (1, 0));
    let new = NewToken { expires_at: Some(at(99)), ..new_token("deploy") };
    let made = store.insert_token(new.clone(), None, change(5), event(Action::TokenCreated)).await.unwrap();
    assert_eq!((made.value.created_at, made.value.expires_at), (at(5), Some(at(99))));
    assert_eq!(store.find_token(new.id).await.unwrap().unwrap(), made.value);
    let loaded = store.load_tokens(at(6)).await.unwrap();
    assert_eq!(loaded.head, made.number);
    assert_eq!(loaded.tokens, [(new.digest, made.value)]);
    assert_eq!(store.feed_entries(made.number, 1).await.unwrap()[0].kind, FeedKind::Tokens);
    assert_eq!(store.find_token(TokenId::generate(at(0), &OsEntropy)).await.unwrap(), None);
}

async fn a_deleted_token_is_gone_and_its_deletion_repeats(database: &TestDatabase) {
    let store = open(database).await;
    let new = new_token("deploy");
    store.insert_token(new.clone(), None, change(1), event(Action::TokenCreated)).await.unwrap();
    let delete = |id| store.delete_token(id, change(2), event(Action::TokenDeleted));
    let first = delete(new.id).await.unwrap();
    assert!(first.changed);
    assert_eq!(store.find_token(new.id).await.unwrap(), None);
    assert_eq!(store.load_tokens(at(3)).await.unwrap().tokens, []);
    store.insert_token(new_token("other"), None, change(3), event(Action::TokenCreated)).await.unwrap();
    let second = delete(new.id).await.unwrap();
    assert_eq!((second.changed, second.number), (false, first.number));
    let unknown = delete(TokenId::generate(at(0), &OsEntropy)).await;
    assert!(matches!(unknown, Err(Error::NotFound)));
}

async fn loading_leaves_out_what_has_expired(database: &TestDatabase) {
    let store = open(database).await;
    let new = NewToken { expires_at: Some(at(99)), ..new_token("deploy") };
    store.insert_token(new, None, change(1), event(Action::TokenCreated)).await.unwrap();
    assert_eq!(store.load_tokens(at(98)).await.unwrap().tokens.len(), 1);
    assert_eq!(store.load_tokens(at(99)).await.unwrap().tokens.len(), 0);
    assert_eq!(store.list_tokens(page(9)).await.unwrap().items.len(), 1, "people still see it");
}

async fn tokens_page_newest_first(database: &TestDatabase) {
    let store = open(database).await;
    for (label, second) in [("a", 1), ("b", 2), ("c", 2)] {
        store
            .insert_token(new_token(label), None, change(second), event(Action::TokenCreated))
            .await
            .unwrap();
    }
    let first = store.list_tokens(page(2)).await.unwrap();
    assert!(first.has_more);
    let last = first.items.last().unwrap();
    let request = PageRequest { limit: 2, after: Some((last.created_at, last.id.to_string())) };
    let second = store.list_tokens(request).await.unwrap();
    assert_eq!((second.items.len(), second.has_more), (1, false));
    assert_eq!(second.items[0].name.as_str(), "a");
}

async fn live_tokens_are_limited(database: &TestDatabase) {
    let store = open(database).await;
    let (blob, number) = if database.is_sqlite() {
        ("randomblob(32)", "value")
    } else {
        ("sha256(value::text::bytea)", "value::text")
    };
    let series = if database.is_sqlite() {
        "WITH RECURSIVE series (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < 1000)"
    } else {
        "WITH series AS (SELECT generate_series(1, 1000) AS value)"
    };
    // Ids are 30 characters; these are never read back.
    let fill = format!(
        "INSERT INTO tokens (id, digest, name, scope, created_at, expires_at, state_number) {series}
         SELECT substr('tok_00000000000000000000000000', 1, 30 - length({number})) || {number}, {blob},
                'n', 'read', 1, 1700000050000, 0 FROM series"
    );
    // SQLite wants the common table expression in front.
    let fill = if database.is_sqlite() {
        let insert = fill.replace(series, "");
        format!("{series} {insert}")
    } else {
        fill
    };
    assert_eq!(tamper(database, &fill).await, 1_000);
    let insert =
        |seconds| store.insert_token(new_token("x"), None, change(seconds), event(Action::TokenCreated));
    assert!(matches!(insert(49).await, Err(Error::TokenLimitReached)));
    assert!(insert(50).await.is_ok(), "expired tokens make room");
}

async fn a_repeated_create_answers_with_the_first(database: &TestDatabase) {
    let store = open(database).await;
    let idempotency = Idempotency { digest: digest(), fingerprint: digest() };
    let insert = |new| store.insert_token(new, Some(idempotency), change(1), event(Action::TokenCreated));
    let new = new_token("deploy");
    insert(new.clone()).await.unwrap();
    let Err(Error::IdempotencyReplay(record)) = insert(new_token("deploy")).await else {
        panic!("not a repeat")
    };
    assert_eq!(record.resource_id, new.id.to_string());
}
