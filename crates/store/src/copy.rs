//! Moves an installation from SQLite to PostgreSQL: everything is copied inside one transaction, read back and
//! compared before it counts. The SQLite file is opened for reading only.
//!
//! What is left out: keeping a server from writing meanwhile. The caller holds the data folder's lock.

mod rows;

use std::str::FromStr as _;

use rndrkit_domain::feed::{FeedKind, FeedNumber};
use sea_orm::sqlx::sqlite::SqliteConnectOptions;

use crate::audit_check::ChainReport;
use crate::audit_trail;
use crate::change::Change;
use crate::error::Error;
use crate::feed::{self, News};
use crate::open::{OpenOptions, Store, sqlite_readers};
use crate::schema::{self, SchemaStatus};
use crate::sql::{NumberRow, Pool, StatementCount, Transaction};
use rows::{Table, Total, count};

/// What is copied, parents before children. A test compares this, and what is left behind, with the schema.
pub(crate) const COPIED: &[&str] = &[
    "revisions",
    "plans",
    "accounts",
    "users",
    "sessions",
    "links",
    "tokens",
    "api_keys",
    "key_secrets",
    "key_prefixes",
    "audit_head",
    "audit_events",
    "usage",
    "key_usage",
    "idempotency",
    "sightings",
    "secret_hours",
    "key_networks",
    "refusals",
    "notification_settings",
    "outbox",
    "told_once",
    "email_changes",
    "known_places",
    "audit_signatures",
];

/// What stays. The feed begins anew, behind the last number: entries are for nodes that follow, and there are
/// none yet. Nodes, their budgets and the schema belong to each database.
#[cfg(test)]
pub(crate) const LEFT: &[&str] = &["schema_version", "feed_head", "feed", "nodes", "budgets", "cluster"];

/// Writers wait, readers do not: whoever starts on the database meanwhile must not add to it.
const LOCK: &str =
    "LOCK TABLE feed_head, feed, nodes, revisions, plans, accounts, users, sessions, links, tokens,
     api_keys, key_secrets, key_prefixes, audit_head, audit_events, usage, key_usage, idempotency,
     sightings, secret_hours, key_networks, refusals, notification_settings, outbox, told_once, email_changes,
     known_places, audit_signatures
     IN EXCLUSIVE MODE";

/// A slow disk on the other side must not count as a process that forgot its transaction.
const PATIENCE: &str = "SET LOCAL idle_in_transaction_session_timeout = '5min'";

/// Why nothing was moved, except where said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// There is no database to move, or none of this version.
    #[error("the SQLite database is not one of this version")]
    Source(SchemaStatus),
    /// The PostgreSQL database was made by another version.
    #[error("the PostgreSQL database is not one of this version")]
    Target(SchemaStatus),
    /// Nodes are registered in the PostgreSQL database.
    #[error("{nodes} nodes are registered in the PostgreSQL database")]
    TargetServed {
        /// How many.
        nodes: u64,
    },
    /// The PostgreSQL database holds another installation.
    #[error("the PostgreSQL database has {accounts} accounts, {keys} keys and {tokens} tokens already")]
    TargetNotEmpty {
        /// Accounts, deleted ones included.
        accounts: u64,
        /// Keys, revoked ones included.
        keys: u64,
        /// Tokens, deleted ones included.
        tokens: u64,
    },
    /// What was read back is not what was written.
    #[error("table {table} read back differently: {copied} rows were copied and {found} found")]
    Differs {
        /// The table.
        table: &'static str,
        /// Rows that were copied.
        copied: u64,
        /// Rows that were there.
        found: u64,
    },
    /// The audit trail does not check out as it did before.
    #[error("the audit trail does not check out on the other side as it does here")]
    Trail,
    /// The last step was not answered: it may have happened. Asking again tells.
    #[error("the database did not answer the last step, so nobody knows whether it happened: {0}")]
    Unknown(Error),
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A table that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// Its rows: as many here as there, and the same.
    pub rows: u64,
}

/// What a move has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveReport {
    /// All tables that were copied and compared.
    pub tables: Vec<MovedTable>,
    /// The audit trail: checked on both sides, with the same result.
    pub trail: ChainReport,
    /// Where the feed goes on.
    pub number: FeedNumber,
    /// Nothing was written: an earlier call had moved all this already.
    pub already_there: bool,
}

