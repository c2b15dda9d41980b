//! Measures what a flood of bad keys takes from good ones: requests of good keys a second beside nine times as many of
//! bad ones, over a tenth of what the same connections do without a flood. Prints a table; judges nothing.
//!
//! `cargo bench -p rndrkit --bench flood`, or with names of rows (`-- unknown-one revoked`) or doors (`-- authz`). With
//! two processors or more the server has the first for itself, as long as `taskset` is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot be made ends, and real servers need the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a program without users in code")]

mod bad;
mod drive;
#[path = "../../tests/it/harness.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod harness;
mod upstream;
#[path = "../../tests/cluster/wire.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod wire;
#[path = "../../tests/flood/world.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod world;

use std::process::Command;
use std::sync::{Arc, Mutex};

use bad::{Bad, Kind};
use drive::{CONNECTIONS, Door, Share, Turn};
use world::World;

/// How often each row is measured, flood and peace in turns.
const ROUNDS: usize = 5;
/// Good keys that are asked about, and revoked ones.
const GOOD: usize = 90;
const REVOKED: usize = 90;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo adds `--bench`.
    let wished: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let known = |word: &&String| {
        Kind::ALL.iter().any(|kind| kind.name() == word.as_str())
            || Door::ALL.iter().any(|door| door.name() == word.as_str())
    };
    if let Some(unknown) = wished.iter().find(|word| !known(word)) {
        panic!("{unknown} is neither a row nor a door");
    }
    let alone = pin(std::process::id(), 1);
    let upstream = upstream::start();
    let url = format!("http://{upstream}");
    let world = World::start(&[("RNDRKIT_UPSTREAM_URL", &url)], GOOD, REVOKED).await;
    if !(alone && pin(world.server.pid(), 0)) {
        println!("Server and load share their processors: compare with nothing else.\n");
    }
    println!(
        "{CONNECTIONS} connections that ask without a pause. *apart*: a tenth of them has good keys; *mixed*: one \
         request in ten of each has. Good requests a second over a tenth of those without a flood, median of \
         {ROUNDS} rounds (lowest, highest).\n"
    );
    println!("| door | bad keys | apart | mixed | good/s without | bad/s | 401 : 429 : 503 |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    let bad = Arc::new(Mutex::new(Bad::new(&world)));
    for door in Door::ALL {
        for kind in Kind::ALL {
            let named = |name: &str| wished.iter().any(|word| word == name);
            let doors = Door::ALL.iter().any(|door| named(door.name()));
            let kinds = Kind::ALL.iter().any(|kind| named(kind.name()));
            if (!doors || named(door.name())) && (!kinds || named(kind.name())) {
                row(&world, door, kind, &bad).await;
            }
        }
    }
}

/// One row: peace, a flood apart, a flood mixed in; so many times.
async fn row(world: &World, door: Door, kind: Kind, bad: &Arc<Mutex<Bad>>) {
    let (mut apart, mut mixed, mut peace, mut attacks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut answers = [0.0; 3];
    for round in 0..=ROUNDS {
        let turn = async |share: Share| {
            bad.lock().unwrap().begin(kind);
            Turn::run(world, door, share, bad).await
        };
        let without = turn(Share::Peace).await;
        let first = turn(Share::Apart).await;
        let second = turn(Share::Mixed).await;
        // The first round warms up.
        if round > 0 {
            peace.push(without.good);
            apart.push(first.good / (0.1 * without.good));
            mixed.push(second.good / (0.1 * without.good));
            attacks.push(first.bad());
            for (sum, status) in answers.iter_mut().zip(first.refused) {
                *sum += status;
            }
        }
    }
    let share = |of: f64| format!("{:.0} %", 100.0 * of / answers.iter().sum::<f64>());
    println!(
        "| {} | {} | {} | {} | {:.0} | {:.0} | {} |",
        door.name(),
        kind.described(),
        spread(&mut apart),
        spread(&mut mixed),
        median(&mut peace),
        median(&mut attacks),
        answers.map(share).join(" : ")
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &mut [f64]) -> String {
    let middle = median(values);
    format!("{middle:.2} ({:.2}, {:.2})", values[0], values[values.len() - 1])
}

/// Gives all threads of a process one processor. Whether that was done.
fn pin(process: u32, processor: usize) -> bool {
    let mut command = Command::new("taskset");
    let process = process.to_string();
    let output = command.args(["-a", "-c", "-p", &processor.to_string(), &process]).output();
    output.is_ok_and(|output| output.status.success())
}
