//! Measures several nodes: what waiting adds to a delete, how exactly a budget is shared, what a node of a set
//! decides beside a node alone, and what idle nodes cost. Prints a table; judges nothing.
//!
//! `cargo bench -p rndrkit --bench cluster`, or with `-- deletes`, `budget`, `throughput` or `idle` for one part.

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

#[path = "../../tests/cluster/budget.rs"]
mod budget;
#[path = "../../tests/it/harness.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod harness;
#[path = "../../tests/cluster/history.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod history;
mod measure;
#[path = "../../tests/cluster/nodes.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod nodes;
#[path = "../../tests/cluster/wire.rs"]
mod wire;
#[path = "../../tests/cluster/world.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod world;

use nodes::{Cluster, TRUST};
use rndrkit_domain::node::longest_wait;

/// Each part by its name on the command line.
const PARTS: [&str; 4] = ["deletes", "budget", "throughput", "idle"];

#[tokio::main]
async fn main() {
    // Cargo adds `--bench`.
    let wished: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = wished.iter().find(|word| !PARTS.contains(&word.as_str())) {
        panic!("{unknown} is none of {PARTS:?}");
    }
    println!("| measured | value |\n|---|--:|");
    for part in PARTS.into_iter().filter(|part| wished.is_empty() || wished.iter().any(|word| word == part)) {
        let Some(cluster) = Cluster::start_or_notice(3).await else { return };
        // Until then a node waits the longest time with every change: it cannot know who was there before it.
        tokio::time::sleep(longest_wait(TRUST)).await;
        match part {
            "deletes" => measure::deletes(&cluster).await,
            "budget" => measure::budget(&cluster).await,
            "throughput" => measure::throughput(&cluster).await,
            _ => measure::idle(&cluster).await,
        }
    }
}
