//! The list of nodes as PostgreSQL keeps it, and what every answer about it carries: which history the server is
//! on, and how long any node of this installation may ever have been trusted.
//!
//! Absent here: judging anybody by what is read. A node's row says what it said, no more.

use std::time::Duration;

use rndrkit_domain::feed::FeedHead;
use rndrkit_domain::node::{BeatAnswer, NodeRow, Roster, Timeline};
use rndrkit_domain::time::Timestamp;
use sea_orm::{DbBackend, DbErr, FromQueryResult, QueryResult};

use crate::error::Error;
use crate::open::Store;
use crate::value::{read, read_time};

/// The columns of `nodes` that others may know.
macro_rules! node_columns {
    () => {
        "incarnation, name, beat, applied, version, trust_ms, seen_at"
    };
}
pub(crate) use node_columns;

/// What the server says about itself, as columns. Both functions are open to ordinary roles, and the second fails
/// on a server in recovery: a stand-by has no list of nodes that anybody may believe.
macro_rules! server_columns {
    () => {
        "(SELECT system_identifier FROM pg_control_system()) AS system,
         ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint AS timeline,
         (SELECT longest_trust_ms FROM cluster) AS longest_trust_ms"
    };
}
pub(crate) use server_columns;

/// The database's clock in milliseconds, rounded up: an end that is judged by it comes early, never late.
macro_rules! now_ms {
    () => {
        "ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
pub(crate) use now_ms;

#[derive(FromQueryResult)]
struct ServerColumns {
    system: i64,
    timeline: i64,
    longest_trust_ms: i64,
}

#[derive(FromQueryResult)]
struct NodeColumns {
    incarnation: String,
    name: String,
    beat: String,
    applied: i64,
    version: String,
    trust_ms: i64,
    seen_at: i64,
}

#[derive(FromQueryResult)]
struct AnswerColumns {
    number: i64,
    tag: i64,
    oldest: i64,
    now_ms: i64,
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl NodeColumns {
    fn into_node(self) -> Result<NodeRow, Error> {
        Ok(NodeRow {
            incarnation: read(self.incarnation.parse(), "a node's incarnation")?,
            name: self.name,
            beat: read(self.beat.parse(), "a node's beat")?,
            applied: self.applied,
            trust: span(self.trust_ms),
            version: self.version,
            seen_at: read_time(self.seen_at),
        })
    }
}

/// Reads one row per node; every row repeats what the server says about itself. None without any row.
pub(crate) fn read_roster(rows: &[QueryResult]) -> Result<Option<Roster>, Error> {
    let Some(first) = rows.first() else { return Ok(None) };
    let server = ServerColumns::from_query_result(first, "")?;
    // The outer join of an empty list has one row without a node.
    let is_node = |row: &&QueryResult| {
        let incarnation: Result<Option<String>, DbErr> = row.try_get("", "incarnation");
        !matches!(incarnation, Ok(None))
    };
    let nodes = rows.iter().filter(is_node).map(|row| NodeColumns::from_query_result(row, "")?.into_node());
    Ok(Some(Roster {
        nodes: nodes.collect::<Result<_, Error>>()?,
        longest_trust: span(server.longest_trust_ms),
        timeline: Timeline { system: server.system, number: server.timeline },
    }))
}

/// The same with the head of the feed and the database's clock.
pub(crate) fn read_answer(rows: &[QueryResult]) -> Result<Option<BeatAnswer>, Error> {
    let (Some(first), Some(roster)) = (rows.first(), read_roster(rows)?) else { return Ok(None) };
    let AnswerColumns { number, tag, oldest, now_ms } = AnswerColumns::from_query_result(first, "")?;
    let database_time = Timestamp::from_unix_ms(now_ms);
    Ok(Some(BeatAnswer { head: FeedHead { number, tag, oldest }, database_time, roster }))
}

const ROSTER: &str = concat!(
    "SELECT ",
    server_columns!(),
    ", ",
    node_columns!(),
    " FROM (VALUES (1)) AS always LEFT JOIN nodes ON true ORDER BY incarnation"
);

impl Store {
    /// All nodes now, in a statement of its own, not in the queue of look-ups. Only on PostgreSQL; on SQLite a
    /// process stands alone.
    pub async fn roster(&self) -> Result<Roster, Error> {
        if self.aside().backend() != DbBackend::Postgres {
            return Err(Error::unavailable("a process on SQLite stands alone"));
        }
        let rows = self.aside().rows_built(ROSTER.to_owned(), Vec::new()).await?;
        read_roster(&rows)?.ok_or_else(|| Error::corrupt("the list of nodes is missing"))
    }
}
