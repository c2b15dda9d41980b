//! Floods of bad keys against a real process: what they are answered, what they cost, and that nobody with a good
//! key notices.

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

mod answers;
mod beside;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "one harness for all test binaries; each uses what it needs")]
mod harness;
#[path = "../cluster/wire.rs"]
#[allow(dead_code, reason = "one client for all test binaries; each uses what it needs")]
mod wire;
mod world;
