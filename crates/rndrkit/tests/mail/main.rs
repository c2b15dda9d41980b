//! Mail through real processes and a real mail server: nothing is lost, whatever dies when, and nothing secret is
//! ever in it.

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

mod failures;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "one harness for all test binaries; each uses what it needs")]
mod harness;
mod kills;
mod month;
mod nodes;
mod receiver;
