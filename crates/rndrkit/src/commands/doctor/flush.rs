//! `rndrkit doctor --flush`: makes every node read all again, after changes by hand in SQL.

use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::node::longest_wait;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock as _, SystemClock};
use rndrkit_store::{Change, Error, NodeFacts, OpenOptions, PostgresProbe, SchemaStatus, Store};

use super::Finding;
use crate::config::Database;

const FLUSH: &str = "flush";
/// How often nodes are asked whether they have done so.
const ASK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn run(database: &Database, is_running: bool) -> Finding {
    let url = database.url();
    match Store::schema_status(&url).await {
        Ok(SchemaStatus::Current | SchemaStatus::NewerCompatible { .. }) => {}
        Ok(_) => {
            return Finding::fail(
                FLUSH,
                "nothing was published: the database is not one of this version",
                "run this with the version that serves it",
            );
        }
        Err(error) => return unknown(&error),
    }
    let number = match publish(&url).await {
        Ok(number) => number,
        Err(error) => return unknown(&error),
    };
    match database {
        Database::Postgres { .. } => wait(&url, number).await.unwrap_or_else(|error| unknown(&error)),
        Database::Sqlite { .. } if is_running => Finding::warn(
            FLUSH,
            format!("published as number {number}; the running server notices within a minute"),
            "restart it to have it at once",
        ),
        Database::Sqlite { .. } => {
            Finding::ok(FLUSH, format!("published as number {number}; no server is running"))
        }
    }
}

fn unknown(error: &Error) -> Finding {
    Finding::fail(FLUSH, format!("nobody knows whether every node has read all again: {error}"), "repeat it")
}

async fn publish(url: &str) -> Result<FeedNumber, Error> {
    let store = Store::open(&OpenOptions::new(url).with_connections(1)).await?;
    let change = Change::new(SystemClock::default().now(), &OsEntropy);
    let number = store.publish_anything(change).await;
    let closed = store.close().await;
    closed.and(number)
}

/// As every change that narrows something waits: until each node has applied the number or is gone, or until no
/// node can go on believing what it held before.
async fn wait(url: &str, number: FeedNumber) -> Result<Finding, Error> {
    let probe = PostgresProbe::connect(url).await?;
    let answer = wait_for_nodes(&probe, number).await;
    probe.close().await?;
    answer
}

async fn wait_for_nodes(probe: &PostgresProbe, number: FeedNumber) -> Result<Finding, Error> {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    let limit = longest_wait(probe.longest_trust().await?);
    loop {
        let nodes = probe.nodes().await?;
        let behind: Vec<&NodeFacts> = nodes.iter().filter(|node| node.applied < number).collect();
        if behind.is_empty() {
            let detail = format!("{} nodes have dropped what they held and read it again", nodes.len());
            return Ok(Finding::ok(FLUSH, detail));
        }
        if clock.monotonic().since(begun) >= limit {
            let detail = format!(
                "{} of {} nodes have not confirmed; after {} s none of them can answer from what it held",
                behind.len(),
                nodes.len(),
                limit.as_secs()
            );
            return Ok(Finding::warn(FLUSH, detail, "look at the nodes above"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
