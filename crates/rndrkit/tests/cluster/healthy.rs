//! What holds between nodes to which nothing happens: new keys, five, plans, one budget, starting at once.

use std::time::{Duration, Instant};

use rndrkit_testkit::visible;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::budget;
use crate::harness::Server;
use crate::history::{Act, Outcome};
use crate::nodes::Cluster;
use crate::world::{Random, World};

const NODES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_8_a_new_key_works_on_every_node_from_the_moment_its_create_answered() {
    let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
    let (world, mut random) = (World::on(cluster.internal()), Random(1));
    for round in 0..8 {
        let account = world.account("wide", &mut random).await.unwrap();
        for n in 0..5 {
            let maker = (round + n) % NODES;
            let key = world.create(maker, &account).await.unwrap();
            for node in (0..NODES).filter(|node| *node != maker) {
                assert_eq!(world.decide(Act::Look, node, &key).await, Outcome::Accepted, "on node {node}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_3_of_a_hundred_creates_that_race_on_three_nodes_five_succeed() {
    let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
    let world = World::on(cluster.internal());
    let account = world.account("agency", &mut Random(2)).await.unwrap();
    let mut creates = JoinSet::new();
    for n in 0..100 {
        let (world, account) = (world.clone(), account.clone());
        creates.spawn(async move { world.create(n % NODES, &account).await });
    }
    let outcomes = creates.join_all().await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Outcome::Declined))).count();
    assert_eq!((made, refused), (5, 95));
    let active = cluster.postgres.sql("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL");
    assert_eq!(active, "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_5_a_plan_changed_on_one_node_decides_on_all_when_the_call_answers() {
    let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
    let (world, mut random) = (World::on(cluster.internal()), Random(3));
    let account = world.account("wide", &mut random).await.unwrap();
    let key = world.create(0, &account).await.unwrap();
    let everywhere = async |wanted| {
        for node in 0..NODES {
            assert_eq!(world.decide(Act::Look, node, &key).await, wanted, "on node {node}");
        }
    };
    everywhere(Outcome::Accepted).await;
    for round in 0..10 {
        for (act, body, wanted) in [
            (Act::Narrow, "{\"plan\":\"starter\"}", Outcome::Forbidden),
            (Act::Widen, "{\"plan\":\"agency\"}", Outcome::Accepted),
            (Act::Narrow, "{\"status\":\"suspended\"}", Outcome::Forbidden),
            (Act::Widen, "{\"status\":\"active\"}", Outcome::Accepted),
        ] {
            assert_eq!(world.set_account(act, round % NODES, &account, body).await, Outcome::Done);
            everywhere(wanted).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_2_a_delete_on_one_node_is_confirmed_by_all_and_by_each_repeat() {
    let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
    let (world, mut random) = (World::on(cluster.internal()), Random(4));
    let account = world.account("wide", &mut random).await.unwrap();
    for round in 0..15 {
        let key = world.create(round % NODES, &account).await.unwrap();
        for node in 0..NODES {
            assert_eq!(world.decide(Act::Look, node, &key).await, Outcome::Accepted);
        }
        let path = format!("/v1/keys/{}", key.id);
        let mut revoked_at = Value::Null;
        for repeat in 0..2 {
            let node = (round + repeat + 1) % NODES;
            let (status, receipt) = cluster.server(node).operator("DELETE", &path, Value::Null).await;
            assert_eq!(status, 200, "{receipt}");
            let counts = (&receipt["nodes_confirmed"], &receipt["nodes_expired"]);
            assert_eq!(counts, (&json!(NODES), &json!(0)), "{receipt}");
            if repeat > 0 {
                assert_eq!(receipt["revoked_at"], revoked_at, "the first delete is the one that counts");
            }
            revoked_at = receipt["revoked_at"].clone();
            for node in 0..NODES {
                assert_eq!(world.decide(Act::Look, node, &key).await, Outcome::Revoked, "on node {node}");
            }
        }
    }
}

/// How long the budget is asked for more than it holds, and by how many askers on each node.
const SPENDING: Duration = Duration::from_secs(6);
const SPENDERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_4_three_nodes_and_five_keys_share_one_budget() {
    let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
    let (world, mut random) = (World::on(cluster.internal()), Random(5));
    let account = world.account("agency", &mut random).await.unwrap();
    let mut keys = Vec::new();
    for n in 0..5 {
        keys.push(world.create(n % NODES, &account).await.unwrap());
    }
    let begun = Instant::now();
    let mut spenders = JoinSet::new();
    for n in 0..NODES * SPENDERS {
        let (world, keys, mut random) = (world.clone(), keys.clone(), Random(random.next()));
        spenders.spawn(async move {
            while begun.elapsed() < SPENDING {
                world.decide(Act::Spend, n % NODES, &keys[random.below(keys.len())]).await;
                tokio::time::sleep(random.up_to(Duration::from_millis(100))).await;
            }
        });
    }
    spenders.join_all().await;
    let calls = world.recorder.take().calls;
    let admitted: Vec<_> = calls
        .iter()
        .filter(|call| (call.act, call.outcome) == (Act::Spend, Outcome::Accepted))
        .map(|call| (call.begun, call.ended))
        .collect();
    let excess = budget::worst_excess(&admitted, 10.0) - 100.0;
    assert!(excess <= 0.0, "{excess} more than burst + rate × time");
    let allowed = 100 + 10 * usize::try_from(SPENDING.as_secs()).unwrap();
    assert!(admitted.len() * 100 >= allowed * 80, "{} of {allowed} admitted", admitted.len());
    let unknown = calls.iter().filter(|call| call.outcome == Outcome::Unavailable).count();
    assert!(unknown * 50 <= calls.len(), "{unknown} of {} were not known", calls.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_once_on_an_empty_database_all_serve() {
    for _ in 0..2 {
        // Three that all find no tables.
        let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
        let (world, mut random) = (World::on(cluster.internal()), Random(6));
        let account = world.account("wide", &mut random).await.unwrap();
        let key = world.create(0, &account).await.unwrap();
        for node in 0..NODES {
            assert_eq!(world.decide(Act::Look, node, &key).await, Outcome::Accepted);
        }
        let migrations =
            cluster.postgres.sql("SELECT count(*) - count(DISTINCT version) FROM seaql_migrations");
        assert_eq!(migrations, "0", "a migration ran twice");
    }
}

async fn statements(servers: &[&Server]) -> f64 {
    let mut sum = 0.0;
    for server in servers {
        sum += server.metric("rndrkit_store_statements").await;
    }
    sum
}

/// How long nothing happens, and the most statements a second that three nodes may make of it.
const IDLE: Duration = Duration::from_secs(6);
const IDLE_STATEMENTS: f64 = 6.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_idle_nodes_make_a_handful_of_statements_a_second() {
    let Some(cluster) = Cluster::start_or_notice(NODES).await else { return };
    let servers: Vec<_> = cluster.nodes.iter().map(|node| &node.server).collect();
    // What a start still has to do.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = statements(&servers).await;
    tokio::time::sleep(IDLE).await;
    let each_second = (statements(&servers).await - before) / IDLE.as_secs_f64();
    visible::say(&format!("three idle nodes: {each_second:.1} statements/s"));
    assert!(each_second <= IDLE_STATEMENTS, "{each_second} a second");
}
