//! Opening a database: pools, their settings, and migrations. Everything with a time limit.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions as _, pool::PoolOptions};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use sea_orm_migration::MigratorTrait as _;

use crate::budgets::budget_pool;
use crate::error::Error;
use crate::migrations::Migrator;
use crate::schema::{self, SchemaStatus};
use crate::sql::{Pool, StatementCount, TextRow, Transaction};
use crate::value::text;

/// How long a caller waits for a free connection, connecting included. Longer than a lock is waited for,
/// shorter than a client's patience.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process's write lock (a backup tool, a person with a shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long PostgreSQL waits for a row lock: many times what a change takes.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a transaction of ours may sit idle: a paused process must not hold the feed's row.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest statement; pruning and deleting work in batches that stay far below.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Transactions of one process that write at the same time on PostgreSQL. A process that is stopped then keeps the
/// others from writing for at most so many seconds ([`IDLE_TRANSACTION_TIMEOUT`] each), which is less than they
/// wait for a row ([`LOCK_TIMEOUT`]).
const WRITES_AT_ONCE: usize = 2;
/// How long a starting process waits for another one's migrations.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that rested this long is tried before use: the server may have restarted.
const RETRY_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Key of PostgreSQL's advisory lock around migrations.
const MIGRATION_LOCK: i64 = 0x726e_6472_6b69_7401;
/// Key of the lock that a process of version 1 held while it served.
const SERVING_LOCK: i64 = 0x726e_6472_6b69_7402;
/// How often it is asked for. A process that has just ended may still seem to be there.
const SERVING_ATTEMPTS: u32 = 10;
/// How long to wait between two attempts.
const SERVING_PAUSE: Duration = Duration::from_millis(100);

/// How to open a database.
#[derive(Clone)]
pub struct OpenOptions {
    url: String,
    /// Read connections (SQLite) or all connections (PostgreSQL).
    connections: u32,
    sends_mail: bool,
}

impl OpenOptions {
    /// Reads in parallel on SQLite beside the one writer: more than a small machine's cores gains nothing.
    const SQLITE_READERS: u32 = 4;
    /// Below a hundred, PostgreSQL's default, with room for several nodes.
    pub(crate) const POSTGRES_CONNECTIONS: u32 = 16;

    /// `sqlite://path` or `postgres://…`.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let connections =
            if url.starts_with("sqlite:") { Self::SQLITE_READERS } else { Self::POSTGRES_CONNECTIONS };
        Self { url, connections, sends_mail: false }
    }

    /// Another number of read connections (SQLite) or of connections (PostgreSQL).
    #[must_use]
    pub fn with_connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Whether this installation sends mail. Without it nothing is put aside to be sent: whoever switches mail
    /// on sends no news of last year.
    #[must_use]
    pub fn with_mail(mut self, sends_mail: bool) -> Self {
        self.sends_mail = sends_mail;
        self
    }
}

impl std::fmt::Debug for OpenOptions {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Pool,
    reader: Pool,
    /// One connection aside, for the feed (on SQLite) and the list of nodes (on PostgreSQL): a flood of look-ups
    /// must not keep a node from hearing what changed, nor a change from hearing who confirmed it.
    aside: Pool,
    /// For shared budgets; none on SQLite.
    budgets: Option<PgPool>,
    statements: StatementCount,
}

