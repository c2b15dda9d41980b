//! Several nodes under a seed: the code that ships on paused time, over a database, lines, machines and people
//! that misbehave. Every answer is held against what was committed and what had been answered before.
//!
//! A seed repeats its run exactly. `RNDRKIT_TEST_SEEDS=5000` tries that many, `RNDRKIT_TEST_FIRST_SEED` says
//! from where on; with `--release` a few hundred a second are possible.
#![cfg(test)]

mod adapters;
mod budgets;
mod clocks;
mod database;
mod directed;
mod gate;
mod inspection;
mod nodes;
mod oracle;
mod people;
mod planted;
mod process;
mod random;
mod storms;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;

use self::planted::Planted;
use self::world::{Report, SLOTS, World};

/// Simulated time of one run.
const RUN: Duration = Duration::from_secs(25);
const CALLERS_EACH: usize = 3;
const CHANGERS: usize = 4;
/// Seeds that every test run tries: a few seconds.
const SEEDS: u64 = 40;

fn wished(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a wish of whoever runs the tests, not a setting")]
    let wished = std::env::var(name);
    wished.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}

/// Runs one world of its own to its end.
fn in_a_world<T>(scenario: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, scenario)
}

fn people(world: &Rc<World>) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    for slot in 0..SLOTS {
        storms::start(world, slot);
        tasks.extend((0..CALLERS_EACH).map(|_| spawn_local(people::call(Rc::clone(world), slot))));
    }
    tasks.extend((0..CHANGERS).map(|actor| spawn_local(people::change(Rc::clone(world), actor))));
    tasks
}

/// A seed decides which troubles its world has.
fn troubles(world: &Rc<World>) -> Vec<JoinHandle<()>> {
    let mut tasks =
        vec![spawn_local(storms::evict(Rc::clone(world))), spawn_local(storms::tend(Rc::clone(world)))];
    let chosen = world.random.next();
    let mut maybe = |bits: u64, task: JoinHandle<()>| {
        if chosen & bits == 0 { task.abort() } else { tasks.push(task) }
    };
    maybe(0b11, spawn_local(storms::stop(Rc::clone(world))));
    maybe(0b1100, spawn_local(storms::cut(Rc::clone(world))));
    maybe(0b1_0000, spawn_local(storms::crash(Rc::clone(world))));
    maybe(0b10_0000, spawn_local(storms::replace(Rc::clone(world))));
    maybe(0b100_0000, spawn_local(storms::wedge(Rc::clone(world))));
    maybe(0b1000_0000, spawn_local(storms::restart(Rc::clone(world))));
    if world.shared.planted == Planted::LeaseByDatabaseClock {
        tasks.push(spawn_local(storms::step_database_clock(Rc::clone(world))));
    }
    tasks
}

fn run(seed: u64, planted: Planted) -> Report {
    in_a_world(async move {
        let world = World::new(seed, planted, true);
        let mut tasks = people(&world);
        tasks.extend(troubles(&world));
        sleep(RUN).await;
        for task in tasks {
            task.abort();
            // A task that found something wrong ended before; its finding is this run's.
            if let Err(ended) = task.await
                && ended.is_panic()
            {
                panic!("seed {seed}: see above");
            }
        }
        world.report()
    })
}

#[test]
fn no_seed_breaks_a_promise() {
    let mut tally: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (first, seeds) = (wished("RNDRKIT_TEST_FIRST_SEED", 0), wished("RNDRKIT_TEST_SEEDS", SEEDS));
    let planted = Planted::wished();
    for seed in first..first + seeds {
        for (what, count) in run(seed, planted).tally {
            *tally.entry(what).or_default() += count;
        }
    }
    println!("{seeds} seeds from {first}: {tally:?}");
    // The runs have to reach what they are about.
    for what in ["valid", "rate_limited", "key_revoked", "account_suspended", "plan_required", "unavailable"]
    {
        let least = 10 * seeds;
        assert!(tally.get(what).is_some_and(|count| *count >= least), "too little of {what}: {tally:?}");
    }
}

#[test]
fn a_seed_repeats_its_run() {
    let traces: Vec<u64> = (0..16).map(|run_of| run(run_of % 8, Planted::None).trace).collect();
    assert_eq!(traces[..8], traces[8..]);
    assert_ne!(traces[0], traces[1]);
}
