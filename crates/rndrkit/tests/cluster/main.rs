//! Several real nodes on a real PostgreSQL, and what may happen to them: stopped, killed, cut off, failed over,
//! put back to yesterday. What they answered is recorded and judged afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code: a failure is a panic, and real servers need the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod bad_histories;
mod budget;
mod checker;
mod failover;
mod fault_table;
mod faults;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "one harness for both test binaries; each uses what it needs")]
mod harness;
mod healthy;
mod history;
mod load;
mod nodes;
mod schedule;
mod streams;
mod wire;
mod world;