/// Moves everything from the SQLite database `source` into the PostgreSQL database `target`, which it migrates
/// first. All or nothing. `progress` hears the table and how many of its rows have been copied.
pub async fn move_to_postgres(
    source: &str,
    target: &str,
    change: &Change,
    progress: &mut dyn FnMut(&'static str, u64),
) -> Result<MoveReport, MoveError> {
    let source = open_source(source).await?;
    let reading = source.begin_reading().await?;
    let target_status = Store::schema_status(target).await?;
    if !matches!(target_status, SchemaStatus::Empty | SchemaStatus::Current | SchemaStatus::Older { .. }) {
        return Err(MoveError::Target(target_status));
    }
    let target = Store::open(&OpenOptions::new(target).with_connections(1)).await?;
    let moved = move_all(&reading, &target, change, progress).await;
    let closed = target.close().await;
    reading.rollback().await?;
    source.connection().clone().close().await.map_err(Error::from)?;
    let report = moved?;
    closed?;
    Ok(report)
}

/// Opens the file for reading alone: not even its log is folded into it.
async fn open_source(url: &str) -> Result<Pool, MoveError> {
    let options = SqliteConnectOptions::from_str(url).map_err(Error::from)?;
    if !options.get_filename().exists() {
        return Err(MoveError::Source(SchemaStatus::Empty));
    }
    let connection = sqlite_readers(options, 1).await?;
    match schema::read(&connection).await? {
        SchemaStatus::Current => Ok(Pool::new(connection, StatementCount::default())),
        other => Err(MoveError::Source(other)),
    }
}

async fn move_all(
    source: &Transaction,
    target: &Store,
    change: &Change,
    progress: &mut dyn FnMut(&'static str, u64),
) -> Result<MoveReport, MoveError> {
    let writing = target.begin().await?;
    writing.execute(PATIENCE, []).await?;
    writing.execute(LOCK, []).await?;
    let holds = Holdings::read(&writing).await?;
    if holds.something() {
        let report = compare(source, &writing).await?;
        writing.rollback().await?;
        return report.ok_or_else(|| holds.refusal());
    }
    if holds.nodes > 0 {
        return Err(MoveError::TargetServed { nodes: holds.nodes });
    }
    let tables = copy_tables(source, &writing, progress).await?;
    let trail = check_trail(source, &writing).await?;
    let number = go_on_with_feed(source, &writing, change).await?;
    writing.commit().await.map_err(MoveError::Unknown)?;
    Ok(MoveReport { tables, trail, number, already_there: false })
}

/// What there is in the PostgreSQL database.
struct Holdings {
    nodes: u64,
    accounts: u64,
    users: u64,
    keys: u64,
    tokens: u64,
}

impl Holdings {
    async fn read(target: &Transaction) -> Result<Self, Error> {
        Ok(Self {
            nodes: count(target, "SELECT count(*) AS value FROM nodes").await?,
            accounts: count(target, "SELECT count(*) AS value FROM accounts").await?,
            users: count(target, "SELECT count(*) AS value FROM users").await?,
            keys: count(target, "SELECT count(*) AS value FROM api_keys").await?,
            tokens: count(target, "SELECT count(*) AS value FROM tokens").await?,
        })
    }

    /// Plans, prefixes and their events come from a mere start and are replaced.
    fn something(&self) -> bool {
        self.accounts + self.users + self.keys + self.tokens > 0
    }

    fn refusal(&self) -> MoveError {
        MoveError::TargetNotEmpty { accounts: self.accounts, keys: self.keys, tokens: self.tokens }
    }
}

async fn copy_tables(
    source: &Transaction,
    target: &Transaction,
    progress: &mut dyn FnMut(&'static str, u64),
) -> Result<Vec<MovedTable>, MoveError> {
    for name in COPIED.iter().rev() {
        target.execute_built(format!("DELETE FROM {name}"), Vec::new()).await?;
    }
    let mut moved = Vec::new();
    for &name in COPIED {
        let table = Table::read(source, name).await?;
        let copied = table.copy(source, target, &mut |rows| progress(name, rows)).await?;
        let found = table.total_on_postgres(target).await?;
        if copied != found {
            return Err(MoveError::Differs { table: name, copied: copied.rows, found: found.rows });
        }
        moved.push(MovedTable { name, rows: copied.rows });
    }
    Ok(moved)
}

/// Whether an earlier call has moved all this; its commit may not have been answered.
async fn compare(source: &Transaction, target: &Transaction) -> Result<Option<MoveReport>, Error> {
    let mut tables = Vec::new();
    for &name in COPIED {
        let table = Table::read(source, name).await?;
        let (here, there): (Total, Total) =
            (table.total(source).await?, table.total_on_postgres(target).await?);
        if here != there {
            return Ok(None);
        }
        tables.push(MovedTable { name, rows: here.rows });
    }
    let trail = audit_trail::verify(target, &[]).await?;
    let number = head(target).await?;
    Ok(Some(MoveReport { tables, trail, number, already_there: true }))
}

async fn check_trail(source: &Transaction, target: &Transaction) -> Result<ChainReport, MoveError> {
    let (here, there) = (audit_trail::verify(source, &[]).await?, audit_trail::verify(target, &[]).await?);
    if here == there { Ok(there) } else { Err(MoveError::Trail) }
}

/// Numbers go on: rows carry the number of their last change, and whoever waits for it must find it passed.
/// The first entry has a tag of its own, so that a node which followed another copy of this history notices.
async fn go_on_with_feed(
    source: &Transaction,
    target: &Transaction,
    change: &Change,
) -> Result<FeedNumber, Error> {
    let number = head(source).await?.max(head(target).await?);
    target.execute("DELETE FROM feed", []).await?;
    target.execute("UPDATE feed_head SET number = $1, oldest = $1 + 1", [number.into()]).await?;
    feed::publish(target, change, News::of_set(FeedKind::ANYTHING)).await
}

async fn head(sql: &Transaction) -> Result<FeedNumber, Error> {
    let row: NumberRow = sql.one("SELECT number AS value FROM feed_head", []).await?;
    Ok(row.value)
}

#[cfg(test)]
mod tests {
    use rndrkit_testkit::database::{TestDatabase, on_sqlite};

    use super::*;
    use crate::sql::TextRow;

    #[test]
    fn every_table_is_either_moved_or_left_for_a_reason() {
        on_sqlite(async |database: &TestDatabase| {
            let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
            let query = "SELECT name AS value FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
                 AND name NOT LIKE 'sqlite_%' AND name <> 'seaql_migrations'";
            let rows: Vec<TextRow> = store.reader().all(query, []).await.unwrap();
            let mut tables: Vec<String> = rows.into_iter().map(|row| row.value).collect();
            let mut known: Vec<&str> = COPIED.iter().chain(LEFT).copied().collect();
            tables.sort_unstable();
            known.sort_unstable();
            assert_eq!(tables, known);
            for table in COPIED {
                assert!(LOCK.split([' ', ',', '\n']).any(|word| word == *table), "{table} is not locked");
            }
        });
    }
}
