//! Questions about a PostgreSQL server and about what keeps several nodes together, for whoever looks for the
//! cause of trouble. Nothing is changed, nothing is judged, and an ordinary role may ask all of it.

use std::time::Duration;

use rndrkit_domain::time::Timestamp;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{FromQueryResult, sqlx};

use crate::error::Error;
use crate::open::{LOCK_TIMEOUT, OpenOptions, postgres_options, single_postgres};
use crate::sql::{Pool, StatementCount};
use crate::value::read_count;

/// What a node takes at most: its pool, one to read the list of nodes, one for budgets, and its own line with the
/// three that it may have given up while the server owes them an answer. For a moment after its line has
/// connected, two more try whether notifications arrive.
pub const CONNECTIONS_OF_A_NODE: u32 = OpenOptions::POSTGRES_CONNECTIONS + 6;

/// The most rows that any question reads.
const MAX_ROWS: i64 = 1_000;
/// How long a notification may take from one session to another before it counts as lost.
const NEWS_DEADLINE: Duration = Duration::from_secs(2);

/// A connection for questions.
#[derive(Debug)]
pub struct PostgresProbe {
    pool: Pool,
}

/// What the server is, and what this role may do.
#[derive(Debug, Clone, FromQueryResult)]
#[expect(clippy::struct_excessive_bools, reason = "answers to questions that have no third one")]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Whether it only follows another server.
    pub in_recovery: bool,
    /// Whether transactions are read-only.
    pub read_only: bool,
    /// Whether this role may do what a node does.
    pub may_write: bool,
    /// Whether this role sees what other roles' sessions do.
    pub sees_all: bool,
    /// Whether the settings that a session of ours begins with have arrived at the server.
    pub settings_arrive: bool,
}

/// What becomes of a commit.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Durability {
    /// `fsync`.
    pub fsync: bool,
    /// `full_page_writes`.
    pub full_page_writes: bool,
    /// `synchronous_commit`, as it holds in our sessions.
    pub synchronous_commit: String,
    /// `synchronous_standby_names`.
    pub synchronous_standby_names: String,
}

/// A server that follows this one.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Standby {
    /// What it calls itself.
    pub name: Option<String>,
    /// `streaming` when it has caught up; none: this role may not see it.
    pub state: Option<String>,
    /// `sync`, `quorum`, `potential` or `async`; none: this role may not see it.
    pub sync_state: Option<String>,
}

/// A transaction of somebody's.
#[derive(Debug, Clone, FromQueryResult)]
pub struct LongTransaction {
    /// Process of the server.
    pub pid: i64,
    /// What the client calls itself.
    pub application: String,
    /// How long it has been so.
    pub seconds: i64,
}

/// Transactions that were prepared and neither committed nor rolled back.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub struct Prepared {
    /// How many.
    pub transactions: i64,
    /// Age of the oldest.
    pub oldest_seconds: Option<i64>,
}

/// Room for connections.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub struct Connections {
    /// `max_connections` without those kept for administrators.
    pub server_limit: i64,
    /// Taken now.
    pub server_used: i64,
    /// The least that role and database are allowed; none: as many as the server.
    pub own_limit: Option<i64>,
    /// Taken now by this role.
    pub own_used: i64,
}

/// A node's row, and for how long it has been silent.
#[derive(Debug, Clone, FromQueryResult)]
pub struct NodeFacts {
    /// What people call it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How long it goes on deciding after a beat.
    pub trust_ms: i64,
    /// What it has applied.
    pub applied: i64,
    /// Since its last beat, by the database's clock.
    pub silent_ms: i64,
}

#[derive(FromQueryResult)]
struct Number {
    value: i64,
}

#[derive(FromQueryResult)]
struct Share {
    value: f64,
}