impl Store {
    /// Opens a database and brings its schema up to date. A database that needs a newer version is left
    /// as it is.
    pub async fn open(options: &OpenOptions) -> Result<Self, Error> {
        let Connections { writer, reader, aside, budgets } = if options.url.starts_with("sqlite:") {
            open_sqlite(options).await?
        } else {
            open_postgres(options).await?
        };
        let statements = StatementCount::default();
        let writer = Pool::new(writer, statements.clone());
        let writer = if budgets.is_some() { writer.with_writes_at_once(WRITES_AT_ONCE) } else { writer };
        let writer = writer.with_mail(options.sends_mail);
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                reader: Pool::new(reader, statements.clone()),
                aside: Pool::new(aside, statements.clone()),
                budgets,
                statements,
            }),
        })
    }

    /// What a database says about its schema, read without changing anything and without a server.
    pub async fn schema_status(url: &str) -> Result<SchemaStatus, Error> {
        let connection = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)?;
            if !options.get_filename().exists() {
                return Ok(SchemaStatus::Empty);
            }
            sqlite_readers(options, 1).await?
        } else {
            single_postgres(url, LOCK_TIMEOUT).await?
        };
        let status = schema::read(&connection).await;
        connection.close().await?;
        status
    }

    /// Statements sent to the database since it was opened.
    #[must_use]
    pub fn statements_total(&self) -> u64 {
        self.inner.statements.total()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let _: TextRow = self.reader().one("SELECT 'pong' AS value", []).await?;
        Ok(())
    }

    /// Closes every connection after its current statement. Later calls are answered `Unavailable`.
    pub async fn close(&self) -> Result<(), Error> {
        // Readers first: the last connection of SQLite folds the log into the file, and readers may not.
        if let Some(budgets) = &self.inner.budgets {
            budgets.close().await;
        }
        self.inner.aside.connection().clone().close().await?;
        self.inner.reader.connection().clone().close().await?;
        self.inner.writer.connection().clone().close().await?;
        Ok(())
    }

    /// Copies a SQLite database, while it is in use, to a file that does not exist yet.
    pub async fn backup_to(&self, path: &Path) -> Result<(), Error> {
        if self.backend() != DbBackend::Sqlite {
            return Err(Error::backup("PostgreSQL is backed up with pg_dump"));
        }
        // SQLite accepts an empty file, and so the copy is private from its first byte.
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| Error::backup(format_args!("{}: {error}", path.display())))?;
        let destination = path.to_str().ok_or_else(|| Error::backup("the path is not UTF-8"));
        let copied = match destination {
            Ok(destination) => self.reader().execute_at_length("VACUUM INTO $1", [text(destination)]).await,
            Err(error) => Err(error),
        };
        let durable = copied.and_then(|()| file.sync_all().map_err(Error::backup));
        if durable.is_err() {
            let _ = std::fs::remove_file(path);
        }
        durable
    }

    pub(crate) fn reader(&self) -> &Pool {
        &self.inner.reader
    }

    pub(crate) fn aside(&self) -> &Pool {
        &self.inner.aside
    }

    pub(crate) fn budgets(&self) -> Result<&PgPool, Error> {
        let alone = || Error::unavailable("a process on SQLite shares its budgets with nobody");
        self.inner.budgets.as_ref().ok_or_else(alone)
    }

    /// For statements that run on a pool of the driver's.
    pub(crate) fn count_statement(&self) {
        self.inner.statements.add_one();
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        self.inner.writer.begin().await
    }

    pub(crate) fn writer(&self) -> &Pool {
        &self.inner.writer
    }

    fn backend(&self) -> DbBackend {
        self.inner.writer.connection().get_database_backend()
    }
}

fn pool_options<D: sea_orm::sqlx::Database>(connections: u32) -> PoolOptions<D> {
    PoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT)
}

/// The pools of one database.
struct Connections {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    aside: DatabaseConnection,
    budgets: Option<PgPool>,
}

async fn open_sqlite(options: &OpenOptions) -> Result<Connections, Error> {
    let file = SqliteConnectOptions::from_str(&options.url)?
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let for_writer = file
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // One writer: SQLite has one write lock anyway, and waiting in the pool is fair where retrying is not.
    let pool: SqlitePoolOptions = pool_options(1);
    let pool = pool.idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    let pool = pool.before_acquire(|connection, _| {
        // When a write or a commit fails for want of room, SQLite may roll back by itself. The driver's own
        // rollback then fails, it takes the next transaction for a nested one, and commits of those reach no
        // disk. A connection that counts itself inside a transaction is therefore replaced.
        let is_sound = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_sound) })
    });
    let writer = pool.connect_with(for_writer).await?;
    let writer = DatabaseConnection::from(writer);
    if schema::read(&writer).await?.needs_migration()? {
        Migrator::up(&writer, None).await?;
    }
    // Only now: a read-only connection cannot make the file.
    let aside = sqlite_readers(file.clone(), 1).await?;
    let reader = sqlite_readers(file, options.connections).await?;
    Ok(Connections { writer, reader, aside, budgets: None })
}

