//! Operations against a real store, with a verifier that always follows at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "test code: a failure is a panic, and a test binary has no users"
)]

mod account_security;
mod hints;
mod outcome;
mod people;
mod permissions;
mod setup;
mod things;
mod waiting;
