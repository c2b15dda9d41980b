//! The promises under load, while nodes are stopped, killed and cut off and the database restarts.
//!
//! `RNDRKIT_TEST_DELETES=10000` makes the run go on until so many deletes have been acknowledged, and
//! `RNDRKIT_TEST_SEED` repeats a schedule.

use std::time::Duration;

use rndrkit_testkit::visible;

use crate::checker::{Contract, Verdict, judge, judge_stored};
use crate::failover::stored;
use crate::history::History;
use crate::load::{Amount, start};
use crate::nodes::{Cluster, TRUST};
use crate::schedule::Round;
use crate::world::{Random, World};

/// What a machine may add on which everybody else works too.
pub const MARGIN: Duration = Duration::from_secs(4);
/// How late a wait may end on such a machine.
pub const LATE: Duration = Duration::from_secs(1);
/// How long a change may try to reach a database that is not there, to write and then to find out what became
/// of it.
pub const STATEMENT: Duration = Duration::from_secs(10);
/// Makers and enders of keys. At any time some of them wait for a node that does not answer.
const CHANGERS: usize = 20;
/// The burst and the rate of the plan `agency`.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 10.0;

/// A number that the environment gives.
pub fn wished(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Judges calls and database; tells what happened when something is wrong.
fn verdict(cluster: &Cluster, history: &History, contract: &Contract, keys_allowed: usize) -> Verdict {
    let mut verdict = judge(history, contract);
    judge_stored(&mut verdict, history, &stored(&cluster.postgres), keys_allowed);
    visible::say(&verdict.to_string());
    if !verdict.violations.is_empty() {
        for fault in &history.faults {
            visible::say(&fault.to_string());
        }
        for violation in verdict.violations.iter().take(20) {
            visible::say(violation);
        }
    }
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_breaks_under_load_while_nodes_stop_die_and_lose_the_database() {
    let Some(mut cluster) = Cluster::start_or_notice(3).await else { return };
    let seed = wished("RNDRKIT_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let wanted = usize::try_from(wished("RNDRKIT_TEST_DELETES").unwrap_or(100)).unwrap();
    let mut random = Random(seed);
    let world = World::on(cluster.internal());
    let load = start(&world, Amount { askers: 2, changers: CHANGERS + wanted / 50 }, &mut random);
    let mut crashes = 0.0;
    while crashes < 1.0 || world.recorder.deletes() < wanted {
        let round = Round::of(&mut random, cluster.nodes.len());
        visible::say(&format!("RNDRKIT_TEST_SEED={seed}: {round}"));
        round.run(&mut cluster, &world).await;
        crashes += 1.0;
    }
    world.end();
    load.join_all().await;
    world.probes_are_over().await;

    let history = world.recorder.take();
    // Each round crashes the database once, which may forget the draws of its last moment.
    let contract = Contract {
        longest_change: rndrkit_domain::node::longest_wait(TRUST) + MARGIN,
        longest_wait: rndrkit_domain::node::longest_wait(TRUST) + LATE,
        longest_statement: STATEMENT,
        burst: BURST * (1.0 + crashes),
        per_second: PER_SECOND,
    };
    let verdict = verdict(&cluster, &history, &contract, 5);
    assert!(
        verdict.violations.is_empty(),
        "{} violations; the first: {}",
        verdict.violations.len(),
        verdict.violations[0]
    );
    assert!(verdict.late > verdict.deletes, "hardly anything was asked after a delete: {verdict}");
    assert!(verdict.accepted > verdict.deletes, "hardly anything was accepted: {verdict}");
}