impl PostgresProbe {
    /// Connects as a node does.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let connection = single_postgres(url, LOCK_TIMEOUT).await?;
        Ok(Self { pool: Pool::new(connection, StatementCount::default()) })
    }

    /// Lets go of the connection.
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.pool.connection().clone().close().await?)
    }

    /// The database's clock.
    pub async fn database_time(&self) -> Result<Timestamp, Error> {
        let now: Number = self
            .pool
            .one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS value", [])
            .await?;
        Ok(Timestamp::from_unix_ms(now.value))
    }

    /// What the server is, and what this role may do.
    pub async fn server(&self) -> Result<ServerFacts, Error> {
        self.pool
            .one(
                "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS in_recovery,
                        current_setting('transaction_read_only') = 'on' AS read_only,
                        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
                        current_setting('lock_timeout') = '3s' AS settings_arrive,
                        COALESCE(
                            (SELECT bool_and(has_table_privilege(oid, 'SELECT')
                                 AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
                                 AND has_table_privilege(oid, 'DELETE'))
                             FROM pg_class WHERE oid IN (to_regclass('feed_head'), to_regclass('feed'),
                                 to_regclass('accounts'), to_regclass('api_keys'), to_regclass('nodes'))),
                            has_schema_privilege(current_schema(), 'CREATE'), FALSE) AS may_write",
                [],
            )
            .await
    }

    /// What becomes of a commit.
    pub async fn durability(&self) -> Result<Durability, Error> {
        self.pool
            .one(
                "SELECT current_setting('fsync') = 'on' AS fsync,
                        current_setting('full_page_writes') = 'on' AS full_page_writes,
                        current_setting('synchronous_commit') AS synchronous_commit,
                        current_setting('synchronous_standby_names') AS synchronous_standby_names",
                [],
            )
            .await
    }

    /// Servers that follow this one.
    pub async fn standbys(&self) -> Result<Vec<Standby>, Error> {
        self.pool
            .all(
                "SELECT application_name AS name, state, sync_state FROM pg_stat_replication
                 ORDER BY pid LIMIT $1",
                [MAX_ROWS.into()],
            )
            .await
    }

    /// The transaction of this database that has done nothing for longest.
    pub async fn idle_transaction(&self) -> Result<Option<LongTransaction>, Error> {
        self.pool
            .optional(
                "SELECT pid::bigint AS pid, COALESCE(application_name, '') AS application,
                        extract(epoch FROM clock_timestamp() - state_change)::bigint AS seconds
                 FROM pg_stat_activity
                 WHERE datname = current_database() AND state LIKE 'idle in transaction%'
                 ORDER BY state_change LIMIT 1",
                [],
            )
            .await
    }

    /// The transaction that has kept dead versions of this database's rows for longest.
    pub async fn oldest_snapshot(&self) -> Result<Option<LongTransaction>, Error> {
        self.pool
            .optional(
                "SELECT pid::bigint AS pid, COALESCE(application_name, '') AS application,
                        extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds
                 FROM pg_stat_activity
                 WHERE datname = current_database() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
                     AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
                 ORDER BY xact_start LIMIT 1",
                [],
            )
            .await
    }

    /// Transactions that nobody has finished.
    pub async fn prepared(&self) -> Result<Prepared, Error> {
        self.pool
            .one(
                "SELECT count(*) AS transactions,
                        extract(epoch FROM clock_timestamp() - min(prepared))::bigint AS oldest_seconds
                 FROM pg_prepared_xacts WHERE database = current_database()",
                [],
            )
            .await
    }

    /// How full the queue of notifications is: 1 is full, and then no change can be committed.
    pub async fn notification_queue(&self) -> Result<f64, Error> {
        let share: Share = self.pool.one("SELECT pg_notification_queue_usage() AS value", []).await?;
        Ok(share.value)
    }

    /// Room for connections.
    pub async fn connections(&self) -> Result<Connections, Error> {
        self.pool
            .one(
                "SELECT current_setting('max_connections')::bigint
                            - current_setting('superuser_reserved_connections')::bigint
                            - COALESCE(current_setting('reserved_connections', TRUE), '0')::bigint AS server_limit,
                        (SELECT COALESCE(sum(numbackends), 0) FROM pg_stat_database)::bigint AS server_used,
                        (SELECT min(allowed) FROM (
                            SELECT rolconnlimit::bigint AS allowed FROM pg_roles WHERE rolname = current_user
                            UNION ALL
                            SELECT datconnlimit::bigint FROM pg_database WHERE datname = current_database()
                         ) AS own WHERE allowed >= 0) AS own_limit,
                        (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user) AS own_used",
                [],
            )
            .await
    }

    /// The longest trust that any node of this installation has been allowed.
    pub async fn longest_trust(&self) -> Result<Duration, Error> {
        let longest: Number = self
            .pool
            .one(
                "SELECT GREATEST(longest_trust_ms, (SELECT COALESCE(max(trust_ms), 0) FROM nodes)) AS value
                 FROM cluster",
                [],
            )
            .await?;
        Ok(Duration::from_millis(read_count(longest.value)?))
    }

    /// The nodes that are registered.
    pub async fn nodes(&self) -> Result<Vec<NodeFacts>, Error> {
        self.pool
            .all(
                "SELECT name, version, trust_ms, applied,
                        (extract(epoch FROM clock_timestamp()) * 1000)::bigint - seen_at AS silent_ms
                 FROM nodes ORDER BY name, incarnation LIMIT $1",
                [MAX_ROWS.into()],
            )
            .await
    }
}

/// Whether a notification of one session reaches another that listens: behind a pooler that hands sessions out
/// by the transaction, it never does.
pub async fn notifications_arrive(url: &str) -> Result<bool, Error> {
    let options = PgPoolOptions::new().max_connections(2).acquire_timeout(NEWS_DEADLINE);
    let pool = options.connect_with(postgres_options(url, LOCK_TIMEOUT)?).await?;
    let heard = hears(&pool).await;
    pool.close().await;
    heard
}

async fn hears(pool: &sqlx::PgPool) -> Result<bool, Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    // A channel that nobody else has: the session's own number.
    let channel: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut listener).await?;
    let channel = format!("rndrkit_test_{channel}");
    listener.listen(&channel).await?;
    sqlx::query("SELECT pg_notify($1, '')").bind(&channel).execute(pool).await?;
    match tokio::time::timeout(NEWS_DEADLINE, listener.recv()).await {
        Ok(heard) => Ok(heard.map(|_| true)?),
        Err(_) => Ok(false),
    }
}
