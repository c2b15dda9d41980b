//! A fresh database for each test: a SQLite file in a folder of its own, or a PostgreSQL database made on
//! the server that the environment names. Empty until the test opens it; gone when dropped.

use std::path::Path;

use rndrkit_domain::random::{self, OsEntropy};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbErr, Statement};
use tokio::runtime::Runtime;

use crate::visible;

/// Where the test server is, such as `postgres://user@127.0.0.1:5432/postgres`. Any database that exists
/// will do; tests make their own beside it.
pub const POSTGRES_VARIABLE: &str = "RNDRKIT_TEST_POSTGRES_URL";

/// An empty database.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(tempfile::TempDir),
    Server { url: String, name: String },
}

impl TestDatabase {
    /// A SQLite file that does not exist yet, in a folder of its own.
    ///
    /// # Panics
    ///
    /// When there is no temporary folder.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without a folder cannot go on")]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self { url, place: Place::Folder(folder) }
    }

    /// A new PostgreSQL database, or `None` after one visible line when no server was announced.
    ///
    /// # Panics
    ///
    /// When the announced server refuses, or when one was promised and none announced.
    #[expect(clippy::panic, reason = "a server that was announced must work")]
    pub async fn postgres_or_notice() -> Option<Self> {
        let server = visible::server_or_notice("PostgreSQL tests", POSTGRES_VARIABLE)?;
        let random = u64::from_le_bytes(random::bytes(&OsEntropy));
        let name = format!("rndrkit_test_{random:016x}");
        if let Err(error) = run_on_server(&server, &format!("CREATE DATABASE {name}")).await {
            panic!("the server in {POSTGRES_VARIABLE} makes no database: {error}");
        }
        let url = with_database(&server, &name);
        Some(Self { url, place: Place::Server { url: server, name } })
    }

    /// What to open.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is SQLite.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// The folder of a SQLite file.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path()),
            Place::Server { .. } => None,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Server { url, name } = &self.place else { return };
        let (url, statement) = (url.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        // A thread of its own: dropping happens inside a runtime, which must not be blocked on itself. Best
        // effort, as what is left behind harms nobody but the test server's disk.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(run_on_server(&url, &statement)))
        });
        let _ = dropping.join();
    }
}

async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await
}

async fn run_on_server(url: &str, statement: &str) -> Result<(), DbErr> {
    let connection = connect(url).await?;
    let result = connection.execute_unprepared(statement).await;
    connection.close().await?;
    result.map(drop)
}

/// Changes a database behind the back of whoever uses it, for what cannot be reached otherwise.
///
/// # Panics
///
/// When the database refuses.
#[expect(clippy::panic, reason = "a test that cannot prepare its case cannot go on")]
pub async fn meddle(url: &str, statement: &str) {
    if let Err(error) = run_on_server(url, statement).await {
        panic!("{statement}: {error}");
    }
}

/// The first column of what a database answers, for what cannot be seen otherwise.
///
/// # Panics
///
/// When the database refuses, or it is not text.
#[expect(clippy::panic, reason = "a test that cannot look cannot go on")]
pub async fn texts(url: &str, query: &str) -> Vec<String> {
    let look = async {
        let connection = connect(url).await?;
        let statement = Statement::from_string(connection.get_database_backend(), query);
        let rows = connection.query_all_raw(statement).await;
        connection.close().await?;
        rows?.iter().map(|row| row.try_get_by_index(0)).collect()
    };
    let texts: Result<Vec<String>, DbErr> = look.await;
    texts.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// Somebody else who has begun to write to a SQLite file, as a backup tool might: nobody writes until they are done.
#[derive(Debug)]
pub struct OtherWriter(DatabaseConnection);

impl OtherWriter {
    /// Begins.
    ///
    /// # Panics
    ///
    /// When the database refuses.
    #[expect(clippy::panic, reason = "a test that cannot prepare its case cannot go on")]
    pub async fn begin(url: &str) -> Self {
        let begun = async {
            let connection = connect(url).await?;
            connection.execute_unprepared("BEGIN IMMEDIATE").await?;
            Ok::<_, DbErr>(connection)
        };
        Self(begun.await.unwrap_or_else(|error| panic!("no write lock: {error}")))
    }

    /// Is done, and has written nothing.
    pub async fn end(self) {
        // A lock goes with its connection in any case.
        let _ = self.0.execute_unprepared("ROLLBACK").await;
        let _ = self.0.close().await;
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (url, String::new()),
    };
    let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{name}{query}")
}

/// Runs a test on a fresh SQLite file.
pub fn on_sqlite(test: impl AsyncFnOnce(&TestDatabase)) {
    let database = TestDatabase::sqlite();
    runtime().block_on(test(&database));
}

/// Runs a test on a fresh PostgreSQL database, if there is a server.
pub fn on_postgres(test: impl AsyncFnOnce(&TestDatabase)) {
    let runtime = runtime();
    let Some(database) = runtime.block_on(TestDatabase::postgres_or_notice()) else { return };
    runtime.block_on(test(&database));
}

#[expect(clippy::expect_used, reason = "a test without a runtime cannot go on")]
fn runtime() -> Runtime {
    // Two workers, so that what races in a test really runs at once.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// Makes two tests of each named `async fn name(database: &TestDatabase)`: one on each database.
///
/// ```text
/// on_both_databases!(five_means_five);
///
/// async fn five_means_five(database: &TestDatabase) { … }
/// ```
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn on_sqlite() {
                $crate::database::on_sqlite(super::$name);
            }

            #[test]
            fn on_postgres() {
                $crate::database::on_postgres(super::$name);
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_of_a_server_url_is_replaced() {
        for (url, expected) in [
            ("postgres://me@localhost:5432/postgres", "postgres://me@localhost:5432/mine"),
            ("postgres://localhost", "postgres://localhost/mine"),
            ("postgres:///postgres?host=/run/pg&port=5433", "postgres:///mine?host=/run/pg&port=5433"),
        ] {
            assert_eq!(with_database(url, "mine"), expected);
        }
    }
}
