//! The measurements, one function each; each prints its rows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::budget::worst_excess;
use crate::harness::Server;
use crate::history::{Act, Call, Outcome};
use crate::nodes::{Cluster, PLANS};
use crate::wire::{TOKEN, Wire, question};
use crate::world::{Held, Random, World};

fn row(what: &str, value: &str) {
    println!("| {what} | {value} |");
}

/// A quantile of values in any order.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(place.round() as usize).copied().unwrap_or(f64::NAN)
}

fn milliseconds(calls: &[Call], act: Act) -> Vec<f64> {
    let done = calls.iter().filter(|call| (call.act, call.outcome) == (act, Outcome::Done));
    done.map(|call| (call.ended - call.begun) as f64 / 1_000.0).collect()
}

/// How many keys are made and deleted, one after the other.
const DELETES: usize = 1_000;

/// A delete, which waits for three nodes, beside a create: the same kind of transaction (an account locked, a
/// key written, an audit event, a number of the feed), which waits for no other node. Alternately.
pub async fn deletes(cluster: &Cluster) {
    let (world, mut random) = (World::on(cluster.internal()), Random(1));
    let account = world.account("wide", &mut random).await.unwrap();
    for round in 0..DELETES {
        let node = round % world.nodes();
        let key = world.create(node, &account).await.unwrap();
        for other in 0..world.nodes() {
            assert_eq!(world.decide(Act::Look, other, &key).await, Outcome::Accepted);
        }
        assert_eq!(world.delete(node, &key).await, Outcome::Done);
        for other in 0..world.nodes() {
            assert_eq!(world.decide(Act::Look, other, &key).await, Outcome::Revoked);
        }
    }
    let calls = world.recorder.take().calls;
    let (creates, deletes) = (milliseconds(&calls, Act::Create), milliseconds(&calls, Act::Delete));
    for (share, name) in [(0.5, "median"), (0.99, "p99")] {
        let (create, delete) = (quantile(&creates, share), quantile(&deletes, share));
        row(
            &format!(
                "delete call over three nodes, {name} of {DELETES}: call, the same write without waiting, added"
            ),
            &format!("{delete:.1} ms, {create:.1} ms, {:.1} ms", delete - create),
        );
    }
}

/// How long the budget is asked for five times what it holds: 600 a minute, burst 100.
const SPENDING: Duration = Duration::from_secs(60);
const PER_SECOND: f64 = 10.0;
const BURST: f64 = 100.0;
/// Who asks, on each node.
const SPENDERS: usize = 10;

/// One account, five keys, three nodes.
pub async fn budget(cluster: &Cluster) {
    let (world, mut random) = (World::on(cluster.internal()), Random(2));
    let account = world.account("agency", &mut random).await.unwrap();
    let mut keys = Vec::new();
    for node in 0..5 {
        keys.push(world.create(node % world.nodes(), &account).await.unwrap());
    }
    let servers: Vec<_> = cluster.nodes.iter().map(|node| &node.server).collect();
    let before = waited(&servers).await;
    let begun = Instant::now();
    let spenders = world.nodes() * SPENDERS;
    let pause = Duration::from_secs_f64(2.0 * spenders as f64 / (5.0 * PER_SECOND));
    let mut load = JoinSet::new();
    for number in 0..spenders {
        let (world, keys, mut random) = (world.clone(), keys.clone(), Random(random.next()));
        load.spawn(async move {
            loop {
                tokio::time::sleep(random.up_to(pause)).await;
                if begun.elapsed() >= SPENDING {
                    return;
                }
                world.decide(Act::Spend, number % world.nodes(), &keys[random.below(keys.len())]).await;
            }
        });
    }
    load.join_all().await;
    let waited = waited(&servers).await - before;
    let calls = world.recorder.take().calls;
    let spends: Vec<_> = calls.iter().filter(|call| call.act == Act::Spend).collect();
    let admitted: Vec<_> = spends
        .iter()
        .filter(|call| call.outcome == Outcome::Accepted)
        .map(|call| (call.begun, call.ended))
        .collect();
    let unknown = spends.iter().filter(|call| call.outcome == Outcome::Unavailable).count();
    let allowed = BURST + PER_SECOND * SPENDING.as_secs_f64();
    let over = (worst_excess(&admitted, PER_SECOND) - BURST).max(0.0);
    row(
        "budget, five keys, three nodes, 60 s: requests, admitted, allowed",
        &format!("{}, {}, {allowed:.0}", spends.len(), admitted.len()),
    );
    row("admitted over burst + rate × time, worst interval", &format!("{over:.1}"));
    row("admitted under it", &format!("{:.1} %", 100.0 * (1.0 - admitted.len() as f64 / allowed)));
    row("requests that waited for a draw", &format!("{:.2} %", 100.0 * waited / spends.len() as f64));
    row("requests that were not decided (503)", &unknown.to_string());
}

