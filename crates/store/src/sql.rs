//! How statements are run: one text for both databases, `$1` parameters, counted, errors classified.
//!
//! Statements are constants except where a list of rows makes their length, so no input becomes SQL.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// How long any one statement may take. Longer than every limit that the database itself has been given, so
/// that it decides only when the database says nothing at all: a frozen server, a lost network. The statement
/// is left alone then, never cancelled: what it did is unknown.
const ANSWER_DEADLINE: Duration = Duration::from_secs(12);
/// How long a change waits for its turn.
const TURN_DEADLINE: Duration = Duration::from_secs(5);

async fn bounded<T>(answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, Error> {
    match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::unavailable("the database did not answer in time")),
    }
}

/// Statements sent to the database since the store was opened, `BEGIN` and `COMMIT` included.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatementCount(Arc<AtomicU64>);

impl StatementCount {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that runs statements: a pool or a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Sql<C> {
    connection: C,
    statements: StatementCount,
    turns: Turns,
    /// Whether this installation sends mail, so that events become some.
    sends_mail: bool,
}

/// Who may begin to write. A process that is stopped in the middle of its changes leaves them open, and each that
/// waits for a row gets it and holds it until PostgreSQL ends the session a second later: one after the other,
/// while all other nodes wait. So few may be under way at once; more would gain little, as all end at one row.
#[derive(Debug, Clone, Default)]
struct Turns {
    /// None: as many as there are connections.
    free: Option<Arc<Semaphore>>,
    /// Held by a transaction to its end.
    _mine: Option<Arc<OwnedSemaphorePermit>>,
}

impl Turns {
    /// Waits for a turn before anything is locked, for as long as one waits for a connection.
    async fn take(&self) -> Result<Self, Error> {
        let Some(free) = &self.free else { return Ok(Self::default()) };
        let turn = tokio::time::timeout(TURN_DEADLINE, Arc::clone(free).acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => Ok(Self { free: None, _mine: Some(Arc::new(turn)) }),
            Ok(Err(_)) | Err(_) => Err(Error::unavailable("too many changes at once")),
        }
    }
}

/// A pool.
pub(crate) type Pool = Sql<DatabaseConnection>;
/// An open transaction; dropping it without a commit rolls back.
pub(crate) type Transaction = Sql<DatabaseTransaction>;

impl<C: ConnectionTrait> Sql<C> {
    fn statement(&self, sql: Cow<'static, str>, values: impl IntoIterator<Item = Value>) -> Statement {
        self.statements.add_one();
        Statement::from_sql_and_values(self.connection.get_database_backend(), sql, values)
    }

    /// Whether events become mail here.
    pub(crate) fn sends_mail(&self) -> bool {
        self.sends_mail
    }

