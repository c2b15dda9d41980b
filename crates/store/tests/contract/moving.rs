//! Moving from SQLite to PostgreSQL: everything arrives, nothing is left half-way, and nothing is overwritten.

use rndrkit_domain::feed::FeedKind;
use rndrkit_store::{Error, MoveError, MoveReport, OpenOptions, SchemaStatus, Store, move_to_postgres};
use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};

use crate::builders::{account, at, change, key, open, tamper};

/// An installation with a live key, a revoked one, and a table of more rows than are copied at once.
async fn installation(sqlite: &TestDatabase) -> Store {
    let store = open(sqlite).await;
    let ada = account(&store, "ada").await;
    key(&store, ada.id, 2).await;
    tamper(
        sqlite,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1300)
         INSERT INTO usage SELECT 'key_' || i, 'minute', i, 'acc', i, 0, 0, i, 0, 0, 1 FROM n",
    )
    .await;
    store
}

async fn copy(sqlite: &TestDatabase, postgres: &TestDatabase) -> Result<MoveReport, MoveError> {
    move_to_postgres(sqlite.url(), postgres.url(), &change(9), &mut |_, _| {}).await
}

async fn reopen(postgres: &TestDatabase) -> Store {
    Store::open(&OpenOptions::new(postgres.url()).with_connections(2)).await.unwrap()
}

fn rows(report: &MoveReport, table: &str) -> u64 {
    report.tables.iter().find(|moved| moved.name == table).unwrap().rows
}

#[test]
fn everything_arrives_and_numbers_go_on_in_a_history_of_its_own() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        let store = installation(&sqlite).await;
        let bob = account(&store, "bob").await;
        let (_, digest) = key(&store, bob.id, 3).await;
        let (before, trail) = (store.feed_head().await.unwrap(), store.verify_audit_chain().await.unwrap());
        store.close().await.unwrap();
        let file = std::fs::read(sqlite.folder().unwrap().join("test.db")).unwrap();

        let mut batches = Vec::new();
        let mut progress = |table, rows| batches.push((table, rows));
        let report = move_to_postgres(sqlite.url(), postgres.url(), &change(9), &mut progress).await.unwrap();
        assert!(!report.already_there);
        assert_eq!((rows(&report, "accounts"), rows(&report, "usage")), (2, 1300));
        let usage: Vec<u64> =
            batches.iter().filter(|(table, _)| *table == "usage").map(|(_, n)| *n).collect();
        assert_eq!(usage, [500, 1000, 1300]);
        assert_eq!((report.trail.broken_at(), report.trail.events), (None, trail.events));
        assert_eq!(std::fs::read(sqlite.folder().unwrap().join("test.db")).unwrap(), file, "it was written");

        let store = reopen(postgres).await;
        assert_eq!(store.find_account(bob.id, at(4)).await.unwrap().unwrap().email, bob.email);
        assert!(store.load_key(digest).await.unwrap().found.is_some());
        assert_eq!(store.verify_audit_chain().await.unwrap(), trail);
        let head = store.feed_head().await.unwrap();
        assert_eq!((head.number, head.oldest), (before.number + 1, before.number + 1));
        assert_ne!(head.tag, before.tag);
        let entries = store.feed_entries(0, 10).await.unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].kind, entries[0].tag), (FeedKind::ANYTHING, head.tag));
        account(&store, "eve").await;
        assert_eq!(store.feed_head().await.unwrap().number, head.number + 1);
    });
}

#[test]
fn a_database_that_was_only_started_on_is_as_good_as_an_empty_one() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        let trail = installation(&sqlite).await.verify_audit_chain().await.unwrap();
        open(postgres).await.close().await.unwrap();
        copy(&sqlite, postgres).await.unwrap();
        assert_eq!(reopen(postgres).await.verify_audit_chain().await.unwrap(), trail);
    });
}

#[test]
fn a_second_move_finds_everything_there_and_another_installation_is_refused() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        let store = installation(&sqlite).await;
        let first = copy(&sqlite, postgres).await.unwrap();
        let again = copy(&sqlite, postgres).await.unwrap();
        assert_eq!(again, MoveReport { already_there: true, ..first });

        account(&store, "bob").await;
        let refused = copy(&sqlite, postgres).await;
        assert!(
            matches!(refused, Err(MoveError::TargetNotEmpty { accounts: 1, keys: 1, .. })),
            "{refused:?}"
        );
        assert_eq!(reopen(postgres).await.feed_head().await.unwrap().number, again.number);
    });
}

#[test]
fn a_database_that_nodes_serve_is_refused() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        installation(&sqlite).await;
        open(postgres).await.close().await.unwrap();
        tamper(
            postgres,
            "INSERT INTO nodes (incarnation, name, beat, applied, version, trust_ms, started_at, seen_at)
             VALUES ('0123456789abcdef0123456789abcdef', 'n', '0123456789abcdef0123456789abcdef', 0, '1', 1, 1, 1)",
        )
        .await;
        let refused = copy(&sqlite, postgres).await;
        assert!(matches!(refused, Err(MoveError::TargetServed { nodes: 1 })), "{refused:?}");
    });
}

#[test]
fn what_ends_half_way_leaves_nothing_and_can_be_done_again() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        installation(&sqlite).await;
        // What PostgreSQL will not take comes in one of the last tables.
        tamper(
            &sqlite,
            "INSERT INTO idempotency VALUES (zeroblob(32), zeroblob(32), 'a' || char(0) || 'b', 1)",
        )
        .await;
        let failed = copy(&sqlite, postgres).await;
        assert!(matches!(failed, Err(MoveError::Store(Error::Database(_)))), "{failed:?}");
        let store = reopen(postgres).await;
        assert!(store.list_plans().await.unwrap().is_empty());
        assert_eq!(store.feed_head().await.unwrap().number, 0);
        tamper(&sqlite, "DELETE FROM idempotency").await;
        assert!(!copy(&sqlite, postgres).await.unwrap().already_there);
    });
}

#[test]
fn what_is_read_back_differently_is_not_kept() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        installation(&sqlite).await;
        open(postgres).await.close().await.unwrap();
        tamper(
            postgres,
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN NEW.name := ''another''; RETURN NEW; END';
             CREATE TRIGGER spoil BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION spoil()",
        )
        .await;
        let refused = copy(&sqlite, postgres).await;
        assert!(
            matches!(refused, Err(MoveError::Differs { table: "api_keys", copied: 1, found: 1 })),
            "{refused:?}"
        );
        let number = reopen(postgres).await.feed_head().await.unwrap().number;
        assert_eq!(number, 1, "only the plans that it had");
    });
}

#[test]
fn what_another_version_made_is_left_alone() {
    on_sqlite(async |sqlite: &TestDatabase| {
        let nowhere = "postgres://nobody@127.0.0.1:9/none";
        let moved = move_to_postgres(sqlite.url(), nowhere, &change(9), &mut |_, _| {}).await;
        assert!(matches!(moved, Err(MoveError::Source(SchemaStatus::Empty))), "{moved:?}");
        open(sqlite).await.close().await.unwrap();
        tamper(sqlite, "UPDATE schema_version SET version = 0, oldest_runnable = 0").await;
        let moved = move_to_postgres(sqlite.url(), nowhere, &change(9), &mut |_, _| {}).await;
        assert!(matches!(moved, Err(MoveError::Source(SchemaStatus::Older { found: 0 }))), "{moved:?}");
    });
}
