//! Opening: the schema is made once, by one process, and never under a program that is too old for it.

use std::os::unix::fs::PermissionsExt as _;

use rndrkit_store::{Error, OpenOptions, SchemaStatus, Store};
use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};
use rndrkit_testkit::on_both_databases;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use tokio::task::JoinSet;

use crate::builders::{account, at, behind, open, tamper};

on_both_databases!(
    what_was_written_is_there_after_opening_again,
    a_newer_schema_is_refused_and_left_alone,
    a_newer_schema_that_allows_this_version_is_served,
    many_processes_may_start_at_once,
    the_status_of_a_schema_is_read_without_a_server,
    a_closed_store_answers_unavailable,
    digests_and_words_are_checked_by_the_database,
);

pub(crate) async fn text_of(connection: &DatabaseConnection, query: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

/// `.cargo/config.toml` says why: without it, each list is parsed and planned anew whenever it is read.
#[test]
fn sqlite_keeps_the_plan_of_a_statement_whatever_values_it_is_given() {
    on_sqlite(async |database: &TestDatabase| {
        open(database).await;
        let query = "SELECT CAST(sqlite_compileoption_used('ENABLE_QPSG') AS TEXT)";
        assert_eq!(text_of(&behind(database).await, query).await, ["1"]);
    });
}

async fn what_was_written_is_there_after_opening_again(database: &TestDatabase) {
    let store = open(database).await;
    let made = account(&store, "ada").await;
    store.close().await.unwrap();
    let store = Store::open(&OpenOptions::new(database.url()).with_connections(2)).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.find_account(made.id, at(2)).await.unwrap(), Some(made));
}

async fn a_newer_schema_is_refused_and_left_alone(database: &TestDatabase) {
    open(database).await.close().await.unwrap();
    tamper(database, "UPDATE schema_version SET version = 9, oldest_runnable = 7").await;
    let result = Store::open(&OpenOptions::new(database.url())).await;
    assert!(matches!(result, Err(Error::NewerSchema { found: 9, needs: 7, known: 5 })), "{result:?}");
    let status = Store::schema_status(database.url()).await.unwrap();
    assert_eq!(status, SchemaStatus::NewerRefused { found: 9, needs: 7 });
}

async fn a_newer_schema_that_allows_this_version_is_served(database: &TestDatabase) {
    open(database).await.close().await.unwrap();
    tamper(database, "UPDATE schema_version SET version = 6").await;
    tamper(database, "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0006_later', 1)").await;
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    account(&store, "ada").await;
    let status = Store::schema_status(database.url()).await.unwrap();
    assert_eq!(status, SchemaStatus::NewerCompatible { found: 6 });
}

async fn many_processes_may_start_at_once(database: &TestDatabase) {
    // On SQLite the data folder's lock lets one process through; opening one after the other must do.
    let at_once = if database.is_sqlite() { 1 } else { 8 };
    for _ in 0..2 {
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            let options = OpenOptions::new(database.url()).with_connections(2);
            tasks.spawn(async move { Store::open(&options).await });
        }
        for store in tasks.join_all().await {
            let store = store.unwrap();
            store.feed_head().await.unwrap();
            store.close().await.unwrap();
        }
    }
    let connection = behind(database).await;
    let migrations = text_of(&connection, "SELECT version FROM seaql_migrations ORDER BY version").await;
    assert_eq!(
        migrations,
        ["m0001_initial", "m0002_several_nodes", "m0003_answers", "m0004_dashboard", "m0005_explained_start"]
    );
}

async fn the_status_of_a_schema_is_read_without_a_server(database: &TestDatabase) {
    assert_eq!(Store::schema_status(database.url()).await.unwrap(), SchemaStatus::Empty);
    if let Some(folder) = database.folder() {
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "looking makes no file");
    }
    open(database).await.close().await.unwrap();
    assert_eq!(Store::schema_status(database.url()).await.unwrap(), SchemaStatus::Current);
    tamper(database, "UPDATE schema_version SET version = 0, oldest_runnable = 0").await;
    assert_eq!(Store::schema_status(database.url()).await.unwrap(), SchemaStatus::Older { found: 0 });
}

async fn a_closed_store_answers_unavailable(database: &TestDatabase) {
    let store = open(database).await;
    store.close().await.unwrap();
    assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
    assert!(matches!(store.load_key(crate::builders::digest()).await, Err(Error::Unavailable(_))));
}

async fn digests_and_words_are_checked_by_the_database(database: &TestDatabase) {
    open(database).await;
    let connection = behind(database).await;
    let short = if database.is_sqlite() { "x'00'" } else { "'\\x00'::bytea" };
    for statement in [
        format!("INSERT INTO key_usage (digest, key_id, last_used_at) VALUES ({short}, 'k', 1)"),
        format!("UPDATE audit_head SET hash = {short}"),
        "INSERT INTO accounts (id, email, name, status, plan_id, rev, state_number, created_at)
         VALUES ('acc_00000000000000000000000000', 'a@b', 'a', 'paused', 'agency', 1, 1, 1)"
            .to_owned(),
        "UPDATE feed_head SET one = 2".to_owned(),
        "UPDATE plans SET burst = 0".to_owned(),
    ] {
        assert!(connection.execute_unprepared(&statement).await.is_err(), "{statement}");
    }
}

