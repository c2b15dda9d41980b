//! Counted use through a real process: what came in at each door is found again, by key and to the last request,
//! whatever becomes of the process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::float_cmp,
    reason = "test code: a failure is a panic, real servers need the real clock, and counters are whole numbers"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

mod counts;
mod ends;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "one harness for all test binaries; each uses what it needs")]
mod harness;
mod last_used;
mod refused;
mod upstream;
mod world;
