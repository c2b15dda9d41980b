//! Keeps two processes from serving one PostgreSQL database, for as long as a node stands alone.
//!
//! SQLite needs none of this: there the data folder's lock file does it.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, FromQueryResult, Statement};

use crate::error::Error;
use crate::open::single_postgres;

/// Key of the lock. PostgreSQL shows its halves as `classid` and `objid`.
const SERVING_LOCK: i64 = 0x726e_6472_6b69_7402;
/// How often the right is asked for. A process that has just ended may still seem to be there.
const CLAIM_ATTEMPTS: u32 = 10;
/// How long to wait between two attempts.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
/// How long the connection may take to answer before it counts as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A session that holds the right to serve a database. The right ends with the session, so it cannot be
/// left behind by a crash.
#[derive(Debug)]
pub struct NodeGuard {
    connection: DatabaseConnection,
}

#[derive(FromQueryResult)]
struct Held {
    held: bool,
}

impl NodeGuard {
    /// Takes the right to serve, or says that another process has it.
    pub async fn claim(url: &str) -> Result<Self, Error> {
        let connection = single_postgres(url, ANSWER_TIMEOUT).await?;
        let guard = Self { connection };
        for attempt in 1..=CLAIM_ATTEMPTS {
            if guard.ask("SELECT pg_try_advisory_lock($1) AS held").await? {
                return Ok(guard);
            }
            if attempt < CLAIM_ATTEMPTS {
                tokio::time::sleep(CLAIM_PAUSE).await;
            }
        }
        guard.connection.close().await?;
        Err(Error::AlreadyServed)
    }

    /// Whether the right is still held. An error means that it is lost, or that nobody can tell.
    pub async fn ping(&self) -> Result<(), Error> {
        // A new session behind the pool would answer too, but would not hold the lock.
        let held = self.ask(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
                 AND granted AND (classid::bigint << 32) + objid::bigint = $1) AS held",
        );
        match held.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::unavailable("the session that held the right to serve is gone")),
            Err(error) => Err(error),
        }
    }

    /// Gives the right back, so that a successor need not wait for the server to notice.
    pub async fn release(self) -> Result<(), Error> {
        let released = self.ask("SELECT pg_advisory_unlock($1) AS held").await;
        self.connection.close().await?;
        released.map(|_| ())
    }

    async fn ask(&self, question: &str) -> Result<bool, Error> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, question, [SERVING_LOCK.into()]);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.connection.query_one_raw(statement)).await;
        let row = answer.map_err(|_| Error::unavailable("the database did not answer in time"))??;
        let row = row.ok_or_else(|| Error::corrupt("a question without an answer"))?;
        Ok(Held::from_query_result(&row, "")?.held)
    }
}