pub(crate) async fn sqlite_readers(
    options: SqliteConnectOptions,
    connections: u32,
) -> Result<DatabaseConnection, Error> {
    let pool: SqlitePoolOptions = pool_options(connections);
    // A connection to a file cannot be lost, and asking costs as much as a statement.
    let pool = pool.idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    let options = options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging().read_only(true);
    Ok(pool.connect_with(options).await?.into())
}

async fn open_postgres(options: &OpenOptions) -> Result<Connections, Error> {
    migrate_postgres(&options.url).await?;
    let aside = postgres_pool(options, 1).await?;
    let pool = postgres_pool(options, options.connections).await?;
    let budgets = Some(budget_pool(&options.url)?);
    Ok(Connections { writer: pool.clone(), reader: pool, aside, budgets })
}

async fn postgres_pool(options: &OpenOptions, connections: u32) -> Result<DatabaseConnection, Error> {
    let pool = tried_after_rest(pool_options(connections));
    Ok(pool.connect_with(postgres_options(&options.url, LOCK_TIMEOUT)?).await?.into())
}

/// Tries connections that rested before they are used.
pub(crate) fn tried_after_rest(pool: PgPoolOptions) -> PgPoolOptions {
    pool.test_before_acquire(false).before_acquire(|connection, state| {
        Box::pin(async move {
            if state.idle_for >= RETRY_AFTER_IDLE {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

/// Session settings are sent with the connection's start, where they win over the role's and database's.
pub(crate) fn postgres_options(url: &str, lock_timeout: Duration) -> Result<PgConnectOptions, Error> {
    let ms = |duration: Duration| duration.as_millis().to_string();
    let options = PgConnectOptions::from_str(url)?
        .application_name("rndrkit")
        .options([
            ("default_transaction_isolation", "read committed".to_owned()),
            ("synchronous_commit", "on".to_owned()),
            // Our statements touch a few rows. Before tables have been analysed the planner thinks otherwise, and
            // compiling the beat then takes twenty times as long as running it.
            ("jit", "off".to_owned()),
            ("lock_timeout", ms(lock_timeout)),
            ("idle_in_transaction_session_timeout", ms(IDLE_TRANSACTION_TIMEOUT)),
            ("statement_timeout", ms(STATEMENT_TIMEOUT.max(lock_timeout))),
            // A machine that vanished must not keep its locks: the server gives up after 25 seconds.
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            // And 10 seconds when it owes an acknowledgement, which keeps the above from being asked. Our side has
            // no such setting in the driver; there the deadlines of the calls stand in for it.
            ("tcp_user_timeout", "10000".to_owned()),
        ])
        .disable_statement_logging();
    Ok(options)
}

/// One connection that nobody else uses and that is not replaced behind our back while it is healthy.
pub(crate) async fn single_postgres(url: &str, lock_timeout: Duration) -> Result<DatabaseConnection, Error> {
    let pool: PgPoolOptions = pool_options(1);
    let pool = pool.idle_timeout(None).max_lifetime(None);
    Ok(pool.connect_with(postgres_options(url, lock_timeout)?).await?.into())
}

/// Several processes may start at once, and the migrator has no lock of its own: two of four failed.
async fn migrate_postgres(url: &str) -> Result<(), Error> {
    let connection = single_postgres(url, MIGRATION_LOCK_TIMEOUT).await?;
    let result = migrate_locked(&connection).await;
    // Closing the session lets go of the lock, also after a failure.
    connection.close().await?;
    result
}

async fn migrate_locked(connection: &DatabaseConnection) -> Result<(), Error> {
    if !schema::read(connection).await?.needs_migration()? {
        return Ok(());
    }
    let lock = "SELECT pg_advisory_lock($1)";
    let lock = Statement::from_sql_and_values(DbBackend::Postgres, lock, [MIGRATION_LOCK.into()]);
    connection.execute_raw(lock).await?;
    // Another process may have migrated while this one waited.
    let status = schema::read(connection).await?;
    if status.needs_migration()? {
        if status == (SchemaStatus::Older { found: 1 }) {
            outlast_version_1(connection).await?;
        }
        Migrator::up(connection, None).await?;
    }
    Ok(())
}

/// Version 1 served alone and held a lock for as long as it did. It would not be waited for by the nodes of this
/// version, so it has to have stopped before they begin.
async fn outlast_version_1(connection: &DatabaseConnection) -> Result<(), Error> {
    let sql = "SELECT 1 WHERE pg_try_advisory_lock($1)";
    for attempt in 1..=SERVING_ATTEMPTS {
        let lock = Statement::from_sql_and_values(DbBackend::Postgres, sql, [SERVING_LOCK.into()]);
        if connection.query_one_raw(lock).await?.is_some() {
            return Ok(());
        }
        if attempt < SERVING_ATTEMPTS {
            tokio::time::sleep(SERVING_PAUSE).await;
        }
    }
    Err(Error::AlreadyServed)
}

#[cfg(test)]
mod tests {
    use rndrkit_testkit::database::{TestDatabase, on_postgres, on_sqlite};
    use sea_orm::FromQueryResult;

    use super::*;

    async fn setting(pool: &Pool, query: &'static str) -> String {
        pool.one::<TextRow>(query, []).await.unwrap().value
    }

    #[derive(Debug, FromQueryResult)]
    struct Setting {
        value: i64,
    }

    #[test]
    fn readers_of_sqlite_refuse_to_write() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let write = "UPDATE feed_head SET number = 9";
            let refused = store.reader().execute(write, []).await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
            assert_eq!(store.feed_head().await.unwrap().number, 0);
            assert_eq!(store.writer().execute(write, []).await.unwrap(), 1);
        });
    }

    #[test]
    fn after_sqlite_rolled_back_by_itself_the_next_commit_is_a_commit() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            for round in 1..=3 {
                let tx = store.begin().await.unwrap();
                // As SQLite does when the disk is full, behind the driver's back.
                tx.execute("ROLLBACK", []).await.unwrap();
                assert!(tx.commit().await.is_err());
                store.begin().await.unwrap().rollback().await.unwrap();
                let tx = store.begin().await.unwrap();
                tx.execute("UPDATE feed_head SET number = number + 1", []).await.unwrap();
                tx.commit().await.unwrap();
                assert_eq!(store.feed_head().await.unwrap().number, round, "acknowledged and not there");
            }
        });
    }

    #[test]
    fn the_writer_of_sqlite_syncs_every_commit_and_checks_references() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let writer = store.writer();
            assert_eq!(setting(writer, "SELECT journal_mode AS value FROM pragma_journal_mode").await, "wal");
            let full: Setting =
                writer.one("SELECT synchronous AS value FROM pragma_synchronous", []).await.unwrap();
            let references: Setting =
                writer.one("SELECT foreign_keys AS value FROM pragma_foreign_keys", []).await.unwrap();
            assert_eq!((full.value, references.value), (2, 1));
        });
    }

    #[test]
    fn on_postgresql_a_process_has_two_changes_under_way_at_once_and_reads_beside_them() {
        on_postgres(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let (first, second) = (store.begin().await.unwrap(), store.begin().await.unwrap());
            let third = tokio::time::timeout(Duration::from_millis(200), store.begin());
            assert!(third.await.is_err(), "a third change has begun");
            store.ping().await.unwrap();
            drop(first);
            store.begin().await.unwrap().commit().await.unwrap();
            second.commit().await.unwrap();
            store.begin().await.unwrap().rollback().await.unwrap();
        });
    }

    #[test]
    fn sessions_of_postgresql_are_durable_bounded_and_read_committed() {
        on_postgres(async |database: &TestDatabase| {
            // A careless administrator's defaults lose against ours.
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let name = setting(store.writer(), "SELECT current_database()::text AS value").await;
            let careless = format!(
                "ALTER DATABASE {name} SET synchronous_commit = off;
                 ALTER DATABASE {name} SET default_transaction_isolation = serializable"
            );
            store.writer().connection().execute_unprepared(&careless).await.unwrap();
            store.close().await.unwrap();
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            for (setting_name, expected) in [
                ("default_transaction_isolation", "read committed"),
                ("synchronous_commit", "on"),
                ("jit", "off"),
                ("lock_timeout", "3s"),
                ("idle_in_transaction_session_timeout", "1s"),
                ("statement_timeout", "10s"),
            ] {
                let row: TextRow = store
                    .writer()
                    .one("SELECT current_setting($1) AS value", [text(setting_name)])
                    .await
                    .unwrap();
                assert_eq!(row.value, expected, "{setting_name}");
            }
        });
    }
}