/// As version 1 left it: its schema, and the row of a process that did not stop in order.
const BACK_TO_VERSION_1: &str = "DROP TABLE budgets; DROP TABLE cluster;
     ALTER TABLE usage DROP COLUMN successful; ALTER TABLE usage DROP COLUMN redirection;
     ALTER TABLE usage DROP COLUMN client_error; ALTER TABLE usage DROP COLUMN server_error;
     ALTER TABLE api_keys DROP COLUMN environment; DROP INDEX audit_events_by_target;
     DROP INDEX api_keys_by_expiry; DROP INDEX usage_by_limit;
     DROP INDEX accounts_by_deletion;
     DROP INDEX key_secrets_current;
     DROP TABLE sightings, secret_hours, key_networks, refusals, notification_settings, outbox, told_once,
         email_changes, known_places, audit_signatures;
     DELETE FROM seaql_migrations WHERE version <> 'm0001_initial';
     UPDATE schema_version SET version = 1, oldest_runnable = 1;
     INSERT INTO nodes (incarnation, name, beat, applied, version, trust_ms, started_at, seen_at)
         VALUES ('0000000000000000000000000000000a', '', '', 0, '0.1.0', 5000, 1, 1)";

#[test]
fn a_process_of_version_1_is_outlasted_and_never_overlooked() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await.close().await.unwrap();
        tamper(database, BACK_TO_VERSION_1).await;
        let mut options = sea_orm::ConnectOptions::new(database.url());
        let running = sea_orm::Database::connect(options.max_connections(1).to_owned()).await.unwrap();
        let lock = format!("SELECT pg_advisory_lock({})", 0x726e_6472_6b69_7402_i64);
        running.execute_unprepared(&lock).await.unwrap();
        let refused = Store::open(&OpenOptions::new(database.url())).await;
        assert!(matches!(refused, Err(Error::AlreadyServed)), "{refused:?}");
        let status = Store::schema_status(database.url()).await.unwrap();
        assert_eq!(status, SchemaStatus::Older { found: 1 }, "nothing was changed under it");
        running.close().await.unwrap();
        Store::open(&OpenOptions::new(database.url())).await.unwrap();
        let beats = text_of(&behind(database).await, "SELECT beat FROM nodes").await;
        assert_eq!(beats, ["0".repeat(32)], "what it left behind is waited out");
    });
}

#[test]
fn every_table_on_sqlite_is_strict() {
    on_sqlite(async |database: &TestDatabase| {
        open(database).await;
        let connection = behind(database).await;
        let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
                     AND strict = 0 AND name NOT LIKE 'sqlite_%' ORDER BY name";
        // The migrator's own table is not ours.
        assert_eq!(text_of(&connection, loose).await, ["seaql_migrations"]);
    });
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    on_postgres(async |postgres: &TestDatabase| {
        let sqlite = TestDatabase::sqlite();
        open(&sqlite).await;
        open(postgres).await;
        let of_sqlite = "SELECT t.name || '.' || c.name || ' ' || lower(c.type) || ' ' || c.\"notnull\"
             FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c
             WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'seaql_migrations'";
        let of_postgres = "SELECT table_name || '.' || column_name || ' '
                 || CASE data_type WHEN 'bigint' THEN 'integer' WHEN 'bytea' THEN 'blob' ELSE data_type END
                 || CASE is_nullable WHEN 'NO' THEN ' 1' ELSE ' 0' END
             FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'";
        let mut left = text_of(&behind(&sqlite).await, of_sqlite).await;
        let mut right = text_of(&behind(postgres).await, of_postgres).await;
        left.sort_unstable();
        right.sort_unstable();
        assert!(left.len() > 100, "{left:?}");
        assert_eq!(left, right);
    });
}

#[test]
fn a_backup_is_private_whole_and_never_overwrites() {
    on_sqlite(async |database: &TestDatabase| {
        let store = open(database).await;
        let made = account(&store, "ada").await;
        let path = database.folder().unwrap().join("copy.db");
        store.backup_to(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        account(&store, "bob").await;
        assert!(matches!(store.backup_to(&path).await, Err(Error::Backup(_))));
        let copy = Store::open(&OpenOptions::new(format!("sqlite://{}", path.display()))).await.unwrap();
        assert_eq!(copy.find_account(made.id, at(2)).await.unwrap(), Some(made));
        assert_eq!(copy.feed_head().await.unwrap().number, 2);
        let nowhere = database.folder().unwrap().join("missing").join("copy.db");
        assert!(matches!(store.backup_to(&nowhere).await, Err(Error::Backup(_))));
    });
}

#[test]
fn postgresql_is_not_backed_up_to_a_file() {
    on_postgres(async |database: &TestDatabase| {
        let store = open(database).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        assert!(matches!(store.backup_to(&path).await, Err(Error::Backup(_))));
        assert!(!path.exists());
    });
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    on_sqlite(async |_: &TestDatabase| {
        // Nothing listens on the discard port of the loopback interface.
        let options = OpenOptions::new("postgres://nobody:hunter2@127.0.0.1:9/none");
        assert!(!format!("{options:?}").contains("hunter2"));
        let error = Store::open(&options).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    });
}
