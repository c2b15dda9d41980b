//! Another database takes over: a standby that has everything, and a copy that has not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rndrkit_domain::node::longest_wait;
use rndrkit_testkit::private_postgres::PrivatePostgres;
use rndrkit_testkit::visible;

use crate::checker::{Contract, judge, judge_stored};
use crate::faults::{LATE, MARGIN, STATEMENT};
use crate::history::{Act, Hurts, Outcome};
use crate::load::{Amount, start};
use crate::nodes::{Cluster, TRUST};
use crate::world::{Held, Random, World};

/// Longer than anything here takes on a busy machine.
const A_WHILE: Duration = Duration::from_secs(30);

/// What a node says once it knows: the first look-up after a restart may meet a connection that is gone.
async fn decided(world: &World, node: usize, key: &Held) -> Outcome {
    let begun = Instant::now();
    loop {
        let outcome = world.decide(Act::Look, node, key).await;
        if outcome != Outcome::Unavailable || begun.elapsed() > A_WHILE {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn more_deletes_than(world: &World, before: usize) {
    let begun = Instant::now();
    while world.recorder.deletes() <= before && begun.elapsed() < A_WHILE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every key in a database: its account and whether it is revoked.
pub fn stored(postgres: &PrivatePostgres) -> BTreeMap<String, (String, bool)> {
    let rows = postgres.sql("SELECT id, account_id, revoked_at IS NOT NULL FROM api_keys");
    let row = |row: &str| {
        let mut columns = row.split('|').map(str::to_owned);
        let (id, account) = (columns.next().unwrap(), columns.next().unwrap());
        (id, (account, columns.next().unwrap() == "t"))
    };
    rows.lines().map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_that_takes_over_has_all_that_was_acknowledged() {
    let Some(mut cluster) = Cluster::start_or_notice(3).await else { return };
    let standby = cluster.postgres.synchronous_standby().await;
    let (world, mut random) = (World::on(cluster.internal()), Random(9));
    let load = start(&world, Amount { askers: 1, changers: 4 }, &mut random);
    // The first ones wait the longest time: the nodes have only just begun.
    more_deletes_than(&world, 0).await;

    let from = world.recorder.now();
    cluster.postgres.crash();
    standby.promote();
    cluster.lead_to(&standby);
    world.recorder.fault(None, "failed over", Hurts::Reaching, from);
    cluster.ready().await;
    let before = world.recorder.deletes();
    // On another timeline too.
    more_deletes_than(&world, before).await;
    world.end();
    load.join_all().await;
    world.probes_are_over().await;

    let history = world.recorder.take();
    // On another timeline a node waits the longest time first.
    let longest_change = longest_wait(TRUST) * 2 + MARGIN;
    let contract = Contract {
        longest_wait: longest_wait(TRUST) * 2 + LATE,
        longest_change,
        longest_statement: STATEMENT,
        burst: 200.0,
        per_second: 10.0,
    };
    let mut verdict = judge(&history, &contract);
    judge_stored(&mut verdict, &history, &stored(&standby), 5);
    visible::say(&verdict.to_string());
    assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
    assert!(before > 0 && verdict.deletes > before, "nothing was deleted after the fail-over: {verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_that_a_restore_lost_are_made_again_by_the_nodes_that_remember_them() {
    let Some(mut cluster) = Cluster::start_or_notice(3).await else { return };
    let (world, mut random) = (World::on(cluster.internal()), Random(10));
    let account = world.account("wide", &mut random).await.unwrap();
    let deleted = world.create(0, &account).await.unwrap();
    let kept = world.create(0, &account).await.unwrap();
    cluster.postgres.keep_copy().await;
    cluster.ready().await;
    for node in 0..3 {
        assert_eq!(decided(&world, node, &deleted).await, Outcome::Accepted, "on node {node}");
    }
    assert_eq!(world.delete(0, &deleted).await, Outcome::Done);

    cluster.postgres.put_copy_back().await;
    assert!(!stored(&cluster.postgres)[&*deleted.id].1, "the delete is not lost");
    let begun = Instant::now();
    while !stored(&cluster.postgres)[&*deleted.id].1 {
        assert!(begun.elapsed() < A_WHILE, "nobody made it again:\n{}", cluster.server(0).log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    visible::say(&format!("a lost delete was made again after {:.1} s", begun.elapsed().as_secs_f64()));
    cluster.ready().await;
    tokio::time::sleep(longest_wait(TRUST)).await;
    for node in 0..3 {
        assert_eq!(decided(&world, node, &deleted).await, Outcome::Revoked, "on node {node}");
        assert_eq!(decided(&world, node, &kept).await, Outcome::Accepted, "on node {node}");
    }
}
