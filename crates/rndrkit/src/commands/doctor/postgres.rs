//! A PostgreSQL server as nodes need it: writable, durable, with room, and nothing that holds them up.

use std::time::Duration;

use rndrkit_domain::time::{Clock as _, SystemClock, Timestamp};
use rndrkit_store::{
    CONNECTIONS_OF_A_NODE, Connections, Durability, Error, LongTransaction, PostgresProbe, Prepared,
    ServerFacts, Standby, notifications_arrive,
};

use super::Finding;
use super::nodes;
use crate::config::Storage;

const SERVER: &str = "server";
const POOLER: &str = "pooler";
const DURABILITY: &str = "durability";
const REPLICATION: &str = "replication";
const CLOCK: &str = "clock";
const TRANSACTIONS: &str = "transactions";
const PREPARED: &str = "prepared transactions";
const NOTIFICATIONS: &str = "notifications";
const CONNECTIONS: &str = "connections";

/// Ours end after one second; a pause of somebody's debugger is not worth a word.
const IDLE_SECONDS_TO_WARN: i64 = 10;
/// Reports and dumps take minutes; after an hour the feed's rows have thousands of dead versions.
const SNAPSHOT_SECONDS_TO_WARN: i64 = 3_600;
/// Whoever prepares transactions finishes them at once.
const PREPARED_SECONDS_TO_WARN: i64 = 60;
/// A queue that somebody reads is empty.
const QUEUE_TO_WARN: f64 = 0.05;
const QUEUE_TO_FAIL: f64 = 0.5;
/// Machines that keep time are milliseconds apart.
const CLOCKS_APART_TO_WARN: Duration = Duration::from_secs(2);
const CLOCKS_APART_TO_FAIL: Duration = Duration::from_secs(60);

/// Everything about the server; the tables of nodes only where there are tables.
pub(super) async fn check(storage: &Storage, has_tables: bool) -> Vec<Finding> {
    let url = storage.database.url();
    let probe = match PostgresProbe::connect(&url).await {
        Ok(probe) => probe,
        Err(error) => return vec![unread(SERVER, &error)],
    };
    let mut findings = of_server(&probe).await;
    findings.push(pooler(storage, &url).await);
    findings.push(judge(DURABILITY, probe.durability().await, |facts| judge_durability(&facts)));
    findings.push(replication(&probe).await);
    findings.push(clock(&probe).await);
    findings.push(judge(PREPARED, probe.prepared().await, judge_prepared));
    findings.push(judge(NOTIFICATIONS, probe.notification_queue().await, judge_queue));
    let nodes = if has_tables { probe.nodes().await } else { Ok(Vec::new()) };
    let count = nodes.as_ref().map_or(0, Vec::len);
    findings.push(judge(CONNECTIONS, probe.connections().await, |room| judge_connections(room, count)));
    match nodes {
        Ok(nodes) => findings.extend(nodes::judge(&nodes)),
        Err(error) => findings.push(unread(nodes::NODES, &error)),
    }
    // What was found stands; a connection that does not end well ends with the process.
    let _ = probe.close().await;
    findings
}

/// What could not be read is no reason to keep quiet about the rest.
fn unread(name: &'static str, error: &Error) -> Finding {
    Finding::warn(name, format!("could not be looked at: {error}"), "run this again, or as another role")
}

fn judge<T>(name: &'static str, facts: Result<T, Error>, judge: impl FnOnce(T) -> Finding) -> Finding {
    facts.map_or_else(|error| unread(name, &error), judge)
}

async fn of_server(probe: &PostgresProbe) -> Vec<Finding> {
    let facts = match probe.server().await {
        Ok(facts) => facts,
        Err(error) => return vec![unread(SERVER, &error)],
    };
    let mut findings = vec![judge_server(&facts)];
    if !facts.settings_arrive {
        findings.push(
            Finding::fail(
                POOLER,
                "the settings that a session of ours begins with do not arrive at the server",
                "let the pooler pass startup options on, or connect without it",
            )
            .because(
                "limits on time, and the order to answer only when a change is durable, are not in force",
            ),
        );
    }
    findings.push(judge(TRANSACTIONS, transactions(probe).await, |(idle, old)| {
        judge_transactions(idle.as_ref(), old.as_ref(), facts.sees_all)
    }));
    findings
}

fn judge_server(facts: &ServerFacts) -> Finding {
    let version = &facts.version;
    if facts.in_recovery {
        Finding::fail(
            SERVER,
            format!("PostgreSQL {version} at this address only follows another server"),
            "point database_url at the primary, or promote this one",
        )
        .because("no change can be made here, and no node may decide by what a follower says")
    } else if facts.read_only {
        Finding::fail(
            SERVER,
            format!("PostgreSQL {version} takes no changes: transactions are read-only"),
            "look at default_transaction_read_only of server, database and role",
        )
    } else if !facts.may_write {
        Finding::fail(
            SERVER,
            "this role may not change the tables",
            "connect as the role that owns them, or grant it SELECT, INSERT, UPDATE and DELETE on all",
        )
    } else {
        Finding::ok(SERVER, format!("PostgreSQL {version}, writable"))
    }
}

