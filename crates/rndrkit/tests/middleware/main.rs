//! The sample services of `examples/`, each with a real server behind it: what their callers are told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code: a failure is a panic, and real servers need the real clock"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no users")]

// In this process, because cargo does not build other packages' programs for a test.
#[path = "../../../../examples/axum/src/main.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod axum_service;
mod documents;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "one harness for all test binaries; each uses what it needs")]
mod harness;
mod log;
mod rules;
mod services;