    /// Which database this is.
    pub(crate) fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(
        &self,
        sql: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, Error> {
        let statement = self.statement(Cow::Borrowed(sql), values);
        Ok(bounded(self.connection.execute_raw(statement)).await?.rows_affected())
    }

    /// Runs a statement that copies a whole database, which takes as long as it takes.
    pub(crate) async fn execute_at_length(
        &self,
        sql: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        let statement = self.statement(Cow::Borrowed(sql), values);
        self.connection.execute_raw(statement).await?;
        Ok(())
    }

    /// Runs a statement whose text was built from constants.
    pub(crate) async fn execute_built(&self, sql: String, values: Vec<Value>) -> Result<u64, Error> {
        let statement = self.statement(Cow::Owned(sql), values);
        Ok(bounded(self.connection.execute_raw(statement)).await?.rows_affected())
    }

    /// All rows of a statement whose text was built from constants and the catalogue; it carries its own bound.
    pub(crate) async fn rows_built(
        &self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<QueryResult>, Error> {
        let statement = self.statement(Cow::Owned(sql), values);
        bounded(self.connection.query_all_raw(statement)).await
    }

    /// The first row, if there is one.
    pub(crate) async fn optional<R: FromQueryResult>(
        &self,
        sql: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<R>, Error> {
        let statement = self.statement(Cow::Borrowed(sql), values);
        let row = bounded(self.connection.query_one_raw(statement)).await?;
        Ok(row.map(|row| R::from_query_result(&row, "")).transpose()?)
    }

    /// The only row of a statement that always has one.
    pub(crate) async fn one<R: FromQueryResult>(
        &self,
        sql: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<R, Error> {
        self.optional(sql, values).await?.ok_or_else(|| Error::corrupt("a row that always exists is missing"))
    }

    /// All rows; the statement carries its own bound.
    pub(crate) async fn all<R: FromQueryResult>(
        &self,
        sql: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>, Error> {
        let statement = self.statement(Cow::Borrowed(sql), values);
        let rows = bounded(self.connection.query_all_raw(statement)).await?;
        rows.iter().map(|row| R::from_query_result(row, "").map_err(Error::from)).collect()
    }
}

impl Pool {
    pub(crate) fn new(connection: DatabaseConnection, statements: StatementCount) -> Self {
        Self { connection, statements, turns: Turns::default(), sends_mail: false }
    }

    /// Lets at most `at_once` transactions that write be under way.
    pub(crate) fn with_writes_at_once(self, at_once: usize) -> Self {
        let free = Some(Arc::new(Semaphore::new(at_once)));
        Self { turns: Turns { free, _mine: None }, ..self }
    }

    /// Makes mail of events, or not.
    pub(crate) fn with_mail(self, sends_mail: bool) -> Self {
        Self { sends_mail, ..self }
    }

    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Begins a transaction that may write. SQLite takes its write lock here; PostgreSQL locks row by row.
    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        let turns = self.turns.take().await?;
        self.statements.add_one();
        self.begin_in(SqliteTransactionMode::Immediate, turns).await
    }

    /// Begins a transaction that only reads: one snapshot on SQLite.
    pub(crate) async fn begin_reading(&self) -> Result<Transaction, Error> {
        self.statements.add_one();
        self.begin_in(SqliteTransactionMode::Deferred, Turns::default()).await
    }

    async fn begin_in(&self, mode: SqliteTransactionMode, turns: Turns) -> Result<Transaction, Error> {
        let options =
            TransactionOptions { sqlite_transaction_mode: Some(mode), ..TransactionOptions::default() };
        let connection = bounded(self.connection.begin_with_options(options)).await?;
        Ok(Sql { connection, statements: self.statements.clone(), turns, sends_mail: self.sends_mail })
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.statements.add_one();
        // A warning that comes with a commit is not seen here: the driver logs it (`sqlx::postgres::notice`) and
        // answers "committed". PostgreSQL sends one when an administrator cancels a commit that waits for a
        // stand-by; we ourselves never cancel.
        match tokio::time::timeout(ANSWER_DEADLINE, self.connection.commit()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::of_commit(error)),
            Err(_) => Err(Error::outcome_unknown("the database did not answer in time")),
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), Error> {
        self.statements.add_one();
        bounded(self.connection.rollback()).await
    }
}

/// A single number, for counts and positions.
#[derive(Debug, FromQueryResult)]
pub(crate) struct NumberRow {
    pub(crate) value: i64,
}

/// A single text, for ids.
#[derive(Debug, FromQueryResult)]
pub(crate) struct TextRow {
    pub(crate) value: String,
}

/// `($1, $2), ($3, $4)` for two rows of two columns, or `(?, ?), (?, ?)` on SQLite. There `$1` is a name, and each
/// name is compared with all before it: with hundreds of rows that took longer than everything else of the write.
pub(crate) fn placeholders(backend: DbBackend, rows: usize, columns: usize) -> String {
    let cell = |row: usize, column: usize| match backend {
        DbBackend::Sqlite => "?".to_owned(),
        _ => format!("${}", row * columns + column),
    };
    let row = |row: usize| {
        let cells: Vec<String> = (1..=columns).map(|column| cell(row, column)).collect();
        format!("({})", cells.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::placeholders;

    #[test]
    fn parameters_are_numbered_through_all_rows_and_without_a_name_on_sqlite() {
        assert_eq!(placeholders(DbBackend::Postgres, 2, 2), "($1, $2), ($3, $4)");
        assert_eq!(placeholders(DbBackend::Sqlite, 2, 2), "(?, ?), (?, ?)");
    }
}