async fn pooler(storage: &Storage, url: &str) -> Finding {
    let control = storage.control.as_ref().map_or(url, |control| control.reveal());
    judge(POOLER, notifications_arrive(control).await, judge_pooler)
}

fn judge_pooler(arrive: bool) -> Finding {
    if arrive {
        return Finding::ok(POOLER, "none in the way: what one session notifies, another hears");
    }
    Finding::warn(
        POOLER,
        "what one session notifies does not reach another: a pooler hands sessions out by the transaction",
        "set database_control_url to the server itself, past the pooler",
    )
    .because("nodes hear of changes only by asking, so that every deletion takes longer to answer")
}

fn judge_durability(facts: &Durability) -> Finding {
    let off: Vec<&str> = [("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)]
        .into_iter()
        .filter_map(|(name, on)| (!on).then_some(name))
        .collect();
    if !off.is_empty() {
        return Finding::fail(
            DURABILITY,
            format!("{} is off", off.join(" and ")),
            "set it to on and restart the server",
        )
        .because("after a loss of power, acknowledged changes can be gone: deleted keys would work again");
    }
    match facts.synchronous_commit.as_str() {
        "on" | "remote_apply" => {
            Finding::ok(DURABILITY, "a commit is on disk before it is answered (synchronous_commit is on)")
        }
        other => Finding::fail(
            DURABILITY,
            format!("synchronous_commit is {other} in our sessions, although they ask for on"),
            "look for a pooler or an extension that changes it",
        )
        .because("a change may be acknowledged and lost: a deleted key would work again"),
    }
}

async fn replication(probe: &PostgresProbe) -> Finding {
    match (probe.durability().await, probe.standbys().await) {
        (Ok(facts), Ok(standbys)) => judge_replication(&facts.synchronous_standby_names, &standbys),
        (Err(error), _) | (_, Err(error)) => unread(REPLICATION, &error),
    }
}

fn judge_replication(synchronous_names: &str, standbys: &[Standby]) -> Finding {
    let wants_synchronous = !synchronous_names.trim().is_empty();
    let is = |standby: &&Standby, words: &[&str]| {
        standby.sync_state.as_deref().is_some_and(|state| words.contains(&state))
    };
    let streaming = standbys.iter().filter(|standby| standby.state.as_deref() == Some("streaming"));
    let synchronous = streaming.filter(|standby| is(standby, &["sync", "quorum"])).count();
    let asynchronous = standbys.iter().filter(|standby| is(standby, &["async"])).count();
    let unseen = standbys.iter().any(|standby| standby.sync_state.is_none());
    if unseen {
        let detail = format!("{} standbys; this role may not see how they follow", standbys.len());
        return Finding::ok(REPLICATION, detail)
            .advising("GRANT pg_read_all_stats to this role lets doctor judge it");
    }
    if wants_synchronous && synchronous == 0 {
        return Finding::fail(
            REPLICATION,
            format!("synchronous_standby_names is '{synchronous_names}', and no such standby is streaming"),
            "bring the standby back, or take it out of synchronous_standby_names",
        )
        .because("every change waits for it: nodes lose trust and answer 503");
    }
    match (synchronous, asynchronous) {
        (0, 0) => Finding::ok(
            REPLICATION,
            "no standby: what is acknowledged lies on this server alone, unless its storage is replicated",
        ),
        (0, _) => Finding::warn(
            REPLICATION,
            format!("{asynchronous} standbys, none of them synchronous"),
            "name one or more in synchronous_standby_names, and fail over to those alone",
        )
        .because("acknowledged changes may be lost on a fail-over: deleted keys would work again"),
        (_, 0) => Finding::ok(REPLICATION, format!("{synchronous} synchronous standbys")),
        (_, _) => Finding::ok(
            REPLICATION,
            format!("{synchronous} synchronous standbys; {asynchronous} more must not be failed over to"),
        ),
    }
}

async fn clock(probe: &PostgresProbe) -> Finding {
    let clock = SystemClock::default();
    let (sent, answer) = (clock.now(), probe.database_time().await);
    judge(CLOCK, answer, |theirs| judge_clock(sent, theirs, clock.now()))
}

/// The database read its clock somewhere between the two of ours.
fn judge_clock(sent: Timestamp, theirs: Timestamp, received: Timestamp) -> Finding {
    let ahead = theirs.unix_ms().saturating_sub(received.unix_ms());
    let behind = sent.unix_ms().saturating_sub(theirs.unix_ms());
    let apart = Duration::from_millis(u64::try_from(ahead.max(behind)).unwrap_or(0));
    if apart < CLOCKS_APART_TO_WARN {
        return Finding::ok(CLOCK, "this machine and the database agree about the time");
    }
    let detail = format!("this machine and the database are {} s apart", apart.as_secs());
    let advice = "let both follow time servers (chrony, systemd-timesyncd)";
    let why = "ends of keys and budgets follow the database's clock, sessions and the audit trail this machine's; \
               if the database's is set back, budgets refill only once it has caught up";
    if apart < CLOCKS_APART_TO_FAIL {
        Finding::warn(CLOCK, detail, advice).because(why)
    } else {
        Finding::fail(CLOCK, detail, advice).because(why)
    }
}

type Transactions = (Option<LongTransaction>, Option<LongTransaction>);

async fn transactions(probe: &PostgresProbe) -> Result<Transactions, Error> {
    Ok((probe.idle_transaction().await?, probe.oldest_snapshot().await?))
}

fn judge_transactions(
    idle: Option<&LongTransaction>,
    old: Option<&LongTransaction>,
    sees_all: bool,
) -> Finding {
    let who =
        |found: &LongTransaction| format!("process {} ({})", found.pid, or_nameless(&found.application));
    if let Some(idle) = idle.filter(|idle| idle.seconds >= IDLE_SECONDS_TO_WARN) {
        return Finding::warn(
            TRANSACTIONS,
            format!("{} has left a transaction open for {} s and does nothing", who(idle), idle.seconds),
            format!("end it there, or here: SELECT pg_terminate_backend({})", idle.pid),
        )
        .because("what it has locked, every change waits for, and then fails");
    }
    if let Some(old) = old.filter(|old| old.seconds >= SNAPSHOT_SECONDS_TO_WARN) {
        return Finding::warn(
            TRANSACTIONS,
            format!("{} has been in one transaction for {} min", who(old), old.seconds / 60),
            "make dumps and reports from a standby, or shorter",
        )
        .because(
            "dead versions of the rows that every change and every node writes pile up and slow all down",
        );
    }
    if sees_all {
        Finding::ok(TRANSACTIONS, "none is in the way")
    } else {
        Finding::ok(TRANSACTIONS, "none of this role's is in the way; it may not see those of others")
            .advising("GRANT pg_read_all_stats to this role lets doctor see them")
    }
}

fn or_nameless(application: &str) -> &str {
    if application.is_empty() { "without a name" } else { application }
}

fn judge_prepared(prepared: Prepared) -> Finding {
    match prepared.oldest_seconds {
        Some(seconds) if seconds >= PREPARED_SECONDS_TO_WARN => Finding::warn(
            PREPARED,
            format!(
                "{} are neither committed nor rolled back, the oldest for {seconds} s",
                prepared.transactions
            ),
            "finish them: COMMIT PREPARED or ROLLBACK PREPARED, as pg_prepared_xacts names them",
        )
        .because("they keep their locks and dead rows for ever, also over a restart of the server"),
        _ => Finding::ok(PREPARED, "none is left over"),
    }
}

fn judge_queue(full: f64) -> Finding {
    let detail = format!("their queue is full to {:.0} %", full * 100.0);
    let advice = "find the session that listens and stays in a transaction (pg_stat_activity), and end it";
    let why = "when it is full, no change can be committed";
    if full >= QUEUE_TO_FAIL {
        Finding::fail(NOTIFICATIONS, detail, advice).because(why)
    } else if full >= QUEUE_TO_WARN {
        Finding::warn(NOTIFICATIONS, detail, advice).because(why)
    } else {
        Finding::ok(NOTIFICATIONS, "their queue is read")
    }
}

fn judge_connections(room: Connections, nodes: usize) -> Finding {
    let of_a_node = i64::from(CONNECTIONS_OF_A_NODE);
    let taken_by_nodes = of_a_node.saturating_mul(i64::try_from(nodes).unwrap_or(i64::MAX));
    let on_server = room.server_limit - room.server_used;
    let left = room.own_limit.map_or(on_server, |limit| on_server.min(limit - room.own_used));
    let limit = room.own_limit.map_or(room.server_limit, |own| own.min(room.server_limit));
    let advice = "raise max_connections (or the limit of role or database), or run fewer nodes";
    let why = "a node that gets no connection cannot look up keys and answers 503";
    if taken_by_nodes > limit {
        let detail = format!("{nodes} nodes may take {taken_by_nodes} connections, and {limit} are allowed");
        return Finding::warn(CONNECTIONS, detail, advice).because(why);
    }
    if left < of_a_node && nodes == 0 {
        let detail = format!("{left} are left, and a node takes up to {of_a_node}");
        return Finding::warn(CONNECTIONS, detail, advice).because(why);
    }
    let more = (left / of_a_node).max(0);
    Finding::ok(CONNECTIONS, format!("{left} are left; a node takes up to {of_a_node}: room for {more} more"))
}

#[cfg(test)]
mod tests;