/// Requests that waited for a draw, over all nodes.
async fn waited(servers: &[&Server]) -> f64 {
    let mut sum = 0.0;
    for server in servers {
        sum += server.metric("rndrkit_slice_waits_total").await;
    }
    sum
}

/// Connections that ask without a pause, how long at a time, and how often each side has its turn.
const CONNECTIONS: usize = 16;
const TURN: Duration = Duration::from_secs(3);
const TURNS: usize = 8;

/// A node of the set and a node alone on SQLite, in turns.
pub async fn throughput(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let plans = folder.path().join("rndrkit.toml");
    std::fs::write(&plans, PLANS).unwrap();
    let settings = [("RNDRKIT_CONFIG", plans.to_str().unwrap()), ("RNDRKIT_OPERATOR_TOKEN", TOKEN)];
    let alone = Server::start(&settings).await;
    let member = one_key(&World::on(cluster.internal())).await;
    let lone = one_key(&World::on(vec![alone.internal])).await;
    let (mut in_set, mut by_itself, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let (set, single) =
            one_after_the_other(turn, (cluster.server(0).internal, &member), (alone.internal, &lone)).await;
        // The first turn warms up.
        if turn > 0 {
            in_set.push(set);
            by_itself.push(single);
            ratios.push(set / single);
        }
    }
    row("decisions a second, one node of three on PostgreSQL", &format!("{:.0}", quantile(&in_set, 0.5)));
    row("decisions a second, one node on SQLite", &format!("{:.0}", quantile(&by_itself, 0.5)));
    row(
        &format!("the first beside the second, median of {TURNS} turns (lowest, highest)"),
        &format!(
            "{:.3} ({:.3}, {:.3})",
            quantile(&ratios, 0.5),
            quantile(&ratios, 0.0),
            quantile(&ratios, 1.0)
        ),
    );
}

async fn one_key(world: &Arc<World>) -> Held {
    let account = world.account("wide", &mut Random(3)).await.unwrap();
    world.create(0, &account).await.unwrap()
}

/// Who comes first changes from turn to turn, so that neither has the better of it.
async fn one_after_the_other(
    turn: usize,
    one: (SocketAddr, &Held),
    other: (SocketAddr, &Held),
) -> (f64, f64) {
    if turn.is_multiple_of(2) {
        let first = decisions_a_second(one.0, one.1).await;
        (first, decisions_a_second(other.0, other.1).await)
    } else {
        let first = decisions_a_second(other.0, other.1).await;
        (decisions_a_second(one.0, one.1).await, first)
    }
}

async fn decisions_a_second(address: SocketAddr, key: &Held) -> f64 {
    let begun = Instant::now();
    let mut load = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = question(&key.secret, 1);
        load.spawn(async move {
            let mut wire = Wire::open(address).await.unwrap();
            let mut count = 0_u32;
            while begun.elapsed() < TURN {
                let answer = wire.ask(&request).await.unwrap();
                assert_eq!(answer.status, 200);
                assert_eq!(answer.text("code").as_deref(), Some("valid"));
                count += 1;
            }
            count
        });
    }
    let count: u32 = load.join_all().await.iter().sum();
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(30);

/// Statements of three nodes to which nothing happens, as they and as the database count.
pub async fn idle(cluster: &Cluster) {
    let transactions = || {
        let sum = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = 'postgres'";
        cluster.postgres.sql(sum).parse::<f64>().unwrap()
    };
    let servers: Vec<_> = cluster.nodes.iter().map(|node| &node.server).collect();
    // What a start still has to do; and sessions report what they did up to ten seconds late.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (before, before_there) = (statements(&servers).await, transactions());
    tokio::time::sleep(IDLE).await;
    let each_second = |count: f64| format!("{:.2}", count / IDLE.as_secs_f64());
    row("statements a second, three idle nodes", &each_second(statements(&servers).await - before));
    row("transactions a second, as PostgreSQL counts", &each_second(transactions() - before_there));
}

async fn statements(servers: &[&Server]) -> f64 {
    let mut sum = 0.0;
    for server in servers {
        sum += server.metric("rndrkit_store_statements").await;
    }
    sum
}
